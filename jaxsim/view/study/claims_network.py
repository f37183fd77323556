"""Domains, KV transfer, lengths that vary, few GPUs: claims C17 to C23."""

import itertools

import numpy as np

from jaxsim.space.axes import Space, complete
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.view.study.claim import (
    Claim,
    Finding,
    Part,
    criterion,
    finding,
    number,
    numbers,
    rank_correlation,
    thirds,
)
from jaxsim.view.study.claims_gain import DENSE, HEAVY, L70, R1, SHORT
from jaxsim.view.study.claims_pools import rungs
from jaxsim.view.study.curves import Matched, evenly, range_of
from jaxsim.view.study.lengths import LengthSpread, spread_frontier
from jaxsim.view.study.settings import Mixture, Setting, settings
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case

LONG = Case(R1, 1048576.0, 2048.0)
SPREAD = Case(L70, 4096.0, 512.0)
EGRESS_ISL = tuple(float(2**k) for k in range(10, 21))


def domain_pair(study: Study, case: Case, setting: Setting) -> tuple[Matched, Matched]:
    """The disaggregated frontiers with the small and with the large domain."""
    small, large = (
        Case(case.model, case.isl, case.osl, float(number(f"domain_{size}")))
        for size in ("small", "large")
    )
    return study.matched(small, setting), study.matched(large, setting)


def c17(study: Study, setting: Setting) -> Finding | None:
    """Whether a larger scale-up domain never hurts, and whom it helps."""
    never, values, gains = [], [], {}
    for case in (HEAVY, DENSE):
        small, large = domain_pair(study, case, setting)
        where = range_of(small.y, large.y)
        if not len(where):
            return None
        _, rung = evenly(settings().interactivity, where)
        never.append(bool(np.all(large.y >= small.y * (1.0 - 1e-6))))
        name = SHORT[case.model]
        gains[name] = thirds(large.y[rung] / small.y[rung])
        reach = [end_of(m) for m in (small, large)]
        gains[f"{name} reach"] = reach[1] / reach[0]
        shown = "/".join(f"{g:.2f}" for g in gains[name])
        values.append(f"{name} {shown} by thirds, {reach[1] / reach[0]:.2f}× the reach")
    parts = (
        Part("72 is at least as good everywhere", all(never)),
        Part("R1 gains in the middle of the range", gains["R1"][1] >= criterion("clear_gain")),
        Part("70B gains at high interactivity, in throughput or reach",
             max(gains["70B"][2], gains["70B reach"]) >= criterion("clear_gain")),
    )  # fmt: skip
    why = (
        "70B needs more than 8 GPUs in a domain only for TP beyond 8, which small kernels and "
        "all-reduce latency do not repay (C12)."
    )
    return finding(f"72 over 8: {'; '.join(values)}", parts, why=why, **gains)


def end_of(matched: Matched) -> float:
    """The interactivity at which a frontier ends."""
    return float(settings().interactivity[matched.served][-1])


def egress(study: Study, case: Case, mixture: Mixture, setting: Setting) -> Designs | None:
    """Prefill over prompt lengths at the mapping that is best for the case's own."""
    chosen = study.matched(case, setting, ftl_s=np.inf).prefill
    if not chosen:
        return None
    scenario = study.sweeper.scenario(case, mixture)
    mapping = Space(
        tp=(chosen["tp"],),
        ep=(chosen["ep"],),
        pp=(chosen["pp"],),
        chunk=(chosen["chunk"],),
        batch=(1.0,),
        prefill_batch=(chosen["batch"],),
    )
    space = complete(mapping, scenario.model, scenario.hardware, case.isl)
    make = lambda: evaluate_phase("prefill", scenario, space, EGRESS_ISL, (case.osl,))  # noqa: E731
    return study.kept(("egress", case, mixture), make)


def c18(study: Study, setting: Setting) -> Finding | None:
    """Whether egress falls as prompts grow."""
    parts, values, measures = [], [], {}
    for case in (HEAVY, DENSE):
        designs = egress(study, case, setting.mixture, setting)
        if designs is None:
            return None
        flow = designs.full("kv_egress_bytes_per_s_per_gpu").ravel().astype(float)
        falls = -rank_correlation(EGRESS_ISL, flow)
        name = SHORT[case.model]
        rises = [isl for isl, step in zip(EGRESS_ISL, np.diff(flow), strict=False) if step > 0.0]
        at = f"but for a rise from {', '.join(f'{isl:.0f}' for isl in rises)}" if rises else ""
        parts += [
            Part(f"{name} falls: {flow[0] / 1e9:.2f} GB/s at 1k to {flow[-1] / 1e9:.3f} at 1M, "
                 f"correlation {-falls:+.2f}", falls >= criterion("monotone")),
            Part(f"{name} at every step {at}".strip(), not rises),
        ]  # fmt: skip
        values.append(f"{name} {flow[0] / 1e9:.2f} to {flow[-1] / 1e9:.3f} GB/s")
        measures[name] = {"correlation": -falls, "flow": flow.tolist()}
    parts.sort(key=lambda part: "every step" in part.text)
    why = (
        "Attention makes a token of a longer prompt slower to prefill, while its cache keeps its "
        "size. Very short prompts run too few tokens a pass to fill the GPU, and rise first."
    )
    value = f"1k to 1M tokens: {', '.join(values)}"
    return finding(value, parts, essential=2, why=why, **measures)


