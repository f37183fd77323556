"""What is the best answer once an input has moved?  Exact effects, by optimising again.

A gradient is local. Here inputs move by a factor, and the optimum is sought again among all designs
that can be it: scaling one rate of the hardware by k changes no time by more than k, so designs k
times worse than the best, or k times over a target, stay out. Batch is a real number between the
values of the grid, so that effects are not those of the grid's spacing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.scenario import Scenario
from jaxsim.space.designs import PHASES, Designs
from jaxsim.space.frontier import MODES
from jaxsim.space.sensitivity import points_on_axes
from jaxsim.space.sensitivity_reverse import path_name, values_of

if TYPE_CHECKING:
    from jaxsim.space.plan import Swept

# How far inputs may move, as a factor: of the designs kept.
FURTHEST = 2.0


@dataclass(frozen=True)
class Change:
    """Factors on inputs (by path; `prefill:` in front for a prefill pool's own) and on targets."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    ftl: Any = 1.0
    ttl: Any = 1.0

    def of(self, scenario: Scenario, pool: str = "") -> Scenario:
        """The scenario with its inputs multiplied."""
        own = {}
        for path, factor in self.inputs.items():
            where, _, name = path.rpartition(":")
            if where == pool:
                own[name] = factor

        def moved(path, leaf):
            name = path_name(path)
            return np.asarray(leaf, float) * own[name] if name in own else leaf

        return jax.tree_util.tree_map_with_path(moved, scenario) if own else scenario


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
class Lines:
    """Designs of one phase that may be the best: lines of all batches of a grid, [lines, batches].

    `rate` is the output that is maximised per GPU, `latencies` the outputs with a target each, and
    `limits` other outputs with what they may not exceed (a number, or the path of one).
    """

    phase: str
    scenario: Scenario
    axes: Mapping[str, np.ndarray]
    batches: np.ndarray
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
        count = len(self.batches)
        columns = {name: np.repeat(values, count) for name, values in self.axes.items()}
        columns["batch"] = np.tile(self.batches, len(self))
        designs = Deployment(*(columns[n] for n in ("tp", "ep", "pp", "batch", "chunk")))
        bounds = {
            output: targets[name] * getattr(change, name) for name, output in self.latencies.items()
        }
        for output, bound in self.limits.items():
            bounds[output] = value_at(scenario, bound) if isinstance(bound, str) else bound
        names = (self.rate, *bounds, self.valid, "fits_memory", "gpus")
        listed = points_on_axes(self.phase, scenario.workload, designs)
        found = values_of(PHASES[self.phase], scenario, listed, tuple(dict.fromkeys(names)))
        shaped = {name: value.reshape(len(self), count) for name, value in found.items()}
        rate = shaped[self.rate] / (1.0 if self.per_gpu else shaped["gpus"])
        # Memory is a limit like the others, approached by batch; the other rules are not.
        rules = shaped[self.valid] | ~shaped["fits_memory"].astype(bool)
        slack = np.min([np.log(bound) - np.log(shaped[x]) for x, bound in bounds.items()], axis=0)
        return best_on_lines(np.log(rate), slack, rules.astype(bool), np.log(self.batches))


def value_at(scenario: Scenario, path: str) -> float:
    """One number of a scenario."""
    flat, _ = jax.tree_util.tree_flatten_with_path(scenario)
    return next(float(np.asarray(leaf)) for at, leaf in flat if path_name(at) == path)


def best_on_lines(log_rate, slack, rules, log_batch) -> tuple[np.ndarray, np.ndarray]:
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


def _kept_lines(
    designs: Designs, rate: np.ndarray, fits: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The axes of lines on which some design that fits comes near the best, and the batches."""
    axis = list(designs.axes).index("batch")
    near = fits & (rate * FURTHEST >= np.max(np.where(fits, rate, 0.0), initial=0.0))
    lines = np.flatnonzero(near.any(axis=axis).ravel())
    others = {name: values for name, values in designs.axes.items() if name != "batch"}
    where = np.unravel_index(lines, tuple(len(values) for values in others.values()))
    axes = {
        name: np.asarray(values, float)[i]
        for (name, values), i in zip(others.items(), where, strict=True)
    }
    axes.setdefault("chunk", np.ones(len(lines)))
    return axes, np.asarray(designs.axes["batch"], float)


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
    value = designs.full(rate) / (1.0 if per_gpu else designs.full("gpus"))
    targets = {"ftl": swept.question.ftl_s, "ttl": swept.question.ttl_s}
    fits = designs.full(valid) | ~designs.full("fits_memory")
    for name, output in latencies.items():
        fits = fits & (designs.full(output) <= FURTHEST * targets[name])
    for output, bound in limits.items():
        most = value_at(scenario, bound) if isinstance(bound, str) else bound
        fits = fits & (designs.full(output) <= FURTHEST * most)
    axes, batches = _kept_lines(designs, value, fits)
    pool = "prefill" if phase == "prefill" and own is not swept.setup else ""
    return Lines(phase, scenario, axes, batches, rate, per_gpu, latencies, limits, valid, pool)
