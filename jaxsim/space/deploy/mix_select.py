"""Which deployment of each kind serves a mix best under the targets?  As `pick`, for a mix."""

from dataclasses import replace
from functools import reduce

import numpy as np

from jaxsim.catalog.setup import Setup
from jaxsim.space.deploy.candidates import MODES, ColocatedCandidates
from jaxsim.space.deploy.mix_result import MixDeployed
from jaxsim.space.deploy.mix_sweep import Mixed, all_hold, column, stages_of, values
from jaxsim.space.deploy.request import Question, gpu_weight, match_limits
from jaxsim.space.deploy.result import Certificate, Deployed, InstanceShape, Unmet
from jaxsim.space.deploy.select import (
    economics,
    instances_within,
    kv_gpus,
    shape_of,
    spread_at,
    unmet_colocated,
)
from jaxsim.space.deploy.uncertainty import Spread, interval
from jaxsim.space.match.mix import match_mix
from jaxsim.space.match.records import NoMatch, Pool

NO_SPREAD = Spread({})


def pools_of(mixed: Mixed, phase: str, index: np.ndarray, weight: float) -> list[Pool]:
    """A pool for each workload, of the same designs in the same order."""
    designs = mixed.phase(phase)
    gpus = column(designs[:1], "gpus", index)[0]
    stage = gpus / stages_of(designs[0], index)
    rate = column(designs, "requests_per_s", index)
    latency = column(designs, "ftl_s" if phase == "prefill" else "ttl_s", index)
    return [Pool(rate[k], gpus, latency[k], weight, stage) for k in range(len(designs))]


def _mean_shape(
    mixed: Mixed, shape: InstanceShape, index: int, passes: np.ndarray, mode: str = ""
) -> InstanceShape:
    """The shape with the mean pass over the mix, and the memory of the workload that needs most."""
    shapes = [
        shape_of(
            getattr(own, shape.phase), index,
            own.prefill_setup if shape.phase == "prefill" else own.setup,
            count=shape.count, mode=mode, latency="gpus", requests_per_s=shape.requests_per_s,
        )
        for own in mixed.swept
    ]  # fmt: skip
    parts = {
        name: sum(float(w) * one.parts_s[name] for w, one in zip(passes, shapes, strict=True))
        for name in shapes[0].parts_s
    }

    def used(one: InstanceShape) -> float:
        return sum(size for use, size in one.memory_bytes.items() if use != "capacity")

    return replace(shape, parts_s=parts, memory_bytes=max(shapes, key=used).memory_bytes)


def _spread(
    mixed: Mixed, phase: str, index: int, seconds: np.ndarray, setup: Setup, mode: str = ""
) -> Spread:
    """The spread of a mixed rate: 1/r = Σ f_k / r_k, so each workload's counts by its time."""
    parts = [
        spread_at(own, index, setup, mode).times(float(share))
        for own, share in zip(mixed.phase(phase), seconds / seconds.sum(), strict=True)
    ]
    return reduce(Spread.plus, parts)


