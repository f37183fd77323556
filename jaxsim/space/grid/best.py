"""What is the best design of every workload, in a grid that is too large for memory?

The grid is evaluated block by block, and of each block only the best few designs are kept.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Required, TypedDict, Unpack, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsim._record import Record, static
from jaxsim._scalar import Flag, Scalar
from jaxsim.space.grid.blocks import Block, Grid
from jaxsim.space.grid.nest import Nest
from jaxsim.space.grid.step import Step
from jaxsim.space.program.inputs import Axis, Device, Entries, Held

# A number of a point function's outputs: a path of names such as "ifb.ttl_s", or a function of
# them. The same path, or the same function object, is traced once.
Reading = str | Callable[..., object]


class Best(Record):
    """The best designs of every group: one leading dimension per group axis, then the rank.

    `index[name]` are positions on each reduced axis. Where fewer designs were valid than requested,
    `value` is NaN and `found` false. `points` is how many grid points were covered.
    """

    value: Entries
    found: Entries
    index: dict[str, Entries]
    points: int = static()


def read(outputs: object, reading: Reading) -> Scalar | Flag:
    """One number of a point function's outputs."""
    if callable(reading):
        return cast(Scalar, reading(outputs))
    for name in reading.split("."):
        outputs = outputs[name] if isinstance(outputs, Mapping) else getattr(outputs, name)
    return cast(Scalar, outputs)


@dataclass(frozen=True)
class Objective:
    """The point function reduced to two numbers: the objective, higher is better, and validity."""

    fn: Callable[..., object]
    objective: Reading
    valid: Reading | None
    sign: float

    def __call__(self, point: object):
        outputs = self.fn(point)
        ok = True if self.valid is None else read(outputs, self.valid)
        value = jnp.asarray(read(outputs, self.objective), dtype=jnp.result_type(float))
        return value if self.sign == 1.0 else self.sign * value, jnp.asarray(ok)


def objective_of(
    fn: Callable[..., object], objective: Reading, valid: Reading | None, maximise: bool
) -> Objective:
    """The function of a point that a search maximises: (objective, whether it counts)."""
    return Objective(fn, objective, valid, 1.0 if maximise else -1.0)


def stream_best(
    fn: Callable[..., object],
    point: object,
    axes: Sequence[Axis],
    group_axes: Sequence[str] = (),
    *,
    objective: Reading,
    valid: Reading | None = None,
    maximise: bool = True,
    count: int = 1,
    step_points: int | None = None,
    block_points: int | None = None,
    devices: Sequence[Device] | None = None,
) -> Best:
    """The `count` best designs of every combination of `group_axes`, over all other axes.

    A design whose objective is NaN counts as not valid. Of equal designs the one first in the order
    of `axes` wins. Memory is bounded by `block_points`, not by the grid. Put a long axis last: the
    last is evaluated in vectors.
    """
    wanted = objective_of(fn, objective, valid, maximise)
    grid = Grid.of(wanted, point, axes, group_axes, step_points, block_points, devices)
    groups = math.prod(grid.real_lengths[d] for d in grid.groups)
    value = np.full((groups, count), -math.inf)
    where = np.zeros((groups, count), dtype=np.int64)
    keep = BestOfBlock(min(count, grid.inner_points), grid.step, grid.in_turn)
    # Of designs that differ only on axes that nothing depends on, one best is the first.
    repeated = count > 1 and math.prod(grid.repeats) > 1
    alone = grid.whole_groups and not repeated
    for here, block_value, block_where in grid.gather(keep, _collect):
        if alone:  # no other block has designs of these groups
            some = block_value.shape[1]
            value[here, :some], where[here, :some] = block_value, block_where
            continue
        if repeated:
            block_where = grid.positions.repeated(block_where)
            block_value = np.repeat(block_value, block_where.shape[-1], axis=-1)
        value[here], where[here] = _merge(
            np.concatenate([value[here], block_value], axis=1),
            np.concatenate([where[here], block_where.reshape(block_value.shape)], axis=1),
            count,
        )
    shape = tuple(grid.real_lengths[d] for d in grid.groups) + ((count,) if count > 1 else ())
    value, where = value.reshape(shape), where.reshape(shape)
    exists = np.asarray(value > -math.inf)
    value = np.where(exists, wanted.sign * value, np.nan).astype(jnp.result_type(float))
    return Best(value, exists, grid.positions.index_of(where, repeated=repeated), grid.points)


class BestOptions(TypedDict, total=False):
    """What `stream_best` may be told beside the groups."""

    objective: Required[Reading]
    valid: Reading | None
    maximise: bool
    step_points: int | None
    block_points: int | None
    devices: Sequence[Device] | None


