"""What do pools, ratios, networks and lengths look like?  Pictures of claims C8 to C23."""

from dataclasses import replace

import numpy as np

from jaxsim.view.figures.style import BLUE, GREEN, GREY, ORANGE
from jaxsim.view.study.claim import criterion, number, numbers
from jaxsim.view.study.claims_gain import DENSE, FOUR, HEAVY, SHORT
from jaxsim.view.study.claims_network import (
    EGRESS_ISL,
    LONG,
    SPREAD,
    capped,
    domain_pair,
    egress,
)
from jaxsim.view.study.claims_pipeline import (
    PIPELINES,
    cpp_base,
    cpp_choice,
    cpp_designs,
    cpp_rows,
    tightening,
)
from jaxsim.view.study.claims_pools import rungs
from jaxsim.view.study.curves import Matched
from jaxsim.view.study.lengths import LengthSpread, spread_frontier
from jaxsim.view.study.pictures import (
    MODELS,
    X_LABEL,
    Axes,
    Figure,
    limit_interactivity,
    new_figure,
    shown,
    titled,
)
from jaxsim.view.study.settings import Setting, settings
from jaxsim.view.study.source import Study

PIPELINE_COLOURS = (GREY, ORANGE, GREEN, BLUE)


def cpp_figure(study: Study, setting: Setting) -> Figure:
    """FTL and throughput against PP at EP x PP = 64 (C8)."""
    figure, (left, right) = new_figure(9.6, 4.2, 1, 2)
    base = cpp_base(study, setting.mixture)
    if base is None:
        return titled(figure, "No design of 64 GPUs holds such prompts")
    stages = [row.pp for row in cpp_rows(cpp_designs(study, setting.mixture))]
    left.plot(stages, 1.0 / np.asarray(stages), color="#222222", lw=1.0, ls=":", label="1/PP")
    for (name, (keep, equal)), colour in zip(PIPELINES.items(), PIPELINE_COLOURS, strict=True):
        mixture = replace(setting.mixture, keep_up_projected=keep, equal_time_chunks=equal)
        rows = cpp_rows(cpp_designs(study, mixture))
        choices = {s: cpp_choice(rows, s, criterion("same_throughput") * base[1]) for s in stages}
        kept = {s: f for s, f in choices.items() if f is not None}
        x = list(kept)
        left.plot(x, [kept[s][0] / base[0] for s in x], "o-", ms=4, color=colour, label=name)
        right.plot(x, [kept[s][1] / base[1] for s in x], "o-", ms=4, color=colour)
    for panel, label in ((left, "FTL / FTL(PP=1)"), (right, "throughput / throughput(PP=1)")):
        panel.set_xscale("log", base=2)
        panel.set_xticks(stages, [f"{s:g}" for s in stages])
        panel.set_xlabel("pipeline stages (EP × PP = 64)")
        panel.set_title(label, loc="left", fontsize=10.5)
    left.set_yscale("log", base=2)
    parts = [2.0**-k for k in range(6)]
    left.set_yticks(parts, ["1", *(f"1/{1 / p:.0f}" for p in parts[1:])])
    right.set_ylim(0.0, 1.08)
    left.legend(fontsize=8.5)
    return titled(
        figure, f"256k-token prompts: pipelines cut FTL from {base[0]:.0f} s, throughput kept"
    )


def strict_figure(study: Study, setting: Setting) -> Figure:
    """The best prefill configuration as the FTL cutoff tightens (C9)."""
    figure, (left, right) = new_figure(9.6, 4.0, 1, 2)
    rows = tightening(study, setting)
    x = [row["cutoff_s"] for row in rows]
    for name, colour in (("pp", BLUE), ("tp", ORANGE), ("ep", GREEN)):
        left.step(
            x, [row[name] for row in rows], where="post", color=colour, lw=2.0, label=name.upper()
        )
    left.set_yscale("log", base=2)
    left.set_yticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    left.set_title("widths of the best configuration", loc="left", fontsize=10.5)
    left.legend()
    best = max((row["rate"] for row in rows), default=1.0)
    right.plot(x, [row["rate"] / best for row in rows], "o-", ms=4, color=BLUE)
    right.set_ylim(0.0, 1.08)
    right.set_title("its prompts/s/GPU, normalised", loc="left", fontsize=10.5)
    for panel in (left, right):
        panel.set_xscale("log")
        panel.invert_xaxis()
        panel.set_xlabel("FTL cutoff, s (tighter to the right)")
        panel.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    return titled(figure, "256k-token prompts: first longer pipelines, then wider groups")