def flows(matched: Matched) -> tuple[float, np.ndarray]:
    """Egress of a prefill GPU, and ingress of a decode GPU along the frontier, bytes/s."""
    where = rungs(matched)
    ingress = matched.decode["kv_ingress_bytes_per_s_per_gpu"][where]
    return matched.prefill["kv_egress_bytes_per_s_per_gpu"], ingress


def c20(study: Study, setting: Setting) -> Finding | None:
    """Whether the transfer of caches needs only ordinary datacenter bandwidth."""
    most = {}
    for case in (HEAVY, LONG):
        matched = study.matched(case, setting, ftl_s=np.inf)
        if not matched.served.any():
            return None
        out, into = flows(matched)
        most[case.isl] = (out, float(into.max()))
    largest = max(max(pair) for pair in most.values())
    parts = (
        Part(f"at most {largest / 1e9:.2f} GB/s a GPU",
             largest <= criterion("ordinary_bytes_per_s")),
        Part(f"{criterion('nic_bytes_per_s') / largest:.0f} times less than a NIC",
             largest <= 0.2 * criterion("nic_bytes_per_s")),
    )  # fmt: skip
    value = "; ".join(
        f"ISL {isl / 1024:.0f}k: egress {out / 1e9:.2f}, ingress up to {into / 1e9:.2f} GB/s"
        for isl, (out, into) in most.items()
    )
    return finding(value, parts, largest=largest)


def c22(study: Study, setting: Setting) -> Finding | None:
    """Whether one pair of lengths stands for a distribution of them."""
    proxy = study.matched(SPREAD, setting)
    if not proxy.served.any():
        return None
    parts, values, errors = [], [], {}
    for sigma in numbers("spread_sigmas"):
        y = spread_frontier(study, SPREAD, setting, LengthSpread(float(sigma)))
        where = range_of(proxy.y, y)
        if not len(where):
            return None
        error = proxy.y[where] / y[where] - 1.0
        errors[str(sigma)] = float(np.median(np.abs(error)))
        parts.append(
            Part(f"sigma {sigma:g}: median difference {100 * errors[str(sigma)]:.0f} %, "
                 f"signed {100 * float(np.median(error)):+.0f} %",
                 errors[str(sigma)] <= criterion("proxy_error"))
        )  # fmt: skip
        values.append(f"{100 * errors[str(sigma)]:.0f} %")
    sigmas = ", ".join(f"{sigma:g}" for sigma in numbers("spread_sigmas"))
    value = f"median difference {', '.join(values)} for log-normal lengths of sigma {sigmas}"
    why = (
        "Prefill pays for the mean prompt and its square, decode for the mean context of the "
        "requests in flight; the median stands for neither once lengths are skewed."
    )
    return finding(value, parts, why=why, median_error=errors)


def capped(study: Study, setting: Setting, cap: float) -> Matched:
    """The frontier of R1 with at most so many GPUs."""
    return study.matched(HEAVY, setting, max_gpus=cap)


def c23(study: Study, setting: Setting) -> Finding | None:
    """Whether few GPUs restrict matching."""
    free = study.matched(HEAVY, setting)
    where = rungs(free)
    if not len(where):
        return None
    caps = [float(cap) for cap in numbers("caps")]
    kept = []
    below = True
    for cap in caps:
        y = capped(study, setting, cap).y
        below &= bool(np.all(y <= free.y * (1.0 + 1e-6)))
        kept.append(float(np.mean(y[where] / free.y[where])))
    parts = (
        Part("no cap is above the unlimited frontier", below),
        Part(f"{caps[0]:.0f} GPUs keep {kept[0]:.2f} of it on average",
             kept[0] <= 1.0 - criterion("cap_loss")),
        Part("more GPUs keep more", all(b >= a - 0.005 for a, b in itertools.pairwise(kept))),
    )  # fmt: skip
    value = ", ".join(f"{cap:.0f} GPUs keep {k:.2f}" for cap, k in zip(caps, kept, strict=True))
    return finding(value, parts, essential=2, caps=caps, kept=kept)


CLAIMS = (
    Claim("C17", c17, ("ftl_s",)),
    Claim("C18", c18, ()),
    Claim("C20", c20, ()),
    Claim("C22", c22, ("ftl_s",)),
    Claim("C23", c23, ("ftl_s",)),
)
