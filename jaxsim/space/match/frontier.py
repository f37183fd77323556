"""How much matched throughput can be had at each token latency?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jaxsim.point.balance import STUDY_TOLERANCE
from jaxsim.space.match.budget import (
    Flat,
    Packed,
    approach,
    budget_of,
    check_numbers,
    terms_of,
)
from jaxsim.space.match.exact import NONE, ROUNDING, small_counts, value_of
from jaxsim.space.match.prune import Pairs, collapse, near_the_best, shape_keys, usable
from jaxsim.space.match.records import MatchLimits, Pool

_FLAT_BLOCK, _PACKED_BLOCK = 4096, 1  # pairs solved together


@dataclass(frozen=True)
class MatchFrontier:
    """Matched throughput against token latency: each point is better than all faster ones.

    Arrays of equal length, by rising TTL. Throughput is per GPU × weight. Without a cap it is that
    of real-valued counts, which integers approach: the counts are the smallest within the
    tolerance, and `rounded_` is what they reach. With a cap the two are the same, and exact.
    """

    ttl_s: np.ndarray
    output_tokens_per_s_per_gpu: np.ndarray
    prefill_index: np.ndarray
    decode_index: np.ndarray
    prefill_instances: np.ndarray
    decode_instances: np.ndarray
    ctx_gen_ratio: np.ndarray
    rounded_output_tokens_per_s_per_gpu: np.ndarray

    def at(self, ttl_s: ArrayLike) -> np.ndarray:
        """Index of the point that serves each TTL target best; −1 where nothing is that fast."""
        return np.asarray(np.searchsorted(self.ttl_s, ttl_s, side="right") - 1)


class FrontierOptions(MatchLimits, total=False):
    """What `match_frontier` may be told beside the pools and the FTL target."""

    max_gpus: float | None


def match_frontier(
    prefill: Pool,
    decode: Pool,
    osl: float,
    *,
    ftl_s: float = np.inf,
    max_gpus: float | None = None,
    exact_gpus: float | None = None,
    max_cost: float | None = None,
    exact_cost: float | None = None,
    ratio: float | None = None,
    ratio_tolerance: float = 0.0,
    prefill_instances: tuple[int, int | None] = (1, None),
    decode_instances: tuple[int, int | None] = (1, None),
    paired: bool = False,
    domain_gpus: int | tuple[int, int] | None = None,
    tolerance: float = STUDY_TOLERANCE,
) -> MatchFrontier:
    """The frontier of matched throughput under an FTL target; empty where nothing meets it.

    For every TTL target the value is what `match` finds, under the same limits. Of decode, only a
    design that is faster than all of its shape with a lower TTL can make a point, so all targets
    are found among the pairs of those with the fastest prefill of each shape: solved by falling
    bound, skipping what the frontier found so far already beats.
    """
    check_numbers(osl, tolerance)
    caps = {
        "max_gpus": max_gpus,
        "exact_gpus": exact_gpus,
        "max_cost": max_cost,
        "exact_cost": exact_cost,
    }
    terms = terms_of(
        prefill, decode, caps, ratio, ratio_tolerance, prefill_instances, decode_instances, paired
    )
    budget = budget_of(prefill, decode, terms, domain_gpus)
    i, _ = collapse(prefill, usable(prefill, ftl_s), keep=1)
    j = records(decode, np.flatnonzero(np.isfinite(decode.latency_s)))
    pairs = budget.pairs(i, j)
    if not len(pairs):
        return _frontier(prefill, decode, pairs, *(np.zeros(0) for _ in range(4)))
    bound = budget.bound(pairs)
    if terms.capped:
        n, m, value = _solve_all(budget, pairs, bound, decode.latency_s[pairs.j])
        matched = value > 0
        pairs, n, m, value = pairs.take(matched), n[matched], m[matched], value[matched]
        kept = _envelope(decode, pairs, value, n * pairs.g + m * pairs.h)
        pairs, n, m, value = pairs.take(kept), n[kept], m[kept], value[kept]
        return _frontier(prefill, decode, pairs, n, m, value * (osl - 1), value * (osl - 1))
    kept = _envelope(decode, pairs, bound, pairs.g + pairs.h)
    pairs, bound = pairs.take(kept), bound[kept]
    n, m, rounded = _rounded(budget, pairs, bound, tolerance)
    return _frontier(prefill, decode, pairs, n, m, bound * (osl - 1), rounded * (osl - 1))


def records(pool: Pool, index: np.ndarray) -> np.ndarray:
    """Those of `index` that are faster than every candidate of their shape with lower latency."""
    rate = pool.requests_per_s
    index = index[(rate[index] > 0) & np.isfinite(rate[index])]
    if not index.size:
        return index
    key, _ = shape_keys(pool, index)
    kept = near_the_best(pool.latency_s[index], rate[index], group=key)
    index, key = index[kept], key[kept]
    order = np.lexsort((index, -rate[index], pool.latency_s[index], key))
    speed, shape = rate[index[order]], key[order]
    new = np.ones(len(order), dtype=bool)
    for group in np.split(np.arange(len(order)), np.flatnonzero(np.diff(shape)) + 1):
        fastest = np.maximum.accumulate(speed[group])
        new[group[1:]] = speed[group[1:]] > fastest[:-1]
    return index[order[new]]


def _solve_all(budget: Flat | Packed, pairs: Pairs, bound: np.ndarray, ttl: np.ndarray):
    """Counts and value of every pair that can be on the frontier; value −1 of the others."""
    n, m, value = np.ones(len(pairs)), np.ones(len(pairs)), np.full(len(pairs), NONE)
    by_ttl = np.argsort(ttl, kind="stable")
    left = np.argsort(-bound, kind="stable")
    size = _FLAT_BLOCK if isinstance(budget, Flat) else _PACKED_BLOCK
    if isinstance(budget, Flat) and not budget.limits.homogeneous:
        size = _FLAT_BLOCK // 64
    while left.size:
        block, left = left[:size], left[size:]
        n[block], m[block], value[block] = budget.counts(pairs.take(block))
        if left.size:
            best = np.maximum.accumulate(value[by_ttl])
            last = np.searchsorted(ttl[by_ttl], ttl[left], side="right") - 1
            left = left[bound[left] >= best[last] * (1 - ROUNDING)]
    return n, m, value


def _envelope(decode: Pool, pairs: Pairs, value: np.ndarray, gpus: np.ndarray) -> np.ndarray:
    """Pairs that beat every pair of lower TTL, by rising TTL; ties to the fewest GPUs."""
    ttl_s = decode.latency_s[pairs.j]
    kept = near_the_best(ttl_s, value)
    value, gpus, ttl_s, j, i = (x[kept] for x in (value, gpus, ttl_s, pairs.j, pairs.i))
    order = np.lexsort((j, i, gpus, -value, ttl_s))
    best = np.maximum.accumulate(np.concatenate([[0.0], value[order]]))
    return kept[order[value[order] > best[:-1] * (1 + ROUNDING)]]


def _rounded(
    budget: Flat | Packed, pairs: Pairs, bound: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smallest counts that come within the tolerance of each pair's bound, and their value."""
    if isinstance(budget, Flat):
        n, m = small_counts(pairs, budget.limits, tolerance)
        return n, m, value_of(pairs, n, m)
    counts = []
    for k in range(len(pairs)):
        pair = pairs.take(np.array([k]))
        enough = approach(budget, pairs.take(k), float(bound[k]), tolerance)
        counts.append([float(column[0]) for column in enough.counts(pair)])
    n, m, value = np.array(counts).reshape(-1, 3).T
    return n, m, value


def _frontier(
    prefill: Pool,
    decode: Pool,
    pairs: Pairs,
    n: np.ndarray,
    m: np.ndarray,
    value: np.ndarray,
    rounded: np.ndarray,
) -> MatchFrontier:
    whole = np.int64
    ratio = n * pairs.g / np.maximum(m * pairs.h, 1.0)
    return MatchFrontier(
        ttl_s=decode.latency_s[pairs.j],
        output_tokens_per_s_per_gpu=value,
        prefill_index=np.asarray(pairs.i, whole),
        decode_index=np.asarray(pairs.j, whole),
        prefill_instances=np.asarray(n, whole),
        decode_instances=np.asarray(m, whole),
        ctx_gen_ratio=ratio,
        rounded_output_tokens_per_s_per_gpu=rounded,
    )
