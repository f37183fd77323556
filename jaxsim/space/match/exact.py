"""Which counts are best for a pair of designs, exactly?

For n prefill and m decode instances of one pair, value = min(n·r, m·s) / (F + n·a + m·b). With no
fixed cost F the value depends on x = n/m alone and rises up to x* = s/r, then falls; the best
counts under n·u + m·v <= cap are therefore the nearest fractions on either side of x*, neighbours
in the Stern–Brocot tree, found by a gallop like Euclid's in O(log cap) steps. Otherwise the counts
of the larger instance are tried one by one and those of the other follow.
"""

from dataclasses import dataclass

import numpy as np

from jaxsim.point.balance import simplest_fraction
from jaxsim.space.match.prune import Pairs
from jaxsim.space.match.records import Column

ROUNDING = 1e-12  # values nearer than this are equal
NONE = -1.0  # the value of a pair that no counts fit
_SLACK = 1e-9  # whole numbers are meant where a quotient is this near to one
_CELLS = 1 << 17  # counts tried together
_TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Limits:
    """What a plan may be: n·u + m·v <= `cap`, counts in their ranges, n·g / (m·h) in `ratio`.

    With `paired`, n/m is in `ratio` instead: instances are counted, not their GPUs.
    """

    cap: float = np.inf
    fixed_cost: float = 0.0
    prefill_instances: tuple[float, float] = (1, np.inf)
    decode_instances: tuple[float, float] = (1, np.inf)
    ratio: tuple[float, float] = (0.0, np.inf)
    paired: bool = False

    def scale(self, pairs: Pairs) -> Column:
        """Counts n/m where the ratio is 1."""
        return np.ones_like(pairs.g) if self.paired else pairs.h / pairs.g

    @property
    def homogeneous(self) -> bool:
        """Whether value and limits depend on the ratio of the counts and the cap alone."""
        return self.fixed_cost == 0.0 and (
            self.prefill_instances == self.decode_instances == (1, np.inf)
            and self.ratio == (0.0, np.inf)
        )

    def swapped(self) -> "Limits":
        """The same limits with prefill and decode exchanged."""
        low, high = self.ratio
        return Limits(
            self.cap,
            self.fixed_cost,
            self.decode_instances,
            self.prefill_instances,
            (1.0 / high if high < np.inf else 0.0, 1.0 / low if low > 0 else np.inf),
            self.paired,
        )


def value_of(pairs: Pairs, n: Column | float, m: Column | float, fixed_cost: float = 0.0) -> Column:
    """Requests/s per cost of n prefill and m decode instances."""
    return np.minimum(n * pairs.r, m * pairs.s) / (fixed_cost + n * pairs.a + m * pairs.b)


def relaxed_ratio(pairs: Pairs, limits: Limits) -> Column:
    """The best real n/m: s/r, or the nearest that the limits on the ratio allow."""
    scale = limits.scale(pairs)
    return np.clip(pairs.s / pairs.r, limits.ratio[0] * scale, limits.ratio[1] * scale)


def upper_bound(pairs: Pairs, limits: Limits) -> Column:
    """No counts of a pair, whole or not, have a higher value than this.

    Without a fixed cost, the value at the best real ratio. With one, more is better, so the cap
    binds: requests/s <= cap / (u/r + v/s), whose cost is at least F + requests/s · (a/r + b/s).
    """
    if limits.fixed_cost == 0.0:
        return value_of(pairs, relaxed_ratio(pairs, limits), 1.0)
    requests = limits.cap / (pairs.u / pairs.r + pairs.v / pairs.s)
    return requests / (limits.fixed_cost + requests * (pairs.a / pairs.r + pairs.b / pairs.s))


def small_counts(pairs: Pairs, limits: Limits, tolerance: float) -> tuple[Column, Column]:
    """Without a cap: smallest counts near the best real ratio, as often as the ranges ask."""
    ratio, scale = relaxed_ratio(pairs, limits), limits.scale(pairs)
    low = np.maximum(ratio * (1 - tolerance), limits.ratio[0] * scale) * (1 - ROUNDING)
    high = np.minimum(ratio * (1 + tolerance), limits.ratio[1] * scale) * (1 + ROUNDING)
    n, m = (a.astype(float) for a in simplest_fraction(low, high))
    least = limits.prefill_instances[0], limits.decode_instances[0]
    times = np.ceil(np.maximum(least[0] / n, least[1] / m))
    return n * times, m * times


def neighbours(
    x: Column, u: Column, v: Column, cap: Column | float
) -> tuple[Column, Column, Column, Column]:
    """Nearest fractions n/m on either side of x with n·u + m·v <= cap: (n, m) below, (n, m) above.

    Below may equal x; above is greater. 0/1 and 1/0 stand for "none". Needs u + v <= cap.
    Each step moves one bound toward the other as far as x and the cap let it.
    """
    ln, lm = np.zeros_like(x), np.ones_like(x)
    un, um = np.ones_like(x), np.zeros_like(x)
    while True:
        below, above = np.maximum(lm * x - ln, 0.0), np.maximum(un - um * x, _TINY)
        k = np.minimum(below / above, (cap - ln * u - lm * v) / (un * u + um * v))
        k = np.maximum(np.floor(k), 0.0)
        moved = k.any()
        ln, lm = ln + k * un, lm + k * um
        below = np.maximum(lm * x - ln, _TINY)
        room = np.floor((cap - un * u - um * v) / (ln * u + lm * v))
        k = np.maximum(np.minimum(np.ceil(above / below) - 1.0, room), 0.0)
        un, um = un + k * ln, um + k * lm
        if not (moved or k.any()):
            return ln, lm, un, um


