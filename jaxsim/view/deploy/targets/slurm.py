"""What starts the plan under Slurm?  One job: servers on its nodes, the proxy on the first."""

import shlex

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.platforms import node_of
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.targets import sglang, trtllm, vllm
from jaxsim.view.deploy.targets.hosts import place

ENGINES = {"vllm": vllm, "sglang": sglang, "trtllm": trtllm}
FRONT = {"vllm": "proxy.sh", "sglang": "router.sh", "trtllm": "disaggregated.sh"}
RACK_NODES = 18


def files(order: Order, settings: Settings) -> dict[str, str]:
    """The engine's own scripts, and the job that runs them."""
    made = ENGINES[settings.engine].files(order, settings)
    return made | {"job.sbatch": job(order, settings, sorted(made))}


def job(order: Order, settings: Settings, names: list[str]) -> str:
    """The batch script: names of hosts are put in as Slurm hands out nodes."""
    kinds = {pool.hardware for pool in order.pools}
    if len(kinds) > 1:
        raise InputError(
            f"Pools of unlike hardware ({', '.join(sorted(kinds))}) are one job each under Slurm; "
            "deploy them with --target dynamo, or list their hosts with --target vllm or sglang."
        )
    hosts = sorted({p.host for p in place(order, settings)}, key=_natural)
    pool = order.pools[0]
    head = [
        "#!/usr/bin/env bash",
        f"#SBATCH --job-name={settings.name}",
        f"#SBATCH --nodes={len(hosts)}",
        "#SBATCH --ntasks-per-node=1",
        f"#SBATCH --gpus-per-node={pool.gpus_per_node}",
        "#SBATCH --exclusive",
    ]
    if segment := _segment(order):
        head.append(f"#SBATCH --segment={segment}")
    copied = " ".join(name for name in names if "/" not in name)
    body = [
        "set -euo pipefail",
        "",
        'run="${SLURM_SUBMIT_DIR:?}/run-${SLURM_JOB_ID:?}"',
        'mkdir -p "$run"',
        'cd "$SLURM_SUBMIT_DIR"',
        f'cp {copied} "$run"',
        'cd "$run"',
        f"planned=({shlex.join(hosts)})",
        'mapfile -t given < <(scontrol show hostnames "${SLURM_JOB_NODELIST:?}")',
        'for index in "${!planned[@]}"; do',
        '  printf \'s/\\\\b%s\\\\b/%s/g\\n\' "${planned[$index]}" "${given[$index]}"',
        "done >names.sed",
        "for name in placement.tsv proxy.sh router.sh disagg_config.yaml; do",
        '  if [[ -f "$name" ]]; then sed -i -f names.sed "$name"; fi',
        "done",
        *_servers(order, settings),
    ]
    if FRONT[settings.engine] in names:
        body.append(
            f'srun --overlap --nodes=1 --ntasks=1 --nodelist="${{given[0]}}" '
            f"bash {FRONT[settings.engine]} &"
        )
    return "\n".join([*head, *body, "wait"]) + "\n"


def _servers(order: Order, settings: Settings) -> list[str]:
    """Starts every server; instances of TensorRT-LLM over several nodes are one MPI step each."""
    if settings.engine != "trtllm" or all(pool.nodes == 1 for pool in order.pools):
        return ["srun --overlap bash launch.sh &"]
    lines = [
        "cp placement.tsv servers.tsv",
        "while IFS=$'\\t' read -r role instance rank on gpus port master; do",
        '  [[ "$rank" == 0 ]] || continue',
        '  case "$role" in',
    ]
    for pool in order.pools:
        lines.append(f"    {pool.role}) nodes={pool.nodes} tasks={pool.gpus} ;;")
    words = f"trtllm-llmapi-launch trtllm-serve {_quoted(settings)}"
    return [
        *lines,
        "  esac",
        '  list="$(awk -F"\\t" -v r="$role" -v i="$instance" \'$1==r && $2==i {print $4}\' '
        'placement.tsv | sort -u | paste -sd,)"',
        '  CUDA_VISIBLE_DEVICES="$gpus" srun --overlap --mpi=pmix --nodes="$nodes" '
        '--ntasks="$tasks" --nodelist="$list" \\',
        f'    {words} --config "$role.yaml" --host 0.0.0.0 --port "$port" \\',
        '    >"$role-$instance.log" 2>&1 </dev/null &',
        '  echo "$role $instance on $list at $master:$port, rank 0 on $on"',
        "done <servers.tsv",
    ]


def _quoted(settings: Settings) -> str:

    words = [settings.checkpoint, "--served_model_name", settings.served]
    return shlex.join(words)


def _segment(order: Order) -> int:
    """Nodes that must lie in one rack: those of the largest instance, where racks are domains."""
    racks = [pool for pool in order.pools if node_of(pool.hardware).get("rack")]
    largest = max((pool.nodes for pool in racks), default=0)
    if largest > RACK_NODES:
        raise InputError(f"An instance of {largest} nodes is larger than a rack of {RACK_NODES}.")
    return largest if largest > 1 else 0


def _natural(host: str) -> tuple[str, int]:
    name, _, number = host.rpartition("-")
    return name, int(number) if number.isdigit() else 0
