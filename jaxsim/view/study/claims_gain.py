"""Where does disaggregation gain?  Claims C1 to C7."""

from functools import partial

import numpy as np

from jaxsim.view.study.claim import (
    Claim,
    Finding,
    Part,
    criterion,
    finding,
    rank_correlation,
    thirds,
)
from jaxsim.view.study.curves import Curves, evenly, range_of
from jaxsim.view.study.settings import Setting
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case

R1, L8, L70, L405 = "deepseek-r1", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b"
SHORT = {R1: "R1", L8: "8B", L70: "70B", L405: "405B"}
HEAVY = Case(R1, 16384.0, 2048.0)
LONG_BOTH = Case(R1, 16384.0, 16384.0)
BALANCED = Case(R1, 2048.0, 2048.0)
GENERATION = Case(R1, 2048.0, 16384.0)
GENERATION_ONLY = Case(R1, 1024.0, 32768.0)
TRAFFIC = (HEAVY, LONG_BOTH, BALANCED, GENERATION, GENERATION_ONLY)
SIZES = tuple(Case(model, 4096.0, 256.0) for model in (L8, L70, L405))
FOUR = tuple(Case(model, 16384.0, 2048.0) for model in (R1, L405, L70, L8))
DENSE = Case(L70, 16384.0, 2048.0)


def traffic(case: Case) -> str:
    """`16k/2k`."""
    return "/".join(f"{n / 1024:g}k" if n >= 1024 else f"{n:g}" for n in (case.isl, case.osl))


def c1(study: Study, setting: Setting) -> Finding | None:
    """Whether disaggregation beats co-located serving for prefill-heavy traffic."""
    gain = study.gain(HEAVY, setting)
    if not len(gain):
        return None
    clear = float(np.mean(gain.gain >= criterion("clear_gain")))
    relaxed, middle, tight = thirds(gain.gain)
    parts = (
        Part(
            f"gain of at least {criterion('clear_gain'):g} on {100 * clear:.0f} % of the range",
            clear >= criterion("most_frac"),
        ),
        Part(
            f"mean gain by thirds {relaxed:.2f}, {middle:.2f}, {tight:.2f}: largest in the middle",
            middle >= max(relaxed, tight),
        ),
    )
    value = f"gain {gain.mean:.2f}× on average, up to {gain.gain.max():.2f}×"
    return finding(value, parts, mean_gain=gain.mean, peak_gain=float(gain.gain.max()),
                   clear_frac=clear, thirds=[relaxed, middle, tight])  # fmt: skip


def c2(study: Study, setting: Setting) -> Finding | None:
    """Whether it gains little or nothing for generation-heavy traffic."""
    gains = [study.gain(case, setting) for case in (GENERATION_ONLY, GENERATION)]
    if not all(len(gain) for gain in gains):
        return None
    most = criterion("little_gain")
    parts = [
        Part(f"{traffic(case)}: {gain.mean:.2f}× on average", 1.0 / most <= gain.mean <= most)
        for case, gain in zip((GENERATION_ONLY, GENERATION), gains, strict=True)
    ]
    value = ", ".join(
        f"{traffic(case)} {gain.mean:.2f}×"
        for case, gain in zip((GENERATION_ONLY, GENERATION), gains, strict=True)
    )
    return finding(value, parts, mean_gains=[gain.mean for gain in gains])


def c3(study: Study, setting: Setting) -> Finding | None:
    """Whether the gains of the five traffic patterns come in the order of the study."""
    cases = TRAFFIC[:4]
    gains = [study.gain(case, setting) for case in cases]
    if not all(len(gain) for gain in gains):
        return None
    means = [gain.mean for gain in gains]
    parts = [
        Part(
            f"{traffic(cases[i])} ({means[i]:.2f}×) above {traffic(cases[j])} ({means[j]:.2f}×)",
            means[i] > means[j],
        )
        for i, j in ((0, 2), (0, 3), (1, 3), (1, 2))
    ]
    value = ", ".join(f"{traffic(c)} {m:.2f}×" for c, m in zip(cases, means, strict=True))
    shares = []
    for case in cases:
        matched = study.curves(case, setting.mixture).matched(setting)
        ratio = matched.ctx_gen_ratio[range_of(matched.y)[0]]
        shares.append(ratio / (1.0 + ratio))
    listed = ", ".join(f"{traffic(c)} {100 * s:.0f} %" for c, s in zip(cases, shares, strict=True))
    why = (
        "What can be gained is what prefill disturbs, and that is its share of the GPUs at the "
        f"relaxed end: {listed} (rank correlation with the gain "
        f"{rank_correlation(shares, means):+.2f}). Longer contexts also make decode dearer, so "
        "equal ISL/OSL does not mean equal shares."
    )
    return finding(value, parts, essential=3, why=why, mean_gains=means, prefill_shares=shares)


def c4(study: Study, setting: Setting) -> Finding | None:
    """Whether the gain grows with the size of a model."""
    gains = [study.gain(case, setting) for case in SIZES]
    if not all(len(gain) for gain in gains):
        return None
    small, middle, large = (gain.mean for gain in gains)
    parts = (
        Part(f"8B {small:.2f}× < 70B {middle:.2f}× < 405B {large:.2f}×", small < middle < large),
        Part(f"8B is small: {small:.2f}×", small <= criterion("little_gain")),
    )
    value = f"8B {small:.2f}×, 70B {middle:.2f}×, 405B {large:.2f}×"
    own = thirds(gains[0].gain)
    why = (
        f"The gain of 8B by thirds of its range is {own[0]:.2f}×, {own[1]:.2f}× and {own[2]:.2f}×: "
        "what is small at relaxed targets is not at tight ones, where a co-located prompt delays "
        "every step that it shares."
    )
    return finding(value, parts, why=why, mean_gains=[small, middle, large], thirds_8b=list(own))


