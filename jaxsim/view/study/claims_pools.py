"""What do the best pools look like, and in which ratio?  Claims C8 to C15."""

from dataclasses import replace

import numpy as np

from jaxsim.space.axes import powers_of_two
from jaxsim.space.designs import Designs
from jaxsim.space.frontier import Candidates, prefill_candidates
from jaxsim.view.study.claim import (
    Claim,
    Finding,
    Part,
    criterion,
    finding,
    number,
    rank_correlation,
    within,
)
from jaxsim.view.study.claims_gain import DENSE, FOUR, HEAVY, R1, SHORT
from jaxsim.view.study.curves import Matched, range_of
from jaxsim.view.study.settings import Mixture, Setting
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case

# How an implementation may run chunked pipelines: re-project earlier latents or keep them,
# cut chunks of equal tokens or of equal time.
PIPELINES = {
    "latents projected again, equal tokens": (0.0, 0.0),
    "latents projected again, equal time": (0.0, 1.0),
    "K/V kept, equal tokens": (1.0, 0.0),
    "K/V kept, equal time": (1.0, 1.0),
}
FTL_STEPS = 13  # cutoffs between the relaxed optimum and the fastest design


def long_prompt() -> Case:
    """R1 with the prompts of the CPP claims; the output length does not matter to prefill."""
    return Case(R1, float(number("cpp_isl")), 2048.0)


def cpp_designs(study: Study, mixture: Mixture) -> Designs:
    """Prefill designs of the CPP sweep: data-parallel attention, every EP, PP and chunk."""
    widths = powers_of_two(1, number("cpp_gpus"))
    case = long_prompt()
    space = study.sweeper.space(
        case, tp=(1.0,), ep=widths, pp=widths, prefill_batch=widths,
        chunk=powers_of_two(512, case.isl),
    )  # fmt: skip
    make = lambda: study.sweeper.phase("prefill", case, mixture, space)  # noqa: E731
    return study.kept(("cpp", mixture), make, pools=True)


def cpp_rows(designs: Designs) -> list[dict[str, np.ndarray | float]]:
    """Per PP at EP x PP = 64, with one prompt on each attention rank: FTL and rate by chunk."""
    axes, gpus = designs.axes, float(number("cpp_gpus"))
    rows = []
    for k, stages in enumerate(axes["pp"]):
        width = gpus / stages
        if width not in axes["ep"]:
            continue
        e, b = int(np.searchsorted(axes["ep"], width)), int(np.searchsorted(axes["batch"], width))
        # isl, tp, ep, pp, chunk, batch
        at = (0, 0, e, k, slice(None), b)
        columns = {n: designs.full(n)[at].astype(float) for n in ("ftl_s", "requests_per_s")}
        rows.append({"pp": float(stages), "fits": designs.full("valid")[at], **columns})
    return rows


def cpp_choice(rows: list, stages: float, least: float) -> tuple[float, float, int] | None:
    """FTL and requests/s of the fastest chunk with at least that rate, and its position."""
    row = next(row for row in rows if row["pp"] == stages)
    ok = row["fits"] & (row["requests_per_s"] >= least)
    if not ok.any():
        return None
    best = int(np.flatnonzero(ok)[np.argmin(row["ftl_s"][ok])])
    return float(row["ftl_s"][best]), float(row["requests_per_s"][best]), best


def cpp_base(study: Study, mixture: Mixture) -> tuple[float, float] | None:
    """FTL and requests/s without a pipeline: one chunk, so that there is nothing to keep."""
    plain = replace(mixture, keep_up_projected=0.0, equal_time_chunks=0.0)
    row = cpp_rows(cpp_designs(study, plain))[0]
    if not row["fits"].any():
        return None
    best = int(np.argmax(np.where(row["fits"], row["requests_per_s"], 0.0)))
    return float(row["ftl_s"][best]), float(row["requests_per_s"][best])


def cpp_ratio(study: Study, mixture: Mixture) -> tuple[float, float]:
    """FTL(PP=32)/FTL(PP=1) and the throughput ratio; infinite where throughput is not kept."""
    one = cpp_base(study, mixture)
    if one is None:
        return np.inf, 0.0
    rows = cpp_rows(cpp_designs(study, mixture))
    many = cpp_choice(rows, float(number("cpp_stages")), criterion("same_throughput") * one[1])
    return (np.inf, 0.0) if many is None else (many[0] / one[0], many[1] / one[1])


