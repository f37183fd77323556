"""Which inputs move, and by how much?"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import numpy as np

from jaxsim._scalar import Numbers
from jaxsim.catalog.scenario import Scenario
from jaxsim.space.gradient.derivative import path_name

# Rates and latencies: with k times one rate, or 1/k of one latency, k > 1, every time t becomes at
# least t/k and at most t.
_RATES = re.compile(
    r"hardware\.(chip\.(hbm_bytes_per_s|multiprocessors|peak\.\w+)|scale(up|out)\.bytes_per_s)"
)
_TIMES = re.compile(r"(hardware\.scale(up|out)|kernels\.\w+|engine|options)\.(?!\w*_per_s)\w+_s")
_ROOM = "hardware.chip.hbm_bytes"
_PAID = ("hardware.price_usd_per_hour", "hardware.power_w")

# What pools on unlike hardware do not share.
OWN_HARDWARE = ("hardware.", "kernels.")


class Bounds(NamedTuple):
    """How much faster and slower any time may become, how much memory there is, and time allowed.

    All are factors of at least 1, but for `room`, which is what memory is multiplied by.
    """

    faster: float
    slower: float
    room: float
    allowed: float


@dataclass(frozen=True)
class Change:
    """Factors on inputs (by path; `prefill:` in front for a prefill pool's own) and on targets."""

    inputs: Mapping[str, Numbers] = field(default_factory=dict)
    ftl: Numbers = 1.0
    ttl: Numbers = 1.0

    def within(self, pool: str) -> dict[str, Numbers]:
        """The factors on inputs of a pool: on its own hardware, and on what both pools share."""
        own = {}
        for path, factor in self.inputs.items():
            where, _, name = path.rpartition(":")
            if where == pool or (not where and not name.startswith(OWN_HARDWARE)):
                own[name] = factor
        return own

    def bounds(self, pool: str = "") -> Bounds | None:
        """What the change can do at most to designs of a pool; None where that is not known."""
        faster = slower = room = 1.0
        for name, factor in self.within(pool).items():
            if name == _ROOM:
                room = float(factor)
            elif name in _PAID:
                continue
            elif _RATES.fullmatch(name) or _TIMES.fullmatch(name):
                gain = float(factor) if _RATES.fullmatch(name) else 1.0 / float(factor)
                faster, slower = max(faster, gain), max(slower, 1.0 / gain)
            else:
                return None
        return Bounds(faster, slower, room, max(float(self.ftl), float(self.ttl), 1.0))

    def of(self, scenario: Scenario, pool: str = "") -> Scenario:
        """The scenario with its inputs multiplied."""
        own = self.within(pool)

        def moved(path: Sequence[object], leaf: Numbers) -> Numbers:
            name = path_name(path)
            return np.asarray(leaf, float) * own[name] if name in own else leaf

        return jax.tree_util.tree_map_with_path(moved, scenario) if own else scenario

    def repeated(self, count: int) -> "Change":
        """The same, each entry of every array of factors `count` times."""

        def again(factor: Numbers) -> Numbers:
            return np.repeat(factor, count) if np.ndim(factor) else factor

        inputs = {path: again(factor) for path, factor in self.inputs.items()}
        return Change(inputs, again(self.ftl), again(self.ttl))

    def taken(self, index: np.ndarray) -> "Change":
        """The same, some entries of every array of factors."""

        def some(factor: Numbers) -> Numbers:
            return np.asarray(factor)[index] if np.ndim(factor) else factor

        inputs = {path: some(factor) for path, factor in self.inputs.items()}
        return Change(inputs, some(self.ftl), some(self.ttl))


UNCHANGED = Change()


def joined(changes: Sequence[Change], counts: Sequence[int]) -> Change:
    """Changes one after another, each for as many points as it counts."""
    paths = dict.fromkeys(path for change in changes for path in change.inputs)

    def column(values: Sequence[Numbers]) -> np.ndarray:
        return np.repeat(np.asarray(values, float), counts)

    return Change(
        {path: column([change.inputs.get(path, 1.0) for change in changes]) for path in paths},
        column([change.ftl for change in changes]),
        column([change.ttl for change in changes]),
    )


def product(first: Change, second: Change) -> Change:
    """One change after another."""
    paths = dict.fromkeys([*first.inputs, *second.inputs])
    inputs = {p: first.inputs.get(p, 1.0) * second.inputs.get(p, 1.0) for p in paths}
    return Change(inputs, first.ftl * second.ftl, first.ttl * second.ttl)


def value_at(scenario: Scenario, path: str) -> np.ndarray:
    """One number of a scenario, or as many as it holds."""
    flat, _ = jax.tree_util.tree_flatten_with_path(scenario)
    return next(np.asarray(leaf, float) for at, leaf in flat if path_name(at) == path)
