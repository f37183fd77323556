"""How good can any design between some batches and some chunks be?

A cell is one mapping (TP, EP, PP) in one mode, chunks of classes `c0 … c1` and batches `b0 … b1`.
Its corners at the least batch bound all of it: see `bound`.
"""

from dataclasses import dataclass, fields

import numpy as np

from jaxsim.space.refine.problem import Measured, Problem

# Between two chunks, a time is no less than at the better of them but for the steps of tiles.
CHUNK_SLACK = 0.01


@dataclass(frozen=True)
class Cells:
    """Arrays of equal length: the mapping and mode of each cell, its ends, and its bound.

    `line` numbers the mappings. `most` is what no design of the cell serves more than.
    """

    line: np.ndarray
    mode: np.ndarray
    c0: np.ndarray
    c1: np.ndarray
    b0: np.ndarray
    b1: np.ndarray
    most: np.ndarray

    def take(self, index: np.ndarray | slice) -> "Cells":
        """The cells at `index`."""
        return Cells(*(getattr(self, f.name)[index] for f in fields(self)))

    def __len__(self):
        return len(self.line)


def joined(several: list[Cells]) -> Cells:
    """All cells, one after another."""
    columns = ([getattr(one, f.name) for one in several] for f in fields(Cells))
    return Cells(*(np.concatenate(column) for column in columns))


def bound(
    problem: Problem,
    low: Measured,
    high: Measured,
    b0: np.ndarray,
    b1: np.ndarray,
    several: np.ndarray,
) -> np.ndarray:
    r"""The most that a cell can serve; 0 where it can hold no design that is allowed.

    `low` and `high` are measured at batch b0 with the least and the greatest chunk. Every latency
    rises with the batch, and what is served for each request of the batch falls:

    $$ v(b) \le b_1 \max_{c} \frac{v(c, b_0)}{b_0}, \qquad
       \mathrm{latency}(b) \ge \min_c \mathrm{latency}(c, b_0), \qquad b_0 \le b \le b_1 $$

    With the chunk, latencies and rates rise or fall throughout, within `CHUNK_SLACK` where a cell
    has `several`; memory rises, and what keeps a mix from being sustained falls.
    """
    slack = np.where(several, CHUNK_SLACK, 0.0)
    possible = (low.fits | high.fits) & (low.sustained | high.sustained)
    for first, second, target in zip(low.latency, high.latency, problem.targets_s, strict=True):
        possible &= np.minimum(first, second) * (1.0 - slack) <= target
    most = np.maximum(low.value, high.value) * (b1 / b0) * (1.0 + slack)
    return np.where(possible, most, 0.0)


def allowed(problem: Problem, measured: Measured) -> np.ndarray:
    """Designs that obey every rule and meet every target."""
    ok = measured.ok
    for latency, target in zip(measured.latency, problem.targets_s, strict=True):
        ok = ok & (latency <= target)
    return ok


def pieces(b0: np.ndarray, b1: np.ndarray, unit: np.ndarray, count: int):
    """Batches b0 … b1 of every cell cut in up to `count` pieces, ends at multiples of `unit`.

    A step takes as long as that of the busiest rank, so that multiples of the ranks serve most.
    Returns the cell that each piece is of, its first and its last batch.
    """
    width = b1 - b0 + 1
    ends = []
    for k in range(1, count):
        even = b0 + np.floor(width * k / count) - 1
        whole = np.floor(even / unit) * unit
        ends.append(np.where((whole >= b0) & (whole < b1), whole, even))
    last = np.clip(np.stack([*ends, b1], axis=1), (b0 - 1)[:, None], b1[:, None])
    last = np.maximum.accumulate(last, axis=1)
    first = np.concatenate([b0[:, None], last[:, :-1] + 1], axis=1)
    cell, piece = np.nonzero(first <= last)
    return cell, first[cell, piece], last[cell, piece]
