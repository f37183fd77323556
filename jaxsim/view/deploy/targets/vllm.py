"""What starts the plan with plain vLLM?  Scripts for every host, and a proxy between the pools."""

from collections.abc import Iterator

from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shell import line_of, script
from jaxsim.view.deploy.targets.hosts import (
    FIRST_PORT,
    Placed,
    check_port,
    launch_script,
    leaders,
    place,
    place_arguments,
    placement_table,
)
from jaxsim.view.deploy.targets.pods import vllm_arguments

# Each server takes one port for every data-parallel rank from its first; they must not meet.
SIDE_PORT = {"nixl": 5600, "mooncake": 8998}
SIDE_PORTS = 64
DP_PORT = 13345
MASTER_PORT = 29501


def files(order: Order, settings: Settings) -> dict[str, str]:
    """Scripts of the servers and the proxy, and the placement they read."""
    placed = place(order, settings)
    check_port(settings, placed, _opened(settings, placed))
    made = {f"serve-{pool.role}.sh": serve(order, pool, settings) for pool in order.pools}
    made |= {"launch.sh": launch_script(), "placement.tsv": placement_table(placed)}
    if order.kind == "disaggregated":
        made["proxy.sh"] = _proxy(order, settings)
    return made


def _opened(settings: Settings, placed: list[Placed]) -> Iterator[int]:
    """Ports that servers open beside their own: to hand over caches, and between their ranks."""
    yield MASTER_PORT
    for slot in {server.port - FIRST_PORT for server in placed}:
        yield DP_PORT + slot
        first = SIDE_PORT[settings.connector] + slot * SIDE_PORTS
        yield from range(first, first + SIDE_PORTS)


def serve(order: Order, pool: Pool, settings: Settings) -> str:
    """Starts one node's part of one instance: `serve-ROLE.sh RANK PORT MASTER`."""
    command = line_of(["vllm", "serve", *vllm_arguments(order, pool, settings)], "  ")
    ends = ["  --host 0.0.0.0", '  --port "$port"', *nodes_of(pool, settings)]
    lines = [*place_arguments(pool), *_side(settings, pool)]
    return script(
        f"One server of the {pool.role} pool: serve-{pool.role}.sh RANK PORT MASTER.",
        [*lines, *_last_words(pool), "exec " + " \\\n".join([command, *ends])],
    )


def _side(settings: Settings, pool: Pool) -> list[str]:
    """Where the other pool finds this server's cache."""
    if pool.role == "colocated":
        return []
    side_port = SIDE_PORT[settings.connector]
    port = f"$(({side_port} + (port - {FIRST_PORT}) * {SIDE_PORTS}))"
    if settings.connector == "mooncake":
        return [f"export VLLM_MOONCAKE_BOOTSTRAP_PORT={port}"]
    return [
        "VLLM_NIXL_SIDE_CHANNEL_HOST=\"$(hostname -I | awk '{print $1}')\"",
        "export VLLM_NIXL_SIDE_CHANNEL_HOST",
        f"export VLLM_NIXL_SIDE_CHANNEL_PORT={port}",
    ]


def _last_words(pool: Pool) -> list[str]:
    if pool.nodes == 1:
        return []
    return ["rest=()", 'if [[ "$rank" -gt 0 ]]; then rest=(--headless); fi']


def nodes_of(pool: Pool, settings: Settings) -> list[str]:
    """Options that say which part of an instance a node is, in shell words."""
    flag = settings.flags
    if pool.nodes == 1:
        port = f'  {flag["attention_dp_port"].name} "$(({DP_PORT} + port - {FIRST_PORT}))"'
        return [port] if pool.attention_dp > 1 else []
    names = ["nodes", "node_rank", "master_address", "master_port"]
    words = [
        f"  {flag['nodes'].name} {pool.nodes}",
        f'  {flag["node_rank"].name} "$rank"',
        f'  {flag["master_address"].name} "$master"',
        f"  {flag['master_port'].name} {MASTER_PORT}",
    ]
    if pool.attention_dp > 1:
        # Ranks of each node follow from its place. A start rank on the first node would make it
        # balance among its own ranks only.
        names += ["attention_dp_address", "attention_dp_port"]
        words += [
            f'  {flag["attention_dp_address"].name} "$master"',
            f"  {flag['attention_dp_port'].name} {DP_PORT}",
        ]
    flag.check([flag[name].name for name in names])
    return [*words, '  "${rest[@]}"']


def _proxy(order: Order, settings: Settings) -> str:
    """The proxy that sends a request to prefill and then to decode."""
    placed = place(order, settings)
    prefill, decode = leaders(placed, "prefill"), leaders(placed, "decode")
    words = ["--port", str(settings.port)]
    words += ["--prefiller-hosts", *(p.host for p in prefill)]
    words += ["--prefiller-ports", *(str(p.port) for p in prefill)]
    words += ["--decoder-hosts", *(p.host for p in decode)]
    words += ["--decoder-ports", *(str(p.port) for p in decode)]
    return script(
        "Sends each request to a prefill server, then to a decode server.",
        [
            "# PROXY is toy_proxy_server.py of vLLM's tests/v1/kv_connector/nixl_integration.",
            'proxy="${PROXY:-toy_proxy_server.py}"',
            'exec python3 "$proxy" \\\n    ' + line_of(words),
        ],
    )