def c8(study: Study, setting: Setting) -> Finding | None:
    found = {
        name: cpp_ratio(
            study, replace(setting.mixture, keep_up_projected=keep, equal_time_chunks=equal)
        )
        for name, (keep, equal) in PIPELINES.items()
    }
    best = min(found, key=lambda name: found[name][0])
    ratio, kept = found[best]
    if not np.isfinite(ratio):
        return None
    expected, factor = number("cpp_ftl_ratio"), criterion("number_factor")
    plain = found[next(iter(PIPELINES))]
    parts = (
        Part(f"FTL falls by more than half of the stages with {best}: to 1/{1 / ratio:.0f}",
             ratio <= 2.0 / number("cpp_stages")),
        Part(f"FTL falls to about 1/31: to 1/{1 / ratio:.0f}", within(ratio, expected, factor)),
        Part(f"throughput is kept: {kept:.2f}", kept >= criterion("same_throughput")),
    )  # fmt: skip
    worst = "not at constant throughput" if not np.isfinite(plain[0]) else f"1/{1 / plain[0]:.0f}"
    value = f"FTL to 1/{1 / ratio:.0f} at {kept:.2f} of the throughput ({best})"
    split = min(
        cpp_ratio(study, replace(setting.mixture, chunk_attention="split",
                                 keep_up_projected=keep, equal_time_chunks=equal))[0]
        for keep, equal in PIPELINES.values()
    )  # fmt: skip
    why = (
        f"With latents projected again for every chunk of equal tokens: {worst}. Fine chunks fill "
        "the pipeline, but a block of queries then walks 256k earlier keys on its own; if that walk "
        f"is split over the chip, FTL falls to 1/{1 / split:.0f}."
    )
    ratios = {name: [float(r), float(y)] for name, (r, y) in found.items()}
    return finding(value, parts, why=why, ratio=ratio, throughput=kept, by_pipeline=ratios)


def long_pool(study: Study, case: Case, mixture: Mixture) -> tuple[Candidates, Designs]:
    """Valid prefill designs of a long prompt, with pipelines up to one stage for two layers."""

    def make():
        space = study.sweeper.space(case, pp=powers_of_two(1, number("cpp_stages")))
        prompt = study.sweeper.phase("prefill", case, mixture, space)
        return prefill_candidates(prompt), prompt

    return study.kept(("long", case, mixture), make, pools=True)


def tightening(study: Study, setting: Setting) -> list[dict[str, float]]:
    """Algorithm 1's choice on a ladder of FTL cutoffs, from any to the fastest there is."""
    case = long_prompt()
    first, prompt = long_pool(study, case, setting.mixture)
    pool = first.pool
    if not len(pool):
        return []
    rate = pool.requests_per_s / pool.gpus
    relaxed = pool.latency_s[int(np.argmax(rate))]
    rows = []
    for cutoff_s in np.geomspace(relaxed, pool.latency_s.min(), FTL_STEPS) * (1 + 1e-9):
        met = np.flatnonzero(pool.latency_s <= cutoff_s)
        order = np.lexsort((pool.latency_s[met], pool.gpus[met], -rate[met]))
        best = int(met[order[0]])
        row = {"cutoff_s": float(cutoff_s), "ftl_s": float(pool.latency_s[best])}
        row |= {"gpus": float(pool.gpus[best]), "rate": float(rate[best])}
        rows.append(row | prompt.at(int(first.index[best])))
    return rows


def c9(study: Study, setting: Setting) -> Finding | None:
    rows = tightening(study, setting)
    if not rows:
        return None
    stages = np.log2([row["pp"] for row in rows])
    widths = np.log2([row["tp"] for row in rows])
    # Once the pipeline is as long as it can be, only width is left to grow.
    longest = int(np.argmax(stages))
    grown_pp = stages[: longest + 1] - stages[0]
    grown_tp = widths[: longest + 1] - widths[0]
    ahead = float(np.mean(grown_pp >= grown_tp))
    parts = (
        Part(f"PP grows {2 ** stages[0]:.0f} to {2 ** stages.max():.0f}", longest > 0),
        Part(f"TP has grown less once PP is longest: {2 ** widths[0]:.0f} to "
             f"{2 ** widths[longest]:.0f}", grown_tp[-1] < grown_pp[-1]),
        Part(f"until then PP has grown as much as TP at {100 * ahead:.0f} % of the cutoffs",
             ahead >= criterion("nearly_all")),
    )  # fmt: skip
    value = (
        f"PP {rows[0]['pp']:.0f} to {rows[longest]['pp']:.0f} as FTL goes from "
        f"{rows[0]['cutoff_s']:.0f} s to {rows[longest]['cutoff_s']:.0f} s, "
        f"TP {rows[0]['tp']:.0f} to {rows[longest]['tp']:.0f}"
    )
    trail = [[row["cutoff_s"], row["pp"], row["tp"], row["ep"]] for row in rows]
    return finding(value, parts, essential=2, cutoff_pp_tp_ep=trail)