def best_disaggregated_mix(
    mixed: Mixed, first: np.ndarray, second: np.ndarray
) -> tuple[MixDeployed | Unmet, Spread]:
    """The best match for the mix of the designs at `first` and `second`, and its spread."""
    one = mixed.swept[0]
    question, count = one.question, len(mixed.mix)
    for name, index in (("prefill", first), ("decode", second)):
        if not len(index):
            return Unmet(
                f"No {name} design obeys every rule for all workloads.", None, None
            ), NO_SPREAD
    found = match_mix(
        pools_of(mixed, "prefill", first, gpu_weight(one.prefill_setup, question.objective)),
        pools_of(mixed, "decode", second, gpu_weight(one.setup, question.objective)),
        [float(own.osl) for own in mixed.mix],
        mixed.shares.tolist(),
        ftl_s=[question.ftl_s] * count,
        ttl_s=[question.ttl_s] * count,
        **match_limits(one),
    )
    if isinstance(found, NoMatch):
        return _no_match(found, question), NO_SPREAD
    i, j = int(first[found.prefill_index]), int(second[found.decode_index])
    prefill, decode = mixed.phase("prefill"), mixed.phase("decode")
    ftl, ttl = values(prefill, "ftl_s", i), values(decode, "ttl_s", j)
    seconds_p = mixed.shares / values(prefill, "requests_per_s", i)
    seconds_d = mixed.shares / values(decode, "requests_per_s", j)
    prompt = shape_of(
        prefill[0], i, one.prefill_setup, count=found.prefill_instances,
        latency="ftl_s", requests_per_s=float(1.0 / seconds_p.sum()),
    )  # fmt: skip
    token = shape_of(
        decode[0], j, one.setup, count=found.decode_instances,
        latency="ttl_s", requests_per_s=float(1.0 / seconds_d.sum()),
    )  # fmt: skip
    prompt = _mean_shape(mixed, replace(prompt, latency_s=float(ftl.max())), i, mixed.shares)
    token = _mean_shape(mixed, replace(token, latency_s=float(ttl.max())), j, mixed.slot_shares)
    gpus_p = prompt.count * prompt.gpus_per_instance
    gpus_d = token.count * token.gpus_per_instance
    part = gpus_p / (gpus_p + gpus_d)
    spread = _spread(mixed, "prefill", i, seconds_p, one.prefill_setup).times(part)
    spread = spread.plus(_spread(mixed, "decode", j, seconds_d, one.setup).times(1.0 - part))
    idle = found.paid_gpus / found.gpus  # what is paid and does not run, in proportion
    cost, per_joule = economics(
        found.output_tokens_per_s,
        [(gpus_p * idle, one.prefill_setup), (gpus_d * idle, one.setup)],
    )
    kv = values(prefill, "kv_prompt_bytes", i)
    flow = found.requests_per_s * float(mixed.shares @ kv)
    senders = kv_gpus(prefill[0], i, "kv_egress_bytes_per_s_per_gpu", float(kv[0]))
    takers = kv_gpus(decode[0], j, "kv_ingress_bytes_per_s_per_gpu", float(kv[0]))
    proof = found.certificate
    deployed = Deployed(
        output_tokens_per_s_per_gpu=found.output_tokens_per_s_per_gpu,
        interval=interval(found.output_tokens_per_s_per_gpu, spread),
        ftl_s=float(ftl.max()),
        ttl_s=float(ttl.max()),
        ttl_median_s=None,
        gpus=int(found.gpus),
        requests_per_s=found.requests_per_s,
        instances=(prompt, token),
        cost_usd_per_million_output_tokens=cost,
        output_tokens_per_joule=per_joule,
        ctx_gen_ratio=found.ctx_gen_ratio,
        kv_egress_bytes_per_s_per_gpu=flow / (prompt.count * senders),
        kv_ingress_bytes_per_s_per_gpu=flow / (token.count * takers),
        certificate=Certificate(
            gap=proof.gap,
            upper_bound=proof.upper_bound,
            runner_up=proof.runner_up.value if proof.runner_up else None,
            stable_range={
                "prefill_rate": proof.near_prefill_rate_range,
                "decode_rate": proof.near_decode_rate_range,
            },
            method=proof.method,
        ),
    )
    return _with_latencies(mixed, deployed, ftl, ttl), spread


def _no_match(found: NoMatch, question: Question) -> Unmet:
    """Why nothing matches; the match works with latencies over targets, this says seconds."""
    if found.nearest is None:
        return Unmet(found.reason, None, None)
    ftl, ttl = found.ftl_s_at_ttl, found.ttl_s_at_ftl
    return Unmet(
        "No pair of pools meets both latency targets for every workload within the limits.",
        None if ftl is None else ftl * question.ftl_s,
        None if ttl is None else ttl * question.ttl_s,
    )


def _with_latencies(
    mixed: Mixed, deployed: Deployed, ftl: np.ndarray, ttl: np.ndarray
) -> MixDeployed:
    mean = float(mixed.slot_shares @ ttl)
    return MixDeployed(deployed, tuple(map(float, ftl)), tuple(map(float, ttl)), mean)


