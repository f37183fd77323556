"""What do the study's frontiers look like?  Pictures of claims C1 to C7."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsim.view.figures.style import BLUE, COLOURS, GREEN, GREY, ORANGE
from jaxsim.view.study.claims_gain import (
    DENSE,
    HEAVY,
    SHORT,
    SIZES,
    TRAFFIC,
    comparable_share,
    piggybacked_share,
    traffic,
)
from jaxsim.view.study.curves import evenly, gain_of, range_of
from jaxsim.view.study.settings import Setting, settings
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case

MODELS = {"R1": BLUE, "405B": ORANGE, "70B": GREEN, "8B": "#CC79A7"}
WAYS = (
    ("disaggregated", "disaggregated", 2.2, "-"),
    ("co-located", "co-located overall", 2.2, "-"),
    ("co-located, piggybacked", "piggybacked only", 1.4, (0, (4, 2))),
)
X_LABEL = "interactivity: tokens/s a user (1/TTL)"


def new_figure(
    width: float,
    height: float,
    rows: int,
    columns: int,
    sharex: bool | Literal["col"] = False,
    sharey: bool = False,
    squeeze: bool = True,
) -> tuple[Figure, np.ndarray]:
    """A figure of panels, as an array of axes."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    panels = figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=squeeze)
    return figure, np.atleast_1d(panels)


def titled(figure: Figure, title: str) -> Figure:
    """The figure with its message on top."""
    figure.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")
    return figure


def limit_interactivity(axes: Axes, x: np.ndarray) -> None:
    """An interactivity axis from zero, as in the study."""
    axes.set_xlim(0.0, 1.03 * float(np.max(x)))


def shown(y: np.ndarray) -> np.ndarray:
    """Throughput with nothing drawn where nothing serves."""
    return np.where(y > 0.0, y, np.nan)


def frontier_panel(axes: Axes, study: Study, case: Case, setting: Setting, title: str) -> None:
    """Three frontiers of a case: normalised on the left, absolute on the right."""
    curves = study.curves(case, setting.mixture)
    lines = (
        curves.matched(setting).y,
        curves.colocated(setting),
        curves.colocated(setting, "piggybacked"),
    )
    most = max(line.max() for line in lines)
    where = range_of(lines[0], lines[1])
    if not len(where):
        axes.text(0.5, 0.5, "no design meets the FTL cutoff", transform=axes.transAxes, ha="center")
        return
    last = max(int(np.flatnonzero(line > 0)[-1]) for line in lines if line.any())
    where = np.arange(last + 1)
    x = curves.interactivity[where]
    for line, (name, label, width, dash) in zip(lines, WAYS, strict=True):
        axes.plot(x, shown(line[where]) / most, color=COLOURS[name], lw=width, ls=dash, label=label)
    gain = gain_of(curves, setting)
    axes.set_title(f"{title}   mean gain {gain.mean:.2f}×", loc="left", fontsize=10.5)
    axes.set_ylim(0.0, 1.08)
    axes.set_ylabel("normalised throughput")
    limit_interactivity(axes, x)
    absolute = axes.twinx()
    absolute.set_ylim(0.0, 1.08 * most)
    absolute.set_ylabel("output tokens/s/GPU", color=GREY)
    absolute.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
    absolute.grid(False)
    absolute.spines["right"].set_visible(True)


