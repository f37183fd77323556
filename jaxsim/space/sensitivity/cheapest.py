"""Which growth of several parts of a chip is the cheapest that reaches a throughput?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxsim._progress import tell
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.sensitivity.change import Change
from jaxsim.space.sensitivity.chips import LARGEST, LEAST, SMALLEST, Factors
from jaxsim.space.sensitivity.inverse import FURTHEST
from jaxsim.space.sensitivity.solve import Optimum, Problem
from jaxsim.space.sensitivity.study import elasticities_at


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
        end = _cheaper(swept, problem, here, optimum, cost, goal, smallest)
        if best is None or end[0] < best[0]:
            best = end
    if best is None:
        return Cheapest(dict.fromkeys(costs, 1.0), None, None)
    return Cheapest(best[1], best[0], best[2])


def _cheaper(
    swept: Swept,
    problem: Problem,
    here: Factors,
    optimum: Optimum,
    cost: Callable[[Factors], float],
    goal: float,
    smallest: float,
) -> tuple[float, Factors, Optimum]:
    """The end of a descent in cost that never leaves what reaches the goal."""
    size, near = LARGEST, problem.moved(Change(here))
    while size >= smallest:
        slopes = elasticities_at(swept, optimum, Change(here)).by_input
        slope = {path: max(float(slopes[path][0]), LEAST) for path in here}
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
            (cost(own), own, reached)
            for own, reached in zip(tried, solved, strict=True)
            if reached is not None and reached.value >= goal
        ]
        if not met:
            size *= 0.5
            continue
        _, here, optimum = min(met, key=lambda one: one[0])
        tell(f"looking for the cheapest change ({cost(here):+.1%} of the chip's cost)")
        near = problem.moved(Change(here))
    return cost(here), here, optimum
