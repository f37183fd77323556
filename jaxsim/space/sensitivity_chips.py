"""Which chips would serve best, and which change of a chip is the cheapest that reaches a target?

Gradients say which moves are worth trying; every move is solved for exactly before it is taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.space.axes import Space
from jaxsim.space.question import Swept
from jaxsim.space.sensitivity import Elasticities
from jaxsim.space.sensitivity_change import Change
from jaxsim.space.sensitivity_inverse import FURTHEST
from jaxsim.space.sensitivity_problem import apart as pools_apart
from jaxsim.space.sensitivity_solve import PRICES, Optimum, Problem
from jaxsim.space.sensitivity_study import elasticities_at

# Moves, in ln of a factor: the first, and the least. Moves solved for together at each step.
LARGEST, SMALLEST, TOGETHER = 0.32, 0.005, 6

# Gains smaller than this are none.
FLAT = 1e-6

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
    tell: Callable[[str], None] = lambda _: None,
) -> Chips:
    """The prefill chip and the decode chip that give most throughput within a budget, matched.

    Budget moves from one part of a chip to another, those moves first of which elasticities promise
    most; where none gains, moves halve, down to `smallest` in ln of a factor. `unlike` lets the
    pools have chips of their own. The answer is an optimum of such moves, and never worse than the
    chip as it is. What a GPU is paid for follows its cost or power where that is the objective.
    """
    if swept.prefill_setup is not swept.setup:
        raise InputError(
            "chips are designed from one chip for both pools: leave out --prefill-hardware."
        )
    own = unlike and not base.mode
    chips: dict[str, Factors] = {
        pool: dict.fromkeys(budget.paths, 1.0) for pool in (("prefill", "") if own else ("",))
    }
    if not budget.fits(chips[""]):
        raise InputError("a budget below what the chip takes now leaves nothing to start from.")
    if own:
        swept = replace(swept, prefill_setup=replace(swept.setup))
        problem = pools_apart(problem, swept.question, space)
    best, size, history, here = base, LARGEST, [1.0], problem
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
            values = [-np.inf if found is None else found.value for found in solved]
            top = int(np.argmax(values))
            if values[top] > best.value * (1.0 + FLAT):
                taken = solved[top], some[top]
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


def _moves(chips, budget: Budget, size: float, slopes: Elasticities, objective: str):
    """Chips with one part larger or another smaller, and the gain that elasticities promise."""
    paths, paid = budget.paths, objective in budget.shares
    share = float(slopes.share[0])
    for pool, own in chips.items():
        part = 1.0 if len(chips) == 1 else share if pool else 1.0 - share
        for more in (*paths, ""):
            for less in (*paths, ""):
                moved = None if more == less else _moved(own, more, less, size, budget, paid)
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


def _moved(
    own: Factors, more: str, less: str, size: float, budget: Budget, paid: bool
) -> Factors | None:
    """One part larger by `size` in ln and another smaller by what that takes; None if it cannot.

    Without another, there must be budget left; to make a part smaller alone only gains where the
    chip is `paid` for.
    """
    if not more:
        small = max(own[less] * float(np.exp(-size)), 1.0 / FURTHEST)
        return {**own, less: small} if paid else None
    grown = {**own, more: own[more] * float(np.exp(size))}
    if grown[more] > FURTHEST:
        return None
    if not less:
        return grown if budget.fits(grown) else None
    if budget.fits(grown):
        return None
    low, high = 1.0 / FURTHEST, grown[less]
    if not budget.fits({**grown, less: low}):
        return None
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if budget.fits({**grown, less: middle}) else (low, middle)
    return {**grown, less: low}


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


def _step(chips, moved, budget: Budget, objective: str) -> Change:
    """What leads from chips to others."""
    before, after = change_of(chips, budget, objective), change_of(moved, budget, objective)
    return Change({path: after.inputs[path] / f for path, f in before.inputs.items()})


@dataclass(frozen=True)
class Cheapest:
    """The cheapest change of several parts that reaches a throughput, solved exactly.

    `cost` is what it adds, over what the chip costs now; None where nothing reaches it.
    """

    factors: Factors
    cost: float | None
    optimum: Optimum | None


def cheapest(
    swept: Swept,
    problem: Problem,
    base: Optimum,
    costs: Mapping[str, float],
    goal: float,
    singles: Sequence[Factors],
    smallest: float = SMALLEST,
    tell: Callable[[str], None] = lambda _: None,
) -> Cheapest:
    """The least-cost growth of the parts in `costs` with which the best designs reach `goal`.

    Costs are of a part as it is; of factor f it costs f times that. Starts from each of `singles`,
    changes that reach the goal. One part shrinks and another grows by what elasticities say makes
    up for it, every step solved for; steps halve where none is cheaper.
    """

    def cost(factors: Factors) -> float:
        return sum(costs[path] * (factors[path] - 1.0) for path in costs)

    best: tuple[float, Factors, Optimum] | None = None
    for single in singles:
        here = {path: float(single.get(path, 1.0)) for path in costs}
        optimum = problem.solve(Change(here))
        if optimum is None or optimum.value < goal:
            continue
        found = _cheaper(swept, problem, here, optimum, cost, goal, smallest, tell)
        if best is None or found[0] < best[0]:
            best = found
    if best is None:
        return Cheapest(dict.fromkeys(costs, 1.0), None, None)
    return Cheapest(best[1], best[0], best[2])


def _cheaper(swept, problem: Problem, here: Factors, optimum: Optimum, cost, goal, smallest, tell):
    """The end of a descent in cost that never leaves what reaches the goal."""
    size, near = LARGEST, problem.moved(Change(here))
    while size >= smallest:
        slopes = elasticities_at(swept, optimum, Change(here)).by_input
        slope = {path: max(float(slopes[path][0]), FLAT) for path in here}
        spare = float(np.log(optimum.value / goal))
        tried = []
        for less, factor in here.items():
            small = max(factor * float(np.exp(-size)), 1.0)
            lost = slope[less] * float(np.log(factor / small)) - 0.9 * spare
            if small == factor:
                continue
            tried.append({**here, less: small})
            for more in here:
                if more != less and lost > 0.0:
                    for extra in (1.0, 1.1, 1.4):
                        grown = here[more] * float(np.exp(min(extra * lost / slope[more], 3.0)))
                        if grown <= FURTHEST:
                            tried.append({**here, less: small, more: grown})
        tried = [own for own in tried if cost(own) < cost(here) * (1.0 - 1e-4)]
        steps = [Change({p: own[p] / here[p] for p in own if own[p] != here[p]}) for own in tried]
        solved = near.solve_all(steps) if steps else []
        met = [
            (cost(own), own, found)
            for own, found in zip(tried, solved, strict=True)
            if found is not None and found.value >= goal
        ]
        if not met:
            size *= 0.5
            continue
        _, here, optimum = min(met, key=lambda one: one[0])
        tell(f"looking for the cheapest change ({cost(here):+.1%} of the chip's cost)")
        near = problem.moved(Change(here))
    return cost(here), here, optimum