def colocated_mix(mixed: Mixed) -> ColocatedCandidates:
    """Co-located designs that obey every rule for every workload, in both modes.

    Throughput is that of the mix, and latencies are the worst over workloads.
    """
    designs = mixed.phase("colocated")
    ttl = "ttl_s" if mixed.swept[0].question.ttl_metric == "mean" else "ttl_median_s"
    mean_tokens = float(mixed.shares @ mixed.tokens)
    found = []
    for number, mode in enumerate(MODES):
        index = np.flatnonzero(all_hold(designs, f"{mode}_valid"))
        gpus = column(designs[:1], "gpus", index)[0]
        seconds = _colocated_seconds(mixed, mode, index, gpus)
        found.append(
            (
                mean_tokens / seconds.sum(0) / gpus,
                column(designs, f"{mode}_{ttl}", index).max(0),
                column(designs, f"{mode}_ftl_s", index).max(0),
                gpus,
                stages_of(designs[0], index),
                np.full(len(index), number),
                index,
            )
        )
    return ColocatedCandidates(*(np.concatenate(one) for one in zip(*found, strict=True)))


def _colocated_seconds(mixed: Mixed, mode: str, index: np.ndarray, gpus: np.ndarray) -> np.ndarray:
    """Instance seconds that a mean request of the mix takes, one row a workload: f_k / r_k."""
    per_gpu = column(mixed.phase("colocated"), f"{mode}_output_tokens_per_s_per_gpu", index)
    return (mixed.shares * mixed.tokens)[:, None] / (per_gpu * gpus)


def best_colocated_mix(mixed: Mixed) -> tuple[MixDeployed | Unmet, Spread]:
    """The co-located design of most throughput on the mix under the targets, and its spread."""
    one = mixed.swept[0]
    question, both = one.question, colocated_mix(mixed)
    met_ftl, met_ttl = both.ftl_s <= question.ftl_s, both.ttl_s <= question.ttl_s
    count, paid = instances_within(both, one)
    fits = count > 0
    if not (met_ftl & met_ttl & fits).any():
        cap = question.max_gpus or question.exact_gpus or np.inf
        unmet = unmet_colocated(both, met_ftl, met_ttl, fits, cap)
        return replace(unmet, reason=f"{unmet.reason.rstrip('.')} for every workload."), NO_SPREAD
    worth = both.output_tokens_per_s_per_gpu * count * both.gpus / paid
    best = int(np.argmax(np.where(met_ftl & met_ttl & fits, worth, -np.inf)))
    index, mode = int(both.index[best]), MODES[int(both.mode[best])]
    designs, instances = mixed.phase("colocated"), int(count[best])
    seconds = _colocated_seconds(mixed, mode, np.array([index]), both.gpus[best : best + 1])[:, 0]
    rate = float(1.0 / seconds.sum())
    ftl = values(designs, f"{mode}_ftl_s", index)
    ttl = values(designs, f"{mode}_ttl_s", index)
    shape = shape_of(
        designs[0], index, one.setup, count=instances, mode=mode,
        latency=f"{mode}_ttl_s", requests_per_s=rate,
    )  # fmt: skip
    shape = replace(shape, latency_s=float(ttl.max()))
    spread = _spread(mixed, "colocated", index, seconds, one.setup, mode)
    tokens_per_s = rate * instances * float(mixed.shares @ mixed.tokens)
    cost, per_joule = economics(tokens_per_s, [(float(paid[best]), one.setup)])
    deployed = Deployed(
        output_tokens_per_s_per_gpu=float(worth[best]),
        interval=interval(float(worth[best]), spread),
        ftl_s=float(ftl.max()),
        ttl_s=float(ttl.max()),
        ttl_median_s=float(values(designs, f"{mode}_ttl_median_s", index).max()),
        gpus=int(both.gpus[best]) * instances,
        requests_per_s=rate * instances,
        instances=(_mean_shape(mixed, shape, index, mixed.slot_shares, mode),),
        cost_usd_per_million_output_tokens=cost,
        output_tokens_per_joule=per_joule,
    )
    return _with_latencies(mixed, deployed, ftl, ttl), spread
