"""What do chunked pipelines buy for long prompts?  Claims C8 and C9."""

from dataclasses import dataclass, replace

import numpy as np

from jaxsim.space.axes import powers_of_two
from jaxsim.space.deploy.candidates import Candidates, prefill_candidates
from jaxsim.space.designs import Designs
from jaxsim.view.study.claim import Claim, Finding, Part, criterion, finding, number, within
from jaxsim.view.study.claims_gain import R1
from jaxsim.view.study.curves import axis_columns
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


@dataclass(frozen=True)
class PipelineRow:
    """Designs of one PP at EP x PP = 64, by chunk."""

    pp: float
    ftl_s: np.ndarray
    requests_per_s: np.ndarray
    fits: np.ndarray


def cpp_rows(designs: Designs) -> list[PipelineRow]:
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
        ftl_s, rate = (designs.full(n)[at].astype(float) for n in ("ftl_s", "requests_per_s"))
        rows.append(PipelineRow(float(stages), ftl_s, rate, designs.full("valid")[at]))
    return rows


def cpp_choice(
    rows: list[PipelineRow], stages: float, least: float
) -> tuple[float, float, int] | None:
    """FTL and requests/s of the fastest chunk with at least that rate, and its position."""
    row = next(row for row in rows if row.pp == stages)
    ok = row.fits & (row.requests_per_s >= least)
    if not ok.any():
        return None
    best = int(np.flatnonzero(ok)[np.argmin(row.ftl_s[ok])])
    return float(row.ftl_s[best]), float(row.requests_per_s[best]), best


def cpp_base(study: Study, mixture: Mixture) -> tuple[float, float] | None:
    """FTL and requests/s without a pipeline: one chunk, so that there is nothing to keep."""
    plain = replace(mixture, keep_up_projected=0.0, equal_time_chunks=0.0)
    row = cpp_rows(cpp_designs(study, plain))[0]
    if not row.fits.any():
        return None
    best = int(np.argmax(np.where(row.fits, row.requests_per_s, 0.0)))
    return float(row.ftl_s[best]), float(row.requests_per_s[best])


def cpp_ratio(study: Study, mixture: Mixture) -> tuple[float, float]:
    """FTL(PP=32)/FTL(PP=1) and the throughput ratio; infinite where throughput is not kept."""
    one = cpp_base(study, mixture)
    if one is None:
        return np.inf, 0.0
    rows = cpp_rows(cpp_designs(study, mixture))
    many = cpp_choice(rows, float(number("cpp_stages")), criterion("same_throughput") * one[1])
    return (np.inf, 0.0) if many is None else (many[0] / one[0], many[1] / one[1])


def c8(study: Study, setting: Setting) -> Finding | None:
    """Whether chunked pipelines cut the first-token latency at constant throughput."""
    choices = {
        name: cpp_ratio(
            study, replace(setting.mixture, keep_up_projected=keep, equal_time_chunks=equal)
        )
        for name, (keep, equal) in PIPELINES.items()
    }
    best = min(choices, key=lambda name: choices[name][0])
    ratio, kept = choices[best]
    if not np.isfinite(ratio):
        return None
    expected, factor = number("cpp_ftl_ratio"), criterion("number_factor")
    plain = choices[next(iter(PIPELINES))]
    parts = (
        Part(f"FTL falls by more than half of the stages with {best}: to 1/{1 / ratio:.0f}",
             ratio <= 2.0 / number("cpp_stages")),
        Part(f"FTL falls to about 1/31: to 1/{1 / ratio:.0f}", within(ratio, expected, factor)),
        Part(f"throughput is kept: {kept:.2f}", kept >= criterion("same_throughput")),
    )  # fmt: skip
    worst = "not at constant throughput" if not np.isfinite(plain[0]) else f"1/{1 / plain[0]:.0f}"
    value = f"FTL to 1/{1 / ratio:.0f} at {kept:.2f} of the throughput ({best})"
    hidden = min(
        cpp_ratio(study, replace(setting.mixture, chunk_attention="overlapped",
                                 keep_up_projected=keep, equal_time_chunks=equal))[0]
        for keep, equal in PIPELINES.values()
    )  # fmt: skip
    why = (
        f"With latents projected again for every chunk of equal tokens: {worst}. Only fine chunks "
        "fill the pipeline, and each of them reads all earlier keys; if that reading hides behind "
        f"arithmetic, FTL falls to 1/{1 / hidden:.0f}."
    )
    ratios = {name: [float(r), float(y)] for name, (r, y) in choices.items()}
    return finding(value, parts, why=why, ratio=ratio, throughput=kept, by_pipeline=ratios)


