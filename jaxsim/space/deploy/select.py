"""Which deployment of each kind is the best under the targets?"""

from collections.abc import Sequence

import numpy as np

from jaxsim.catalog.prices import price_source
from jaxsim.catalog.setup import Setup
from jaxsim.quantities import MODES, PARTS
from jaxsim.space.deploy.candidates import AllCandidates, ColocatedCandidates
from jaxsim.space.deploy.mixture import at_each
from jaxsim.space.deploy.result import Certificate, Deployed, InstanceShape, Latencies, Unmet
from jaxsim.space.deploy.sweep import Swept, match_limits
from jaxsim.space.deploy.uncertainty import (
    Spread,
    interval,
    sources_of,
    spread_from,
    spread_of,
)
from jaxsim.space.designs import Designs
from jaxsim.space.match.fewest import TIE
from jaxsim.space.match.records import Match, NoMatch
from jaxsim.space.match.solve import match

SECONDS_PER_HOUR = 3600.0
ROUNDING = 1e-9
MEMORY = ("weights_bytes", "kv_bytes", "activation_bytes", "reserve_bytes", "capacity_bytes")


def shape_of(
    designs: Designs,
    index: int,
    setup: Setup,
    *,
    count: int,
    mode: str = "",
    latency: str,
    requests_per_s: float,
) -> InstanceShape:
    """`count` instances of the design at `index` of its grid; `latency` is an output's name."""
    at = designs.at(index)
    return InstanceShape(
        phase=designs.phase,
        mode=mode,
        hardware=setup.hardware.name,
        tp=int(at["tp"]),
        ep=int(at["ep"]),
        pp=int(at["pp"]),
        batch=int(at["batch"]),
        chunk=int(at.get("chunk", 0)),
        gpus_per_instance=int(designs.value("gpus", index)),
        count=count,
        latency_s=designs.value(latency, index),
        requests_per_s=requests_per_s,
        parts_s=parts_at(designs, index, mode),
        memory_bytes={name[:-6]: designs.value(name, index) for name in MEMORY},
        price_usd_per_hour=float(setup.hardware.hardware.price_usd_per_hour),
        price_source=price_source(setup.hardware),
        power_w=float(setup.hardware.hardware.power_w),
        domain_gpus=float(setup.hardware.hardware.domain_gpus),
    )


def parts_at(designs: Designs, index: int, mode: str = "") -> dict[str, float]:
    """Seconds of the parts of the design at `index`."""
    prefix = f"{mode}_" if mode else ""
    return {part: designs.value(f"{prefix}{part}_s", index) for part in PARTS}


def spread_at(designs: Designs, index: int, setup: Setup, mode: str = "") -> Spread:
    """The spread of the design at `index`."""
    return spread_of(parts_at(designs, index, mode), designs.phase, setup)


def spreads_at(
    designs: Designs, index: np.ndarray, setup: Setup, modes: Sequence[str] | None = None
) -> list[Spread]:
    """The spread of each of several designs; co-located ones have a mode each."""
    table = []
    for part in PARTS:
        if modes is None:
            table.append(designs.gathered(f"{part}_s", index))
            continue
        each = np.stack([designs.gathered(f"{mode}_{part}_s", index) for mode in MODES])
        of_mode = np.array([MODES.index(mode) for mode in modes], dtype=int)
        table.append(each[of_mode, np.arange(len(index))])
    sources = sources_of(designs.phase, setup)
    return [
        spread_from(dict(zip(PARTS, row, strict=True)), sources)
        for row in np.array(table, float).T.reshape(-1, len(PARTS)).tolist()
    ]


def economics(tokens_per_s: float, spent: list[tuple[float, Setup]]) -> tuple[float, float]:
    """$ per million output tokens, and output tokens per joule, of (GPUs, set-up) pairs."""
    usd_per_hour = sum(n * float(s.hardware.hardware.price_usd_per_hour) for n, s in spent)
    watts = sum(n * float(s.hardware.hardware.power_w) for n, s in spent)
    return usd_per_hour / SECONDS_PER_HOUR / tokens_per_s * 1e6, tokens_per_s / watts


