"""What is to be optimised again, and what is known of all designs before anything moves?"""

import numpy as np

from jaxsim.space.designs import Designs
from jaxsim.space.frontier import MODES
from jaxsim.space.question import Swept, gpu_weight
from jaxsim.space.sensitivity_change import value_at
from jaxsim.space.sensitivity_moves import Grid, Lines, Problem


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


def problem_of(swept: Swept, colocated: bool = False) -> Problem:
    """What is to be optimised again: both pools, or both modes of co-location."""
    question = swept.question
    targets = {"ftl": question.ftl_s, "ttl": question.ttl_s}
    memory = {"total_bytes": "hardware.chip.hbm_bytes"}
    lines: dict[str, Lines] = {}
    costs = {}
    if colocated:
        token = "ttl_s" if question.ttl_metric == "mean" else "ttl_median_s"
        for mode in MODES:
            lines[mode] = _lines(
                swept, "colocated", f"{mode}_output_tokens_per_s_per_gpu", True,
                {"ftl": f"{mode}_ftl_s", "ttl": f"{mode}_{token}"}, memory, f"{mode}_valid",
            )  # fmt: skip
            costs[mode] = gpu_weight(swept.setup, question.objective)
    else:
        lines["prefill"] = _lines(
            swept, "prefill", "requests_per_s", False,
            {"ftl": "ftl_s"}, {**memory, "kv_link_frac": 1.0}, "valid",
        )  # fmt: skip
        link = {"kv_ingress_bytes_per_s_per_gpu": "hardware.scaleout.bytes_per_s"}
        lines["decode"] = _lines(
            swept, "decode", "requests_per_s", False, {"ttl": "ttl_s"}, {**memory, **link}, "valid"
        )
        costs["prefill"] = gpu_weight(swept.prefill_setup, question.objective)
        costs["decode"] = gpu_weight(swept.setup, question.objective)
    osl = float(question.workload.osl)
    return Problem(lines, costs, targets, osl, None if colocated else question.fixed_ratio)


def _lines(swept: Swept, phase, rate, per_gpu, latencies, limits, valid) -> Lines:
    designs: Designs = getattr(swept, phase)
    own = swept.prefill_setup if phase == "prefill" else swept.setup
    scenario = own.scenario(swept.question.workload)
    targets = {"ftl": swept.question.ftl_s, "ttl": swept.question.ttl_s}
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
    pool = "prefill" if phase == "prefill" and own is not swept.setup else ""
    return Lines(
        phase, scenario, axes, batches, grid, rate, per_gpu, latencies, limits, valid, pool
    )
