"""How much memory may this process still take, and is what is to be evaluated too large for it?

Asked before work begins: a process that asks for too much is ended by the system without a word.
"""

import resource
from pathlib import Path

from jaxsim.catalog.errors import InputError

_PROC = Path("/proc")
# The most that plans of 8 and 24 million designs held, over what the outputs of their largest grid
# take: copies, masks and pairs.
HELD_OVER_OUTPUTS = 2.0
# Of a design that a search keeps: value, place on every axis, merging, and its row of a table.
KEPT_DESIGN_BYTES = 400.0

_allowed: list[float] = []


def allow(limit_bytes: float | None) -> None:
    """Let this process take so much memory and no more; None for what the machine has."""
    _allowed[:] = [] if limit_bytes is None else [limit_bytes]


def free_bytes() -> float:
    """What may still be taken: of the machine, of its control group, of limits; inf if unknown."""
    free = [float("inf"), *(limit - used_bytes() for limit in _allowed)]
    free += [value for key, value in _numbers(_PROC / "meminfo") if key == "MemAvailable"]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        free += [soft - v for key, v in _numbers(_PROC / "self" / "status") if key == "VmSize"]
    for folder in _groups():
        limit, current = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is not None and current is not None:
            free.append(limit - current)
    return max(min(free), 0.0)


def used_bytes() -> float:
    """What this process holds now; 0 where the system does not say."""
    held = [value for key, value in _numbers(_PROC / "self" / "status") if key == "VmRSS"]
    return held[0] if held else 0.0


def require(needed_bytes: float, what: str) -> None:
    """An InputError if so much memory is not free; `what` begins the sentence."""
    free = free_bytes()
    if needed_bytes > free:
        raise InputError(
            f"{what} would take about {_size(needed_bytes)} of memory, and {_size(free)} are free: "
            "restrict an axis (--batch, --chunk, --tp, …) or the lengths, or sweep in "
            "smaller blocks (block_workloads)."
        )


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


def _numbers(path: Path) -> list[tuple[str, float]]:
    """Names and bytes of a file of the system whose lines are `name: 12 kB`."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    cells = [line.replace(":", " ").split() for line in lines]
    return [(c[0], float(c[1]) * 1024.0) for c in cells if len(c) == 3 and c[2] == "kB"]


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # "max": no limit
        return None


def _groups() -> list[Path]:
    """The folders of this process's control groups (version 2), innermost first."""
    try:
        lines = (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    if own is None:
        return []
    root = Path("/sys/fs/cgroup")
    inner = root / own.lstrip("/")
    return [inner, *(p for p in inner.parents if p == root or root in p.parents)]
