"""How much matched throughput can be had at each token latency?"""

from dataclasses import dataclass

import numpy as np

from jaxsim.point.matching import STUDY_TOLERANCE, counts_within
from jaxsim.space.match import match
from jaxsim.space.match_records import Match, Pool

# With a cap the pools do not separate, and every latency is a matching problem of its own.
CAPPED_LATENCIES = 64


@dataclass(frozen=True)
class MatchFrontier:
    """Matched throughput against token latency: each point is better than all faster ones.

    Arrays of equal length, by rising TTL. Without a cap the throughput is that of real-valued
    counts, which integers approach; the counts are the smallest within the tolerance.
    """

    ttl_s: np.ndarray
    output_tokens_per_s_per_gpu: np.ndarray
    prefill_index: np.ndarray
    decode_index: np.ndarray
    prefill_instances: np.ndarray
    decode_instances: np.ndarray
    ctx_gen_ratio: np.ndarray


def match_frontier(
    prefill: Pool,
    decode: Pool,
    osl: float,
    *,
    ftl_s: float = np.inf,
    max_gpus: float | None = None,
    exact_gpus: float | None = None,
    ratio: float | None = None,
    tolerance: float = STUDY_TOLERANCE,
) -> MatchFrontier:
    """The frontier of matched throughput under an FTL target; empty where nothing meets it.

    Without a cap the pools separate, 1/y = c_p/r_p + c_d/r_d per token, so the best prefill design
    serves all latencies; with `ratio` ρ (prefill GPUs / decode GPUs),
    y = (OSL - 1) · min(ρ · P, D) / (ρ · w_p + w_d), P and D requests/s/GPU. With a cap, an exact
    match is found at latencies spread evenly over the designs'.
    """
    first = np.flatnonzero((prefill.latency_s <= ftl_s) & (prefill.requests_per_s > 0))
    second = np.flatnonzero((decode.requests_per_s > 0) & np.isfinite(decode.latency_s))
    if not len(first) or not len(second):
        empty = np.zeros(0)
        index = np.zeros(0, dtype=np.int64)
        return MatchFrontier(empty, empty, index, index, index, index, empty)
    if max_gpus is not None or exact_gpus is not None:
        return _capped(prefill, decode, osl, ftl_s, max_gpus, exact_gpus, ratio, tolerance)
    return _uncapped(prefill, decode, osl, first, second, ratio, tolerance)


def _per_cost(pool: Pool, index: np.ndarray) -> np.ndarray:
    return pool.requests_per_s[index] / (pool.gpus[index] * pool.weight_of(index))


def _uncapped(prefill, decode, osl, first, second, ratio, tolerance) -> MatchFrontier:
    best = first[np.lexsort((prefill.gpus[first], -_per_cost(prefill, first)))[0]]
    own = float(_per_cost(prefill, np.array([best]))[0])
    theirs = _per_cost(decode, second)
    if ratio is None:
        y = (osl - 1.0) / (1.0 / own + 1.0 / theirs)
    else:
        weight_p = float(prefill.weight_of(np.array([best]))[0])
        weight_d = decode.weight_of(second)
        supply = np.minimum(ratio * own * weight_p, theirs * weight_d)
        y = (osl - 1.0) * supply / (ratio * weight_p + weight_d)
    ttl = decode.latency_s[second]
    order = np.lexsort((decode.gpus[second], -y, ttl))
    reached = np.maximum.accumulate(np.concatenate([[0.0], y[order]]))
    kept = order[y[order] > reached[:-1]]
    j = second[kept]
    rates = decode.requests_per_s[j] / prefill.requests_per_s[best]
    if ratio is not None:
        rates = np.full(len(j), ratio) * decode.gpus[j] / prefill.gpus[best]
    n_p, n_d = counts_within(rates, tolerance)
    return MatchFrontier(
        ttl_s=ttl[kept],
        output_tokens_per_s_per_gpu=y[kept],
        prefill_index=np.full(len(j), best),
        decode_index=j,
        prefill_instances=n_p,
        decode_instances=n_d,
        ctx_gen_ratio=rates * prefill.gpus[best] / decode.gpus[j],
    )


def _capped(
    prefill, decode, osl, ftl_s, max_gpus, exact_gpus, ratio, tolerance
) -> MatchFrontier:
    ladder = np.unique(np.quantile(decode.latency_s, np.linspace(0.0, 1.0, CAPPED_LATENCIES)))
    found: list[Match] = []
    for ttl_s in ladder:
        answer = match(
            prefill,
            decode,
            osl,
            ftl_s=ftl_s,
            ttl_s=float(ttl_s),
            max_gpus=max_gpus,
            exact_gpus=exact_gpus,
            ratio=ratio,
            tolerance=tolerance,
        )
        better = isinstance(answer, Match) and (not found or answer.value > found[-1].value)
        if better:
            found.append(answer)
    return MatchFrontier(
        ttl_s=np.array([m.ttl_s for m in found]),
        output_tokens_per_s_per_gpu=np.array([m.output_tokens_per_s_per_gpu for m in found]),
        prefill_index=np.array([m.prefill_index for m in found], dtype=np.int64),
        decode_index=np.array([m.decode_index for m in found], dtype=np.int64),
        prefill_instances=np.array([m.prefill_instances for m in found], dtype=np.int64),
        decode_instances=np.array([m.decode_instances for m in found], dtype=np.int64),
        ctx_gen_ratio=np.array([m.ctx_gen_ratio for m in found]),
    )