def c5(study: Study, setting: Setting) -> Finding | None:
    """Whether the middle of the range gains most."""
    parts, values, measures = [], [], {}
    for case in (HEAVY, DENSE):
        gain = study.gain(case, setting)
        if not len(gain):
            return None
        name = SHORT[case.model]
        peak = float(gain.position[int(np.argmax(gain.gain))])
        first, most, last = float(gain.gain[0]), float(gain.gain.max()), float(gain.gain[-1])
        # Compressed: at an end no more than half of the gain at the peak is left.
        parts += [
            Part(f"{name}: {first:.2f}× at the relaxed end, {most:.2f}× at the peak",
                 first - 1.0 <= 0.5 * (most - 1.0)),
            Part(f"{name}: {last:.2f}× at the tight end, {most:.2f}× at the peak",
                 last - 1.0 <= 0.5 * (most - 1.0)),
        ]  # fmt: skip
        values.append(f"{name} peaks at {most:.2f}×, {100 * peak:.0f} % into the range")
        measures[name] = {"peak": most, "position": peak, "relaxed": first, "tight": last}
    parts.sort(key=lambda part: "tight" in part.text)
    return finding("; ".join(values), parts, essential=2, **measures)


def piggybacked_share(
    curves: Curves, setting: Setting, rungs: np.ndarray | None = None
) -> np.ndarray:
    """Piggybacked over co-located overall throughput, evenly over rungs: where both serve."""
    overall, mixed = curves.colocated(setting), curves.colocated(setting, "piggybacked")
    where = range_of(overall, mixed) if rungs is None else rungs
    if not len(where):
        return np.zeros(0)
    _, rung = evenly(curves.interactivity, where)
    return mixed[rung] / np.maximum(overall[rung], mixed[rung].max() * 1e-9)


def comparable_share(study: Study, setting: Setting, case: Case, own: Setting) -> np.ndarray:
    """The share in another setting, over the range of the reading itself."""
    curves = study.curves(case, setting.mixture)
    lines = curves.colocated(setting), curves.colocated(setting, "piggybacked")
    return piggybacked_share(study.curves(case, own.mixture), own, range_of(*lines))


def c6(study: Study, setting: Setting) -> Finding | None:
    """Whether latent attention pays for piggybacking, until up-projected caches are kept."""
    kept = setting.mixed(keep_up_projected=1.0)
    hidden = setting.mixed(chunk_attention="overlapped")
    share = partial(comparable_share, study, setting)
    shares = [share(case, own) for case, own in ((HEAVY, setting), (DENSE, setting), (HEAVY, kept))]
    if not all(len(values) for values in shares):
        return None
    latent, dense, mended = (float(values.mean()) for values in shares)
    regained = (mended - latent) / max(1.0 - latent, 1e-9)
    parts = (
        Part(f"R1: piggybacked is {latent:.2f} of overall", latent <= criterion("well_below")),
        Part(f"70B: {dense:.2f}", dense >= criterion("close")),
        Part(
            f"R1 with up-projected K/V kept: {mended:.2f}, {100 * regained:.0f} % of the penalty",
            regained >= criterion("mended_frac"),
        ),
    )
    value = f"piggybacked/overall: R1 {latent:.2f}, 70B {dense:.2f}, R1 with K/V kept {mended:.2f}"
    freed = [float(share(case, hidden).mean()) for case in (HEAVY, DENSE)]
    why = (
        "The whole step waits for the chunk, whichever the model: what is left of the penalty is "
        "the chunk's attention over its past and the arithmetic of its other layers. "
        f"With reading of the past hidden behind arithmetic: R1 {freed[0]:.2f}, 70B {freed[1]:.2f}."
    )
    return finding(value, parts, why=why, latent=latent, dense=dense, kept=mended)


def c7(study: Study, setting: Setting) -> Finding | None:
    """Whether piggybacking is best at relaxed latency and generation-heavy traffic."""
    curves = [study.curves(case, setting.mixture) for case in TRAFFIC]
    own = [piggybacked_share(one, setting) for one in curves]
    if not all(len(values) for values in own):
        return None
    # Patterns are compared at the same interactivities: as far as any of them piggybacks.
    reach = [np.flatnonzero(one.colocated(setting, "piggybacked") > 0)[-1] for one in curves]
    shared = np.arange(max(reach) + 1)
    means = [float(piggybacked_share(one, setting, shared).mean()) for one in curves]
    third = [max(len(values) // 3, 1) for values in own]
    relaxing = [
        float(values[:n].mean() - values[-n:].mean()) for values, n in zip(own, third, strict=True)
    ]
    rising = rank_correlation([case.osl / case.isl for case in TRAFFIC], means)
    parts = (
        Part(
            f"rises as TTL relaxes in {sum(d > 0 for d in relaxing)} of {len(relaxing)} patterns",
            all(d > 0 for d in relaxing),
        ),
        Part(f"rank correlation with OSL/ISL {rising:+.2f}", rising >= criterion("rising")),
    )
    value = ", ".join(f"{traffic(c)} {m:.2f}" for c, m in zip(TRAFFIC, means, strict=True))
    return finding(f"piggybacked/overall: {value}", parts, means=means, correlation=rising)


ALL = ("ftl_s", "ttl_metric", "piggybacking")
CLAIMS = tuple(Claim(check.__name__.upper(), check, ALL) for check in (c1, c2, c3, c4, c5, c6, c7))
