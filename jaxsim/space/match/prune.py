"""Which candidates, and which pairs of them, can be part of an optimum?"""

from dataclasses import dataclass, fields

import numpy as np

from jaxsim.space.match.records import Column, Index, Pool

_DENSE_SIZES = 1 << 16  # group by direct addressing up to this many GPUs an instance
_WORTH_FILTERING, _DENSE_STEPS = 2000, 1 << 22  # positions, and groups × steps of latency


@dataclass(frozen=True)
class Pairs:
    """Pairs of designs, one entry each (arrays of one shape).

    `i`, `j` index the pools; `r`, `s` are requests/s of an instance of prefill and decode, `g`, `h`
    their GPUs, `u`, `v` what they take of the cap, and `a`, `b` what they cost.
    """

    i: Column
    j: Column
    r: Column
    s: Column
    g: Column
    h: Column
    u: Column
    v: Column
    a: Column
    b: Column

    def take(self, index: Index) -> "Pairs":
        """The pairs at `index`."""
        return Pairs(*(getattr(self, f.name)[index] for f in fields(self)))

    def swapped(self) -> "Pairs":
        """The same pairs with prefill and decode exchanged."""
        return Pairs(self.j, self.i, self.s, self.r, self.h, self.g, self.v, self.u, self.b, self.a)

    def __len__(self):
        return len(self.i)


def near_the_best(
    latency_s: Column, value: Column, slack: float = 0.0, group: Column | None = None
) -> np.ndarray:
    """Positions whose value is at least (1 - `slack`) of the best at their latency or below.

    A filter before an exact sort. Latency is taken in steps of 2^(1/64), rounded so that no
    position is lost that the exact comparison keeps; a few per cent of a grid remain. With `group`
    (a small whole number for each position), only positions of one group are compared. Latencies
    are positive.
    """
    if len(value) < _WORTH_FILTERING:
        return np.arange(len(value))
    # The leading bits of a positive float ascend with it.
    step = np.asarray(latency_s, np.float32).view(np.int32) >> 17
    step = step - step.min()
    groups = 1 if group is None else int(group.max()) + 1
    top = np.full((groups, int(step.max()) + 2), -np.inf)
    if top.size > _DENSE_STEPS:
        return np.arange(len(value))
    own = np.zeros_like(step) if group is None else np.asarray(group)
    np.maximum.at(top, (own, step + 1), value)
    quicker = np.maximum.accumulate(top, axis=1)[own, step]
    return np.flatnonzero(value >= quicker * (1.0 - slack))


def usable(pool: Pool, latency_s: float) -> Column:
    """Indices of the candidates that are in time and serve at all."""
    rate = pool.requests_per_s
    return np.flatnonzero((pool.latency_s <= latency_s) & (rate > 0) & np.isfinite(rate))


def shape_keys(pool: Pool, index: Column) -> tuple[Column, int]:
    """A small whole number per candidate, equal when size, confinement and weight are."""
    size = pool.gpus[index]
    plain = pool.confined_gpus is None and not np.ndim(pool.weight)
    if plain and size.size and size.max() < _DENSE_SIZES:
        key = size.astype(np.intp)
        if (key == size).all():
            return key, int(key.max()) + 1
    columns = [size, pool.confined_of(index), pool.weight_of(index)]
    key = np.zeros(size.shape, dtype=np.int64)
    for column in columns:  # one by one: many times faster than rows at once
        if np.ndim(column):
            values, place = np.unique(column, return_inverse=True)
            key = key * len(values) + place.ravel()
    _, key = np.unique(key, return_inverse=True)
    return key.ravel(), int(key.max(initial=-1)) + 1


def collapse(pool: Pool, index: Column, keep: int = 2) -> tuple[Column, Column]:
    """The `keep` fastest of `index` for each shape of instance, and whether each is the fastest.

    A plan never gets worse when a design is replaced by a faster one of the same GPUs,
    confinement and weight, so an optimum exists among the fastest; and the best plan of any
    *other* pair of designs exists among the two fastest. Equal rates: lowest latency, then first.
    """
    if not index.size:
        return index, np.zeros(0, dtype=bool)
    key, count = shape_keys(pool, index)
    rate = pool.requests_per_s[index].copy()
    kept = []
    for _ in range(keep):
        best = np.zeros(count)
        np.maximum.at(best, key, rate)
        top = np.flatnonzero((rate == best[key]) & (rate > 0))
        if top.size > 1:
            top = top[np.lexsort((index[top], pool.latency_s[index[top]], key[top]))]
            shape = key[top]
            top = top[np.concatenate(([True], shape[1:] > shape[:-1]))]
        kept.append(top)
        rate[top] = 0.0
    return index[np.concatenate(kept)], np.repeat(
        [True, False], [len(kept[0]), sum(map(len, kept[1:]))]
    )


def pairs_of(
    prefill: Pool,
    decode: Pool,
    i: Column,
    j: Column,
    *,
    by_cost: bool = False,
    free_weight: float = 0.0,
) -> Pairs:
    """Every pair of prefill candidate of `i` and decode candidate of `j`.

    The cap counts GPUs, or GPUs × weight with `by_cost`; the cost of an instance is
    GPUs × (weight − `free_weight`), the second part being paid already.
    """
    i, j = np.repeat(i, len(j)), np.tile(j, len(i))
    g, h = prefill.gpus[i], decode.gpus[j]
    wp, wd = prefill.weight_of(i), decode.weight_of(j)
    u, v = (g * wp, h * wd) if by_cost else (g, h)
    r, s = prefill.requests_per_s[i], decode.requests_per_s[j]
    return Pairs(i, j, r, s, g, h, u, v, g * (wp - free_weight), h * (wd - free_weight))