def best_disaggregated(
    swept: Swept, candidates: AllCandidates
) -> tuple[Deployed | Unmet, Spread | None]:
    """The best match of two pools under the targets, and the spread of its throughput."""
    request, prefill, decode = swept.request, candidates.prefill, candidates.decode
    matched: Match | NoMatch = match(
        prefill.pool,
        decode.pool,
        request.mean_osl,
        ftl_s=request.ftl_s,
        ttl_s=request.ttl_s,
        quickest=True,
        **match_limits(swept),
    )
    if isinstance(matched, NoMatch):
        return Unmet(matched.reason, matched.ftl_s_at_ttl, matched.ttl_s_at_ftl), None
    i, j = int(prefill.index[matched.prefill_index]), int(decode.index[matched.decode_index])
    prompt = shape_of(
        swept.prefill, i, swept.prefill_setup,
        count=matched.prefill_instances * matched.copies, latency="ftl_s",
        requests_per_s=swept.prefill.value("requests_per_s", i),
    )  # fmt: skip
    token = shape_of(
        swept.decode, j, swept.setup,
        count=matched.decode_instances * matched.copies, latency="ttl_s",
        requests_per_s=swept.decode.value("requests_per_s", j),
    )  # fmt: skip
    gpus_p = prompt.count * prompt.gpus_per_instance
    gpus_d = token.count * token.gpus_per_instance
    requests_per_s = matched.requests_per_s * matched.copies
    # 1/y = Σ GPUs / rate: each pool's relative error counts as its share of the paid GPUs.
    spread = spread_at(swept.prefill, i, swept.prefill_setup).times(gpus_p / (gpus_p + gpus_d))
    spread = spread.plus(spread_at(swept.decode, j, swept.setup).times(gpus_d / (gpus_p + gpus_d)))
    idle = matched.paid_gpus / matched.gpus  # what is paid and does not run, in proportion
    cost, per_joule = economics(
        matched.output_tokens_per_s * matched.copies,
        [(gpus_p * idle, swept.prefill_setup), (gpus_d * idle, swept.setup)],
    )
    proof = matched.certificate
    # More requests/s of either pool by a factor give no more than this factor of throughput.
    beyond = 1.0 + max(swept.prefill.gap, swept.decode.gap)
    kv_bytes = swept.prefill.value("kv_prompt_bytes", i)
    # How many GPUs hold distinct cache depends on no workload.
    one = swept.each[0]
    own_bytes = one.prefill.value("kv_prompt_bytes", i)
    egress_gpus = kv_gpus(one.prefill, i, "kv_egress_bytes_per_s_per_gpu", own_bytes)
    ingress_gpus = kv_gpus(one.decode, j, "kv_ingress_bytes_per_s_per_gpu", own_bytes)
    ftl_s = at_each(swept.each, "prefill", "ftl_s", i)
    ttl_s = at_each(swept.each, "decode", "ttl_s", j)
    deployed = Deployed(
        output_tokens_per_s_per_gpu=matched.output_tokens_per_s_per_gpu,
        interval=interval(matched.output_tokens_per_s_per_gpu, spread),
        ftl_s=matched.ftl_s,
        ttl_s=matched.ttl_s,
        ttl_median_s=None,
        gpus=int(matched.gpus) * matched.copies,
        requests_per_s=requests_per_s,
        instances=(prompt, token),
        cost_usd_per_million_output_tokens=cost,
        output_tokens_per_joule=per_joule,
        ctx_gen_ratio=matched.ctx_gen_ratio,
        kv_egress_bytes_per_s_per_gpu=requests_per_s * kv_bytes / (prompt.count * egress_gpus),
        kv_ingress_bytes_per_s_per_gpu=requests_per_s * kv_bytes / (token.count * ingress_gpus),
        certificate=Certificate(
            gap=1.0 - (1.0 - proof.gap) / beyond,
            upper_bound=proof.upper_bound * beyond,
            runner_up=proof.runner_up.value if proof.runner_up else None,
            stable_range={
                "prefill_rate": proof.near_prefill_rate_range,
                "decode_rate": proof.near_decode_rate_range,
            },
            method=proof.method,
            near_frac=proof.near_frac,
        ),
        by_workload=_latencies(ftl_s, ttl_s),
        mixed_ttl_s=float(request.slot_shares @ np.array(ttl_s)),
        copies=matched.copies,
        host_s=swept.prefill.value("host_s", i),
    )
    return deployed, spread


def _latencies(ftl_s: tuple[float, ...], ttl_s: tuple[float, ...]) -> tuple[Latencies, ...]:
    return tuple(Latencies(*pair) for pair in zip(ftl_s, ttl_s, strict=True))


def kv_gpus(designs: Designs, index: int, flow: str, kv_bytes: float) -> float:
    """GPUs of an instance that hold distinct cache: what its own rate implies."""
    return designs.value("requests_per_s", index) * kv_bytes / designs.value(flow, index)


