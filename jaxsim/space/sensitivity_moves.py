"""What is the best answer once an input has moved?  Exact effects, by optimising again.

A gradient is local. Here inputs move by a factor, and the optimum is sought again among all designs
that can be it: scaling one rate of the hardware by k changes no time by more than k, so the designs
that stay out are known beforehand. Batch is a real number between the values of the grid, so that
effects are not those of the grid's spacing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.scenario import Scenario
from jaxsim.space.designs import PHASES, Designs
from jaxsim.space.frontier import MODES
from jaxsim.space.sensitivity import points_on_axes
from jaxsim.space.sensitivity_change import Change, value_at
from jaxsim.space.sensitivity_reverse import values_of

if TYPE_CHECKING:
    from jaxsim.space.plan import Swept


@dataclass(frozen=True)
class Optimum:
    """The best throughput per unit of cost, and the designs behind it, by pool.

    A design is its axis values; the batch lies on the grid, at the last value that meets every
    limit. None where nothing does.
    """

    value: float
    designs: Mapping[str, Mapping[str, float]]
    mode: str = ""

    @property
    def mapping(self) -> tuple:
        """What cannot change by a little: the widths and stages of every pool, and the mode."""
        shapes = [
            (pool, *(design[name] for name in ("tp", "ep", "pp")))
            for pool, design in sorted(self.designs.items())
        ]
        return (self.mode, *shapes)


@dataclass(frozen=True)
class Grid:
    """What is known of all designs of a phase before anything moves, [lines, batches].

    `rate` is per GPU, `over` the largest of latencies and flows over what they may be, `memory`
    the memory over its capacity, and `rules` whether the rules that do not depend on either hold.
    """

    rate: np.ndarray
    over: np.ndarray
    memory: np.ndarray
    rules: np.ndarray

    def near(self, reach: float) -> np.ndarray:
        """Which designs may be best once one input has moved by a factor of up to `reach`.

        What is within every limit by that factor stays within, at no less than 1/factor of its
        rate; what is beyond one by more stays beyond, and no rate grows by more. Neighbours in
        batch are kept too.
        """
        fits = self.rules & (self.over <= reach) & (self.memory <= reach)
        slow = self.rules & (self.over * reach <= 1.0) & (self.memory <= 1.0)
        small = self.rules & (self.over <= 1.0) & (self.memory * reach <= 1.0)
        safe = min(
            float(np.max(self.rate, where=slow, initial=0.0)) / reach,
            float(np.max(self.rate, where=small, initial=0.0)),
        )
        kept = fits & (self.rate * reach >= safe)
        wide = kept.copy()
        wide[:, 1:] |= kept[:, :-1]
        wide[:, :-1] |= kept[:, 1:]
        return wide


@dataclass(frozen=True)
class Lines:
    """Designs of one phase that may be the best: lines of all batches of a grid, [lines, batches].

    `rate` is the output that is maximised per GPU, `latencies` the outputs with a target each, and
    `limits` other outputs with what they may not exceed (a number, or the path of one).
    """

    phase: str
    scenario: Scenario
    axes: Mapping[str, np.ndarray]
    batches: np.ndarray
    grid: Grid
    rate: str
    per_gpu: bool
    latencies: Mapping[str, str]
    limits: Mapping[str, Any]
    valid: str
    pool: str = ""

    def __len__(self):
        return len(next(iter(self.axes.values())))

    def evaluate(self, change: Change, targets: Mapping[str, float]) -> tuple:
        """Rate per GPU with batch as a real number, [lines]; and the last batch that fits."""
        scenario = change.of(self.scenario, self.pool)
        if not (near := self.grid.near(change.reach)).any():
            return np.full(len(near), -np.inf), np.zeros(len(near), int)
        line, batch = np.nonzero(near)
        columns = {name: values[line] for name, values in self.axes.items()}
        columns["batch"] = self.batches[batch]
        designs = Deployment(*(columns[n] for n in ("tp", "ep", "pp", "batch", "chunk")))
        bounds = {
            output: targets[name] * getattr(change, name) for name, output in self.latencies.items()
        }
        for output, bound in self.limits.items():
            bounds[output] = value_at(scenario, bound) if isinstance(bound, str) else bound
        names = (self.rate, *bounds, self.valid, "fits_memory", "gpus")
        listed = points_on_axes(self.phase, scenario.workload, designs)
        found = values_of(PHASES[self.phase], scenario, listed, tuple(dict.fromkeys(names)))
        rate = found[self.rate] / (1.0 if self.per_gpu else found["gpus"])
        # Memory is a limit like the others, approached by batch; the other rules are not.
        rules = found[self.valid] | ~found["fits_memory"]
        slack = np.min([np.log(bound) - np.log(found[x]) for x, bound in bounds.items()], axis=0)
        columns = []
        for values, other in ((np.log(rate), 0.0), (slack, -1.0), (rules, False)):
            columns.append(full := np.full(near.shape, other))
            full[line, batch] = values
        return best_on_lines(*columns)


def best_on_lines(log_rate, slack, rules) -> tuple[np.ndarray, np.ndarray]:
    """ln of the best rate on each line with batch as a real number, and the grid's batch below it.

    Between a batch that meets every limit and the next that does not, ln rate and the slack are
    taken linear in ln batch.
    """
    fits = rules & (slack >= 0.0)
    best = np.where(fits, log_rate, -np.inf)
    ends = fits[:, :-1] & ~fits[:, 1:] & rules[:, 1:]
    reach = slack[:, :-1] / np.where(ends, slack[:, :-1] - slack[:, 1:], 1.0)
    part = np.where(ends, np.clip(reach, 0.0, 1.0), 0.0)
    further = log_rate[:, :-1] + part * (log_rate[:, 1:] - log_rate[:, :-1])
    best[:, :-1] = np.where(ends, np.maximum(best[:, :-1], further), best[:, :-1])
    at = np.argmax(best, axis=1)
    return best[np.arange(len(best)), at], at


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


@dataclass(frozen=True)
class Problem:
    """One kind of deployment, to be optimised again under changes."""

    lines: Mapping[str, Lines]
    costs: Mapping[str, float]
    targets: Mapping[str, float]
    osl: float
    ratio: float | None

    def solve(self, change: Change) -> Optimum | None:
        """The best of all kept designs once inputs have moved; None if none meets every limit."""
        found = {}
        for name, lines in self.lines.items():
            if not len(lines):
                continue
            log_rate, batch = lines.evaluate(change, self.targets)
            if np.isfinite(best := log_rate.max()):
                line = int(np.argmax(log_rate))
                design = {axis: float(values[line]) for axis, values in lines.axes.items()}
                design["batch"] = float(lines.batches[batch[line]])
                found[name] = (float(np.exp(best)), design)
        return self._apart(found, change) if "decode" in self.lines else self._together(found)

    def _together(self, found) -> Optimum | None:
        if not found:
            return None
        mode = max(found, key=lambda name: found[name][0])
        return Optimum(found[mode][0] / self.costs[mode], {"colocated": found[mode][1]}, mode)

    def _apart(self, found, change: Change) -> Optimum | None:
        if len(found) < len(self.lines):
            return None
        osl = self.osl * float(change.inputs.get("workload.osl", 1.0))
        rates = {name: found[name][0] / self.costs[name] for name in found}
        prompt, token = rates["prefill"], rates["decode"]
        if self.ratio is None:
            value = (osl - 1.0) * prompt * token / (prompt + token)
        else:
            value = (osl - 1.0) * min(prompt * self.ratio, token) / (1.0 + self.ratio)
        return Optimum(value, {name: design for name, (_, design) in found.items()})

    def moved(self, **targets: float) -> "Problem":
        """The same under other targets."""
        return replace(self, targets={**self.targets, **targets})


def problem_of(swept: "Swept", colocated: bool = False) -> Problem:
    """What is to be optimised again: both pools, or both modes of co-location."""
    from jaxsim.space.question import gpu_weight

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


def _lines(swept: "Swept", phase, rate, per_gpu, latencies, limits, valid) -> Lines:
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
