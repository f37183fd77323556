"""What is the best answer once an input has moved?  Exact effects, by optimising again.

A gradient is local. Here inputs move by a factor, and the optimum is sought again among all designs
that can be it: scaling one rate of the hardware by k changes no time by more than k, so the designs
that stay out are known beforehand. Batch is a real number between the values of the grid, so that
effects are not those of the grid's spacing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.scenario import Scenario
from jaxsim.space.designs import PHASES
from jaxsim.space.sensitivity import points_on_axes
from jaxsim.space.sensitivity_change import Change, value_at
from jaxsim.space.sensitivity_reverse import values_of

if TYPE_CHECKING:
    pass

# Batches of the grid on either side of the best that a sample may move to: two octaves.
WINDOW = 8


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
            none = np.zeros(len(near))
            return none - np.inf, none.astype(int), none
        line, batch = np.nonzero(near)
        columns = {name: values[line] for name, values in self.axes.items()}
        columns["batch"] = self.batches[batch]
        columns = self._outputs(scenario, columns, change, targets)
        return best_on_lines(*(_spread(near, values) for values in columns))

    def sampled(
        self, design: Mapping[str, float], change: Change, targets: Mapping[str, float]
    ) -> np.ndarray:
        """ln of the best rate per GPU of one design at `n` changes, batch as a real number, [n]."""
        at = int(np.searchsorted(self.batches, design["batch"]))
        batches = self.batches[max(at - WINDOW, 0) : at + WINDOW + 1]
        count, own = len(batches), change.repeated(len(batches))
        samples = max((np.size(f) for f in change.inputs.values()), default=1)
        columns = {
            name: np.full(samples * count, value)
            for name, value in {"chunk": 1.0, **design}.items()
        }
        columns["batch"] = np.tile(batches, samples)
        scenario = own.of(self.scenario, self.pool)
        found = self._outputs(scenario, columns, own, targets)
        best, _, _ = best_on_lines(*(np.reshape(values, (samples, count)) for values in found))
        return best

    def _outputs(self, scenario: Scenario, columns, change: Change, targets) -> tuple:
        """ln rate per GPU, slack of the tightest limit, and whether the other rules hold."""
        designs = Deployment(*(columns[n] for n in ("tp", "ep", "pp", "batch", "chunk")))
        bounds = {
            output: targets[name] * getattr(change, name) for name, output in self.latencies.items()
        }
        for output, bound in self.limits.items():
            bounds[output] = value_at(scenario, bound) if isinstance(bound, str) else bound
        names = (self.rate, *bounds, self.valid, "fits_memory", "gpus")
        listed = points_on_axes(self.phase, scenario.workload, designs)
        found = values_of(PHASES[self.phase], scenario, listed, tuple(dict.fromkeys(names)))
        with np.errstate(all="ignore"):  # constants may be sampled to where nothing is finite
            return self._logs(found, bounds)

    def _logs(self, found, bounds) -> tuple:
        rate = found[self.rate] / (1.0 if self.per_gpu else found["gpus"])
        # Memory is a limit like the others, approached by batch; the other rules are not.
        rules = found[self.valid] | ~found["fits_memory"]
        slack = np.min([np.log(bound) - np.log(found[x]) for x, bound in bounds.items()], axis=0)
        finite = np.isfinite(slack) & np.isfinite(rate) & (rate > 0.0)
        log_rate = np.log(np.where(finite, rate, 1.0))
        return log_rate, np.where(finite, slack, -1.0), rules & finite


def _spread(near: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of the designs that were evaluated on all of the grid; the others obey no rule."""
    full = np.zeros(near.shape, values.dtype)
    full[near] = values
    return full


def best_on_lines(log_rate, slack, rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln of the best rate on each line, the position of the batch below it, and how far beyond.

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
    rows = np.arange(len(best))
    inside = np.where(ends & (further >= log_rate[:, :-1]), part, 0.0)
    inside = np.concatenate([inside, np.zeros((len(best), 1))], axis=1)
    return best[rows, at], at, inside[rows, at]


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
            log_rate, batch, part = lines.evaluate(change, self.targets)
            if np.isfinite(best := log_rate.max()):
                line = int(np.argmax(log_rate))
                design = {axis: float(values[line]) for axis, values in lines.axes.items()}
                at = int(batch[line])
                design["batch"] = float(lines.batches[at])
                design["next_batch"] = float(lines.batches[min(at + 1, len(lines.batches) - 1)])
                design["part"] = float(part[line])
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

    def sampled(self, optimum: Optimum, change: Change) -> np.ndarray:
        """ln of the value of an optimum's widths and chunks at many changes, [n]; batch adapts.

        The factors of the change are arrays of length n. −inf where no batch meets the limits.
        """
        log_rates = {}
        for pool, design in optimum.designs.items():
            name = optimum.mode or pool
            rates = self.lines[name].sampled(design, change, self.targets)
            log_rates[name] = rates - np.log(self.costs[name])
        if optimum.mode:
            return log_rates[optimum.mode]
        osl = np.log(self.osl * np.asarray(change.inputs.get("workload.osl", 1.0)) - 1.0)
        prompt, token = log_rates["prefill"], log_rates["decode"]
        with np.errstate(invalid="ignore"):
            if self.ratio is None:
                return osl - np.logaddexp(-prompt, -token)
            return osl + np.minimum(prompt + np.log(self.ratio), token) - np.log1p(self.ratio)
