"""Which server stands on which host, with which GPUs and port?  For targets without a scheduler."""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shell import script

FIRST_PORT = 8100
PORT = f'port="${{2:-{FIRST_PORT}}}"'


@dataclass(frozen=True)
class Placed:
    """One node's part of one instance."""

    role: str
    instance: int
    rank: int
    host: str
    gpus: tuple[int, ...]
    port: int
    master: str


def place(order: Order, settings: Settings) -> list[Placed]:
    """Instances on hosts in turn: small ones share a host, large ones span several.

    Hosts are named `role-N` where none were given. Pools do not share hosts, as their hardware or
    its use differs.
    """
    given = list(settings.hosts)
    placed: list[Placed] = []
    for pool in order.pools:
        per_host = max(1, pool.gpus_per_node // pool.node_gpus) if pool.nodes == 1 else 1
        needed = pool.nodes * -(-pool.count // per_host)
        if settings.hosts:
            if len(given) < needed:
                raise InputError(
                    f"--hosts: {pool.count} {pool.role} instances of {pool.gpus} GPUs need "
                    f"{needed} hosts of {pool.gpus_per_node} GPUs; {len(given)} are left."
                )
            hosts, given = given[:needed], given[needed:]
        else:
            hosts = [f"{pool.role}-{index}" for index in range(needed)]
        placed += _of_pool(pool, hosts, per_host)
    return placed


def _of_pool(pool: Pool, hosts: list[str], per_host: int) -> list[Placed]:
    pool_hosts = []
    for instance in range(pool.count):
        slot = instance % per_host
        first = instance // per_host * pool.nodes
        for rank in range(pool.nodes):
            gpus = tuple(range(slot * pool.node_gpus, (slot + 1) * pool.node_gpus))
            port = FIRST_PORT + slot
            pool_hosts.append(
                Placed(pool.role, instance, rank, hosts[first + rank], gpus, port, hosts[first])
            )
    return pool_hosts


def check_port(settings: Settings, placed: list[Placed], others: Iterable[int]) -> None:
    """An error where the front end would have a port that a server of the plan has or opens."""
    if settings.port in {*(server.port for server in placed), *others}:
        raise InputError(
            f"--port {settings.port}: servers of the plan have it; give another to the front end."
        )


def place_arguments(pool: Pool) -> list[str]:
    """What a server's script reads of its place: RANK PORT MASTER, as far as it needs them."""
    if pool.nodes == 1:
        return ["# One node: the first and third argument are not needed.", PORT]
    return ['rank="${1:-0}"', PORT, 'master="${3:-127.0.0.1}"']


def placement_table(placed: list[Placed]) -> str:
    """The placement as a table of tabs, which `launch.sh` reads."""
    rows = [
        (p.role, p.instance, p.rank, p.host, ",".join(map(str, p.gpus)), p.port, p.master)
        for p in placed
    ]
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def launch_script() -> str:
    """Starts the servers of one host: `launch.sh HOST`."""
    return script(
        "Starts the servers of one host: bash launch.sh HOST (default: this host's name).",
        [
            'host="${1:-${SLURMD_NODENAME:-$(hostname)}}"',
            'cd "$(dirname "$0")"',
            "found=0",
            "while IFS=$'\\t' read -r role instance rank on gpus port master; do",
            '  [[ "$on" == "$host" ]] || continue',
            "  found=1",
            '  CUDA_VISIBLE_DEVICES="$gpus" bash "serve-$role.sh" "$rank" "$port" "$master" \\',
            '    >"$role-$instance-$rank.log" 2>&1 &',
            "done <placement.tsv",
            'if [[ "$found" == 0 ]]; then',
            '  echo "placement.tsv has no server on $host" >&2',
            "  exit 1",
            "fi",
            "wait",
        ],
    )


def leaders(placed: list[Placed], role: str) -> list[Placed]:
    """The servers of a role that take requests: the first node of each instance."""
    return [p for p in placed if p.role == role and p.rank == 0]