def instances_within(colocated: ColocatedCandidates, swept: Swept) -> tuple[np.ndarray, np.ndarray]:
    """Instances of each co-located design that the cap holds, and the GPUs that are then paid.

    Without a cap, one instance, or as many as fill the domains that one needs where domains are
    paid whole. A stage of `width` GPUs fits floor(domain / width) times into a domain, or takes
    width / domain whole ones.
    """
    request = swept.request
    cap = float(request.cap or np.inf)
    if not request.pack:
        count = np.floor(cap / colocated.gpus) if np.isfinite(cap) else np.ones_like(colocated.gpus)
        paid = np.maximum(count, 1.0) * colocated.gpus
    else:
        domain = float(swept.setup.hardware.hardware.domain_gpus)
        width = colocated.gpus / colocated.stages
        per_domain = np.where(width > domain, domain / width, np.floor(domain / width))
        room = np.maximum(per_domain, colocated.stages)
        if np.isfinite(cap):
            whole = np.floor(np.floor(cap / domain) * per_domain + ROUNDING)
            room = whole + np.floor(cap % domain / width)
        count = np.floor(room / colocated.stages)
        domains = np.ceil(np.maximum(count, 1.0) * colocated.stages / per_domain - ROUNDING)
        paid = np.minimum(domains * domain, cap)
    return count, np.full_like(paid, cap) if request.exact_gpus else paid


def best_colocated(
    swept: Swept, candidates: AllCandidates
) -> tuple[Deployed | Unmet, Spread | None]:
    """The best co-located design under the targets, and the spread of its throughput."""
    request, colocated = swept.request, candidates.colocated
    ftl, ttl = colocated.ftl_s <= request.ftl_s, colocated.ttl_s <= request.ttl_s
    count, paid = instances_within(colocated, swept)
    fits = count > 0
    if not (ftl & ttl & fits).any():
        return unmet_colocated(colocated, ftl, ttl, fits, request.cap or np.inf), None
    worth = colocated.output_tokens_per_s_per_gpu * count * colocated.gpus / paid
    best = _first_of_equals(colocated, worth, count, ftl & ttl & fits)
    index, mode = int(colocated.index[best]), MODES[int(colocated.mode[best])]
    instances = int(count[best])
    per_gpu = float(worth[best])
    gpus = int(colocated.gpus[best])
    rate = swept.colocated.value(f"{mode}_output_tokens_per_s_per_gpu", index) * gpus
    requests_per_s = rate / (request.mean_osl - 1.0)
    shape = shape_of(
        swept.colocated, index, swept.setup, count=instances, mode=mode,
        latency=f"{mode}_ttl_s", requests_per_s=requests_per_s,
    )  # fmt: skip
    spread = spread_at(swept.colocated, index, swept.setup, mode)
    cost, per_joule = economics(rate * instances, [(float(paid[best]), swept.setup)])
    each = {n: at_each(swept.each, "colocated", f"{mode}_{n}", index) for n in ("ftl_s", "ttl_s")}
    deployed = Deployed(
        output_tokens_per_s_per_gpu=per_gpu,
        interval=interval(per_gpu, spread),
        ftl_s=float(colocated.ftl_s[best]),
        ttl_s=swept.colocated.value(f"{mode}_ttl_s", index),
        ttl_median_s=swept.colocated.value(f"{mode}_ttl_median_s", index),
        gpus=gpus * instances,
        requests_per_s=requests_per_s * instances,
        instances=(shape,),
        cost_usd_per_million_output_tokens=cost,
        output_tokens_per_joule=per_joule,
        by_workload=_latencies(**each),
        mixed_ttl_s=float(request.slot_shares @ np.array(each["ttl_s"])),
        copies=instances,
        host_s=swept.colocated.value("host_s", index),
    )
    return deployed, spread


def _first_of_equals(
    colocated: ColocatedCandidates, worth: np.ndarray, count: np.ndarray, met: np.ndarray
) -> int:
    """The best design under the targets; of those as good, fewest GPUs, then low latencies."""
    good = np.flatnonzero(met)
    equal = good[worth[good] >= worth[good].max() * (1.0 - TIE)]
    gpus = count[equal] * colocated.gpus[equal]
    order = np.lexsort((-worth[equal], colocated.ftl_s[equal], colocated.ttl_s[equal], gpus))
    return int(equal[order[0]])


def unmet_colocated(
    colocated: ColocatedCandidates, ftl: np.ndarray, ttl: np.ndarray, fits: np.ndarray, cap: float
) -> Unmet:
    """Why no co-located design serves: which meet FTL, which TTL, which fit in `cap` GPUs."""

    def least(values: np.ndarray, kept: np.ndarray) -> float | None:
        return float(values[kept].min()) if kept.any() else None

    if not len(colocated.ttl_s):
        return Unmet("No co-located design obeys every rule.", None, None)
    if not fits.any():
        return Unmet(f"No co-located instance fits in {cap:g} GPUs.", None, None)
    nearest_ftl = least(colocated.ftl_s, ttl & fits)
    nearest_ttl = least(colocated.ttl_s, ftl & fits)
    return Unmet("No co-located design meets both latency targets.", nearest_ftl, nearest_ttl)
