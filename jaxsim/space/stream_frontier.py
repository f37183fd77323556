"""What is the frontier of every workload, in a grid that is too large to keep?

Each step of the grid discards nearly all of its points: those that a point of the step dominates
by more than one rung of a ladder of `x`. Only dominated points are discarded, so that what is left
holds the frontier whatever the ladder; it is sorted on the host.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsim.space._blocks import Block, Grid
from jaxsim.space._inputs import Axis
from jaxsim.space._nest import Nest, apart
from jaxsim.space._step import Step
from jaxsim.space.pareto import (
    dominance_table,
    from_monotone_key,
    fronts_of_groups,
    monotone_key,
    undominated,
)
from jaxsim.space.stream import Reading, read

# Rungs of the ladder, found from one line in so many.
_RUNGS = 16
_LADDER_LINES = 5
# Points are kept or discarded in rows of a vector.
_ROW = 16
_TABLE = 1 << 10


class Frontiers(eqx.Module):
    """The frontiers of every group, one after another, each in order of `x`.

    Points `starts[i]` to `starts[i + 1]` belong to the group at flat position i of `shape`, the
    lengths of the group axes. `index[name]` are positions on each reduced axis.
    """

    x: Any
    y: Any
    index: dict[str, Any]
    starts: Any
    shape: tuple[int, ...] = eqx.field(static=True)
    points: int = eqx.field(static=True)

    def of(self, *group: int) -> slice:
        """Where the frontier of one group is."""
        i = int(np.ravel_multi_index(group, self.shape)) if self.shape else 0
        return slice(int(self.starts[i]), int(self.starts[i + 1]))


@dataclass(frozen=True)
class _Pair:
    """The point function, reduced to what a frontier compares."""

    fn: Callable[[Any], Any]
    x: Reading
    y: Reading
    valid: Reading | None

    def __call__(self, point):
        outputs = self.fn(point)
        ok = True if self.valid is None else read(outputs, self.valid)
        pair = (read(outputs, reading) for reading in (self.x, self.y))
        return (*(jnp.asarray(v, dtype=jnp.result_type(float)) for v in pair), jnp.asarray(ok))


def stream_frontier(
    fn,
    point,
    axes: Sequence[Axis],
    group_axes: Sequence[str] = (),
    *,
    x: Reading,
    y: Reading,
    valid: Reading | None = None,
    duplicates: bool = False,
    step_points: int | None = None,
    block_points: int | None = None,
    devices: Sequence[Any] | None = None,
) -> Frontiers:
    """The designs of every group that no other beats in both `x`, minimised, and `y`, maximised.

    Exact. Of designs equal in both the first in the order of `axes` is kept, or all of them with
    `duplicates`. A NaN in either counts as not valid.
    """
    wanted = _Pair(fn, x, y, valid)
    grid = Grid.of(wanted, point, axes, group_axes, step_points, block_points, devices)
    keep = _Keep(*_first_counts(grid.step_size), grid.step)
    collect = partial(_collect, duplicates)
    parts, jobs = {}, list(range(grid.block_count))
    # The first block shows how much of a step there is to keep. Where a frontier is longer, or has
    # many ties, blocks are done again with more kept of each step.
    while jobs:
        now = jobs[:1] if not parts else jobs
        done = dict(zip(now, grid.gather(keep, collect, now), strict=True))
        rows, points = (max(getattr(part, name) for part in done.values()) for name in _COUNTS)
        fits = {i: p for i, p in done.items() if p.rows <= keep.rows and p.points <= keep.points}
        parts.update(fits)
        jobs = [i for i in jobs if i not in fits]
        keep = replace(keep, rows=_enough(rows, keep.rows), points=_enough(points, keep.points))
    group, some_x, some_y, flat = (
        np.concatenate([getattr(parts[i], name) for i in sorted(parts)])
        for name in ("group", "x", "y", "where")
    )
    if grid.whole_groups:
        order = np.argsort(group, kind="stable")
    else:
        order = fronts_of_groups(group, some_x, some_y, flat, duplicates=duplicates)
    shape = tuple(grid.real_lengths[d] for d in grid.groups)
    group, some_x, some_y, flat = group[order], some_x[order], some_y[order], flat[order]
    flat = grid.repeated(flat)
    if duplicates and flat.shape[-1] > 1:
        copies = np.repeat(np.arange(group.size), flat.shape[-1])
        group, some_x, some_y = group[copies], some_x[copies], some_y[copies]
        flat = flat.reshape(-1)
        again = np.lexsort((flat, some_x, group))
        group, some_x, some_y, flat = group[again], some_x[again], some_y[again], flat[again]
    else:
        flat = flat[..., 0]
    starts = np.searchsorted(group, np.arange(math.prod(shape) + 1))
    return Frontiers(some_x, some_y, grid.index_of(flat), starts, shape, grid.points)


def _first_counts(size: int) -> tuple[int, int]:
    """Rows and points to keep of a step of this many points, on a first try."""
    return min(max(size // 8 // _ROW, 64), 4096), 128


def _enough(needed: int, had: int) -> int:
    """A count to keep that other grids are likely to share, with some to spare."""
    return had if needed <= had else -(-needed * 5 // 4 // 64) * 64


class _Part(NamedTuple):
    """What one block leaves, and how many rows and points a step of it would have kept."""

    group: np.ndarray
    x: np.ndarray
    y: np.ndarray
    where: np.ndarray
    rows: int
    points: int


_COUNTS = ("rows", "points")


def _collect(duplicates: bool, block: Block, results) -> _Part:
    """The frontier of each of a block's groups."""
    rows, points, x, y, where = results
    kept = np.arange(x.shape[-1]) < points
    groups = block.groups()
    group = groups.repeat(kept.size // groups.size).reshape(kept.shape)[kept]
    where, x, y = block.flat_positions(where)[kept], x[kept], y[kept]
    order = fronts_of_groups(group, x, y, where, duplicates=duplicates)
    most = (int(rows.max(initial=0)), int(points.max(initial=0)))
    return _Part(group[order], x[order], y[order], where[order], *most)


@dataclass(frozen=True)
class _Keep:
    """Keeps the points of a step that cannot be discarded, up to `points` of them in `rows` rows.

    Before them come the numbers of rows and of points that there are.
    """

    rows: int
    points: int
    step: Step

    def like(self):
        number = jax.ShapeDtypeStruct((self.points,), jnp.result_type(float))
        once = jax.ShapeDtypeStruct((1,), jnp.int32)
        return once, once, number, number, jax.ShapeDtypeStruct((self.points,), jnp.int32)

    def __call__(self, nest: Nest, true, values):
        def compared(values):
            x, y, ok = self.step.outputs(nest, values)
            ok = ok & self.step.counts(nest) & (x == x) & (y == y)
            return x, jnp.where(ok, y, jnp.nan)

        # Read many times over, and so not to be fused into what reads it.
        x, y = apart(compared, values, true)
        results = jax.vmap(partial(self._undominated, true))(x, y)
        outer = self.step.outer(nest)
        return jax.tree.map(lambda part: part.reshape(*outer, -1), results)

    def _undominated(self, true, x, y):
        stays = (y == y) & ~(y <= _bar(x, *_ladder(x, y)))
        # Rows with a point that stays; of those, points that a finer table lets stay.
        width = _ROW if x.size % _ROW == 0 else 1
        rows, row_count = _positions(stays.reshape(-1, width).any(axis=-1), self.rows)
        x, y = apart(_rows, (x.reshape(-1, width), y.reshape(-1, width), rows), true)
        y = jnp.where(jnp.arange(self.rows)[:, None] < row_count, y, jnp.nan)
        place = (rows[:, None] * width + jnp.arange(width, dtype=jnp.int32)[None]).reshape(-1)
        x, y = x.reshape(-1), y.reshape(-1)
        stays = undominated(x, y, y == y, *dominance_table(x, y, y == y, _TABLE))
        chosen, count = _positions(stays, self.points)
        return row_count[None], count[None], x[chosen], y[chosen], place[chosen]


def _rows(given):
    x, y, rows = given
    return x[rows], y[rows]


def _ladder(x, y):
    """Rungs of `x`, and the highest `y` of the points at or below each (NaN if there are none)."""
    stride = _LADDER_LINES if x.shape[0] > 8 * _LADDER_LINES else 1
    x, y = x[::stride], y[::stride]
    ok = y == y
    high = jnp.where(ok, y, -jnp.inf)
    low_x = jnp.where(ok, x, jnp.inf).min()
    top_x = jnp.where(ok & (high == high.max()), x, jnp.inf).min()
    low, width = monotone_key(low_x), monotone_key(top_x) - monotone_key(low_x)
    # Evenly in the bits of a float: evenly in its logarithm, for most purposes.
    steps = jnp.arange(1, _RUNGS + 1, dtype=jnp.uint32)
    keys = low + jnp.where(steps == _RUNGS, width, (width // jnp.uint32(_RUNGS)) * steps)
    rungs = from_monotone_key(keys).astype(x.dtype)

    def line(i, best):
        return jnp.maximum(best, jnp.where(x[i][None] <= rungs[:, None], high[i][None], -jnp.inf))

    start = jnp.full((_RUNGS, x.shape[1]), -jnp.inf, y.dtype)
    best = lax.fori_loop(0, x.shape[0], line, start).max(axis=-1)
    return rungs, jnp.where(best > -jnp.inf, best, jnp.nan)


def _bar(x, rungs, best):
    """What is known to be reached before `x`: the best at or below the last rung under it."""
    bar = jnp.full(x.shape, jnp.nan, best.dtype)
    for i in range(_RUNGS):
        bar = jnp.where(x > rungs[i], best[i], bar)
    return bar


def _positions(flags, count: int):
    """Positions of the first `count` flags that are set, and how many are.

    Beyond those, some position. By counting in blocks, which is done in vectors: within a block
    by a product with a triangle of ones, then for each wanted flag the block, and the place in it.
    """
    block = 32 if flags.size <= 2048 else 64
    ones = jnp.pad(flags, (0, -flags.size % block)).reshape(-1, block).astype(jnp.float32)
    running = jnp.dot(ones, jnp.triu(jnp.ones((block, block), jnp.float32)))
    until = jnp.cumsum(running[:, -1].astype(jnp.int32))
    wanted = jnp.arange(count, dtype=jnp.int32)
    of = (until[None] <= wanted[:, None]).sum(axis=-1)
    of = jnp.minimum(of, running.shape[0] - 1).astype(jnp.int32)
    before = jnp.where(of > 0, until[jnp.maximum(of - 1, 0)], 0)
    place = (running[of] <= (wanted - before)[:, None]).sum(axis=-1).astype(jnp.int32)
    found = jnp.minimum(of * block + place, flags.size - 1)
    return found, until[-1]
