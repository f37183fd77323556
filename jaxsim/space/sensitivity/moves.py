"""Which design of a phase is the best once inputs have moved?

A gradient is local. Here inputs move by a factor, and the best is sought again among all designs
that can be it: k times one rate of the hardware changes no time by more than k, so the designs that
stay out are known beforehand. Batch is a real number between the values of the grid, so that
effects are not those of the grid's spacing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jaxsim._scalar import Numbers, as_scalar
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.scenario import Scenario
from jaxsim.space.designs import PHASES, Designs
from jaxsim.space.gradient.derivative import values_of
from jaxsim.space.sensitivity.change import Bounds, Change, joined, value_at
from jaxsim.space.sensitivity.elasticity import points_on_axes

# Batches of the grid on either side of the best that a sample may move to: first few, then two
# octaves for the samples that want to leave those.
WINDOWS = (2, 8)

# Lines that are tried first: what they reach, the others must beat.
TRIED = 6

# The grid is in 32 bits.
ROUNDING = 1e-5


class Best(NamedTuple):
    """The best rate per GPU of a phase, in ln, and its design; −inf and none where none fits."""

    log_rate: float
    design: Mapping[str, Numbers]


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

    @cached_property
    def next_rate(self) -> np.ndarray:
        """The rate, or that of the next batch where it is larger."""
        own = np.where(self.rules, self.rate, 0.0)
        following = np.concatenate([own[:, 1:], np.zeros((len(own), 1))], axis=1)
        return np.maximum(own, following)

    @cached_property
    def first_lines(self) -> np.ndarray:
        """The lines that are the best before anything moves."""
        fits = self.rules & (self.over <= 1.0) & (self.memory <= 1.0)
        best = np.where(fits, self.rate, 0.0).max(axis=1, initial=0.0)
        return np.argsort(-best, kind="stable")[:TRIED]

    def near(self, bounds: Bounds, log_rate: float) -> np.ndarray:
        """Which designs may be best under a change of such bounds, if one reaches `log_rate`.

        Latencies may fall as far as times do, flows as far as rates do; no rate grows by more than
        times may fall. The next batch is kept too.
        """
        over = bounds.faster * bounds.slower * bounds.allowed * (1.0 + ROUNDING)
        # What is reserved shrinks with the capacity, and with it what is counted.
        room = max(bounds.room, 1.0) * (1.0 + ROUNDING)
        fits = self.rules & (self.over <= over) & (self.memory <= room)
        least = np.exp(log_rate) / bounds.faster * (1.0 - ROUNDING)
        kept = fits & (self.next_rate >= least)
        wide = kept.copy()
        wide[:, 1:] |= kept[:, :-1]
        return wide & self.rules


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
    limits: Mapping[str, Numbers | str]
    valid: str
    designs: Designs
    pool: str = ""

    def __len__(self):
        return len(next(iter(self.axes.values())))

    def first(self, changes: Sequence[Change], targets: Mapping[str, Numbers]) -> list[Best]:
        """What the best lines of before reach under each change."""
        kept = np.zeros(self.grid.rules.shape, bool)
        kept[self.grid.first_lines] = self.grid.rules[self.grid.first_lines]
        return self.best(changes, [kept] * len(changes), targets)

    def best(
        self, changes: Sequence[Change], kept: Sequence[np.ndarray], targets: Mapping[str, Numbers]
    ) -> list[Best]:
        """The best of the designs `kept` under each change, with batch as a real number."""
        placed = [np.nonzero(own) for own in kept]
        counts = [len(lines) for lines, _ in placed]
        if not sum(counts):
            return [Best(-np.inf, {})] * len(changes)
        line = np.concatenate([lines for lines, _ in placed])
        batch = np.concatenate([batches for _, batches in placed])
        columns = {name: values[line] for name, values in self.axes.items()}
        columns["batch"] = self.batches[batch]
        change = joined(changes, counts)
        values = self._outputs(change.of(self.scenario, self.pool), columns, change, targets)
        bests, start = [], 0
        for (lines, own), count in zip(placed, counts, strict=True):
            part = slice(start, start + count)
            bests.append(self._best(lines, own, [column[part] for column in values]))
            start += count
        return bests

    def _best(self, line: np.ndarray, batch: np.ndarray, values: Sequence[np.ndarray]) -> Best:
        """The best of designs of some lines; what was not evaluated obeys no rule."""
        used, row = np.unique(line, return_inverse=True)
        if not len(used):
            return Best(-np.inf, {})
        full = [np.zeros((len(used), len(self.batches)), column.dtype) for column in values]
        for own, column in zip(full, values, strict=True):
            own[row, batch] = column
        log_rate, at, part = best_on_lines(*full)
        top = int(np.argmax(log_rate))
        if not np.isfinite(log_rate[top]):
            return Best(-np.inf, {})
        design = {axis: float(values[used[top]]) for axis, values in self.axes.items()}
        last = int(at[top])
        design["batch"] = float(self.batches[last])
        design["next_batch"] = float(self.batches[min(last + 1, len(self.batches) - 1)])
        design["part"] = float(part[top])
        return Best(float(log_rate[top]), design)

    def sampled(
        self, design: Mapping[str, Numbers], change: Change, targets: Mapping[str, Numbers]
    ) -> np.ndarray:
        """ln of the best rate per GPU of one design at `n` changes, batch as a real number, [n]."""
        samples = max((np.size(f) for f in change.inputs.values()), default=1)
        best = np.full(samples, -np.inf)
        left = np.arange(samples)
        for window in WINDOWS:
            own = change.taken(left)
            best[left], inside = self._sampled(design, own, targets, window, len(left))
            left = left[~inside]
            if not len(left):
                break
        return best

    def _sampled(
        self,
        design: Mapping[str, Numbers],
        change: Change,
        targets: Mapping[str, Numbers],
        window: int,
        samples: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best within `window` batches of a design's, and whether no other can be better."""
        at = int(np.searchsorted(self.batches, design["batch"]))
        low, high = max(at - window, 0), min(at + window + 1, len(self.batches))
        batches = self.batches[low:high]
        count, own = len(batches), change.repeated(len(batches))
        columns = {
            name: np.full(samples * count, value)
            for name, value in {"chunk": 1.0, **design}.items()
        }
        columns["batch"] = np.tile(batches, samples)
        outputs = self._outputs(own.of(self.scenario, self.pool), columns, own, targets)
        best, place, _ = best_on_lines(
            *(np.reshape(values, (samples, count)) for values in outputs)
        )
        left = (place > 0) | (low == 0)
        right = (place < count - 1) | (high == len(self.batches))
        return best, left & right & np.isfinite(best)

    def _outputs(
        self,
        scenario: Scenario,
        columns: Mapping[str, np.ndarray],
        change: Change,
        targets: Mapping[str, Numbers],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ln rate per GPU, slack of the tightest limit, and whether the other rules hold."""
        designs = Deployment(*(as_scalar(columns[n]) for n in ("tp", "ep", "pp", "batch", "chunk")))
        bounds = {
            output: targets[name] * getattr(change, name) for name, output in self.latencies.items()
        }
        for output, bound in self.limits.items():
            bounds[output] = value_at(scenario, bound) if isinstance(bound, str) else bound
        names = (self.rate, *bounds, self.valid, "fits_memory", "gpus")
        listed = points_on_axes(self.phase, scenario.workload, designs)
        outputs = values_of(PHASES[self.phase], scenario, listed, tuple(dict.fromkeys(names)))
        with np.errstate(all="ignore"):  # constants may be sampled to where nothing is finite
            return self._logs(outputs, bounds)

    def _logs(
        self, outputs: Mapping[str, np.ndarray], bounds: Mapping[str, Numbers]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rate = outputs[self.rate] / (1.0 if self.per_gpu else outputs["gpus"])
        # Memory is a limit like the others, approached by batch; the other rules are not.
        rules = outputs[self.valid] | ~outputs["fits_memory"]
        slack = np.min([np.log(bound) - np.log(outputs[x]) for x, bound in bounds.items()], axis=0)
        finite = np.isfinite(slack) & np.isfinite(rate) & (rate > 0.0)
        log_rate = np.log(np.where(finite, rate, 1.0))
        return log_rate, np.where(finite, slack, -1.0), rules & finite


def best_on_lines(
    log_rate: np.ndarray, slack: np.ndarray, rules: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
