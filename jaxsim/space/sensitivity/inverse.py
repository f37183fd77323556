"""What would it take?  Inputs that reach a throughput; where separate pools begin to pay.

Gradients say where to look; every value reported is that of designs optimised again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxsim._progress import Counted, heard_by, tell
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.sweep import sweep_phases
from jaxsim.space.sensitivity.change import Change
from jaxsim.space.sensitivity.discrete import best_on_grid
from jaxsim.space.sensitivity.request import check_crossover
from jaxsim.space.sensitivity.solve import Optimum, Search

# No lever is followed further than this factor, and its factor is found this near, in ln.
FURTHEST, NEAR = 16.0, 1e-3
STEPS = 24

# Where an elasticity calls for more than this, in ln, the far end is tried first.
HOPELESS = float(np.log(4.0))


@dataclass(frozen=True)
class Reach:
    """The factor on one lever that just reaches a throughput, solved exactly; None if none does."""

    title: str
    factor: float | None
    optimum: Optimum | None


def reach(
    base: Optimum,
    title: str,
    elasticity: float,
    change: Callable[[float], Change],
    goal: float,
) -> Search[Reach]:
    """The least change of one lever with which the best designs reach `goal`.

    Newton's step on ln value against ln factor, by the elasticity and then by secants, kept inside
    the bracket that exact solutions have proved, and bisection where a step leaves it.
    """
    if elasticity == 0.0:
        return Reach(title, None, None)
    way, needed = np.sign(elasticity), float(np.log(goal / base.value))
    if needed <= 0.0:
        return Reach(title, 1.0, base)
    low, high, best = 0.0, None, None
    gained, slope = 0.0, abs(elasticity)
    if needed / slope > HOPELESS:
        (end,) = yield [change(float(np.exp(way * np.log(FURTHEST))))]
        if end is None or np.log(end.value / base.value) < needed:
            return Reach(title, None, None)
    for _ in range(STEPS):
        size = low + (needed - gained) / slope * 1.02 if slope > 0.0 else np.inf
        if high is not None and not low < size < high:
            size = 0.5 * (low + high)
        size = min(size, np.log(FURTHEST))
        (optimum,) = yield [change(float(np.exp(way * size)))]
        value = -np.inf if optimum is None else float(np.log(optimum.value / base.value))
        if value >= needed:
            high, best = size, optimum
        elif size >= np.log(FURTHEST) * (1.0 - 1e-9):
            return Reach(title, None, None)
        else:
            slope = (value - gained) / (size - low)
            low, gained = size, value
        if high is not None and high - low < NEAR:
            break
    return Reach(title, None if high is None else float(np.exp(way * high)), best)


@dataclass(frozen=True)
class Crossing:
    """Where separate pools begin to pay, or cease to: gains on both sides, solved for.

    `low` and `high` are neighbours, with gains (disaggregated over co-located throughput) of
    `gain_low` and `gain_high` on either side of 1; None where only one kind meets the targets.
    """

    low: float
    high: float
    gain_low: float | None
    gain_high: float | None

    @property
    def value(self) -> float:
        """In between."""
        return float(np.sqrt(self.low * self.high))


@dataclass(frozen=True)
class Crossover:
    """Where along an axis separate pools pay: every crossing, and every value that was solved.

    `gains` are (value, disaggregated tokens/s/GPU, co-located), 0 where targets are missed; per
    dollar an hour or watt of a GPU instead where that is the objective.
    """

    axis: str
    crossings: tuple[Crossing, ...]
    gains: tuple[tuple[float, float, float], ...]


def crossover(
    setup: Setup,
    request: PlanRequest,
    axis: str,
    low: float,
    high: float,
    space: Space | None = None,
    near: float = 0.01,
    prefill_setup: Setup | None = None,
) -> Crossover:
    """Every ISL or OSL between `low` and `high` at which one kind of deployment overtakes another.

    Both kinds are solved for at values a factor of 2 apart, or `SCAN` of them where that is more,
    and where the better kind changes, again at secants of the gain's logarithm until its neighbours
    are within the fraction `near`, or are neighbouring whole numbers.
    """
    check_crossover(axis, low, high)
    known: dict[float, tuple[float, float]] = {}

    def side(value: float) -> float:
        """ln of the gain; ±`ALONE` where only one kind meets the targets, NaN where none does."""
        if value not in known:
            tell(Counted(f"crossover over {axis.upper()}", len(known), None, "values"))
            work = request.only_workload
            moved = Workload(**{**_numbers(work), axis: value})
            known[value] = _both(setup, replace(request, workload=moved), space, prefill_setup)
        pools, both = known[value]
        if pools > 0.0 and both > 0.0:
            return float(np.log(pools / both))
        return np.nan if pools == both else ALONE if pools > 0.0 else -ALONE

    count = max(SCAN, int(np.ceil(np.log2(high / low))) + 1)
    ladder = sorted({float(round(v)) for v in np.geomspace(low, high, count)})
    sides = [side(value) for value in ladder]
    crossings = []
    for i in range(len(ladder) - 1):
        ends, own = [ladder[i], ladder[i + 1]], [sides[i], sides[i + 1]]
        if not (np.isfinite(own).all() and (own[0] > 0.0) != (own[1] > 0.0)):
            continue
        while ends[1] / ends[0] > 1.0 + near and ends[1] - ends[0] > 1.0:
            part = float(np.clip(own[0] / (own[0] - own[1]), 0.1, 0.9))
            middle = float(round(np.exp(np.log(ends[0]) + part * np.log(ends[1] / ends[0]))))
            middle = min(max(middle, ends[0] + 1.0), ends[1] - 1.0)
            here = side(middle)
            if not np.isfinite(here):
                break
            which = 0 if (here > 0.0) == (own[0] > 0.0) else 1
            ends[which], own[which] = middle, here
        gains = [None if abs(s) == ALONE else float(np.exp(s)) for s in own]
        crossings.append(Crossing(ends[0], ends[1], gains[0], gains[1]))
    points = tuple((value, *both) for value, both in sorted(known.items()))
    return Crossover(axis, tuple(crossings), points)


# Values solved for at first, and what a kind that alone meets the targets counts as.
SCAN, ALONE = 5, 20.0


def _both(
    setup: Setup, request: PlanRequest, space: Space | None, prefill_setup: Setup | None
) -> tuple[float, float]:
    """Throughput of the best pools and of the best co-located design; 0 where there is none."""
    try:
        with heard_by(None):
            swept = sweep_phases(setup, request, space, prefill_setup)
    except InputError:  # nothing fits in memory
        return 0.0, 0.0
    return best_on_grid(swept, False), best_on_grid(swept, True)


def _numbers(workload: Workload) -> dict[str, float]:
    names: Sequence[str] = tuple(workload.__dataclass_fields__)
    return {name: getattr(workload, name) for name in names}