def long_pool(study: Study, case: Case, mixture: Mixture) -> tuple[Candidates, Designs]:
    """Valid prefill designs of a long prompt, with pipelines up to one stage for two layers."""

    def make():
        space = study.sweeper.space(case, pp=powers_of_two(1, number("cpp_stages")))
        prompt = study.sweeper.phase("prefill", case, mixture, space)
        return prefill_candidates(prompt), prompt

    return study.kept(("long", case, mixture), make, pools=True)


def tightening(study: Study, setting: Setting) -> list[dict[str, float]]:
    """Algorithm 1's choice on a ladder of FTL cutoffs, from any to the fastest there is.

    Stages and widths stay while a design with both is as good as the best (`ties`).
    """
    case = long_prompt()
    first, prompt = long_pool(study, case, setting.mixture)
    pool = first.pool
    if not len(pool):
        return []
    rate = pool.requests_per_s / pool.gpus
    relaxed = pool.latency_s[int(np.argmax(rate))]
    rows: list[dict[str, float]] = []
    columns, tie = axis_columns(prompt, first.index), criterion("tie")
    for cutoff_s in np.geomspace(relaxed, pool.latency_s.min(), FTL_STEPS) * (1 + 1e-9):
        met = np.flatnonzero(pool.latency_s <= cutoff_s)
        order = np.lexsort((pool.latency_s[met], pool.gpus[met], -rate[met]))
        best = int(met[order[0]])
        if rows:
            equal = (pool.latency_s <= cutoff_s * (1.0 + tie)) & (rate >= rate[best] * (1.0 - tie))
            for name in ("pp", "tp"):
                equal &= columns[name] == rows[-1][name]
            if equal.any():
                best = int(np.flatnonzero(equal)[np.argmax(rate[equal])])
        row = {"cutoff_s": float(cutoff_s), "ftl_s": float(pool.latency_s[best])}
        row |= {"gpus": float(pool.gpus[best]), "rate": float(rate[best])}
        rows.append(row | prompt.at(int(first.index[best])))
    return rows


def c9(study: Study, setting: Setting) -> Finding | None:
    """Whether a tightening first-token latency is met by stages before tensor parallelism."""
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
    why = narrower(
        study, setting, [r for r, p, t in zip(rows, grown_pp, grown_tp, strict=False) if p < t]
    )
    return finding(value, parts, essential=2, why=why, cutoff_pp_tp_ep=trail)


def narrower(study: Study, setting: Setting, rows: list[dict[str, float]]) -> str:
    """What stages instead of width would lose, at the cutoffs where width has grown more."""
    if not rows:
        return ""
    first, prompt = long_pool(study, long_prompt(), setting.mixture)
    pool, columns = first.pool, axis_columns(prompt, first.index)
    rate, texts = pool.requests_per_s / pool.gpus, []
    for row in rows:
        other = rate[(pool.latency_s <= row["cutoff_s"]) & (columns["tp"] < row["tp"])]
        if len(other):
            lost = 1.0 - other.max() / row["rate"]
            texts.append(f"{100 * lost:.1f} % at {row['cutoff_s']:.0f} s")
    return f"With less TP and more stages the rate falls by {', '.join(texts)}." if texts else ""


CLAIMS = (Claim("C8", c8, ()), Claim("C9", c9, ()))
