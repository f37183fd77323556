"""What would it take?  Inputs that reach a throughput, chips under a budget, where pools pay.

Each is sought along gradients and answered exactly: every value reported is that of designs solved
for again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space
from jaxsim.space.question import Question, Swept, sweep_phases
from jaxsim.space.sensitivity_change import Change
from jaxsim.space.sensitivity_moves import Optimum, Problem
from jaxsim.space.sensitivity_study import best_on_grid, elasticities_at

# No lever is followed further than this factor, and its answer is found this near, in ln.
FURTHEST, NEAR = 16.0, 1e-3
STEPS = 24

# Where an elasticity asks for more than this, in ln, the far end is tried first.
HOPELESS = float(np.log(4.0))


@dataclass(frozen=True)
class Reach:
    """The factor on one lever that just reaches a throughput, solved exactly; None if none does."""

    title: str
    factor: float | None
    optimum: Optimum | None


def reach(
    problem: Problem,
    base: Optimum,
    title: str,
    elasticity: float,
    change: Callable[[float], Change],
    goal: float,
) -> Reach:
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
        end = problem.solve(change(float(np.exp(way * np.log(FURTHEST)))))
        if end is None or np.log(end.value / base.value) < needed:
            return Reach(title, None, None)
    for _ in range(STEPS):
        size = low + (needed - gained) / slope * 1.02 if slope > 0.0 else np.inf
        if high is not None and not low < size < high:
            size = 0.5 * (low + high)
        size = min(size, np.log(FURTHEST))
        found = problem.solve(change(float(np.exp(way * size))))
        value = -np.inf if found is None else float(np.log(found.value / base.value))
        if value >= needed:
            high, best = size, found
        elif size >= np.log(FURTHEST) * (1.0 - 1e-9):
            return Reach(title, None, None)
        else:
            slope = (value - gained) / (size - low)
            low, gained = size, value
        if high is not None and high - low < NEAR:
            break
    return Reach(title, None if high is None else float(np.exp(way * high)), best)


@dataclass(frozen=True)
class Budget:
    """What scaling the parts of a chip costs, as shares of a chip as it is.

    `shares[kind][path]` is the part of a kind of budget (cost, power, area) that goes to what the
    path names, now; scaled by a factor it takes that factor of it. The rest of the budget is fixed.
    """

    shares: Mapping[str, Mapping[str, float]]

    def __post_init__(self):
        for kind, parts in self.shares.items():
            if any(part < 0.0 for part in parts.values()) or sum(parts.values()) > 1.0 + 1e-9:
                raise InputError(f"budget of {kind}: shares are at least 0 and sum to at most 1")

    def used(self, factors: Mapping[str, float]) -> dict[str, float]:
        """What a scaled chip takes of each kind, over what the chip as it is takes."""
        return {
            kind: 1.0 + sum(part * (factors.get(path, 1.0) - 1.0) for path, part in parts.items())
            for kind, parts in self.shares.items()
        }


@dataclass(frozen=True)
class Chips:
    """The best chips under a budget: factors on each part, by pool, and what they reach."""

    factors: Mapping[str, Mapping[str, float]]
    gain: float
    optimum: Optimum
    history: tuple[float, ...] = field(default=(), compare=False)


def best_chips(
    swept: Swept,
    problem: Problem,
    base: Optimum,
    budget: Budget,
    *,
    apart: bool = True,
    smallest: float = 0.02,
) -> Chips:
    """The prefill chip and the decode chip that give most throughput within a budget, matched.

    Budget moves from one part of a chip to another, the pairs in the order of what elasticities
    promise, and each move is solved for exactly before it is taken; where none gains, moves halve,
    down to `smallest` in ln of a factor. `apart` lets the pools have unlike chips. The answer is a
    local optimum of such moves, and never worse than the chip as it is.
    """
    if swept.prefill_setup is not swept.setup:
        raise InputError("chips are sought from one chip for both pools: give no prefill hardware")
    paths = list(dict.fromkeys(p for parts in budget.shares.values() for p in parts))
    unlike = apart and not base.mode
    factors = {pool: dict.fromkeys(paths, 1.0) for pool in (("prefill", "") if unlike else ("",))}
    if unlike:
        swept, problem = _split(swept, problem)
    best, size, history = base, 0.32, [1.0]
    while size >= smallest:
        slopes = elasticities_at(swept, best, _change(factors)).by_input
        promised = []
        for pool, own in factors.items():
            for more in paths:
                for less in paths:
                    moved = _moved(own, more, less, size, budget) if more != less else None
                    if moved is not None:
                        gain = sum(
                            float(slopes[_key(pool, p)][0]) * np.log(moved[p] / own[p])
                            for p in paths
                        )
                        promised.append((gain, pool, moved))
        taken = None
        for gain, pool, moved in sorted(promised, key=lambda one: -one[0]):
            tried = {**factors, pool: moved}
            found = problem.solve(_change(tried)) if gain > 0.0 else None
            if found is not None and found.value > best.value * (1.0 + 1e-6):
                taken = best, factors = found, tried
                history.append(best.value / base.value)
                break
        if taken is None:
            size *= 0.5
    return Chips(factors, best.value / base.value - 1.0, best, tuple(history))


def _moved(
    factors: Mapping[str, float], more: str, less: str, size: float, budget: Budget
) -> dict[str, float] | None:
    """One part larger by `size` in ln and another smaller by what that costs; None if it cannot."""
    grown = {**factors, more: factors[more] * float(np.exp(size))}
    if grown[more] > FURTHEST:
        return None
    if max(budget.used(grown).values()) <= 1.0:
        return grown
    low, high = 1.0 / FURTHEST, grown[less]
    if max(budget.used({**grown, less: low}).values()) > 1.0:
        return None
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        fits = max(budget.used({**grown, less: middle}).values()) <= 1.0
        low, high = (middle, high) if fits else (low, middle)
    return {**grown, less: low}


def _key(pool: str, path: str) -> str:
    return f"{pool}:{path}" if pool else path


def _change(factors: Mapping[str, Mapping[str, float]]) -> Change:
    return Change({_key(pool, p): f for pool, own in factors.items() for p, f in own.items()})


def _split(swept: Swept, problem: Problem) -> tuple[Swept, Problem]:
    """The same, with inputs of the prefill pool of their own."""
    own = replace(problem.lines["prefill"], pool="prefill")
    lines = {**problem.lines, "prefill": own}
    return replace(swept, prefill_setup=replace(swept.setup)), replace(problem, lines=lines)


@dataclass(frozen=True)
class Crossover:
    """Where separate pools begin to pay: `value` of the axis, and every gain solved for."""

    axis: str
    value: float | None
    gains: tuple[tuple[float, float], ...]


def crossover(
    setup: Setup,
    question: Question,
    axis: str,
    low: float,
    high: float,
    space: Space | None = None,
    near: float = 0.05,
) -> Crossover:
    """The ISL or OSL between `low` and `high` at which both kinds of deployment are equal.

    The gain, disaggregated over co-located throughput, is solved for at both ends and at secants
    of its logarithm in between, until the value is known to the fraction `near`. None where the
    gain is on one side of 1 at both ends.
    """
    if axis not in ("isl", "osl"):
        raise InputError(f"axis {axis!r}: it is isl or osl")
    known: dict[float, float] = {}

    def edge(value: float) -> float:
        value = float(round(value))
        if value not in known:
            work = question.workload
            moved = Workload(**{**_numbers(work), axis: value})
            swept = sweep_phases(setup, replace(question, workload=moved), space)
            both = [best_on_grid(swept, colocated) for colocated in (False, True)]
            known[value] = float(np.log(max(both[0], 1e-300) / max(both[1], 1e-300)))
        return known[value]

    ends = [float(low), float(high)]
    sides = [edge(end) for end in ends]
    if np.sign(sides[0]) == np.sign(sides[1]):
        return Crossover(axis, None, _gains(known))
    while ends[1] / ends[0] > 1.0 + near and round(ends[1]) - round(ends[0]) > 1:
        part = np.clip(sides[0] / (sides[0] - sides[1]), 0.1, 0.9)
        middle = float(np.exp(np.log(ends[0]) + part * np.log(ends[1] / ends[0])))
        side = edge(middle)
        own = 0 if np.sign(side) == np.sign(sides[0]) else 1
        ends[own], sides[own] = middle, side
    return Crossover(axis, float(np.sqrt(ends[0] * ends[1])), _gains(known))


def _gains(known: Mapping[float, float]) -> tuple[tuple[float, float], ...]:
    return tuple((value, float(np.exp(gain))) for value, gain in sorted(known.items()))


def _numbers(workload: Workload) -> dict[str, float]:
    names: Sequence[str] = tuple(workload.__dataclass_fields__)
    return {name: getattr(workload, name) for name in names}