def rungs(matched: Matched) -> np.ndarray:
    """Rungs from the relaxed to the tight end of a disaggregated frontier."""
    return range_of(matched.y)


def c10(study: Study, setting: Setting) -> Finding | None:
    parts, values, measures = [], [], {}
    for case in (HEAVY, DENSE):
        matched = study.curves(case, setting.mixture).matched(setting)
        where = rungs(matched)
        if not len(where):
            return None
        x = np.arange(len(where))
        batch, tp = matched.decode["batch"][where], matched.decode["tp"][where]
        falls, rises = -rank_correlation(x, batch), rank_correlation(x, tp)
        name = SHORT[case.model]
        parts += [
            Part(f"{name} batch {batch[0]:.0f} to {batch[-1]:.0f}, correlation {-falls:+.2f}",
                 falls >= criterion("monotone")),
            Part(f"{name} TP {tp[0]:.0f} to {tp[-1]:.0f}, correlation {rises:+.2f}",
                 rises >= criterion("rising") and tp[-1] > tp[0]),
        ]  # fmt: skip
        values.append(
            f"{name}: batch {batch[0]:.0f} to {batch[-1]:.0f}, TP {tp[0]:.0f} to {tp[-1]:.0f}"
        )
        measures[name] = {"batch": falls, "tp": rises}
    parts.sort(key=lambda part: " TP " in part.text)
    return finding("; ".join(values), parts, essential=2, **measures)


def c11(study: Study, setting: Setting) -> Finding | None:
    matched = study.curves(HEAVY, setting.mixture).matched(setting)
    where = rungs(matched)
    if not len(where):
        return None
    tp, ep, batch = (matched.decode[name][where] for name in ("tp", "ep", "batch"))
    parallel = np.maximum(tp, ep) / tp
    spread = float(np.mean(ep > 1.0))
    parts = (
        Part(f"EP > 1 on {100 * spread:.0f} % of the frontier", spread >= criterion("nearly_all")),
        Part(f"attention data parallel {parallel[0]:.0f} to {parallel[-1]:.0f}, TP {tp[0]:.0f} to {tp[-1]:.0f}",
             parallel[-1] < parallel[0] and tp[-1] > tp[0]),
        Part(f"batch {batch[0]:.0f} to {batch[-1]:.0f}",
             batch[0] >= criterion("several_hundred") and batch[-1] <= criterion("a_few")),
    )  # fmt: skip
    value = f"EP > 1 on {100 * spread:.0f} %; TP {tp[0]:.0f} to {tp[-1]:.0f}; batch {batch[0]:.0f} to {batch[-1]:.0f}"
    return finding(value, parts, essential=2, ep_frac=spread, batch=[batch[0], batch[-1]])


def wider(study: Study, setting: Setting, tp: float, batch: float) -> str:
    """What a step spends its time on at the tight end, and with the study's TP instead."""
    _, _, (_, designs) = study.pools(DENSE, setting.mixture)
    axes = designs.axes
    steps = {}
    for width in (tp, float(number("tp_tight"))):
        place = {"tp": width, "ep": 1.0, "pp": 1.0, "batch": batch}
        at = tuple(int(np.argmin(np.abs(axes[n] - place.get(n, axes[n][0])))) for n in axes)
        steps[width] = {
            name: 1e3 * float(designs.full(f"{name}_s")[at])
            for name in ("projections", "attention", "ffn", "network", "elementwise")
        }
    spent = "; ".join(
        f"TP {width:.0f}: " + ", ".join(f"{name} {ms:.1f}" for name, ms in parts.items()) + " ms"
        for width, parts in steps.items()
    )
    return (
        f"A step at batch {batch:.0f} takes, at {spent}. What small kernels cost at least does not "
        "shrink with TP and all-reduce grows, so wider groups stop paying early; kernels near the "
        "roofline would have to replace the measured ones."
    )