def trends_figure(study: Study, setting: Setting) -> Figure:
    """Batch and widths along the decode frontier (C10, C11, C12)."""
    figure, axes = new_figure(9.6, 6.0, 2, 2, sharex="col")
    for column, case in zip(axes.T, (HEAVY, DENSE), strict=True):
        matched = study.curves(case, setting.mixture).matched(setting)
        where = rungs(matched)
        if not len(where):
            continue
        x = settings().interactivity[where]
        column[0].step(x, matched.decode["batch"][where], where="mid", color=BLUE, lw=2.0)
        column[0].set_title(f"{SHORT[case.model]} 16k/2k: decode batch", loc="left", fontsize=10.5)
        for name, colour in (("tp", ORANGE), ("ep", GREEN), ("pp", GREY)):
            column[1].step(x, matched.decode[name][where], where="mid", color=colour, lw=2.0,
                           label=name.upper())  # fmt: skip
        column[1].set_title("widths", loc="left", fontsize=10.5)
        column[1].legend(fontsize=9)
        for panel in column:
            panel.set_yscale("log", base=2)
            panel.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
        limit_interactivity(column[1], x)
        column[1].set_xlabel(X_LABEL)
    return titled(figure, "Tighter token latency: smaller batches, wider tensor parallelism")


def ratio_figure(study: Study, setting: Setting) -> Figure:
    """The optimal ctx:gen ratio against interactivity (C14)."""
    figure, (panel,) = new_figure(9.6, 4.4, 1, 1)
    used = []
    for case in FOUR:
        matched = study.curves(case, setting.mixture).matched(setting)
        where = rungs(matched)
        x = settings().interactivity[where]
        name = SHORT[case.model]
        panel.plot(x, matched.ctx_gen_ratio[where], color=MODELS[name], lw=2.2, label=name)
        used += list(x)
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    if used:
        limit_interactivity(panel, np.array(used))
    for y in (number("ratio_relaxed"), number("ratio_tight")):
        panel.axhline(y, color=MODELS["R1"], lw=0.9, ls=":")
    panel.annotate("dotted: both ends of R1 in the study", (0.99, 0.97), xycoords="axes fraction",
                   ha="right", va="top", fontsize=9, color=MODELS["R1"])  # fmt: skip
    panel.set_xlabel(X_LABEL)
    panel.set_ylabel("prefill GPUs / decode GPUs")
    panel.legend(loc="lower left")
    return titled(figure, "16k/2k: the best ratio of pools falls as the latency target tightens")


def _lines(axes: Axes, lines: list[tuple[str, np.ndarray, str, str]], most: float) -> None:
    """Normalised frontiers on one panel."""
    alive = np.logical_or.reduce([y > 0 for _, y, _, _ in lines])
    last = int(np.flatnonzero(alive)[-1])
    where = np.arange(last + 1)
    x = settings().interactivity[where]
    for name, y, colour, dash in lines:
        axes.plot(x, shown(y[where]) / most, color=colour, lw=2.0, ls=dash, label=name)
    limit_interactivity(axes, x)
    axes.set_ylim(0.0, 1.08)
    axes.set_xlabel(X_LABEL)
    axes.set_ylabel("normalised throughput")
    absolute = axes.twinx()
    absolute.set_ylim(0.0, 1.08 * most)
    absolute.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
    absolute.set_ylabel("output tokens/s/GPU", color=GREY)
    absolute.grid(False)
    absolute.spines["right"].set_visible(True)


def fixed_figure(study: Study, setting: Setting) -> Figure:
    """Fixed against dynamic ratios (C15)."""
    figure, (panel,) = new_figure(9.6, 4.4, 1, 1)
    best = study.curves(HEAVY, setting.mixture).matched(setting).y
    lines = [("dynamic matching", best, BLUE, "-")]
    for name, colour in (("fixed_high", ORANGE), ("fixed_low", GREEN)):
        ratio = float(number(name))
        y = study.matched(HEAVY, setting, ratio=ratio).y
        lines.append((f"ctx:gen fixed at {ratio:g}", y, colour, "-"))
    _lines(panel, lines, best.max())
    panel.legend(loc="lower left")
    return titled(figure, "R1 16k/2k: a fixed ratio is good in its own zone only")


def domain_figure(study: Study, setting: Setting) -> Figure:
    """NVLink domain 8 against 72 (C17)."""
    figure, axes = new_figure(11.0, 4.0, 1, 2)
    for panel, case in zip(axes, (HEAVY, DENSE), strict=True):
        small, large = domain_pair(study, case, setting)
        if small.served.any():
            sizes = (number("domain_large"), number("domain_small"))
            lines = [(f"domain {sizes[0]}", large.y, BLUE, "-"),
                     (f"domain {sizes[1]}", small.y, ORANGE, (0, (4, 2)))]  # fmt: skip
            _lines(panel, lines, large.y.max())  # type: ignore[arg-type]
        panel.set_title(f"{SHORT[case.model]} 16k/2k", loc="left", fontsize=10.5)
        panel.legend(loc="lower left")
    return titled(figure, "What a larger NVLink domain buys")


