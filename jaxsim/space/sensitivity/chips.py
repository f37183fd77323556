"""Which chips would serve best within a budget of cost, power and area?

Gradients say which moves are worth trying; every move is solved for exactly before it is taken.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, combinations

import numpy as np

from jaxsim._progress import tell
from jaxsim.catalog.errors import InputError
from jaxsim.space.axes import Space
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.sensitivity.change import UNCHANGED, Change
from jaxsim.space.sensitivity.elasticity import Elasticities
from jaxsim.space.sensitivity.inverse import FURTHEST
from jaxsim.space.sensitivity.problem import with_own_prefill
from jaxsim.space.sensitivity.solve import PRICES, Optimum, Problem
from jaxsim.space.sensitivity.study import elasticities_at

# Moves, in ln of a factor: the first, and the least. Moves solved for together at each step.
LARGEST, SMALLEST, TOGETHER = 0.32, 0.01, 8

# Gains of a move smaller than this are none.
LEAST = 5e-5

Factors = Mapping[str, float]


@dataclass(frozen=True)
class Budget:
    """What scaling the parts of a chip costs, as shares of a chip as it is.

    `shares[kind][path]` is the part of a kind of budget (cost, power, area) that goes to what the
    path names, now; scaled by a factor it takes that factor of it. The rest of the budget is fixed.
    `most[kind]` is what a chip may take, over what it takes now: 1 where nothing is said.
    """

    shares: Mapping[str, Mapping[str, float]]
    most: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        for kind, parts in self.shares.items():
            if any(part < 0.0 for part in parts.values()) or sum(parts.values()) > 1.0 + 1e-9:
                raise InputError(
                    f"budget of {kind}: shares are at least 0 and sum to at most 1; they sum to "
                    f"{sum(parts.values()):.4g}"
                )

    @property
    def paths(self) -> list[str]:
        """The inputs that parts scale."""
        return list(dict.fromkeys(p for parts in self.shares.values() for p in parts))

    def used(self, factors: Factors) -> dict[str, float]:
        """What a scaled chip takes of each kind, over what the chip as it is takes."""
        return {
            kind: 1.0 + sum(part * (factors.get(path, 1.0) - 1.0) for path, part in parts.items())
            for kind, parts in self.shares.items()
        }

    def fits(self, factors: Factors) -> bool:
        """Whether a scaled chip keeps to every budget."""
        used = self.used(factors)
        return all(used[kind] <= self.most.get(kind, 1.0) + 1e-12 for kind in used)


@dataclass(frozen=True)
class Chips:
    """The best chips under a budget: factors on each part, by pool, and what they reach.

    `gain` is the fraction of throughput gained; pools without chips of their own are "".
    """

    factors: Mapping[str, Factors]
    used: Mapping[str, Mapping[str, float]]
    gain: float
    optimum: Optimum
    history: tuple[float, ...] = field(default=(), compare=False)


def best_chips(
    swept: Swept,
    problem: Problem,
    base: Optimum,
    budget: Budget,
    *,
    unlike: bool = True,
    smallest: float = SMALLEST,
    space: Space | None = None,
) -> Chips:
    """The prefill chip and the decode chip that give most throughput within a budget, matched.

    Budget moves from one part of a chip to another, those moves first of which elasticities promise
    most; where none gains, moves halve, down to `smallest` in ln of a factor. `unlike` lets the
    pools have chips of their own. The result is an optimum of such moves, and never worse than the
    chip as it is where the budget allows that one. What a GPU is paid for follows its cost or power
    where that is the objective.
    """
    if swept.prefill_setup is not swept.setup:
        raise InputError(
            "chips are designed from one chip for both pools: leave out --prefill-hardware."
        )
    own = unlike and not base.mode
    chips: dict[str, Factors] = {
        pool: dict.fromkeys(budget.paths, 1.0) for pool in (("prefill", "") if own else ("",))
    }
    if own:
        swept = replace(swept, prefill_setup=replace(swept.setup))
        problem = with_own_prefill(problem, swept.request, space)
    best, size, history, here = base, LARGEST, [1.0], problem
    if not budget.fits(chips[""]):
        chips = dict.fromkeys(chips, _smaller(budget))
        here = problem.moved(change_of(chips, budget, problem.objective))
        optimum = here.solve(UNCHANGED)
        if optimum is None:
            raise InputError(
                "the budget leaves a chip on which no design meets the targets: "
                + ", ".join(f"{k}={f - 1.0:+.0%}" for k, f in budget.most.items())
                + ". Give more."
            )
        best = optimum
    while size >= smallest:
        slopes = elasticities_at(swept, best, change_of(chips))
        each = _moves(chips, budget, size, slopes, problem.objective)
        moves = sorted(each, key=lambda one: -one[0])
        tried = [moved for gain, moved in moves if gain > 0.0]
        taken = None
        for start in range(0, len(tried), TOGETHER):
            some = tried[start : start + TOGETHER]
            steps = [_step(chips, moved, budget, problem.objective) for moved in some]
            solved = here.solve_all(steps)
            values = [-np.inf if optimum is None else optimum.value for optimum in solved]
            top = int(np.argmax(values))
            better = solved[top]
            if better is not None and better.value > best.value * (1.0 + LEAST):
                taken = better, some[top]
                break
        if taken is None:
            size *= 0.5
            continue
        best, chips = taken
        history.append(best.value / base.value)
        tell(f"designing chips ({history[-1] - 1.0:+.1%})")
        here = problem.moved(change_of(chips, budget, problem.objective))
    used = {pool: budget.used(factors) for pool, factors in chips.items()}
    return Chips(chips, used, best.value / base.value - 1.0, best, tuple(history))


def _smaller(budget: Budget) -> Factors:
    """A chip with all parts smaller by one factor, so that it keeps to every budget."""
    low, high = 1.0 / FURTHEST, 1.0
    if not budget.fits(dict.fromkeys(budget.paths, low)):
        fixed = budget.used(dict.fromkeys(budget.paths, 0.0))
        least = ", ".join(f"{kind} {part:.0%}" for kind, part in fixed.items())
        raise InputError(f"a chip without any parts takes {least} of one as it is: give more.")
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        fits = budget.fits(dict.fromkeys(budget.paths, middle))
        low, high = (middle, high) if fits else (low, middle)
    return dict.fromkeys(budget.paths, low)


def _moves(
    chips: Mapping[str, Factors], budget: Budget, size: float, slopes: Elasticities, objective: str
):
    """Chips with one part larger or another smaller, and the gain that elasticities promise."""
    paths, paid = budget.paths, objective in budget.shares
    share = float(slopes.share[0])
    for pool, own in chips.items():
        part = 1.0 if len(chips) == 1 else share if pool else 1.0 - share
        for more in (*paths, ""):
            for less in _fewer([path for path in paths if path != more]):
                moved = _moved(own, more, less, size, budget, paid)
                if moved is None:
                    continue
                gain = sum(
                    float(slopes.by_input[key_of(pool, p)][0]) * np.log(moved[p] / own[p])
                    for p in paths
                )
                if paid:
                    before, after = budget.used(own)[objective], budget.used(moved)[objective]
                    gain -= part * np.log(after / before)
                yield gain, {**chips, pool: moved}


def _fewer(paths: list[str]) -> Iterator[tuple[str, ...]]:
    """Sets of no part, of one part, and of two parts."""
    return chain.from_iterable(combinations(paths, count) for count in range(3))


def _moved(
    own: Factors, more: str, less: tuple[str, ...], size: float, budget: Budget, paid: bool
) -> Factors | None:
    """One part larger by `size` in ln and others smaller by what that takes; None if it cannot.

    Without others, there must be budget left; to make parts smaller alone only gains where the
    chip is `paid` for.
    """

    def shrunk(factors: Factors, by: float) -> Factors:
        return {**factors, **{part: max(factors[part] / by, 1.0 / FURTHEST) for part in less}}

    if not more:
        return shrunk(own, float(np.exp(size))) if paid and less else None
    grown = {**own, more: own[more] * float(np.exp(size))}
    if grown[more] > FURTHEST:
        return None
    if not less or budget.fits(grown):
        return grown if not less and budget.fits(grown) else None
    low, high = 1.0, FURTHEST**2
    if not budget.fits(shrunk(grown, high)):
        return None
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if budget.fits(shrunk(grown, middle)) else (middle, high)
    return shrunk(grown, high)


def key_of(pool: str, path: str) -> str:
    """The name of an input of a pool."""
    return f"{pool}:{path}" if pool else path


def change_of(
    chips: Mapping[str, Factors], budget: Budget | None = None, objective: str = "gpu"
) -> Change:
    """The change of inputs that chips are; with a budget, of what they cost as well."""
    inputs = {key_of(pool, p): f for pool, own in chips.items() for p, f in own.items()}
    price = PRICES.get(objective)
    if budget is not None and price and objective in budget.shares:
        for pool, own in chips.items():
            inputs[key_of(pool, price)] = budget.used(own)[objective]
    return Change(inputs)


def _step(
    chips: Mapping[str, Factors], moved: Mapping[str, Factors], budget: Budget, objective: str
) -> Change:
    """What leads from chips to others."""
    before, after = change_of(chips, budget, objective), change_of(moved, budget, objective)
    return Change({path: after.inputs[path] / f for path, f in before.inputs.items()})
