"""Which whole batches and chunks, between those of the grid, belong to a plan?"""

from dataclasses import replace

import numpy as np

from jaxsim.catalog.setup import Setup
from jaxsim.space.axes import Space
from jaxsim.space.deploy.mixture import Phases
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.designs import Designs, lister
from jaxsim.space.refine.along import beside_frontier
from jaxsim.space.refine.optimum import refine
from jaxsim.space.refine.problem import Problem

PHASES = ("prefill", "decode", "colocated")


def with_integers(
    swept: Swept, space: Space | None, phases: tuple[str, ...] = PHASES, *, best: bool = True
) -> Swept:
    """The phases with more designs listed: the best whole batches and chunks, for one workload.

    Those under the targets are the best of all (`refine`), those of the frontiers lie beside the
    points of the grid (`beside_frontier`). An axis that `space` gives is taken at its values. A mix
    of workloads stays on the grid, and so do phases that are not named. Without `best`, co-located
    designs are those beside the frontier alone, which are found sooner.
    """
    if len(swept.each) > 1:
        return swept
    request, given = swept.request, space or Space()
    capped = request.cap is not None or request.pack or request.fixed_ratio is not None
    chunk, batch = not given.chunk, not given.batch
    targets = {
        "prefill": (request.ftl_s,),
        "decode": (request.ttl_s,),
        "colocated": (request.ttl_s, request.ftl_s),
    }
    free = {
        "prefill": (not given.prefill_batch, chunk and not given.prefill_chunk),
        "decode": (batch, False),
        "colocated": (batch, chunk),
    }

    def listed(phase: str, setup: Setup) -> Designs:
        scenario = setup.scenario(request.only_workload)
        problem = Problem(
            phase=phase,
            scenario=scenario,
            targets_s=targets[phase],
            ttl=request.ttl_metric,
            link_bytes_per_s=float(setup.hardware.hardware.scaleout.bytes_per_s),
            max_gpus=float(request.cap or np.inf),
            batch_free=free[phase][0],
            chunk_free=free[phase][1],
        )
        designs: Designs = getattr(swept, phase)
        if not any(free[phase]) or phase not in phases:
            return designs
        if not best and phase == "colocated":
            columns = beside_frontier(problem, designs)
            return replace(designs, listed=lister(phase, scenario)(columns)) if columns else designs
        # Without a cap on GPUs, smaller instances within the tolerance may be chosen, no others.
        found = refine(problem, designs, None if capped else request.tolerance)
        several = [found.columns]
        if phase != "prefill":
            several.append(beside_frontier(problem, designs))
        columns = {name: np.concatenate([one[name] for one in several]) for name in found.columns}
        if not len(columns["batch"]):
            return designs
        more = found.evaluate(columns)
        return replace(designs, listed=replace(more, gap=found.gap))

    found = Phases(
        listed("prefill", swept.prefill_setup),
        listed("decode", swept.setup),
        listed("colocated", swept.setup),
    )
    return replace(swept, each=(found,), mean=found)
