"""How are several workloads served by the same two pools?

Pools time-share. If a fraction f_k of requests is of kind k, and an instance that serves only kind
k finishes r_k requests/s, then one that serves the mix finishes r = 1 / Σ_k (f_k / r_k). For
prefill that is exact when prompts queue one after another. For decode it is exact when a step's
time is affine in the mean context: a slot then spends (OSL_k − 1) · TTL_k on a request of kind k,
whatever runs in the other slots. Every kind must meet its own targets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.space.match.records import Match, NoMatch, Pool
from jaxsim.space.match.solve import match


def mix_pools(pools: Sequence[Pool], shares: Sequence[float], targets_s: Sequence[float]) -> Pool:
    """One pool that serves the mix: candidate by candidate, the harmonic mean of the rates.

    The same designs stand at the same places in every pool of `pools`, one pool a workload; a
    design that some workload cannot use has rate 0 there, and then has none here. `latency_s` is
    the worst latency over its target: at most 1 where every target is met.
    """
    shares_ = fractions(shares)
    targets = np.asarray(targets_s, float)
    if not len(pools) == len(shares_) == len(targets):
        raise InputError(
            f"A mix needs a pool, a share and a target for each workload; {len(pools)},"
            f" {len(shares_)} and {len(targets)} were given."
        )
    first = pools[0]
    for other in pools[1:]:
        if len(other) != len(first) or not np.array_equal(other.gpus, first.gpus):
            raise InputError(
                "A mix needs the same designs in the same order for every workload; pass all of a"
                " space, with rate 0 where a design is not valid."
            )
    rates = np.stack([p.requests_per_s for p in pools])
    serves = np.all((rates > 0) & np.isfinite(rates), axis=0)
    seconds = np.sum(shares_[:, None] / np.where(serves, rates, 1.0), axis=0)
    latency = np.max(np.stack([p.latency_s for p in pools]) / targets[:, None], axis=0)
    return Pool(
        np.where(serves, 1.0 / seconds, 0.0),
        first.gpus,
        latency,
        first.weight,
        first.confined_gpus,
    )


def fractions(shares: Sequence[float]) -> np.ndarray:
    """Shares of requests that sum to 1, from weights of any sum."""
    weights = np.asarray(shares, float)
    if not (weights.size and (weights > 0).all() and np.isfinite(weights).all()):
        raise InputError(f"Shares of a mix must be positive; {list(shares)} was given.")
    return weights / weights.sum()


def match_mix(
    prefill: Sequence[Pool],
    decode: Sequence[Pool],
    osl: Sequence[float],
    shares: Sequence[float],
    *,
    ftl_s: Sequence[float],
    ttl_s: Sequence[float],
    **limits: Any,
) -> Match | NoMatch:
    """The plan of most output tokens/s per GPU × weight for a mix of workloads, certified.

    One pool, output length, share of requests and pair of targets for each workload; `limits` as
    of `match`. `ftl_s` and `ttl_s` of the answer are the worst latency over its target.
    """
    mean_osl = float(np.sum(fractions(shares) * np.asarray(osl, float)))
    return match(
        mix_pools(prefill, shares, ftl_s),
        mix_pools(decode, shares, ttl_s),
        mean_osl,
        ftl_s=1.0,
        ttl_s=1.0,
        **limits,
    )
