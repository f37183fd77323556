"""Which whole batch and chunk is the best of all integers, not only of those of a grid?

A grid has four batches and two chunks for each factor of 2. A cell between its points has an upper
bound from its corners (`cells.bound`). Cells whose bound exceeds the best design so far are cut
into pieces and bounded again, until no such cell is left.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxsim.space.designs import Designs, Listed
from jaxsim.space.refine.cells import Cells, allowed, bound, joined, pieces
from jaxsim.space.refine.problem import Measured, OnGrid, Problem, classes

TIE = 1e-6  # values nearer than this are equal: float32 rounds
ENOUGH = 3e-4  # what may be left between the best found and its bound
_AT_ONCE, _PIECES, _MOST_DESIGNS = 400, 4, 40_000


@dataclass(frozen=True)
class Refined:
    """The best design of every mapping, where it is better than its best of the grid.

    `columns` has tp, ep, pp, chunk and batch, one entry a design. No whole batch and chunk serves
    more than (1 + `gap`) times what the best of the grid and these serve, instance for instance
    of equal size. `evaluated` counts the designs that were looked at, and `evaluate`
    gives all outputs of such a list. `best` has the axes of the design that serves most per GPU, of
    the grid or of these, and `best_per_gpu` what it serves; without entries and 0 where none is
    allowed.
    """

    columns: dict[str, np.ndarray]
    gap: float
    evaluated: int
    evaluate: Callable[[Mapping[str, np.ndarray]], Listed]
    best: Mapping[str, float] = field(default_factory=dict)
    best_per_gpu: float = 0.0


class _Search:
    """The lines of a phase's grid, the best of each so far, and what is worth looking at."""

    def __init__(self, problem: Problem, designs: Designs, slack: float | None):
        self.problem = problem
        axes = [np.asarray(designs.axes[name], float) for name in ("tp", "ep", "pp")]
        self.mapping = [a.ravel() for a in np.meshgrid(*axes, indexing="ij")]
        self.batches = np.asarray(designs.axes["batch"], float)
        chunks = np.asarray(designs.axes.get("chunk", [1.0]), float)
        self.chunks = classes(problem, chunks) if "chunk" in designs.axes else chunks
        self.on_grid = np.searchsorted(self.chunks, chunks)
        tp, ep, pp = self.mapping
        width = np.maximum(tp, ep)
        self.gpus, self.ranks = width * pp, width / tp * pp
        _, self.shape = np.unique(np.stack([self.gpus, width]), axis=1, return_inverse=True)
        self.shape = self.shape.ravel()
        self.slack, self.chunked = slack, "chunk" in designs.axes
        self.evaluate = problem.lister()
        self.evaluated = 0
        count = len(self.gpus)
        self.best = np.zeros(count)
        self.at = np.zeros((count, 2))  # class of the chunk, and batch
        self.measured = []
        for mode in problem.modes:
            measured = problem.measure(OnGrid(designs), mode)
            self.measured.append(measured)
            value = np.where(allowed(problem, measured), measured.value, 0.0).reshape(count, -1)
            self._improve(np.arange(count), value.max(axis=1), value.argmax(axis=1))
        self.start = self.best.copy()

    def _improve(self, line: np.ndarray, value: np.ndarray, position: np.ndarray):
        better = value > self.best[line]
        self.best[line[better]] = value[better]
        chunk, batch = np.divmod(position[better], len(self.batches))
        self.at[line[better]] = np.stack([self.on_grid[chunk], self.batches[batch]], axis=1)

    def least(self) -> np.ndarray:
        """What a design of each line must exceed to matter."""
        top = np.zeros(self.shape.max() + 1)
        np.maximum.at(top, self.shape, self.best)
        least = top[self.shape]
        if self.slack is not None:
            per_gpu = np.max(self.best / self.gpus, initial=0.0)
            least = np.maximum(least, per_gpu * self.gpus * (1.0 - self.slack))
        return least * (1.0 + ENOUGH)

    def first_cells(self) -> Cells:
        """Cells between all points of the grid that may hold something better."""
        least = self.least()
        last = np.append(self.batches[1:] - 1.0, self.batches[-1])
        last = last if self.problem.batch_free else self.batches
        cells = []
        for mode, grid in enumerate(self.measured):
            for low, high in _neighbours(len(self.on_grid)):
                c0 = self.on_grid[low] + (high > low)
                c1 = self.on_grid[high] - (high > low)
                if c0 > c1:
                    continue
                corners = (_chunk_of(grid, low), _chunk_of(grid, high))
                most = bound(
                    self.problem, *corners, self.batches, last, np.asarray(high > low)
                )  # lines × batches
                worth = most > least[:, None]
                worth &= (self.gpus <= self.problem.max_gpus)[:, None]
                if high == low:
                    worth &= last > self.batches
                line, k = np.nonzero(worth)
                whole = np.ones(len(line))
                # The grid's own point is known; of a cell on it, the batches after it are left.
                first = self.batches[k] + (1.0 if high == low else 0.0)
                cells.append(Cells(
                    line, (whole * mode).astype(int), (whole * c0).astype(int),
                    (whole * c1).astype(int), first, last[k], most[line, k],
                ))  # fmt: skip
        return joined(cells)

    def cut(self, cells: Cells) -> Cells:
        """The pieces of the cells, measured; those that may yet hold something better."""
        cell, b0, b1 = pieces(cells.b0, cells.b1, self.ranks[cells.line], _PIECES)
        own = cells.take(cell)
        middle = (own.c0 + own.c1) // 2
        c0 = np.concatenate([own.c0, middle + 1])
        c1 = np.concatenate([middle, own.c1])
        line, mode = np.tile(own.line, 2), np.tile(own.mode, 2)
        b0, b1 = np.tile(b0, 2), np.tile(b1, 2)
        kept = c0 <= c1
        line, mode, c0, c1, b0, b1 = (x[kept] for x in (line, mode, c0, c1, b0, b1))
        corners = [(c0, b0), (c1, b0), (c0, b1), (c1, b1)]
        measured = self._measure(line, mode, corners)
        several = c1 - c0 > 1
        most = bound(self.problem, measured[0], measured[1], b0, b1, several)
        done = (c1 - c0 <= 1) & (b1 - b0 <= 1)  # its corners are all of it
        children = Cells(line, mode, c0, c1, b0, b1, np.where(done, 0.0, most))
        return children.take(np.flatnonzero(children.most > 0.0))

    def _measure(
        self, line: np.ndarray, mode: np.ndarray, corners: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> list[Measured]:
        """The corners measured, and the best of every line kept."""
        chunk = np.concatenate([c for c, _ in corners])
        batch = np.concatenate([b for _, b in corners])
        lines, modes = np.tile(line, len(corners)), np.tile(mode, len(corners))
        key = np.stack([lines, chunk, batch.astype(np.int64)])
        unique, back = np.unique(key, axis=1, return_inverse=True)
        back = back.ravel()
        listed = self.evaluate(self.columns(unique[0], unique[1:].T))
        self.evaluated += unique.shape[1]
        per_mode = [self.problem.measure(listed.outputs, name) for name in self.problem.modes]
        for measured in per_mode:
            value = np.where(allowed(self.problem, measured), measured.value, 0.0)
            order = np.argsort(value, kind="stable")
            self_best = self.best[unique[0]]
            for k in order[value[order] > self_best[order]]:
                if value[k] > self.best[unique[0][k]]:
                    self.best[unique[0][k]] = value[k]
                    self.at[unique[0][k]] = unique[1:, k]
        every = [_pick([_take(one, back) for one in per_mode], modes)]
        size = len(line)
        return [_take(every[0], slice(k * size, (k + 1) * size)) for k in range(len(corners))]

    def columns(self, line: np.ndarray, at: np.ndarray) -> dict[str, np.ndarray]:
        """The axes of designs by line, and class of chunk and batch."""
        tp, ep, pp = (axis[line] for axis in self.mapping)
        named: dict[str, np.ndarray] = {"tp": tp, "ep": ep, "pp": pp}
        chunk, batch = at.T
        named["batch"] = batch.astype(float)
        if self.chunked:
            named["chunk"] = self.chunks[chunk.astype(int)]
        return named


def _each(measured: Measured, change: Callable[[np.ndarray], np.ndarray]) -> Measured:
    return Measured(
        change(measured.value),
        tuple(change(one) for one in measured.latency),
        change(measured.ok),
        change(measured.fits),
        change(measured.sustained),
    )


def _chunk_of(measured: Measured, chunk: int) -> Measured:
    return _each(measured, lambda x: x[:, chunk])


def _take(measured: Measured, index: np.ndarray | slice) -> Measured:
    return _each(measured, lambda x: x[index])


def _pick(per_mode: list[Measured], mode: np.ndarray) -> Measured:
    """Of each entry, what its mode gives."""
    if len(per_mode) == 1:
        return per_mode[0]
    first, second = per_mode
    chosen = mode == 0
    return Measured(
        np.where(chosen, first.value, second.value),
        tuple(np.where(chosen, a, b) for a, b in zip(first.latency, second.latency, strict=True)),
        np.where(chosen, first.ok, second.ok),
        np.where(chosen, first.fits, second.fits),
        np.where(chosen, first.sustained, second.sustained),
    )


def _neighbours(count: int) -> list[tuple[int, int]]:
    """Every chunk of a grid alone, and every two that follow one another."""
    return [(k, k) for k in range(count)] + [(k, k + 1) for k in range(count - 1)]


def _over(cells: Cells, least: np.ndarray) -> np.ndarray:
    """The most that each cell may hold over the least that counts; inf where nothing does yet."""
    own = least[cells.line]
    return np.divide(cells.most, own, out=np.full_like(cells.most, np.inf), where=own > 0.0)


def refine(problem: Problem, designs: Designs, slack: float | None = None) -> Refined:
    """The best whole batches and chunks of every mapping, and how far from the best they may be.

    Instances are compared with others of their size. With `slack`, only those count that come
    within this fraction of the best per GPU.
    """
    search = _Search(problem, designs, slack)
    cells = search.first_cells()
    while len(cells) and search.evaluated < _MOST_DESIGNS:
        cells = cells.take(np.argsort(-_over(cells, search.least()), kind="stable"))
        first, later = cells.take(slice(0, _AT_ONCE)), cells.take(slice(_AT_ONCE, None))
        cells = joined([search.cut(first), later])
        cells = cells.take(np.flatnonzero(cells.most > search.least()[cells.line]))
    over = _over(cells, search.least()) - 1.0
    better = np.flatnonzero(search.best > search.start * (1.0 + TIE))
    columns = search.columns(better, search.at[better])
    gap = (1.0 + float(np.max(over, initial=0.0))) * (1.0 + ENOUGH) - 1.0
    per_gpu = search.best / search.gpus
    first = np.array([int(per_gpu.argmax())])
    most = float(per_gpu[first[0]])
    best = search.columns(first, search.at[first]) if most > 0.0 else {}
    one = {name: float(values[0]) for name, values in best.items()}
    return Refined(columns, gap, search.evaluated, search.evaluate, one, most)