def c12(study: Study, setting: Setting) -> Finding | None:
    matched = study.curves(DENSE, setting.mixture).matched(setting)
    where = rungs(matched)
    if not len(where):
        return None
    tp = matched.decode["tp"][where]
    parts = (
        Part(f"TP grows eightfold or more: {tp[0]:.0f} to {tp.max():.0f}", tp.max() >= 8 * tp[0]),
        Part(f"TP {tp[0]:.0f} at the relaxed end", tp[0] <= number("tp_relaxed")),
        Part(f"TP {tp[-1]:.0f} at the tight end", tp[-1] >= number("tp_tight")),
    )
    value = f"TP {tp[0]:.0f} to {tp[-1]:.0f}"
    why = wider(study, setting, float(tp[-1]), float(matched.decode["batch"][where[-1]]))
    return finding(value, parts, why=why, relaxed=float(tp[0]), tight=float(tp[-1]))


def ratio_range(study: Study, case: Case, setting: Setting) -> np.ndarray:
    """The ctx:gen ratio from the relaxed to the tight end."""
    matched = study.curves(case, setting.mixture).matched(setting)
    return matched.ctx_gen_ratio[rungs(matched)]


def c14(study: Study, setting: Setting) -> Finding | None:
    ratios = [ratio_range(study, case, setting) for case in FOUR]
    if not all(len(ratio) for ratio in ratios):
        return None
    names = [SHORT[case.model] for case in FOUR]
    relaxed = [float(ratio[0]) for ratio in ratios]
    falls = [-rank_correlation(np.arange(len(r)), r) for r in ratios]
    ordered = all(a > b for a, b in zip(relaxed, relaxed[1:], strict=False))
    factor = criterion("number_factor")
    parts = (
        Part("falls for all four models", min(falls) >= criterion("monotone")),
        Part("at the relaxed end R1 > 405B > 70B > 8B", ordered),
        Part(f"R1 starts at {relaxed[0]:.2f}, near {number('ratio_relaxed')}",
             within(relaxed[0], number("ratio_relaxed"), factor)),
    )  # fmt: skip
    value = ", ".join(f"{n} {r[0]:.2f} to {r[-1]:.2f}" for n, r in zip(names, ratios, strict=True))
    why = (
        "The ratio is the decode rate over the prefill rate of a GPU. At the relaxed end MLA decode "
        "is bound by the arithmetic of attention over the latents of every sequence in the batch: "
        "the rate of that kernel decides R1's ratio."
    )
    return finding(value, parts, why=why, relaxed=relaxed, tight=[float(r[-1]) for r in ratios])


def c15(study: Study, setting: Setting) -> Finding | None:
    best = study.curves(HEAVY, setting.mixture).matched(setting)
    where = rungs(best)
    if not len(where):
        return None
    high, low = (
        study.matched(HEAVY, setting, ratio=float(number(name)))
        for name in ("fixed_high", "fixed_low")
    )
    plateau = float(low.y.max() / best.y.max())
    relaxed, tight = (float(high.y[i] / best.y[i]) for i in (where[0], where[-1]))
    never = bool(np.all(np.maximum(high.y, low.y) <= best.y * (1 + 1e-6)))
    own = best.ctx_gen_ratio[where[0]]
    parts = (
        Part("dynamic matching is highest everywhere", never),
        Part(f"3.5 collapses when tight: {tight:.2f} of the best", tight <= criterion("collapse")),
        Part(f"3.5 is near the optimum when relaxed: {relaxed:.2f}",
             relaxed >= criterion("near_optimum")),
        Part(f"0.5 has its plateau at {plateau:.2f} of the peak",
             within(plateau, number("plateau"), criterion("number_factor"))),
    )  # fmt: skip
    value = f"3.5: {relaxed:.2f} of the best when relaxed, {tight:.2f} when tight; 0.5: plateau at {plateau:.2f}"
    why = (
        f"By the identity y = (OSL-1) min(P r, D)/(1+r) all of this follows from the ratio at the "
        f"relaxed end (C14), here {own:.2f}: each fixed ratio has its zone around its own value."
    )
    return finding(
        value, parts, essential=2, why=why, plateau=plateau, relaxed=relaxed, tight=tight
    )


CLAIMS = (
    Claim("C8", c8, ()),
    Claim("C9", c9, ()),
    *(Claim(c.__name__.upper(), c, ("ftl_s",)) for c in (c10, c11, c12, c14, c15)),
)
