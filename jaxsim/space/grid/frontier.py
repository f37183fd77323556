"""What is the frontier of every workload, in a grid that is too large for memory?

Each step of the grid discards points that others dominate. The host merges the parts of a
workload's frontier from several steps and blocks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsim._record import Record, static
from jaxsim.space.grid.best import Reading, read
from jaxsim.space.grid.block_size import platform_of
from jaxsim.space.grid.blocks import Block, Grid
from jaxsim.space.grid.frontier_step import ROW, Kept, Undominated
from jaxsim.space.grid.pareto import fronts_of_groups
from jaxsim.space.program.inputs import Axis, Device, Entries

# A step is read several times; on a CPU, one of several workloads must stay in the cache.
_STRIDES = {"cpu": 1 << 14}


class Frontiers(Record):
    """The frontiers of every group, one after another, each in order of `x`.

    Points `starts[i]` to `starts[i + 1]` belong to the group at flat position i of `shape`, the
    lengths of the group axes. `index[name]` are positions on each reduced axis.
    """

    x: Entries
    y: Entries
    index: dict[str, Entries]
    starts: Entries
    shape: tuple[int, ...] = static()
    points: int = static()

    def of(self, *group: int) -> slice:
        """Where the frontier of one group is."""
        i = int(np.ravel_multi_index(group, self.shape)) if self.shape else 0
        return slice(int(self.starts[i]), int(self.starts[i + 1]))


@dataclass(frozen=True)
class Pair:
    """The point function reduced to what a frontier compares: x, y and validity."""

    fn: Callable[..., object]
    x: Reading
    y: Reading
    valid: Reading | None

    def __call__(self, point: object):
        outputs = self.fn(point)
        ok = True if self.valid is None else read(outputs, self.valid)
        pair = (read(outputs, reading) for reading in (self.x, self.y))
        return (*(jnp.asarray(v, dtype=jnp.result_type(float)) for v in pair), jnp.asarray(ok))


def stream_frontier(
    fn: Callable[..., object],
    point: object,
    axes: Sequence[Axis],
    group_axes: Sequence[str] = (),
    *,
    x: Reading,
    y: Reading,
    valid: Reading | None = None,
    duplicates: bool = False,
    step_points: int | None = None,
    block_points: int | None = None,
    devices: Sequence[Device] | None = None,
) -> Frontiers:
    """The designs of every group that no other beats in both `x`, minimised, and `y`, maximised.

    Exact. Of designs equal in both the first in the order of `axes` is kept, or all of them with
    `duplicates`. A NaN in either counts as not valid.
    """
    wanted = Pair(fn, x, y, valid)
    strides = step_points or _STRIDES.get(platform_of(devices))
    grid = Grid.of(wanted, point, axes, group_axes, step_points, block_points, devices, strides)
    rows, points = first_counts(grid.step_size)
    keep = Undominated(rows, points, duplicates, grid.in_turn, grid.step)
    parts, jobs = {}, list(range(grid.block_count))
    # The first blocks show how many points of a step survive. Where more do, because a frontier is
    # longer or has many ties, blocks run again with larger buffers.
    while jobs:
        now = jobs[: grid.in_flight] if not parts else jobs
        collect = partial(_collect, keep)
        done = dict(zip(now, grid.gather(keep, collect, now), strict=True))
        rows, points = (max(getattr(part, name) for part in done.values()) for name in _COUNTS)
        fits = {i: p for i, p in done.items() if p.rows <= keep.rows and p.points <= keep.points}
        parts.update(fits)
        jobs = [i for i in jobs if i not in fits]
        keep = replace(keep, rows=_enough(rows, keep.rows), points=_enough(points, keep.points))
    return _joined(grid, [parts[i] for i in sorted(parts)], duplicates)


def _joined(grid: Grid, parts: "list[_Part]", duplicates: bool) -> Frontiers:
    """The frontiers of all groups from those of the blocks' parts of them."""
    group, x, y, flat = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("group", "x", "y", "where")
    )
    if grid.whole_groups:
        order = np.argsort(group, kind="stable")
    else:
        order = fronts_of_groups(group, x, y, flat, duplicates=duplicates)
    group, x, y, flat = group[order], x[order], y[order], flat[order]
    if duplicates and math.prod(grid.repeats) > 1:
        flat = grid.positions.repeated(flat)
        copies = np.repeat(np.arange(group.size), flat.shape[-1])
        group, x, y, flat = group[copies], x[copies], y[copies], flat.reshape(-1)
        order = np.lexsort((flat, x, group))
        group, x, y = group[order], x[order], y[order]
        index = grid.positions.index_of(flat[order], repeated=True)
    else:
        index = grid.positions.index_of(flat)
    shape = tuple(grid.real_lengths[d] for d in grid.groups)
    starts = np.append(0, np.cumsum(np.bincount(group, minlength=math.prod(shape))))
    return Frontiers(x, y, index, starts, shape, grid.points)


def first_counts(size: int) -> tuple[int, int]:
    """Rows and points to keep of a step of this many points, on a first try."""
    return min(max(size // 10 // ROW, 64), 4096), 128


def _enough(needed: int, had: int) -> int:
    """A buffer length: a quarter more than needed, rounded to 64 so that other grids share it."""
    return had if needed <= had else -(-needed * 5 // 4 // 64) * 64


class _Part(NamedTuple):
    """The frontiers of one block's groups; the most rows and points that survived in one step."""

    group: np.ndarray
    x: np.ndarray
    y: np.ndarray
    where: np.ndarray
    rows: int
    points: int


_COUNTS = ("rows", "points")


def _collect(keep: Undominated, block: Block, results: Kept) -> _Part:
    """The frontier of each of a block's groups."""
    rows, points, count, x, y, where = map(np.asarray, results)
    kept = np.flatnonzero(np.arange(x.shape[-1]) < count)
    groups = block.groups()
    group = groups[kept // (x.size // groups.size)]
    where, x, y = block.flat_positions(where, kept), x.reshape(-1)[kept], y.reshape(-1)[kept]
    if not keep.exact or count.size > groups.size:
        order = fronts_of_groups(group, x, y, where, duplicates=keep.duplicates)
        group, x, y, where = group[order], x[order], y[order], where[order]
    return _Part(group, x, y, where, int(rows.max(initial=0)), int(points.max(initial=0)))
