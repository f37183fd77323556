"""What starts the plan under Slurm?  One job: servers on its nodes, the proxy on the first."""

import shlex
from dataclasses import dataclass

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.platforms import node_label, node_of
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.targets import sglang, trtllm, vllm
from jaxsim.view.deploy.targets.hosts import place

ENGINES = {"vllm": vllm, "sglang": sglang, "trtllm": trtllm}
FRONT = {"vllm": "proxy.sh", "sglang": "router.sh", "trtllm": "disaggregated.sh"}
RACK_NODES = 18


@dataclass(frozen=True)
class Component:
    """Nodes of one kind that a job asks for: `segment` of them at a time must lie in one rack."""

    hardware: str
    gpus_per_node: int
    roles: tuple[str, ...]
    hosts: tuple[str, ...]
    segment: int


def files(order: Order, settings: Settings) -> dict[str, str]:
    """The engine's own scripts, and the job that runs them."""
    made = ENGINES[settings.engine].files(order, settings)
    return made | {"job.sbatch": job(order, settings, sorted(made))}


def components(order: Order, settings: Settings) -> list[Component]:
    """Nodes that a job asks for: of all pools together where they are alike, or of each by itself.

    A component has one kind of hardware, and as many nodes as its segment divides.
    """
    hosts: dict[str, set[str]] = {}
    for placed in place(order, settings):
        hosts.setdefault(placed.role, set()).add(placed.host)

    def of(pools: tuple[Pool, ...]) -> Component:
        names = sorted({host for pool in pools for host in hosts[pool.role]}, key=_natural)
        own, segment = pools[0], max(_segment(pool) for pool in pools)
        roles = tuple(pool.role for pool in pools)
        return Component(own.hardware, own.gpus_per_node, roles, tuple(names), segment)

    together = of(order.pools)
    segment = max(1, together.segment)
    alike = len({pool.hardware for pool in order.pools}) == 1
    whole = all(segment % max(1, _segment(pool)) == 0 for pool in order.pools)
    if alike and whole and len(together.hosts) % segment == 0:
        return [together]
    return [of((pool,)) for pool in order.pools]


def job(order: Order, settings: Settings, names: list[str]) -> str:
    """The batch script: names of hosts are put in as Slurm hands out nodes."""
    parts = components(order, settings)
    hosts = [host for part in parts for host in part.hosts]
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
        *_given(len(parts)),
        'for index in "${!planned[@]}"; do',
        '  printf \'s/\\\\b%s\\\\b/%s/g\\n\' "${planned[$index]}" "${given[$index]}"',
        "done >names.sed",
        "for name in placement.tsv proxy.sh router.sh disagg_config.yaml; do",
        '  if [[ -f "$name" ]]; then sed -i -f names.sed "$name"; fi',
        "done",
        *_servers(order, settings, parts),
    ]
    if FRONT[settings.engine] in names:
        body.append(
            f'srun{_group(0, parts)} --overlap --nodes=1 --ntasks=1 --nodelist="${{given[0]}}" '
            f"bash {FRONT[settings.engine]} &"
        )
    return "\n".join(["#!/usr/bin/env bash", *_asked(parts, settings), *body, "wait"]) + "\n"


def _asked(parts: list[Component], settings: Settings) -> list[str]:
    """What is asked of Slurm; several kinds of nodes are one heterogeneous job.

    Kinds are told apart by the type of their GPUs, or by the partition that was given for one.
    """
    unlike = len({part.hardware for part in parts}) > 1
    lines = [f"#SBATCH --job-name={settings.name}"]
    for index, part in enumerate(parts):
        lines += ["#SBATCH hetjob"] if index else []
        partition = settings.partitions.get(part.hardware)
        kind = f"{node_label(part.hardware, 'gres', 'Slurm')}:" if unlike and not partition else ""
        lines += [f"#SBATCH --partition={partition}"] if partition else []
        lines += [
            f"#SBATCH --nodes={len(part.hosts)}",
            "#SBATCH --ntasks-per-node=1",
            f"#SBATCH --gpus-per-node={kind}{part.gpus_per_node}",
            "#SBATCH --exclusive",
        ]
        lines += [f"#SBATCH --segment={part.segment}"] if part.segment else []
    return lines


def _given(parts: int) -> list[str]:
    """Reads the nodes that Slurm gave, in the order of those planned."""
    if parts == 1:
        return ['mapfile -t given < <(scontrol show hostnames "${SLURM_JOB_NODELIST:?}")']
    lists = (f'"${{SLURM_JOB_NODELIST_HET_GROUP_{index}:?}}"' for index in range(parts))
    return ["given=()", f"for list in {' '.join(lists)}; do",
            '  mapfile -t -O "${#given[@]}" given < <(scontrol show hostnames "$list")',
            "done"]  # fmt: skip


def _group(index: int, parts: list[Component]) -> str:
    """The component in which a step runs, where there are several."""
    return f" --het-group={index}" if len(parts) > 1 else ""


def _servers(order: Order, settings: Settings, parts: list[Component]) -> list[str]:
    """Starts every server; instances of TensorRT-LLM over several nodes are one MPI step each."""
    if settings.engine != "trtllm" or all(pool.nodes == 1 for pool in order.pools):
        groups = (_group(index, parts) for index in range(len(parts)))
        return [f"srun{group} --overlap bash launch.sh &" for group in groups]
    lines = [
        "cp placement.tsv servers.tsv",
        "while IFS=$'\\t' read -r role instance rank on gpus port master; do",
        '  [[ "$rank" == 0 ]] || continue',
        '  case "$role" in',
    ]
    for pool in order.pools:
        group = next(index for index, part in enumerate(parts) if pool.role in part.roles)
        step = f"{_group(group, parts)} --nodes={pool.nodes} --ntasks={pool.gpus}".strip()
        lines.append(f"    {pool.role}) step=({step} --ntasks-per-node={pool.node_gpus}) ;;")
    words = f"trtllm-llmapi-launch trtllm-serve {_quoted(settings)}"
    return [
        *lines,
        "  esac",
        '  list="$(awk -F"\\t" -v r="$role" -v i="$instance" \'$1==r && $2==i {print $4}\' '
        'placement.tsv | sort -u | paste -sd,)"',
        '  CUDA_VISIBLE_DEVICES="$gpus" srun "${step[@]}" --overlap --mpi=pmix \\',
        '    --nodelist="$list" \\',
        f'    {words} --config "$role.yaml" --host 0.0.0.0 --port "$port" \\',
        '    >"$role-$instance.log" 2>&1 </dev/null &',
        '  echo "$role $instance on $list at $master:$port, rank 0 on $on"',
        "done <servers.tsv",
    ]


def _quoted(settings: Settings) -> str:
    words = [settings.checkpoint, "--served_model_name", settings.served]
    return shlex.join(words)


def _segment(pool: Pool) -> int:
    """Nodes that must lie in one rack: those of an instance, where racks are domains."""
    if pool.nodes == 1 or not node_of(pool.hardware).get("rack"):
        return 0
    if pool.nodes > RACK_NODES:
        raise InputError(
            f"An instance of {pool.nodes} nodes is larger than a rack of {RACK_NODES}."
        )
    return pool.nodes


def _natural(host: str) -> tuple[str, int]:
    name, _, number = host.rpartition("-")
    return name, int(number) if number.isdigit() else 0
