"""Without a cap on GPUs: which plan needs the fewest of all that give nearly the most?

Any multiple of a plan is as good per GPU, and integers near a real ratio of counts may be large.
Of the plans that give at least V per cost, the one with the fewest GPUs is returned: n prefill and
m decode instances give V where the ratio n/m lies between

    V·b / (r - V·a)  and  (s - V·b) / (V·a)

and the simplest fraction there has both the least n and the least m of all.
"""

import numpy as np

from jaxsim.point.balance import simplest_fraction
from jaxsim.space.match.exact import ROUNDING, Limits, value_of
from jaxsim.space.match.prune import Pairs, usable
from jaxsim.space.match.records import Column, Pool
from jaxsim.space.match.stability import Shares

TIE = 3e-4  # values nearer than this are equal: what refinement leaves between integers


def counts_that_give(pairs: Pairs, limits: Limits, least: float) -> tuple[Column, Column]:
    """Smallest n, m of every pair worth at least `least` requests/s per cost; 0, 0 where none."""
    spare = pairs.r - least * pairs.a, pairs.s - least * pairs.b
    fits = (spare[0] > 0) & (spare[1] > 0)
    scale = limits.scale(pairs)
    low = least * pairs.b / np.where(fits, spare[0], 1.0)
    high = np.where(fits, spare[1], 1.0) / (least * pairs.a)
    low = np.maximum(low, limits.ratio[0] * scale) * (1 - ROUNDING)
    high = np.minimum(high, limits.ratio[1] * scale) * (1 + ROUNDING)
    fits &= low <= high
    n, m = simplest_fraction(np.where(fits, low, 1.0), np.where(fits, high, 1.0))
    n, m = n.astype(float), m.astype(float)
    times = np.maximum(limits.prefill_instances[0] / n, limits.decode_instances[0] / m)
    times = np.ceil(times - ROUNDING)
    return np.where(fits, n * times, 0.0), np.where(fits, m * times, 0.0)


def fewest(
    pairs: Pairs, limits: Limits, least: float, latencies: tuple[Column, Column]
) -> tuple[int, float, float]:
    """Which pair, and its counts: fewest GPUs worth `least`, then most value, then low latency."""
    n, m = counts_that_give(pairs, limits, least)
    gpus = np.where(n > 0, n * pairs.g + m * pairs.h, np.inf)
    value = np.where(n > 0, value_of(pairs, np.maximum(n, 1.0), np.maximum(m, 1.0)), 0.0)
    few = np.flatnonzero(gpus <= gpus.min() * (1 + ROUNDING))
    equal = few[value[few] >= value[few].max() * (1 - TIE)]
    order = np.lexsort((pairs.j[equal], pairs.i[equal], *(one[equal] for one in latencies[::-1])))
    best = int(equal[order[0]])
    return best, float(n[best]), float(m[best])


def quickest_equal(pool: Pool, latency_s: float, index: int, requests_per_s: float) -> int:
    """Of the designs of the size and price of `index` that serve as much, that of least latency.

    A pool that could serve more than the other asks for may be quicker instead.
    """
    among = usable(pool, latency_s)
    same = pool.gpus[among] == pool.gpus[index]
    same &= pool.confined_of(among) == pool.confined_of(index)
    same &= np.equal(pool.weight_of(among), pool.weight_of(index))
    same &= pool.requests_per_s[among] >= requests_per_s * (1 - ROUNDING)
    left = np.append(among[same], index)
    own = left != index
    return int(left[np.lexsort((left, own, pool.latency_s[left]))[0]])


def near_range(pairs: Pairs, shares: Shares, near: float) -> Shares:
    r"""Factors f on all prefill rates for which no plan is better than ours by more than `near`.

    Ours is worth min(αf, β), and no plan of a pair more than 1 / (a/(rf) + b/s). So
    (1 + near) · min(αf, β) is at least that while, for every pair,

    $$ \frac{1/((1+near)\alpha) - a/r}{b/s} \le f \le \frac{a/r}{1/((1+near)\beta) - b/s} $$
    """
    alpha, beta = (share * (1.0 + near) for share in shares)
    prefill, decode = pairs.a / pairs.r, pairs.b / pairs.s
    low = float(np.max((1.0 / alpha - prefill) / decode, initial=0.0))
    over = 1.0 / beta - decode
    high = np.where(over > 0.0, prefill / np.where(over > 0.0, over, 1.0), np.inf)
    return min(low, 1.0), max(float(np.min(high, initial=np.inf)), 1.0)
