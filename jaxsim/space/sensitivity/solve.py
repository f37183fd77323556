"""What is the best deployment once inputs have moved?  Exact effects, by optimising again."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

import numpy as np

from jaxsim._progress import Counted, tell
from jaxsim._scalar import Numbers
from jaxsim.space.sensitivity.change import UNCHANGED, Change
from jaxsim.space.sensitivity.moves import Best, Lines

# Where more than this part of the designs may be best, the whole grid is evaluated again, which
# shares work between designs.
MANY = 0.1

PRICES = {"cost": "hardware.price_usd_per_hour", "power": "hardware.power_w"}


@dataclass(frozen=True)
class Optimum:
    """The best throughput per unit of cost, and the designs behind it, by pool.

    A design is its axis values. The batch is the last of the grid that meets every limit; the
    optimum lies the fraction `part` of the way to `next_batch`, in ln.
    """

    value: float
    designs: Mapping[str, Mapping[str, float]]
    mode: str = ""

    @property
    def mapping(self) -> tuple[object, ...]:
        """What cannot change by a little: the widths and stages of every pool, and the mode."""
        shapes = [
            (pool, *(design[name] for name in ("tp", "ep", "pp")))
            for pool, design in sorted(self.designs.items())
        ]
        return (self.mode, *shapes)


@dataclass(frozen=True)
class Problem:
    """One kind of deployment, to be optimised again under changes.

    `moved` is the problem with its whole grid evaluated under a change: where a change is of what
    is known of all designs only after evaluating them, or where too many of them may be best.
    """

    lines: Mapping[str, Lines]
    costs: Mapping[str, float]
    targets: Mapping[str, float]
    osl: float
    ratio: float | None
    objective: str
    moved: Callable[[Change], "Problem"]

    def solve(self, change: Change) -> Optimum | None:
        """The best of all designs once inputs have moved; None if none meets every limit."""
        return self.solve_all([change])[0]

    def solve_all(self, changes: Sequence[Change]) -> list[Optimum | None]:
        """The same for several changes, the designs that may be best evaluated together."""
        bests: list[dict[str, Best]] = [{} for _ in changes]
        whole = set()
        for name, lines in self.lines.items():
            limits = [change.bounds(lines.pool) for change in changes]
            whole |= {i for i, own in enumerate(limits) if own is None}
            local = [i for i in range(len(changes)) if i not in whole]
            first = lines.first([changes[i] for i in local], self.targets)
            kept, near = [], []
            for i, best in zip(local, first, strict=True):
                own = limits[i]
                assert own is not None
                mask = lines.grid.near(own, best.log_rate)
                if mask.sum() > MANY * mask.size and changes[i] is not UNCHANGED:
                    whole.add(i)
                else:
                    near.append(i)
                    kept.append(mask)
            for i, best in zip(
                near, lines.best([changes[i] for i in near], kept, self.targets), strict=True
            ):
                bests[i][name] = best
        return [
            self.moved(change).solve(UNCHANGED) if i in whole else self._optimum(own, change)
            for i, (change, own) in enumerate(zip(changes, bests, strict=True))
        ]

    def cost(self, name: str, change: Change) -> Numbers:
        """What a GPU of a pool counts under a change; as many as the change has factors."""
        path = PRICES.get(self.objective, "")
        pool = self.lines[name].pool
        return self.costs[name] * change.inputs.get(f"{pool}:{path}" if pool else path, 1.0)

    def _optimum(self, bests: Mapping[str, Best], change: Change) -> Optimum | None:
        fits = {name: best for name, best in bests.items() if np.isfinite(best.log_rate)}
        rates = {name: np.exp(b.log_rate) / self.cost(name, change) for name, b in fits.items()}
        if "decode" not in self.lines:
            if not fits:
                return None
            mode = max(rates, key=lambda name: rates[name])
            return Optimum(float(rates[mode]), {"colocated": _one(fits[mode])}, mode)
        if len(fits) < len(self.lines):
            return None
        prompt, token, osl = float(rates["prefill"]), float(rates["decode"]), self.osl
        if self.ratio is None:
            value = (osl - 1.0) * prompt * token / (prompt + token)
        else:
            value = (osl - 1.0) * min(prompt * self.ratio, token) / (1.0 + self.ratio)
        return Optimum(value, {name: _one(best) for name, best in fits.items()})

    def sampled(self, optimum: Optimum, change: Change) -> np.ndarray:
        """ln of the value of an optimum's widths and chunks at many changes, [n]; batch adapts.

        The factors of the change are arrays of length n. −inf where no batch meets the limits.
        """
        log_rates = {}
        for pool, design in optimum.designs.items():
            name = optimum.mode or pool
            rates = self.lines[name].sampled(design, change, self.targets)
            log_rates[name] = rates - np.log(self.cost(name, change))
        if optimum.mode:
            return log_rates[optimum.mode]
        osl = np.log(self.osl * np.asarray(change.inputs.get("workload.osl", 1.0)) - 1.0)
        prompt, token = log_rates["prefill"], log_rates["decode"]
        with np.errstate(invalid="ignore"):
            if self.ratio is None:
                return osl - np.logaddexp(-prompt, -token)
            return osl + np.minimum(prompt + np.log(self.ratio), token) - np.log1p(self.ratio)


Outcome = TypeVar("Outcome")

# A search yields lists of changes, is sent their optima, and returns its outcome.
Search: TypeAlias = Generator[list[Change], list[Optimum | None], Outcome]


def _one(best: Best) -> Mapping[str, float]:
    """The axis values of a design that is one, not one a change."""
    return cast(Mapping[str, float], best.design)


def run_searches(problem: Problem, searches: Sequence[Search[Outcome]]) -> list[Outcome]:
    """The outcomes of searches, run side by side: each round, their changes are solved at once."""
    outcomes: dict[int, Outcome] = {}
    count = 0
    wanted: dict[int, list[Change]] = {}
    solved: dict[int, list[Optimum | None] | None] = dict.fromkeys(range(len(searches)))
    while solved:
        wanted = {}
        for i, own in solved.items():
            try:
                search = searches[i]
                wanted[i] = next(search) if own is None else search.send(own)
            except StopIteration as end:
                outcomes[i] = end.value
        each = problem.solve_all([change for own in wanted.values() for change in own])
        count += len(each)
        tell(Counted("", count, None, "changes solved"))
        solved, start = {}, 0
        for i, own in wanted.items():
            solved[i] = each[start : start + len(own)]
            start += len(own)
    return [outcomes[i] for i in range(len(searches))]