def frontiers(study: Study, setting: Setting, cases: list[tuple[Case, str]], title: str) -> Figure:
    """Frontier panels, and the gain of every case in the last one."""
    columns = 3 if len(cases) > 3 else 2
    rows = -(-(len(cases) + 1) // columns)
    figure, axes = new_figure(4.7 * columns, 3.4 * rows, rows, columns)
    flat = list(axes.ravel())
    for panel, (case, name) in zip(flat, cases, strict=False):
        frontier_panel(panel, study, case, setting, name)
        panel.set_xlabel(X_LABEL)
    flat[0].legend(loc="upper right", fontsize=9)
    last = flat[len(cases)]
    colours = [BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", GREY]
    least, most = np.inf, 0.0
    for (case, name), colour in zip(cases, colours, strict=False):
        gain = study.gain(case, setting)
        if len(gain):
            last.plot(gain.interactivity, gain.gain, color=colour, lw=1.9, label=name)
            least = min(least, gain.interactivity[0])
            most = max(most, gain.interactivity[-1])
    last.axhline(1.0, color="#444444", lw=1.0)
    last.set_title("gain: disaggregated / co-located overall", loc="left", fontsize=10.5)
    if most:
        limit_interactivity(last, np.array([least, most]))
    last.set_xlabel(X_LABEL)
    last.yaxis.set_major_formatter(lambda y, _: f"{y:g}×")
    last.legend(fontsize=8.8)
    for unused in flat[len(cases) + 1 :]:
        unused.set_visible(False)
    return titled(figure, title)


def traffic_figure(study: Study, setting: Setting) -> Figure:
    """Frontiers of R1 under five traffic patterns (C1, C2, C3)."""
    gains = {case: study.gain(case, setting) for case in TRAFFIC}
    most = max((g.mean, traffic(c)) for c, g in gains.items() if len(g))
    title = f"DeepSeek-R1: disaggregation gains most at {most[1]}, {most[0]:.2f}× on average"
    return frontiers(
        study, setting, [(case, f"ISL/OSL {traffic(case)}") for case in TRAFFIC], title
    )


def sizes_figure(study: Study, setting: Setting) -> Figure:
    """Frontiers of Llama-3.1 at 4096/256 (C4)."""
    cases = [(case, f"Llama-3.1 {SHORT[case.model]}") for case in SIZES]
    means = [study.gain(case, setting) for case, _ in cases]
    text = ", ".join(
        f"{SHORT[c.model]} {g.mean:.2f}×" for (c, _), g in zip(cases, means, strict=True) if len(g)
    )
    return frontiers(study, setting, cases, f"4096/256: the mean gain by model size: {text}")


def middle_figure(study: Study, setting: Setting) -> Figure:
    """The gain over the range of R1 and 70B (C5)."""
    figure, axes = new_figure(9.6, 3.8, 1, 2, sharey=True)
    for panel, case in zip(axes, (HEAVY, DENSE), strict=True):
        gain = study.gain(case, setting)
        name = SHORT[case.model]
        if not len(gain):
            continue
        panel.plot(gain.position, gain.gain, color=MODELS[name], lw=2.2)
        panel.fill_between(gain.position, 1.0, gain.gain, color=MODELS[name], alpha=0.13, lw=0)
        for cut in (1 / 3, 2 / 3):
            panel.axvline(cut, color=GREY, lw=0.8, ls=":")
        panel.axhline(1.0, color="#444444", lw=1.0)
        panel.set_title(f"{name} 16k/2k", loc="left", fontsize=10.5)
        ends = gain.interactivity[[0, -1]]
        panel.set_xticks([0, 1], [f"relaxed\n{ends[0]:.0f} tok/s/user", f"tight\n{ends[1]:.0f}"])
        panel.yaxis.set_major_formatter(lambda y, _: f"{y:g}×")
    axes[0].set_ylabel("gain over co-located overall")
    return titled(figure, "Where in the latency range does disaggregation gain?")


def piggybacking_figure(study: Study, setting: Setting) -> Figure:
    """Frontiers of co-located modes with and without kept K/V (C6)."""
    figure, axes = new_figure(14.1, 3.9, 1, 3)
    kept = setting.mixed(keep_up_projected=1.0)
    panels = (
        (HEAVY, setting, "R1, latents projected again"),
        (HEAVY, kept, "R1, up-projected K/V kept"),
        (DENSE, setting, "70B (no latents)"),
    )
    for panel, (case, own, name) in zip(axes, panels, strict=True):
        share = comparable_share(study, setting, case, own)
        frontier_panel(panel, study, case, own, name)
        panel.set_title(f"{name}: {share.mean():.2f} of overall", loc="left", fontsize=10.5)
        panel.set_xlabel(X_LABEL)
    axes[0].legend(loc="upper right", fontsize=9)
    return titled(figure, "What piggybacking loses against co-located overall, 16k/2k")


def patterns_figure(study: Study, setting: Setting) -> Figure:
    """Piggybacked over overall under five traffic patterns (C7)."""
    figure, (panel,) = new_figure(9.6, 4.2, 1, 1)
    colours = [BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00"]
    ladder = settings().interactivity
    used = []
    for case, colour in zip(sorted(TRAFFIC, key=lambda c: c.osl / c.isl), colours, strict=True):
        curves = study.curves(case, setting.mixture)
        where = range_of(curves.colocated(setting), curves.colocated(setting, "piggybacked"))
        share = piggybacked_share(curves, setting)
        if not len(where):
            continue
        x, _ = evenly(ladder, where)
        label = f"{traffic(case)} (OSL/ISL {case.osl / case.isl:g})"
        panel.plot(x, share, color=colour, lw=2.0, label=label)
        used += list(ladder[where])
    if used:
        limit_interactivity(panel, np.array(used))
    panel.set_ylim(0.0, 1.05)
    panel.set_xlabel(X_LABEL)
    panel.set_ylabel("piggybacked / co-located overall")
    panel.legend(fontsize=9, loc="lower left")
    return titled(figure, "DeepSeek-R1: piggybacking fades as the latency target tightens")