def egress_figure(study: Study, setting: Setting) -> Figure:
    """KV egress of a prefill GPU against prompt length (C18)."""
    figure, (panel,) = new_figure(9.6, 4.0, 1, 1)
    for case in (HEAVY, DENSE):
        designs = egress(study, case, setting.mixture, setting)
        name = SHORT[case.model]
        if designs is not None:
            flow = designs.full("kv_egress_bytes_per_s_per_gpu").ravel() / 1e9
            panel.plot(EGRESS_ISL, flow, "o-", ms=4, color=MODELS[name], lw=2.0, label=name)
    panel.axhline(criterion("nic_bytes_per_s") / 1e9, color="#444444", lw=1.0, ls=":")
    panel.annotate("a 400 Gb/s NIC", (EGRESS_ISL[0], criterion("nic_bytes_per_s") / 1e9),
                   xytext=(0, -4), textcoords="offset points", va="top", fontsize=9)  # fmt: skip
    panel.set_xscale("log", base=2)
    panel.set_xticks(EGRESS_ISL, [_tokens(isl) for isl in EGRESS_ISL])
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    panel.set_xlabel("prompt tokens (mapping fixed: the best at 16k)")
    panel.set_ylabel("KV egress, GB/s per prefill GPU")
    panel.legend(loc="lower left")
    return titled(figure, "Longer prompts leave a prefill GPU more slowly")


def _tokens(isl: float) -> str:
    return f"{isl / 1024:g}k" if isl < 2**20 else f"{isl / 2**20:g}M"


def flow_figure(study: Study, setting: Setting) -> Figure:
    """KV egress and ingress along the frontier at 16k and 1M (C20)."""
    figure, axes = new_figure(9.6, 4.0, 1, 2, sharey=True)
    for panel, case in zip(axes, (HEAVY, LONG), strict=True):
        matched: Matched = study.matched(case, setting, ftl_s=np.inf)
        where = rungs(matched)
        if not len(where):
            continue
        x = settings().interactivity[where]
        into = matched.decode["kv_ingress_bytes_per_s_per_gpu"][where] / 1e9
        out = matched.prefill["kv_egress_bytes_per_s_per_gpu"] / 1e9
        panel.plot(x, into, color=BLUE, lw=2.2, label="ingress of a decode GPU")
        panel.axhline(out, color=ORANGE, lw=2.2, label="egress of a prefill GPU")
        panel.axhline(criterion("nic_bytes_per_s") / 1e9, color="#444444", lw=1.0, ls=":",
                      label="a 400 Gb/s NIC")  # fmt: skip
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
        panel.set_title(f"R1, ISL {_tokens(case.isl)}", loc="left", fontsize=10.5)
        limit_interactivity(panel, x)
        panel.set_xlabel(X_LABEL)
    axes[0].set_ylabel("GB/s per GPU that holds distinct cache")
    axes[0].legend(fontsize=9, loc="center left", bbox_to_anchor=(0.0, 0.72))
    return titled(figure, "KV transfer is far below what a network card carries")


def lengths_figure(study: Study, setting: Setting) -> Figure:
    """The static proxy against distributions of lengths (C22)."""
    figure, (panel,) = new_figure(9.6, 4.2, 1, 1)
    proxy = study.matched(SPREAD, setting).y
    lines = [("constant 4096/512", proxy, "#222222", "-")]
    for sigma, colour in zip(numbers("spread_sigmas"), (BLUE, GREEN, ORANGE), strict=False):
        y = spread_frontier(study, SPREAD, setting, LengthSpread(float(sigma)))
        lines.append((f"log-normal, sigma {sigma:g}", y, colour, "-"))
    if proxy.any():
        _lines(panel, lines, max(y.max() for _, y, _, _ in lines))
        panel.legend(loc="lower left")
    return titled(figure, "70B: one constant length against lengths spread about the same median")


def caps_figure(study: Study, setting: Setting) -> Figure:
    """A cap on all GPUs (C23)."""
    figure, (panel,) = new_figure(9.6, 4.4, 1, 1)
    free = study.matched(HEAVY, setting).y
    lines = [("unlimited", free, "#222222", "-")]
    for cap, colour in zip(
        numbers("caps"), (ORANGE, "#E69F00", GREEN, "#56B4E9", BLUE), strict=False
    ):
        lines.append((f"at most {cap} GPUs", capped(study, setting, float(cap)).y, colour, "-"))
    _lines(panel, lines, free.max())
    panel.legend(loc="lower left")
    return titled(figure, "R1 16k/2k: what few GPUs leave of the matched frontier")
