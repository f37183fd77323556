"""Which points of one step of the grid may be on the frontier?

A coarse-to-fine filter. Dominators are the designs on the frontier of the step before, with their
values in this step. They discard nearly all points; a finer table discards most others. A point is
discarded only if it is dominated, so the result is exact for any dominators.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.space.grid.nest import Nest, unfused
from jaxsim.space.grid.pareto import dominance_table, undominated
from jaxsim.space.grid.step import Step
from jaxsim.space.program.inputs import Held

# Points are discarded one by one, and kept in rows of a vector.
ROW = 16
# Dominators that all points are compared with, and buckets of the finer table for the survivors.
_RUNGS = 16
_TABLE = 1 << 10
# How often to look for better dominators while too many rows survive.
_TRIES = 4
# Up to so many points are compared with one another.
_PAIRS = 1 << 10


class Kept(NamedTuple):
    """The survivors of a step.

    `rows` and `points` count survivors, `count` those in the result; `x`, `y` and `place` (the
    position in the step) are the result's.
    """

    rows: jax.Array
    points: jax.Array
    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]  (of tuples)
    x: jax.Array
    y: jax.Array
    place: jax.Array


@dataclass(frozen=True)
class Undominated:
    """A reducer: up to `points` points, from up to `rows` rows, that may be on a step's frontier.

    Up to 1,024 `points` the result is the step's frontier in order of `x`; of equal points the
    first, or with `duplicates` all. If more rows or points survive than fit, the result is a part
    of the frontier, and the counts say so.
    """

    rows: int
    points: int
    duplicates: bool
    in_turn: bool
    step: Step

    @property
    def exact(self) -> bool:
        """Whether the result of a step is its frontier, and in order."""
        return self.points <= _PAIRS

    def like(self) -> Kept:
        number = jax.ShapeDtypeStruct((self.points,), jnp.result_type(float))
        once = jax.ShapeDtypeStruct((1,), jnp.int32)
        place = jax.ShapeDtypeStruct((self.points,), jnp.int32)
        build = cast(Callable[..., Kept], Kept)  # shapes and types in place of arrays
        return build(once, once, once, number, number, place)

    def start(self, nest: Nest):
        """The first dominators, for each of the loops' positions in a step: a sample."""
        lanes = math.prod(self.step.outer(nest))
        places = jnp.broadcast_to(self._sample(nest), (lanes, self.points))
        return places, jnp.full((lanes,), self.points)

    def _sample(self, nest: Nest):
        size = math.prod(nest.lengths[d] for d in nest.inner)
        places = jnp.arange(self.points, dtype=jnp.int32) * max(size // self.points, 1)
        return jnp.minimum(places, size - 1)

    def __call__(
        self,
        nest: Nest,
        true: Held,
        values: dict[int, Held],
        good: tuple[jax.Array, ...],
    ) -> tuple[Kept, tuple[jax.Array, ...]]:
        def compared(values: dict[int, Held]):
            x, y, ok = self.step.outputs(nest, values)
            ok = ok & self.step.counts(nest) & (x == x) & (y == y)
            return x, jnp.where(ok, y, jnp.nan)

        # Read many times over, and so not to be fused into what reads it.
        x, y = unfused(nest, compared, values, true)
        given = (x.reshape(x.shape[0], -1), y.reshape(y.shape[0], -1), *good)
        one = partial(self.step_of, sample=self._sample(nest))
        if self.in_turn:
            results, good = lax.map(lambda given: one(*given), given)
        else:
            results, good = jax.vmap(one)(*given)
        outer = self.step.outer(nest)
        return jax.tree.map(lambda part: part.reshape(*outer, -1), results), good

    def step_of(
        self, x: jax.Array, y: jax.Array, places: jax.Array, count: jax.Array, sample: jax.Array
    ) -> tuple[Kept, tuple[jax.Array, ...]]:
        """The results for one position of the loops, and the dominators for the next step."""

        def improved(tried: tuple[jax.Array | int, Kept, tuple[jax.Array, ...]]):
            tries, _, (places, count) = tried
            survivors = self._kept(x, y, places, count)
            some = survivors.count[0]
            places = jnp.where(some > 0, survivors.place, sample)
            return tries + 1, survivors, (places, jnp.where(some > 0, some, self.points))

        def poor(tried: tuple[jax.Array | int, Kept, tuple[jax.Array, ...]]):
            tries, survivors, _ = tried
            return (tries == 0) | ((survivors.rows[0] > self.rows) & (tries < _TRIES))

        nothing = jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), self.like())
        tried = (0, nothing, (places, count))
        if self.in_turn:
            _, survivors, good = lax.while_loop(poor, improved, tried)
            return survivors, good
        # The host would wait for each condition: look for better designs once, whatever stays.
        _, _, good = improved(tried)
        _, survivors, good = improved((1, nothing, good))
        return survivors, good

    def _kept(self, x: jax.Array, y: jax.Array, places: jax.Array, count: jax.Array):
        stays = (y == y) & ~(y <= _bar(x, *_rungs(x, y, places, count)))
        width = ROW if x.size % ROW == 0 else 1
        rows, row_count = positions(stays.reshape(-1, width).any(axis=-1), self.rows)
        rows_of = _rows_in_turn if self.in_turn else _rows_at_once
        some_x, some_y = rows_of(x, y, rows, row_count, width)
        ok = some_y == some_y
        stays = undominated(some_x, some_y, ok, *dominance_table(some_x, some_y, ok, _TABLE))
        chosen, count = positions(stays, self.points)
        here = jnp.arange(self.points) < count
        x, y = some_x[chosen], jnp.where(here, some_y[chosen], jnp.nan)
        place = rows[chosen // width] * width + chosen % width
        if self.exact:
            order, kept = _front(x, y, self.duplicates)
            x, y, place = x[order], y[order], place[order]
        else:
            kept = jnp.minimum(count, self.points)
        return Kept(row_count[None], count[None], kept[None], x, y, place)


def _rungs(x: jax.Array, y: jax.Array, places: jax.Array, count: jax.Array):
    """`x` of a few dominators, rising, and the highest `y` at or below each (NaN: none)."""
    good_x, good_y = x[places], y[places]
    good_y = jnp.where((good_y == good_y) & (jnp.arange(places.size) < count), good_y, -jnp.inf)
    good_x = jnp.where(good_y > -jnp.inf, good_x, jnp.inf)
    steps = jnp.arange(1, _RUNGS + 1)
    rungs = jnp.sort(good_x[(steps * (count - 1)) // _RUNGS])
    best = jnp.where(good_x[None] <= rungs[:, None], good_y[None], -jnp.inf).max(axis=-1)
    return rungs, jnp.where(best > -jnp.inf, best, jnp.nan)


def _bar(x: jax.Array, rungs: jax.Array, best: jax.Array):
    """The highest `y` of a dominator below each `x`; a point with no more is dominated."""
    bar = jnp.full(x.shape, jnp.nan, best.dtype)
    for i in range(_RUNGS):
        bar = jnp.where(x > rungs[i], best[i], bar)
    return bar


def _rows_at_once(
    x: jax.Array, y: jax.Array, rows: jax.Array, count: jax.Array, width: int
) -> tuple[jax.Array, jax.Array]:
    """The points of the first `count` of some rows, `y` NaN beyond: one gather of all rows."""
    there = (jnp.arange(rows.size) < count)[:, None]

    def some(whole: jax.Array):
        return jnp.where(there, whole.reshape(-1, width)[rows], jnp.nan).reshape(-1)

    return some(x), some(y)


def _rows_in_turn(
    x: jax.Array, y: jax.Array, rows: jax.Array, count: jax.Array, width: int
) -> tuple[jax.Array, jax.Array]:
    """The same, row by row, and only those that there are: faster on one core."""

    def copied(i: jax.Array, some: tuple[jax.Array, jax.Array]):
        def row(whole: jax.Array, part: jax.Array):
            one = lax.dynamic_slice_in_dim(whole, rows[i] * width, width)
            return lax.dynamic_update_slice_in_dim(part, one, i * width, 0)

        return row(x, some[0]), row(y, some[1])

    blank = jnp.full(rows.size * width, jnp.nan, x.dtype)
    return lax.fori_loop(0, jnp.minimum(count, rows.size), copied, (blank, blank))


def _front(x: jax.Array, y: jax.Array, duplicates: bool):
    """Positions of the points that no other beats, in order of `x`, and how many there are.

    A NaN in `y` excludes a point. Every point is compared with every other: for a few hundred,
    that is faster than sorting them.
    """
    place = jnp.arange(x.size, dtype=jnp.int32)
    as_good = (x[:, None] <= x[None]) & (y[:, None] >= y[None])
    better = (x[:, None] < x[None]) | (y[:, None] > y[None])
    if not duplicates:
        better = better | (place[:, None] < place[None])
    stands = (y == y) & ~(as_good & better).any(axis=0)
    before = (x[:, None] < x[None]) | ((x[:, None] == x[None]) & (place[:, None] < place[None]))
    rank = (stands[:, None] & before).sum(axis=0)
    order = jnp.zeros(x.size, jnp.int32).at[jnp.where(stands, rank, x.size)].set(place, mode="drop")
    return order, stands.sum(dtype=jnp.int32)


def positions(flags: jax.Array, count: int):
    """Positions of `count` flags that are set, in order, and how many are set.

    If more are, a sample of them; beyond those that are, some position. By counting in blocks,
    which is done in vectors: within a block by a product with a triangle of ones, then for each
    wanted flag the block, and the place in it.
    """
    block = 32 if flags.size <= 2048 else 64
    ones = jnp.pad(flags, (0, -flags.size % block)).reshape(-1, block).astype(jnp.float32)
    running = jnp.dot(ones, jnp.triu(jnp.ones((block, block), jnp.float32)))
    until = jnp.cumsum(running[:, -1].astype(jnp.int32))
    wanted = jnp.arange(count, dtype=jnp.int32)
    spacing = jnp.maximum(until[-1].astype(jnp.float32) / count, 1.0)
    wanted = jnp.floor(wanted.astype(jnp.float32) * spacing).astype(jnp.int32)
    of = (until[None] <= wanted[:, None]).sum(axis=-1)
    of = jnp.minimum(of, running.shape[0] - 1).astype(jnp.int32)
    before = jnp.where(of > 0, until[jnp.maximum(of - 1, 0)], 0)
    place = (running[of] <= (wanted - before)[:, None]).sum(axis=-1).astype(jnp.int32)
    set_at = jnp.minimum(of * block + place, flags.size - 1)
    return set_at, until[-1]
