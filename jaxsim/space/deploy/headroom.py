"""How much more would a plan's instances serve if kernels were at the limit of the chip?"""

from collections.abc import Mapping

import numpy as np

from jaxsim.catalog.setup import Setup, limit_of
from jaxsim.catalog.silicon_limit import LIMIT
from jaxsim.space.deploy.request import PlanRequest, gpu_weight
from jaxsim.space.deploy.result import Deployed, InstanceShape
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.designs import Designs, lister
from jaxsim.space.refine.cells import allowed
from jaxsim.space.refine.problem import Problem

_BETWEEN = 64  # batches that are tried between two of the grid


def headroom_of(swept: Swept, deployed: Deployed, on_prefill: Swept | None = None) -> float | None:
    """By how much a plan's worth would grow with kernels and messages at the limit of the chip.

    The instances keep their TP, EP and PP, and the targets stay; batches and chunks are chosen
    again. Pools are balanced by real-valued counts, with today's kernels and at the limit (primed):

    $$ h = \\frac{w_p / r_p + w_d / r_d}{w_p / r'_p + w_d / r'_d} $$

    with $r$ requests/s per GPU and $w$ the weight of a GPU in the objective (1, price or power).
    `on_prefill` has the co-located designs where they run on the hardware of prefill. None for a
    mix of workloads, at a fixed ratio, and where kernels are at the limit already.
    """
    request = swept.request
    setups = swept.setups
    if on_prefill is not None:
        setups["colocated"] = on_prefill.setup
    if len(swept.each) > 1 or request.held:
        return None
    if all(setup.engine.kernels == LIMIT for setup in setups.values()):
        return None
    now = then = 0.0
    for shape in deployed.instances:
        setup = setups[shape.phase]
        phases = on_prefill if on_prefill is not None and shape.phase == "colocated" else swept
        weight = gpu_weight(setup, request.objective) * shape.gpus_per_instance
        best = _best(request, setup, shape, getattr(phases, shape.phase))
        if best is None:
            return None
        now += weight / shape.requests_per_s
        then += weight / best
    return now / then


def _best(
    request: PlanRequest, setup: Setup, shape: InstanceShape, designs: Designs
) -> float | None:
    """Requests/s of the best instance of a shape's widths at the limit; None if none is allowed."""
    scenario = limit_of(setup).scenario(request.only_workload)
    link = float(setup.hardware.hardware.scaleout.bytes_per_s)
    targets_s = request.targets_s[shape.phase]
    problem = Problem(shape.phase, scenario, targets_s, request.ttl_metric, link)
    evaluate = lister(shape.phase, scenario)
    widths = {name: float(getattr(shape, name)) for name in ("tp", "ep", "pp")}

    def best_of(free: Mapping[str, np.ndarray]) -> tuple[float, int]:
        count = len(free["batch"])
        outputs = evaluate({**{n: np.full(count, x) for n, x in widths.items()}, **free}).outputs
        value = np.zeros(count)
        for mode in problem.modes:
            measured = problem.measure(outputs, mode)
            value = np.maximum(value, np.where(allowed(problem, measured), measured.value, 0.0))
        return float(value.max()), int(value.argmax())

    batches = np.union1d(designs.axes["batch"], [float(shape.batch)])
    axes = {"batch": batches}
    if "chunk" in designs.axes:
        axes["chunk"] = np.union1d(designs.axes["chunk"], [float(shape.chunk)])
    grid = dict(zip(axes, (g.ravel() for g in np.meshgrid(*axes.values())), strict=True))
    first, at = best_of(grid)
    if first <= 0.0:
        return None
    # Between the batch that is best on the grid and the next, more is served up to the target.
    own = {name: float(column[at]) for name, column in grid.items()}
    following = batches[min(int(np.searchsorted(batches, own["batch"])) + 1, len(batches) - 1)]
    between = np.unique(np.floor(np.linspace(own["batch"], following, _BETWEEN)))
    chunks = {"chunk": np.full(len(between), own["chunk"])} if "chunk" in own else {}
    best = max(first, best_of({"batch": between, **chunks})[0])
    if shape.phase == "colocated":  # measured in output tokens/s
        return best / (request.mean_osl - 1.0)
    return best
