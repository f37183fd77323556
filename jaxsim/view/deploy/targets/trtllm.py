"""What starts the plan with TensorRT-LLM?  Engine files, `trtllm-serve`, and its orchestrator."""

from jaxsim.view.deploy.arguments import trtllm_config
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shell import line_of, script
from jaxsim.view.deploy.targets.hosts import (
    PORT,
    check_port,
    launch_script,
    leaders,
    place,
    placement_table,
)
from jaxsim.view.deploy.yaml_text import yaml_text

SECTIONS = {"prefill": "context_servers", "decode": "generation_servers"}


def files(order: Order, settings: Settings) -> dict[str, str]:
    """Engine files and scripts of the servers, and the orchestrator's file."""
    placed = place(order, settings)
    check_port(settings, placed, ())
    made = {
        f"{pool.role}.yaml": yaml_text([trtllm_config(order, pool, settings)])
        for pool in order.pools
    }
    made |= {f"serve-{pool.role}.sh": serve(pool, settings) for pool in order.pools}
    made |= {"launch.sh": launch_script(), "placement.tsv": placement_table(placed)}
    if order.kind == "disaggregated":
        made["disagg_config.yaml"] = yaml_text([orchestrator(order, settings)])
        made["disaggregated.sh"] = script(
            "Sends each request to a context server, then to a generation server.",
            ['cd "$(dirname "$0")"', "exec trtllm-serve disaggregated -c disagg_config.yaml"],
        )
    return made


def serve(pool: Pool, settings: Settings) -> str:
    """Starts one instance; over several nodes, under MPI from its first one."""
    words = ["trtllm-serve", settings.checkpoint, "--served_model_name", settings.served]
    command = line_of([*words, "--config", f"{pool.role}.yaml"], "  ")
    ends = ["  --host 0.0.0.0", '  --port "$port"']
    lines = ['cd "$(dirname "$0")"', PORT]
    start = "exec "
    if pool.nodes > 1:
        lines += [
            'if [[ "${1:-0}" -gt 0 ]]; then',
            '  echo "rank ${1}: started by MPI from the first node" >&2',
            "  exit 0",
            "fi",
            "# HOSTS names the nodes of this instance as MPI takes them: a:4,b:4",
        ]
        start = (
            f'exec mpirun -n {pool.gpus} --host "${{HOSTS:?}}" --map-by ppr:{pool.node_gpus}:node '
            "\\\n  trtllm-llmapi-launch "
        )
    return script(
        f"One server of the {pool.role} pool: serve-{pool.role}.sh RANK PORT.",
        [*lines, start + " \\\n".join([command, *ends])],
    )


def _router(order: Order, pool: Pool) -> str:
    """How the orchestrator chooses a server; prefixes are only found where they are."""
    if pool.role == "decode":
        return "load_balancing"
    return "kv_cache_aware" if order.hit_frac else "round_robin"


def orchestrator(order: Order, settings: Settings) -> dict[str, object]:
    """The file of `trtllm-serve disaggregated`: where servers are, and how each is set up."""
    placed = place(order, settings)
    described: dict[str, object] = {
        "hostname": "0.0.0.0",
        "port": settings.port,
        "model": settings.checkpoint,
        "backend": "pytorch",
    }
    for pool in order.pools:
        servers = leaders(placed, pool.role)
        described[SECTIONS[pool.role]] = {
            "num_instances": len(servers),
            "urls": [f"{p.host}:{p.port}" for p in servers],
            "router": {"type": _router(order, pool)},
            **trtllm_config(order, pool, settings),
        }
    return described