def stream_topk(
    fn: Callable[..., object],
    point: object,
    axes: Sequence[Axis],
    group_axes: Sequence[str] = (),
    *,
    count: int,
    **options: Unpack[BestOptions],
) -> Best:
    """The `count` best designs of every group, best first: `stream_best` with a rank dimension."""
    best = stream_best(fn, point, axes, group_axes, count=count, **options)
    return ranked(best, len(group_axes))


def ranked(best: Best, groups: int) -> Best:
    """The same with a rank dimension after those of the groups, also where `count` was 1."""
    if best.value.ndim > groups:
        return best
    index = {name: where[..., None] for name, where in best.index.items()}
    return Best(best.value[..., None], best.found[..., None], index, best.points)


def _collect(block: Block, results: Sequence[np.ndarray]):
    """The best of a block for each of its groups: reduces the looped axes that are not groups."""
    value, where = results
    where = block.flat_positions(where)
    groups = block.groups()
    value, where = value.reshape(groups.size, -1), where.reshape(groups.size, -1)
    count = results[0].shape[-1]
    return groups, *_merge(value, where, count if value.shape[1] > count else value.shape[1])


def _merge(value: np.ndarray, where: np.ndarray, count: int):
    """The `count` best of each row; of equal values the first design; empty places come last."""
    if value.shape[1] == 1:
        return value, np.where(value > -math.inf, where, 0)
    where = np.where(value > -math.inf, where, np.iinfo(np.int64).max)
    order = np.lexsort((where, -value), axis=-1)[:, :count]
    value = np.take_along_axis(value, order, -1)
    return value, np.where(value > -math.inf, np.take_along_axis(where, order, -1), 0)


@dataclass(frozen=True)
class BestOfBlock:
    """Keeps the `count` best of a step's inner axes, and where they are.

    `in_turn` is set where one core evaluates a step, in vectors.
    """

    count: int
    step: Step
    in_turn: bool

    def like(self):
        number = jax.ShapeDtypeStruct((self.count,), jnp.result_type(float))
        return number, jax.ShapeDtypeStruct((self.count,), jnp.int32)

    def start(self, nest: Nest):
        return ()

    def __call__(
        self,
        nest: Nest,
        true: Held,
        values: dict[int, Held],
        state: tuple[jax.Array, ...],
    ):
        value, ok = self.step.outputs(nest, values)
        # NaN compares false, and is so excluded as well.
        ok = ok & self.step.counts(nest) & (value > -jnp.inf)
        value = jnp.where(ok, value, -jnp.inf)
        if self.count == 1:
            best, where = _first(value) if self.in_turn else _first_at_once(value)
        else:
            best, where = _several(value, self.count)
        shape = (*self.step.outer(nest), self.count)
        return (best.reshape(shape), where.reshape(shape)), state


def _first(value: jax.Array):
    """The highest of each row of lines, and its first position.

    By minima and maxima only, which are evaluated in vectors: the line's highest, then the line,
    then the place in it. A direct `argmax` takes ten times as long.
    """
    width = value.shape[2]
    highest = value.max(axis=-1)
    line = _argmax(highest)
    row = jnp.take_along_axis(value, line[:, None, None], axis=1)[:, 0]
    return row.max(axis=-1)[:, None], (line * width + _argmax(row))[:, None]


def _first_at_once(value: jax.Array):
    """The same by one reduction over pairs of value and place, which reads the values once."""
    rows = value.reshape(value.shape[0], -1)
    place = lax.broadcasted_iota(jnp.int32, rows.shape, 1)

    def better(one: tuple[jax.Array, jax.Array], other: tuple[jax.Array, jax.Array]):
        (a, i), (b, j) = one, other
        second = (b > a) | ((b == a) & (j < i))
        return jnp.where(second, b, a), jnp.where(second, j, i)

    start = jnp.asarray(-jnp.inf, rows.dtype), jnp.asarray(rows.shape[1] - 1, jnp.int32)
    highest, first = lax.reduce((rows, place), start, better, (1,))
    return highest[:, None], first[:, None]


def _argmax(rows: jax.Array):
    place = lax.broadcasted_iota(jnp.int32, rows.shape, 1)
    first = jnp.where(rows == rows.max(axis=-1, keepdims=True), place, rows.shape[1])
    return jnp.minimum(first.min(axis=-1), rows.shape[1] - 1)


def _several(value: jax.Array, count: int):
    """The highest of each row of lines: they are all in the `count` lines with the highest."""
    groups, lines, width = value.shape
    some = min(count, lines)
    # In order of position, so that of equals the first is kept.
    chosen = jnp.sort(lax.top_k(value.max(axis=-1), some)[1], axis=-1)
    rows = jnp.take_along_axis(value, chosen[:, :, None], axis=1).reshape(groups, -1)
    best, where = lax.top_k(rows, count)
    line = jnp.take_along_axis(chosen, where // width, axis=-1)
    return best, (line * width + where % width).astype(jnp.int32)
