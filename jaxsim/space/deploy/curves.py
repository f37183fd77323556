"""Which frontiers belong to a plan?

Of a mix, throughput is that of the mix, and TTL is that of the workload that waits longest.
"""

from collections.abc import Sequence

import numpy as np

from jaxsim.quantities import MODES
from jaxsim.space.deploy.candidates import (
    AllCandidates,
    colocated_candidates,
    colocated_frontier,
    disaggregated_frontier,
    gather,
)
from jaxsim.space.deploy.request import gpu_weight
from jaxsim.space.deploy.result import FrontierCurve
from jaxsim.space.deploy.select import instances_within, spreads_at
from jaxsim.space.deploy.sweep import Swept, match_limits
from jaxsim.space.deploy.uncertainty import Spread, interval
from jaxsim.space.designs import Designs


def curves_of(
    swept: Swept, candidates: AllCandidates, on_prefill: Swept | None = None
) -> tuple[FrontierCurve, ...]:
    """The disaggregated frontier, and the co-located ones: over both modes, and piggybacked.

    `on_prefill` has the co-located designs where they run on other hardware than decode does.
    """
    request = swept.request
    curves = [_disaggregated_curve(swept, candidates)]
    if on_prefill is not None:
        swept, candidates = on_prefill, gather(on_prefill)
    alone = colocated_candidates(swept.colocated, request.ttl_metric, ("piggybacked",))
    for name, own in (("co-located", candidates.colocated), ("co-located, piggybacked", alone)):
        count, paid = instances_within(own, swept)
        front = colocated_frontier(own, request.ftl_s, count * own.gpus / paid)
        index = own.index[front.candidate]
        modes = [MODES[m] for m in own.mode[front.candidate]]
        spreads = spreads_at(swept.colocated, index, swept.setup, modes)
        designs = _columns(swept.colocated, index)
        curves.append(
            _curve(name, front.ttl_s, front.output_tokens_per_s_per_gpu, spreads, designs)
        )
    return tuple(curve for curve in curves if len(curve.ttl_s))


def _columns(designs: Designs, index: np.ndarray, prefix: str = "") -> dict[str, np.ndarray]:
    return {
        prefix + name: values
        for name, values in designs.columns(index).items()
        if name not in ("isl", "osl")
    }


def _curve(
    name: str,
    ttl_s: np.ndarray,
    y: np.ndarray,
    spreads: Sequence[Spread],
    designs: dict[str, np.ndarray],
) -> FrontierCurve:
    ends = [interval(float(v), spread) for v, spread in zip(y, spreads, strict=True)]
    low, high = np.array(ends).reshape(-1, 2).T
    return FrontierCurve(name, np.asarray(ttl_s), np.asarray(y), low, high, designs)


def _disaggregated_curve(swept: Swept, candidates: AllCandidates) -> FrontierCurve:
    request, prefill, decode = swept.request, candidates.prefill, candidates.decode
    front = disaggregated_frontier(
        prefill, decode, request.mean_osl, request.ftl_s, **match_limits(swept)
    )
    i, j = prefill.index[front.prefill_index], decode.index[front.decode_index]
    prompts = spreads_at(swept.prefill, i, swept.prefill_setup)
    tokens = spreads_at(swept.decode, j, swept.setup)
    shares = (front.ctx_gen_ratio / (1.0 + front.ctx_gen_ratio)).tolist()
    spreads = [
        prompt.times(share).plus(token.times(1.0 - share))
        for prompt, token, share in zip(prompts, tokens, shares, strict=True)
    ]
    designs = {
        **_columns(swept.prefill, i, "prefill_"),
        **_columns(swept.decode, j, "decode_"),
        "prefill_instances": front.prefill_instances,
        "decode_instances": front.decode_instances,
        "ctx_gen_ratio": front.ctx_gen_ratio,
    }
    # The frontier is of throughput over what a pool's GPUs weigh; a picture shows it per GPU.
    ratio = front.ctx_gen_ratio
    weights = ratio * gpu_weight(swept.prefill_setup, request.objective)
    weight = (weights + gpu_weight(swept.setup, request.objective)) / (ratio + 1.0)
    per_gpu = front.output_tokens_per_s_per_gpu * weight
    return _curve("disaggregated", front.ttl_s, per_gpu, spreads, designs)
