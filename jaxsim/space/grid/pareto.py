"""Which points are on the frontier?

A point is on the frontier if no other is at least as good in both and better in one: `x` is
minimised (a latency, a cost) and `y` maximised (a rate). Negate either for the other sense.
"""

import math
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import ArrayLike

# A table of this many buckets stays in a core's cache, so that one pass over all points is fast;
# the second one resolves more finely than survivors lie apart.
_BUCKETS = 1 << 14
_FINE_BUCKETS = 1 << 20
SAMPLE = 1 << 15
SORT_AT_ONCE = 1 << 15
SORT_ON_HOST = 1 << 17


if TYPE_CHECKING:
    Array: TypeAlias = jax.Array
else:  # or NumPy's, where there are few points
    Array = jax.Array | np.ndarray | np.generic


def pareto_front(
    x: ArrayLike, y: ArrayLike, valid: ArrayLike | None = None, *, duplicates: bool = True
) -> np.ndarray:
    """Positions of the frontier's points in the flattened arrays, in order of `x`.

    Exact: of two equal points both are kept (the first only, without `duplicates`); infinities are
    ordinary values; a NaN in either, or a false `valid`, excludes a point. Equal points come in
    order of position.

    A sample's frontier, tabulated over buckets of `x` that are monotone in it, discards nearly all
    points in one pass; the survivors are sorted. Only points dominated by a real point in a lower
    bucket are discarded, so nothing is lost, whatever the sample.

    >>> pareto_front([1.0, 2.0, 3.0], [5.0, 4.0, 6.0]).tolist()
    [0, 2]
    """
    x, y, ok = _prepared(x, y, valid)
    rows = np.arange(x.size) if x.size <= SORT_AT_ONCE else _survivors(x, y, ok)
    if rows.size > SORT_ON_HOST:
        kept, order = _sorted_front(x, y, ok, _padded(rows), rows.size, duplicates)
        return np.asarray(order)[np.asarray(kept)].astype(np.int64)
    if 0 < rows.size < x.size:
        some = _padded(rows)
        x, y, ok = x[some], y[some], ok[some]
    some_x, some_y, counts = (np.asarray(a)[: rows.size] for a in (x, y, ok))
    counts = counts & ~np.isnan(some_x) & ~np.isnan(some_y)
    rows, some_x, some_y = rows[counts], some_x[counts], some_y[counts]
    group = np.zeros(rows.size, np.int64)
    return rows[fronts_of_groups(group, some_x, some_y, rows, duplicates=duplicates)]


def pareto_mask(
    x: ArrayLike, y: ArrayLike, valid: ArrayLike | None = None, *, duplicates: bool = True
) -> np.ndarray:
    """Whether each point is on the frontier, in the shape of the arrays; as `pareto_front`."""
    shape = np.broadcast_shapes(np.shape(x), np.shape(y))
    mask = np.zeros(int(np.prod(shape)), dtype=bool)
    mask[pareto_front(x, y, valid, duplicates=duplicates)] = True
    return mask.reshape(shape)


def _prepared(x: ArrayLike, y: ArrayLike, valid: ArrayLike | None):
    """The three as flat arrays of one length: NumPy's if they are short, else on the device."""
    shape = np.broadcast_shapes(np.shape(x), np.shape(y))
    xp = np if math.prod(shape) <= SORT_AT_ONCE else jnp
    x, y, ok = xp.asarray(x), xp.asarray(y), xp.asarray(True if valid is None else valid)
    if ok.shape not in ((), shape):
        raise ValueError(
            f"valid has shape {ok.shape}, x and y together {shape}: give one flag for every point"
        )
    if not all(jnp.issubdtype(a.dtype, jnp.floating) for a in (x, y)):
        x, y = (a.astype(jnp.result_type(float)) for a in (x, y))
    x, y, ok = (cast("Array", xp.broadcast_to(a, shape).reshape(-1)) for a in (x, y, ok))
    return x, y, ok


def _padded(rows: np.ndarray) -> np.ndarray:
    """Rows padded to a power of two, so that few lengths are ever compiled."""
    length = 1 << max(int(rows.size - 1).bit_length(), 10)
    return np.pad(rows, (0, length - rows.size)).astype(
        np.int64 if rows.max() >= 2**31 else np.int32
    )


