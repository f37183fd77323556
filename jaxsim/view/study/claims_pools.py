"""What do the best pools look like, and in which ratio?  Claims C10 to C15."""

import itertools

import numpy as np

from jaxsim.quantities import KERNEL_PARTS
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
from jaxsim.view.study.claims_gain import DENSE, FOUR, HEAVY, SHORT
from jaxsim.view.study.curves import Matched, range_of
from jaxsim.view.study.settings import Setting
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case
from jaxsim.view.study.ties import Equals


def rungs(matched: Matched) -> np.ndarray:
    """Rungs from the relaxed to the tight end of a disaggregated frontier."""
    return range_of(matched.y)


def c10(study: Study, setting: Setting) -> Finding | None:
    """Whether batch falls and tensor parallelism rises as the token latency tightens."""
    parts, values, measures = [], [], {}
    for case in (HEAVY, DENSE):
        matched = study.curves(case, setting.mixture).matched(setting)
        where = rungs(matched)
        if not len(where):
            return None
        x = np.arange(len(where))
        equals = Equals(study, case, setting, matched, where)
        batch, tp = (equals.path(axis, matched.decode[axis][where]) for axis in ("batch", "tp"))
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
    """Whether decode prefers expert parallelism, attention moving from data to tensor parallel."""
    matched = study.curves(HEAVY, setting.mixture).matched(setting)
    where = rungs(matched)
    if not len(where):
        return None
    tp, ep, batch = (matched.decode[name][where] for name in ("tp", "ep", "batch"))
    parallel = np.maximum(tp, ep) / tp
    spread = Equals(study, HEAVY, setting, matched, where).frac("ep", 2.0)
    parts = (
        Part(f"EP > 1 as good on {100 * spread:.0f} % of the frontier",
             spread >= criterion("nearly_all")),
        Part(f"attention data parallel {parallel[0]:.0f} to {parallel[-1]:.0f}, "
             f"TP {tp[0]:.0f} to {tp[-1]:.0f}",
             parallel[-1] < parallel[0] and tp[-1] > tp[0]),
        Part(f"batch {batch[0]:.0f} to {batch[-1]:.0f}",
             batch[0] >= criterion("several_hundred") and batch[-1] <= criterion("a_few")),
    )  # fmt: skip
    value = (
        f"EP > 1 as good on {100 * spread:.0f} %; TP {tp[0]:.0f} to {tp[-1]:.0f}; "
        f"batch {batch[0]:.0f} to {batch[-1]:.0f}"
    )
    why = "" if spread >= criterion("nearly_all") else whole(study, setting, matched, where)
    return finding(value, parts, essential=2, why=why, ep_frac=spread, batch=[batch[0], batch[-1]])


def step_parts(
    study: Study, case: Case, setting: Setting, place: dict[str, float]
) -> dict[str, float]:
    """Seconds of a decode step by part, at the axis values of `place`."""
    _, _, (_, designs) = study.pools(case, setting.mixture)
    axes = designs.axes
    at = tuple(int(np.argmin(np.abs(axes[n] - place.get(n, axes[n][0])))) for n in axes)
    return {name: float(designs.full(f"{name}_s")[at]) for name in KERNEL_PARTS}


def whole(study: Study, setting: Setting, matched: Matched, where: np.ndarray) -> str:
    """By how much steps gain from experts cut over all ranks, against EP 2, where EP is 1."""
    where = where[matched.decode["ep"][where] == 1.0]
    places = [{n: float(matched.decode[n][i]) for n in ("tp", "pp", "batch")} for i in where]
    one, two = (
        np.array([sum(step_parts(study, HEAVY, setting, p | {"ep": ep}).values()) for p in places])
        for ep in (1.0, 2.0)
    )
    batch = matched.decode["batch"][where]
    return (
        f"EP is 1 on {len(where)} rungs, at batch {batch[0]:.0f} to {batch[-1]:.0f}. A step with "
        f"EP 2 takes up to {100 * (two / one - 1.0).max():.1f} % longer there: of ranks that hold "
        "whole experts one is busier than the mean, of ranks that hold a part of each none is."
    )


def wider(study: Study, setting: Setting, tp: float, batch: float) -> str:
    """What a step spends its time on at the tight end, and with the study's TP instead."""
    if tp >= number("tp_tight"):
        return ""
    steps = {
        width: step_parts(study, DENSE, setting, {"tp": width, "batch": batch})
        for width in (tp, float(number("tp_tight")))
    }
    spent = "; ".join(
        f"TP {width:.0f}: " + ", ".join(f"{n} {1e3 * t:.1f}" for n, t in parts.items() if t > 5e-5)
        for width, parts in steps.items()
    )
    own, other = (sum(parts.values()) for parts in steps.values())
    text = f"A step at batch {batch:.0f} takes, in ms, {spent}. "
    if other < own:
        return text + "Wider groups are faster, but cost more GPUs than they speed up a step."
    moved = {n: steps[number("tp_tight")][n] - steps[tp][n] for n in KERNEL_PARTS}
    grown = max(moved, key=lambda name: moved[name])
    text += (
        f"The wider group shrinks no part by as much as {grown} grows: small kernels cost their "
        "floor whatever the width. "
    )
    return text + would_have_to_be(study, setting, own, steps[number("tp_tight")], batch)


