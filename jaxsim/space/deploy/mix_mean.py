"""What would disaggregation gain on a mix if the TTL target held for the mix's mean alone?

A plan holds instances to the targets even while they serve one workload alone. That is hard on
co-location, where a workload of long prompts and short answers would disturb every step; in the
mix, all requests share its steps and see its mean TTL. This is the gain under that weaker rule.
"""

from dataclasses import replace

import numpy as np

from jaxsim.space.deploy.candidates import MODES
from jaxsim.space.deploy.mix_select import colocated_mix, pools_of
from jaxsim.space.deploy.mix_sweep import Mixed, column
from jaxsim.space.deploy.request import gpu_weight, match_limits
from jaxsim.space.deploy.select import instances_within
from jaxsim.space.match.mix import mix_pools
from jaxsim.space.match.records import NoMatch
from jaxsim.space.match.solve import match


def gain_at_mean_ttl(mixed: Mixed, first: np.ndarray, second: np.ndarray) -> float | None:
    """Disaggregated over co-located, by the objective, with TTL held on the mean of the mix.

    `first` and `second` are the valid designs of both pools. The mean is exact where a step's time
    is affine in the mean context. FTL is still held for every workload. None where either kind
    meets nothing, and where medians are asked for: they have no such mean.
    """
    one = mixed.swept[0]
    question, count = one.question, len(mixed.mix)
    if question.ttl_metric != "mean" or not (len(first) and len(second)):
        return None
    weight = gpu_weight(one.setup, question.objective)
    prefill = pools_of(mixed, "prefill", first, gpu_weight(one.prefill_setup, question.objective))
    decode = pools_of(mixed, "decode", second, weight)
    tokens = mix_pools(decode, mixed.shares.tolist(), [question.ttl_s] * count)
    mean = sum(w * pool.latency_s for w, pool in zip(mixed.slot_shares, decode, strict=True))
    found = match(
        mix_pools(prefill, mixed.shares.tolist(), [question.ftl_s] * count),
        replace(tokens, latency_s=mean),
        float(mixed.shares @ mixed.tokens) + 1.0,
        ftl_s=1.0,
        ttl_s=question.ttl_s,
        **match_limits(one),
    )
    both = colocated_mix(mixed)
    ttl = np.empty(len(both.index))
    for number, mode in enumerate(MODES):
        own = both.mode == number
        alone = column(mixed.phase("colocated"), f"{mode}_ttl_s", both.index[own])
        ttl[own] = mixed.slot_shares @ alone
    instances, paid = instances_within(both, one)
    met = (both.ftl_s <= question.ftl_s) & (ttl <= question.ttl_s) & (instances > 0)
    if isinstance(found, NoMatch) or not met.any():
        return None
    worth = both.output_tokens_per_s_per_gpu * instances * both.gpus / paid
    return float(found.value / (worth[met].max() / weight))