def _survivors(x: Array, y: Array, ok: Array) -> np.ndarray:
    """Rows that no point of a sample's frontier dominates from a lower bucket."""
    stride = max(x.size // SAMPLE, 1)
    table = dominance_table(x[::stride], y[::stride], ok[::stride], _BUCKETS)
    rows = np.flatnonzero(np.asarray(undominated(x, y, ok, *table)))
    if rows.size > SAMPLE:
        some = _padded(rows)
        x, y, ok = x[some], y[some], ok[some]
        table = dominance_table(x, y, ok, _FINE_BUCKETS)
        rows = rows[np.asarray(undominated(x, y, ok, *table))[: rows.size]]
    return rows


def monotone_key(x: Array):
    """An unsigned integer that orders like `x`: `x < z` if, not only if, its key is lower."""
    bits = lax.bitcast_convert_type(x.astype(jnp.float32) + 0.0, jnp.uint32)
    negative = bits >= jnp.uint32(1 << 31)
    return jnp.where(negative, ~bits, bits | jnp.uint32(1 << 31))


def _bucket(key: Array, low: jax.Array, shift: jax.Array, buckets: int):
    """The bucket of each key: below them all the first, above them the last."""
    distance = jnp.where(key < low, jnp.uint32(0), key - low) >> shift
    return jnp.minimum(distance, jnp.uint32(buckets - 1)).astype(jnp.int32)


@partial(jax.jit, static_argnums=3)
def dominance_table(x: Array, y: Array, ok: Array, buckets: int) -> tuple[Array, Array, Array]:
    """Highest `y` of the points below each bucket of `x` (NaN: none), and where buckets begin."""
    ok = ok & (x == x) & (y == y)
    key = monotone_key(x)
    top = jnp.uint32(0xFFFFFFFF)
    low = jnp.min(jnp.where(ok, key, top))
    high = jnp.max(jnp.where(ok, key, low))
    bits = 32 - lax.clz(high - low).astype(jnp.int32)
    shift = jnp.maximum(bits - (buckets.bit_length() - 1), 0).astype(jnp.uint32)
    bucket = _bucket(key, low, shift, buckets)
    none = jnp.full(buckets, -jnp.inf, y.dtype)
    best = none.at[bucket].max(jnp.where(ok, y, -jnp.inf), mode="promise_in_bounds")
    below = jnp.concatenate([jnp.full(1, -jnp.inf, y.dtype), lax.cummax(best)[:-1]])
    # What is reached by points at minus infinity alone discards nothing that matters.
    return jnp.where(below > -jnp.inf, below, jnp.nan), low, shift


@jax.jit
def undominated(x: Array, y: Array, ok: Array, table: jax.Array, low: jax.Array, shift: jax.Array):
    """Whether each point is not dominated, by the table."""
    key = monotone_key(x)
    # Below the sample nothing is known to dominate; above its last bucket, everything in it may.
    bucket = _bucket(key, low, shift, table.size)
    beaten = y <= table.at[bucket].get(mode="promise_in_bounds")
    return ok & (x == x) & (y == y) & ~beaten


@jax.jit
def _sorted_front(
    x: Array, y: Array, ok: Array, rows: Array, count: Array | int, duplicates: Array | bool
) -> tuple[Array, Array]:
    """Which of the sorted rows are on the frontier, and the rows in that order."""
    x, y, ok = x[rows], y[rows], ok[rows]
    ok = ok & (x == x) & (y == y) & (jnp.arange(rows.size) < count)
    # Excluded rows sort last: `rank` is the first key.
    rank, x, down, rows = lax.sort((~ok, x, -y, rows), num_keys=4)
    y, ok = -down, ~rank
    first = jnp.arange(rows.size) == 0
    before = jnp.concatenate([jnp.full(1, -jnp.inf, y.dtype), lax.cummax(y)[:-1]])
    better = first | (y > before)
    repeat = ~first & (x == jnp.roll(x, 1)) & (y == jnp.roll(y, 1))
    head = lax.cummax(jnp.where(repeat, 0, jnp.arange(rows.size)))
    return ok & (better | (duplicates & repeat & better[head])), rows


def fronts_of_groups(
    group: np.ndarray, x: np.ndarray, y: np.ndarray, place: np.ndarray, *, duplicates: bool = False
) -> np.ndarray:
    """Which of the points are on the frontier of their group, in order of group, `x` and place.

    On the host, for the few points that a stream could not discard; none may be NaN.
    """
    order = np.lexsort((place, -y, x, group))
    group, x, y = group[order], x[order], y[order]
    # Ranks of `y`, raised from group to group, so that no group is beaten by the one before.
    rank = np.unique(y, return_inverse=True)[1].astype(np.int64)
    rank = rank + group.astype(np.int64) * (rank.max(initial=0) + 1)
    before = np.concatenate([[-1], np.maximum.accumulate(rank)[:-1]]) if rank.size else rank
    better = rank > before
    if duplicates:
        repeat = np.zeros(rank.size, bool)
        repeat[1:] = (rank[1:] == rank[:-1]) & (x[1:] == x[:-1])
        head = np.maximum.accumulate(np.where(repeat, 0, np.arange(rank.size)))
        better |= repeat & better[head]
    return order[better]