def would_have_to_be(
    study: Study, setting: Setting, least_s: float, wide: dict[str, float], batch: float
) -> str:
    """The latency of an all-reduce at which the study's TP is as fast, beside that of 8 ranks."""
    narrow = step_parts(study, DENSE, setting, {"tp": 8.0, "batch": batch})
    model = study.sweeper.scenario(DENSE, setting.mixture).model
    messages = 2.0 * sum(float(np.asarray(group.layers)) for group in model.groups)
    needed, taken, eight = (
        1e6 * seconds / messages
        for seconds in (
            least_s - sum(wide.values()) + wide["network"], wide["network"], narrow["network"],
        )
    )  # fmt: skip
    tight = f"TP {number('tp_tight'):.0f}"
    if needed <= 0.0:
        return f"{tight} would not pay even if its messages took no time."
    text = (
        f"{tight} would be as fast if an all-reduce took {needed:.1f} us instead of {taken:.1f}; "
        f"over 8 ranks it takes {eight:.1f}. "
    )
    if eight > needed:
        return f"{text}Not even a reduction as quick as over 8 ranks would do."
    return f"{text}A reduction in the switch would do if 64 ranks wait no longer than 8: plausible."


def c12(study: Study, setting: Setting) -> Finding | None:
    """Whether the tensor parallelism of decode spans the widths of the study."""
    matched = study.curves(DENSE, setting.mixture).matched(setting)
    where = rungs(matched)
    if not len(where):
        return None
    tp = matched.decode["tp"][where].copy()
    ends = Equals(study, DENSE, setting, matched, where[[0, -1]])
    tp[0], tp[-1] = ends.values("tp", 0).min(), ends.values("tp", 1).max()
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
    """Whether the best ratio of pools falls as the token latency tightens, model by model."""
    ratios = [ratio_range(study, case, setting) for case in FOUR]
    if not all(len(ratio) for ratio in ratios):
        return None
    names = [SHORT[case.model] for case in FOUR]
    relaxed = [float(ratio[0]) for ratio in ratios]
    falls = [-rank_correlation(np.arange(len(r)), r) for r in ratios]
    ordered = all(a > b for a, b in itertools.pairwise(relaxed))
    factor = criterion("number_factor")
    parts = (
        Part("falls for all four models", min(falls) >= criterion("monotone")),
        Part("at the relaxed end R1 > 405B > 70B > 8B", ordered),
        Part(f"R1 starts at {relaxed[0]:.2f}, near {number('ratio_relaxed')}",
             within(relaxed[0], number("ratio_relaxed"), factor)),
    )  # fmt: skip
    value = ", ".join(f"{n} {r[0]:.2f} to {r[-1]:.2f}" for n, r in zip(names, ratios, strict=True))
    matched = study.curves(HEAVY, setting.mixture).matched(setting)
    first = {n: float(v[rungs(matched)[0]]) for n, v in matched.decode.items()}
    parts_s = step_parts(study, HEAVY, setting, first)
    largest = max(parts_s, key=lambda name: parts_s[name])
    share = parts_s[largest] / sum(parts_s.values())
    rate = matched.prefill["requests_per_s"] / matched.prefill["gpus"]
    why = (
        "The ratio is the decode rate of a GPU over its prefill rate. R1's relaxed decode step "
        f"spends {100 * share:.0f} % on {largest}, so that kernel decides; its prefill does "
        f"{rate:.2f} prompts/s/GPU."
    )
    return finding(value, parts, why=why, relaxed=relaxed, tight=[float(r[-1]) for r in ratios])


def c15(study: Study, setting: Setting) -> Finding | None:
    """Whether a fixed ratio fails outside its zone."""
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
    value = (
        f"3.5: {relaxed:.2f} of the best when relaxed, {tight:.2f} when tight; "
        f"0.5: plateau at {plateau:.2f}"
    )
    why = (
        f"By the identity y = (OSL-1) min(P r, D)/(1+r) all of this follows from the ratio at the "
        f"relaxed end (C14), here {own:.2f}: each fixed ratio has its zone around its own value."
    )
    return finding(
        value, parts, essential=2, why=why, plateau=plateau, relaxed=relaxed, tight=tight
    )


CLAIMS = tuple(
    Claim(check.__name__.upper(), check, ("ftl_s",)) for check in (c10, c11, c12, c14, c15)
)
