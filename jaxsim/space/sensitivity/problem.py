"""What is to be optimised again, and what is known of all designs before anything moves?"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from jaxsim._scalar import Numbers
from jaxsim.catalog.scenario import Scenario
from jaxsim.quantities import MODES, TTL_OUTPUTS
from jaxsim.space.axes import Space, complete
from jaxsim.space.deploy.request import PlanRequest, gpu_weight
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.space.sensitivity.change import Change, value_at
from jaxsim.space.sensitivity.moves import Grid, Lines
from jaxsim.space.sensitivity.solve import Problem


def _by_line(designs: Designs, values: np.ndarray) -> np.ndarray:
    """Values of all designs of a grid as [lines, batches]."""
    axis = list(designs.axes).index("batch")
    return np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])


def _line_axes(designs: Designs) -> dict[str, np.ndarray]:
    """The values of every axis but batch on each line."""
    others = {name: np.asarray(v, float) for name, v in designs.axes.items() if name != "batch"}
    grids = np.meshgrid(*others.values(), indexing="ij")
    axes = {name: grid.ravel() for name, grid in zip(others, grids, strict=True)}
    axes.setdefault("chunk", np.ones(len(grids[0].ravel())))
    return axes


def problem_of(swept: Swept, colocated: bool = False, space: Space | None = None) -> Problem:
    """What is to be optimised again: both pools, or both modes of co-location.

    `space` is what was swept, where that was not the default.
    """
    request, same = swept.request, swept.prefill_setup is swept.setup
    phases = ("colocated",) if colocated else ("prefill", "decode")
    setups = swept.setups
    designs: dict[str, Designs] = {phase: getattr(swept, phase) for phase in phases}
    scenarios = {phase: setups[phase].scenario(request.only_workload) for phase in phases}
    costs = {phase: gpu_weight(setups[phase], request.objective) for phase in phases}
    return _problem(request, designs, scenarios, costs, "" if same else "prefill", space)


def with_own_prefill(problem: Problem, request: PlanRequest, space: Space | None) -> Problem:
    """The same problem of two pools, the inputs of the prefill pool of their own."""
    designs = {name: lines.designs for name, lines in problem.lines.items()}
    scenarios = {name: lines.scenario for name, lines in problem.lines.items()}
    return _problem(request, designs, scenarios, problem.costs, "prefill", space)


def _problem(
    request: PlanRequest,
    designs: Mapping[str, Designs],
    scenarios: Mapping[str, Scenario],
    costs: Mapping[str, float],
    pool: str,
    space: Space | None,
) -> Problem:
    targets = {"ftl": request.ftl_s, "ttl": request.ttl_s}
    memory = {"total_bytes": "hardware.chip.hbm_bytes"}
    lines: dict[str, Lines] = {}
    colocated = "colocated" in designs
    if colocated:
        token = TTL_OUTPUTS[request.ttl_metric]
        for mode in MODES:
            lines[mode] = _lines(
                designs["colocated"], scenarios["colocated"], targets,
                f"{mode}_output_tokens_per_s_per_gpu", True,
                {"ftl": f"{mode}_ftl_s", "ttl": f"{mode}_{token}"}, memory, f"{mode}_valid", "",
            )  # fmt: skip
        costs = dict.fromkeys(MODES, costs.get("colocated", next(iter(costs.values()))))
    else:
        link = {"kv_ingress_bytes_per_s_per_gpu": "hardware.scaleout.bytes_per_s"}
        lines["prefill"] = _lines(
            designs["prefill"], scenarios["prefill"], targets, "requests_per_s", False,
            {"ftl": "ftl_s"}, {**memory, "kv_link_frac": 1.0}, "valid", pool,
        )  # fmt: skip
        lines["decode"] = _lines(
            designs["decode"], scenarios["decode"], targets, "requests_per_s", False,
            {"ttl": "ttl_s"}, {**memory, **link}, "valid", "",
        )  # fmt: skip

    def moved(change: Change) -> Problem:
        work, new, evaluated = request.only_workload, {}, {}
        for phase, scenario in scenarios.items():
            own = pool if phase == "prefill" else ""
            new[phase] = change.of(scenario, own)
            work = new[phase].workload
            isl, osl = float(work.isl), float(work.osl)
            filled = complete(space, new[phase].model, new[phase].hardware, isl)
            evaluated[phase] = evaluate_phase(phase, new[phase], filled, (isl,), (osl,))
        moved_request = replace(
            request, workload=work,
            ftl_s=request.ftl_s * change.ftl, ttl_s=request.ttl_s * change.ttl,
        )  # fmt: skip
        paid = {phase: float(held.cost(name, change)) for name, phase in _names(evaluated).items()}
        return _problem(moved_request, evaluated, new, paid, pool, space)

    held = Problem(
        lines, costs, targets, float(request.only_workload.osl),
        None if colocated else request.fixed_ratio, request.objective, moved,
    )  # fmt: skip
    return held


def _names(phases: Iterable[str]) -> dict[str, str]:
    """The lines of a problem, and the phase that each is of."""
    return {(MODES[0] if phase == "colocated" else phase): phase for phase in phases}


def _lines(
    designs: Designs,
    scenario: Scenario,
    targets: Mapping[str, Numbers],
    rate: str,
    per_gpu: bool,
    latencies: Mapping[str, str],
    limits: Mapping[str, str | float],
    valid: str,
    pool: str,
):
    over = [designs.full(output) / targets[name] for name, output in latencies.items()]
    for output, bound in limits.items():
        if output != "total_bytes":
            most = value_at(scenario, bound) if isinstance(bound, str) else bound
            over.append(designs.full(output) / most)
    grid = Grid(
        rate=_by_line(designs, designs.full(rate) / (1.0 if per_gpu else designs.full("gpus"))),
        over=_by_line(designs, np.max(np.broadcast_arrays(*over), axis=0)),
        memory=_by_line(designs, designs.full("total_bytes") / designs.full("capacity_bytes")),
        rules=_by_line(designs, designs.full(valid) | ~designs.full("fits_memory")),
    )
    axes, batches = _line_axes(designs), np.asarray(designs.axes["batch"], float)
    return Lines(
        designs.phase, scenario, axes, batches, grid, rate, per_gpu, latencies, limits, valid,
        designs, pool,
    )  # fmt: skip
