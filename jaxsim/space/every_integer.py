"""Which whole batches and chunks, between those of a grid, are the best of a search?

The grid of a search is walked for every workload and target; what lies between its points is
bounded and cut (`refine`) until nothing better can be left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.scenario import Scenario
from jaxsim.space.axes import Space, complete
from jaxsim.space.designs import evaluate_phase
from jaxsim.space.grid.best import Best
from jaxsim.space.refine.optimum import refine
from jaxsim.space.refine.problem import Problem
from jaxsim.space.search import OBJECTIVE, TARGET, SearchResult

MOST_CASES = 1024  # workloads x targets x set-ups: each takes a tenth of a second, or more


@dataclass(frozen=True)
class _Found:
    """The best design of one case: what is maximised, and its axes; how far others may be."""

    value: float
    columns: Mapping[str, float]
    gap: float
    evaluated: int


def with_every_integer(
    result: SearchResult,
    scenarios: Sequence[Scenario],
    space: Space | None,
    ftl_s: float = np.inf,
) -> tuple[SearchResult, float]:
    """The same search with the best of all whole batches and chunks within the grid's ends.

    Axes that `space` gives are taken at its values. Also returns the greatest fraction by which a
    design that was not looked at may serve more. Axes of the result have the values of the grid and
    those that were found between. Raises InputError for a frontier or several designs a workload.
    """
    best = result.designs
    if not isinstance(best, Best) or best.value.ndim > len(result.groups):
        raise InputError(
            "the best of every whole number is one design a workload: leave out `count`"
        )
    if best.value.size > MOST_CASES:
        raise InputError(
            f"{best.value.size:,} workloads, targets and set-ups: up to {MOST_CASES:,} can be "
            "searched over every whole number; take fewer lengths or targets, or the grid"
        )
    cases = list(_cases(result, scenarios))
    each = [_case(result, scenario, space, isl, osl, target, ftl_s)
             for scenario, isl, osl, target in cases]  # fmt: skip
    axes, index = dict(result.axes), dict(best.index)
    for name in best.index:
        own = [one.columns.get(name, float(axes[name][0])) for one in each]
        axes[name] = np.union1d(np.asarray(axes[name], float), own)
        index[name] = np.searchsorted(axes[name], own).reshape(best.value.shape)
    value = np.array([one.value for one in each]).reshape(best.value.shape)
    served = np.isfinite(value)
    points = best.points + sum(one.evaluated for one in each)
    refined = Best(value, served, index, points)
    gap = max((one.gap for one in each), default=0.0)
    return replace(result, axes=axes, designs=refined), gap


def _cases(
    result: SearchResult, scenarios: Sequence[Scenario]
) -> Iterator[tuple[Scenario, float, float, float]]:
    """Scenario, input and output length, and target of every group, in the order of the result."""
    lists = [
        range(len(scenarios)) if name == "setup" else result.axes[name] for name in result.groups
    ]
    for values in product(*lists):
        own = dict(zip(result.groups, values, strict=True))
        scenario = scenarios[int(own.get("setup", 0))]
        isl = float(own.get("isl", np.asarray(scenario.workload.isl)))
        osl = float(own.get("osl", np.asarray(scenario.workload.osl)))
        yield scenario, isl, osl, float(own[TARGET[result.phase]])


def _case(
    result: SearchResult, scenario: Scenario, space: Space | None, isl: float, osl: float,
    target_s: float, ftl_s: float,
) -> _Found:  # fmt: skip
    """The best of one workload under one target."""
    phase, given = result.phase, space or Space()
    scenario = replace(scenario, workload=replace(scenario.workload, isl=isl, osl=osl))
    filled = complete(given, scenario.model, scenario.hardware, float(max(result.axes["isl"])))
    designs = evaluate_phase(phase, scenario, filled, (isl,), (osl,))
    chunk = not given.chunk
    free = {
        "prefill": (not given.prefill_batch, chunk and not given.prefill_chunk),
        "decode": (not given.batch, False),
        "colocated": (not given.batch, chunk),
    }[phase]
    problem = Problem(
        phase=phase,
        scenario=scenario,
        targets_s=(target_s, ftl_s) if phase == "colocated" else (target_s,),
        link_bytes_per_s=float(np.asarray(scenario.hardware.scaleout.bytes_per_s)),
        batch_free=free[0],
        chunk_free=free[1],
    )
    refined = refine(problem, designs, slack=0.0)
    if not refined.best:
        return _Found(np.nan, {}, 0.0, refined.evaluated)
    value = refined.best_per_gpu
    if phase != "colocated":  # measured in requests/s
        listed = refined.evaluate({name: np.array([x]) for name, x in refined.best.items()})
        value = float(listed.outputs[OBJECTIVE[phase]][0])
    return _Found(value, refined.best, refined.gap, refined.evaluated)