def best_counts(pairs: Pairs, limits: Limits) -> tuple[Column, Column, Column]:
    """Counts n, m and value (requests/s per cost) of the best plan of each pair; −1 if none.

    Among plans of equal value, the fewest GPUs.
    """
    if limits.homogeneous:
        return _best_by_gallop(pairs, limits)
    return _best_by_counting(pairs, limits)


def _best_by_gallop(pairs: Pairs, limits: Limits) -> tuple[Column, Column, Column]:
    fits = pairs.u + pairs.v <= limits.cap
    u, v = np.where(fits, pairs.u, 0.25 * limits.cap), np.where(fits, pairs.v, 0.25 * limits.cap)
    ln, lm, un, um = neighbours(pairs.s / pairs.r, u, v, limits.cap)
    low = np.where(ln > 0, value_of(pairs, ln, lm), NONE)
    high = np.where(um > 0, value_of(pairs, un, um), NONE)
    tie = np.abs(low - high) <= ROUNDING * np.abs(high)
    smaller = ln * pairs.g + lm * pairs.h <= un * pairs.g + um * pairs.h
    take_low = np.where(tie, smaller, low > high)
    n, m = np.where(take_low, ln, un), np.where(take_low, lm, um)
    return n, m, np.where(fits, np.where(take_low, low, high), NONE)


def _count_range(pairs: Pairs, limits: Limits) -> tuple[Column, Column]:
    """Least and greatest n of each pair that leaves room for the fewest decode instances."""
    least, most = limits.prefill_instances
    room = (limits.cap - limits.decode_instances[0] * pairs.v) / pairs.u
    return np.full(len(pairs), float(least)), np.minimum(np.floor(room + _SLACK), most)


def _partner_range(pairs: Pairs, limits: Limits, n: Column) -> tuple[Column | float, Column]:
    """Least and greatest m that the limits allow beside n prefill instances."""
    least, most = limits.decode_instances
    most = np.minimum(most, np.floor((limits.cap - n * pairs.u) / pairs.v + _SLACK))
    low, high = limits.ratio
    equal = n / limits.scale(pairs)
    if high < np.inf:
        least = np.maximum(least, np.ceil(equal / high * (1.0 - ROUNDING)))
    if low > 0.0:
        most = np.minimum(most, np.floor(equal / low * (1.0 + ROUNDING)))
    return least, most


def grids(pairs: Pairs, limits: Limits):
    """Blocks of (where, pairs as columns, n, least m, greatest m), over pairs and counts n."""
    least, most = _count_range(pairs, limits)
    spread = np.where(most >= least, most - least + 1, 0)
    order = np.argsort(-spread, kind="stable")
    start = 0
    while start < len(order) and spread[order[start]] > 0:
        width = int(spread[order[start]])
        where = order[start : start + max(1, _CELLS // width)]
        start += len(where)
        column = pairs.take(where[:, None])
        for left in range(0, width, _CELLS):
            n = least[where][:, None] + np.arange(left, min(left + _CELLS, width))
            low, high = _partner_range(column, limits, n)
            yield where, column, n, low, np.where(n <= most[where][:, None], high, -1.0)


def counting_is_by_decode(pairs: Pairs, limits: Limits) -> bool:
    """Whether there are fewer decode counts to try than prefill counts."""
    _, n = _count_range(pairs, limits)
    _, m = _count_range(pairs.swapped(), limits.swapped())
    return bool(m.sum() < n.sum())


def _best_by_counting(pairs: Pairs, limits: Limits) -> tuple[Column, Column, Column]:
    if counting_is_by_decode(pairs, limits):
        m, n, value = _best_over_n(pairs.swapped(), limits.swapped())
        return n, m, value
    return _best_over_n(pairs, limits)


def _best_over_n(pairs: Pairs, limits: Limits) -> tuple[Column, Column, Column]:
    """The best m of every n: as much decode as prefill feeds, rounded down or up."""
    best = np.full(len(pairs), NONE)
    best_n, best_m = np.ones(len(pairs)), np.ones(len(pairs))
    for where, column, n, low, high in grids(pairs, limits):
        balanced = np.floor(n * column.r / column.s)
        for step in (0.0, 1.0):
            m = np.clip(balanced + step, low, np.maximum(high, low))
            value = value_of(column, n, m, limits.fixed_cost)
            value = np.where(low <= high, value, NONE)
            top = value.max(axis=1, keepdims=True)
            gpus = np.where(
                value >= top - ROUNDING * np.abs(top), n * column.g + m * column.h, np.inf
            )
            at = (np.arange(len(where)), gpus.argmin(axis=1))
            ours = best_n[where] * pairs.g[where] + best_m[where] * pairs.h[where]
            tie = np.abs(value[at] - best[where]) <= ROUNDING * np.abs(best[where])
            better = np.where(tie, gpus[at] < ours, value[at] > best[where]) & (value[at] > 0)
            chosen = where[better]
            best[chosen], best_n[chosen] = value[at][better], n[at][better]
            best_m[chosen] = m[at][better]
    return best_n, best_m, best
