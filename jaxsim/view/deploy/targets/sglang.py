"""What starts the plan with plain SGLang?  Scripts for every host, and its router."""

from jaxsim.view.deploy.arguments import serve_options, words_of
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shell import line_of, script
from jaxsim.view.deploy.targets.hosts import (
    FIRST_PORT,
    check_port,
    launch_script,
    leaders,
    place,
    place_arguments,
    placement_table,
)
from jaxsim.view.deploy.targets.pods import sglang_transfer

FIRST_BOOTSTRAP = 8998
MASTER_PORT = 20000


def files(order: Order, settings: Settings) -> dict[str, str]:
    """Scripts of the servers and the router, and the placement they read."""
    placed = place(order, settings)
    bootstrap = (FIRST_BOOTSTRAP + server.port - FIRST_PORT for server in placed)
    check_port(settings, placed, (MASTER_PORT, *bootstrap))
    made = {f"serve-{pool.role}.sh": serve(order, pool, settings) for pool in order.pools}
    return made | {
        "launch.sh": launch_script(),
        "placement.tsv": placement_table(placed),
        "router.sh": _router(order, settings),
    }


def serve(order: Order, pool: Pool, settings: Settings) -> str:
    """Starts one node's part of one instance: `serve-ROLE.sh RANK PORT MASTER`."""
    flag = settings.flags
    words = ["python3", "-m", "sglang.launch_server", flag["model"].name, settings.checkpoint]
    words += words_of(serve_options(order, pool, settings))
    words += sglang_transfer(pool, settings)[:-2]
    ends = ["  --host 0.0.0.0", '  --port "$port"']
    if pool.role != "colocated":
        port = f'"$(({FIRST_BOOTSTRAP} + port - {FIRST_PORT}))"'
        ends.append(f"  {flag['bootstrap_port'].name} {port}")
    if pool.nodes > 1:
        ends += [
            f"  {flag['nodes'].name} {pool.nodes}",
            f'  {flag["node_rank"].name} "$rank"',
            f'  {flag["master_address"].name} "$master:{MASTER_PORT}"',
        ]
    return script(
        f"One server of the {pool.role} pool: serve-{pool.role}.sh RANK PORT MASTER.",
        [*place_arguments(pool), "exec " + " \\\n".join([line_of(words, "  "), *ends])],
    )


def _router(order: Order, settings: Settings) -> str:
    """SGLang's router over all servers."""
    placed = place(order, settings)
    words = ["python3", "-m", "sglang_router.launch_router", "--host", "0.0.0.0"]
    words += ["--port", str(settings.port)]
    if order.hit_frac:
        pool = "--prefill-policy" if order.kind == "disaggregated" else "--policy"
        words += [pool, "cache_aware"]
    if order.kind == "disaggregated":
        words.append("--pd-disaggregation")
        for server in leaders(placed, "prefill"):
            bootstrap = str(FIRST_BOOTSTRAP + server.port - FIRST_PORT)
            words += ["--prefill", f"http://{server.host}:{server.port}", bootstrap]
        for server in leaders(placed, "decode"):
            words += ["--decode", f"http://{server.host}:{server.port}"]
    else:
        words.append("--worker-urls")
        words += [f"http://{p.host}:{p.port}" for p in leaders(placed, "colocated")]
    return script("Sends requests to the servers.", ["exec " + line_of(words)])
