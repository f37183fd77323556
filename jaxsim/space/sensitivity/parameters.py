"""What are the inputs of a result called, and which move as one?

A scenario has hundreds of numbers. Here each has a title for a reader, a group, and the inputs that
move as one: the fits that share a family of the calibration, the launch floors of all kernels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jaxsim.catalog.calibration import families_of
from jaxsim.catalog.precision import Precision

GROUPS = ("hardware", "target", "workload", "model", "precision", "engine", "calibration")

# Inputs of the hardware, as a reader knows them. The peak of a chip is tied to its
# multiprocessors: its rate alone makes each faster, their number brings more of the same.
HARDWARE: dict[str, str] = {
    "hardware.chip.hbm_bytes_per_s": "HBM bandwidth",
    "hardware.chip.hbm_bytes": "HBM capacity",
    "hardware.chip.peak.fp4_flop_per_s": "peak FP4 arithmetic",
    "hardware.chip.peak.fp8_flop_per_s": "peak FP8 arithmetic",
    "hardware.chip.peak.bf16_flop_per_s": "peak BF16 arithmetic",
    "hardware.chip.multiprocessors": "multiprocessors and peak",
    "hardware.scaleup.bytes_per_s": "scale-up bandwidth",
    "hardware.scaleup.latency_s": "scale-up latency",
    "hardware.scaleout.bytes_per_s": "NIC bandwidth",
    "hardware.scaleout.latency_s": "NIC latency",
}
_PAID = {
    "hardware.price_usd_per_hour": "price of a GPU-hour",
    "hardware.power_w": "power of a GPU",
}
LAUNCH = "kernel launch floors"
LIMITS = {"ttl": "TTL target", "ftl": "FTL target"}

_WORKLOAD = {
    "workload.isl": "ISL",
    "workload.osl": "OSL",
    "workload.hit_frac": "prefix-cache hits",
    "workload.draft_tokens": "draft tokens",
    "workload.accept_frac": "acceptance of drafts",
    "workload.imbalance": "expert imbalance",
}
_ENGINE_GROUP = ("engine.", "options.")
# Numbers of a scenario that nobody can change by a percent.
_FIXED = re.compile(r"kernels\..*\.(peak\.\w+|multiprocessors)|hardware\.domain_gpus")


@dataclass(frozen=True)
class Input:
    """One number, or several that are one: its title, group, and where it stands in a scenario.

    `pool` is `prefill` where prefill has other hardware and this is of that.
    """

    name: str
    title: str
    group: str
    paths: tuple[str, ...]
    pool: str = ""


def inputs_of(paths: list[str], precision: Precision) -> tuple[Input, ...]:
    """The inputs behind the paths of a scenario, those of a shared calibration joined."""
    joined: dict[str, list[str]] = {}
    for path in paths:
        name = _name(path, precision)
        if name is not None:
            joined.setdefault(name, []).append(path)
    return tuple(_input(name, tuple(own)) for name, own in joined.items())


def _name(path: str, precision: Precision) -> str | None:
    pool, _, own = path.rpartition(":")
    if _FIXED.fullmatch(own) or own.startswith("design."):
        return None
    prefix = f"{pool}:" if pool else ""
    if own.startswith("kernels."):
        _, role, constant = own.split(".", 2)
        kind, number_format = families_of(precision).get(role, (role, ""))
        family = f"{kind}.{number_format}" if number_format else kind
        return f"{prefix}calibration.{family}.{constant}"
    return prefix + own


def _input(name: str, paths: tuple[str, ...]) -> Input:
    pool, _, own = name.rpartition(":")
    group = own.split(".")[0]
    if group == "element":
        group, title = "precision", f"bytes of an element: {own.split('.')[1].replace('_', ' ')}"
    elif own in HARDWARE or own in _PAID:
        title = HARDWARE.get(own) or _PAID[own]
    elif own in _WORKLOAD:
        title = _WORKLOAD[own]
    elif own.startswith(_ENGINE_GROUP):
        group, title = "engine", own.split(".", 1)[1]
    elif group == "model":
        title = re.sub(r"^groups\.(\d+)", _kind, own.removeprefix("model."))
    else:
        title = own.removeprefix("calibration.")
    return Input(name, f"{pool}: {title}" if pool else title, group, paths, pool)


def _kind(match: re.Match[str]) -> str:
    return f"layers of kind {int(match.group(1)) + 1}"


def joined(own: Input, by_path: Mapping[str, np.ndarray]) -> np.ndarray:
    """The elasticity of inputs that move as one: the sum of theirs."""
    return np.sum([by_path[path] for path in own.paths], axis=0)


def hardware_levers(
    by_path: Mapping[str, np.ndarray], by_limit: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Elasticities of what can be bought or relaxed, by title: hardware, launch floors, targets."""
    levers: dict[str, np.ndarray] = {}
    for pool in ("", "prefill:"):
        label = "prefill: " if pool else ""
        for path, title in HARDWARE.items():
            if pool + path in by_path:
                levers[label + title] = by_path[pool + path]
        floors = [
            slope
            for path, slope in by_path.items()
            if path.startswith(f"{pool}kernels.") and path.endswith(".launch_s")
        ]
        if floors:
            levers[label + LAUNCH] = np.sum(floors, axis=0)
    for limit, title in LIMITS.items():
        if limit in by_limit:
            levers[title] = by_limit[limit]
    return levers
