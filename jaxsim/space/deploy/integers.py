"""Which whole batches and chunks, between those of the grid, belong to a plan?"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from jaxsim.catalog.setup import Setup
from jaxsim.space.axes import Space
from jaxsim.space.deploy.mixture import Phases, mixed_list, mixed_phases
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.designs import Designs, Listed, lister
from jaxsim.space.refine.along import beside_frontier
from jaxsim.space.refine.optimum import refine
from jaxsim.space.refine.problem import Problem

PHASES = ("prefill", "decode", "colocated")


def with_integers(
    swept: Swept, space: Space | None, phases: tuple[str, ...] = PHASES, *, best: bool = True
) -> Swept:
    """The phases with more designs listed: the best whole batches and chunks.

    Those under the targets are the best of all (`refine`), those of the frontiers lie beside the
    points of the grid (`beside_frontier`). An axis that `space` gives is taken at its values, and
    phases that are not named stay on the grid. Of a mix of workloads, every batch is looked at, and
    the chunks of the grid: between two of them one workload may gain while another loses. Without
    `best`, co-located designs are those beside the frontier alone, which are found sooner.
    """
    each: list[dict[str, Designs]] = [
        {name: getattr(one, name) for name in PHASES} for one in swept.each
    ]
    for phase in phases:
        listed = _listed(swept, space, phase, swept.setups[phase], best or phase != "colocated")
        for own, more in zip(each, listed, strict=False):
            own[phase] = replace(own[phase], listed=more)
    refined = tuple(Phases(**own) for own in each)
    return replace(swept, each=refined, mean=mixed_phases(refined, swept.request))


def _listed(
    swept: Swept, space: Space | None, phase: str, setup: Setup, best: bool
) -> list[Listed]:
    """More designs of a phase at every workload; none where there is nothing to look at."""
    request, given = swept.request, space or Space()
    one_workload = len(swept.each) == 1
    capped = request.cap is not None or request.pack or request.held
    chunk = not given.chunk and one_workload
    free = {
        "prefill": (
            not given.prefill_batch,
            chunk and not (given.prefill_chunk or request.whole_prompts),
        ),
        "decode": (not given.batch, False),
        "colocated": (not given.batch, chunk),
    }[phase]
    if not any(free):
        return []
    scenarios = [setup.scenario(one.workload) for one in request.mix]
    alone = [lister(phase, scenario) for scenario in scenarios]

    def served(columns: Mapping[str, np.ndarray]) -> Listed:
        lists = [evaluate(columns) for evaluate in alone]
        return lists[0] if one_workload else mixed_list(phase, lists, request)

    problem = Problem(
        phase=phase,
        scenario=scenarios[0],
        targets_s=request.targets_s[phase],
        ttl=request.ttl_metric,
        link_bytes_per_s=float(setup.hardware.hardware.scaleout.bytes_per_s),
        max_gpus=float(request.cap or np.inf),
        batch_free=free[0],
        chunk_free=free[1],
        evaluator=served,
    )
    designs: Designs = getattr(swept, phase)
    if not best:
        columns = beside_frontier(problem, designs)
        return [evaluate(columns) for evaluate in alone] if columns else []
    # Without a cap on GPUs, smaller instances within the tolerance may be chosen, no others.
    refined = refine(problem, designs, None if capped else request.tolerance)
    several = [refined.columns]
    if phase != "prefill":
        several.append(beside_frontier(problem, designs))
    columns = {name: np.concatenate([one[name] for one in several]) for name in refined.columns}
    if not len(columns["batch"]):
        return []
    return [replace(evaluate(columns), gap=refined.gap) for evaluate in alone]
