"""How far are predictions from what was measured?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxsim.view.figures.style import BLUE, GREEN, GREY, ORANGE, sheet
from jaxsim.view.text import units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jaxsim.truth.gain_of_pairs import GainSummary
    from jaxsim.truth.validate import Predicted, Validation

TITLES = {
    "tpot": ("time per output token", "ms", 1e3),
    "ttft": ("time to first token", "ms", 1e3),
    "output_tokens_per_s_per_gpu": ("output tokens/s/GPU", "tokens/s", 1.0),
}
MARGIN = 1.5
FEW = 100  # points, up to which each is drawn large
COLOURS = {"trtllm": GREEN, "vllm": BLUE, "sglang": ORANGE}
SHORT = {"output_tokens_per_s_per_gpu": "tokens/s/GPU", "tpot": "TPOT", "ttft": "TTFT"}


def draw_measured(result: "Validation", size: str = "page") -> "Axes":
    """Predicted against measured, a point a row: TPOT, TTFT, and output tokens/s/GPU.

    On the line a prediction is right; the dotted lines are a factor of 1.25 from it. The first axes
    are returned, `.figure.axes` has all three. Rows that a fit saw are among them if they are in
    the file. `size` is `page`, `slide` (16:9) or `paper`.

    >>> from jaxsim.truth.read.readers import PUBLISHED, read_rows
    >>> from jaxsim.truth.validate import validate
    >>> rows = [row for row in read_rows(PUBLISHED) if row.model == "Llama-3.1-8B"]
    >>> jaxsim.draw_measured(validate(rows)).get_xlabel()
    'measured, ms'
    """
    rows = result.headline
    names = [list(dict.fromkeys(entry.key(key) for entry in rows)) for key in ("model", "gpu")]
    case = " · ".join((_list(names[0], "models"), _list(names[1], "chips")))
    errors = [
        f"{SHORT[name]} {units.percent(float(np.expm1(np.median(np.abs(own)))))}"
        for name, own in ((n, _errors(rows, n)) for n in TITLES)
        if len(own)
    ]
    claim = f"Median error of {len(rows):,} rows: {', '.join(errors)}"
    source = f"{result.rows:,} rows read, {result.rows - len(rows):,} not compared · measurements"
    with sheet(size, claim, case, f"{source} of others, predictions of jaxsim", tall=0.62) as (
        figure
    ):
        every = []
        for place, (measure, (title, unit, scale)) in enumerate(TITLES.items(), start=1):
            axes = figure.add_subplot(1, 3, place)
            _scatter(axes, result, measure, scale)
            axes.set_title(title, fontsize="medium")
            axes.set_xlabel(f"measured, {unit}")
            axes.set_ylabel(f"predicted, {unit}")
            every.append(axes)
    return every[0]


def _errors(rows: "Sequence[Predicted]", measure: str) -> list[float]:
    """Logs of predicted over measured, of the rows that have both."""
    found = (entry.log_error(measure) for entry in rows)
    return [error for error in found if error is not None]


def _list(names: Sequence[str], word: str) -> str:
    """Some names, or how many there are."""
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} {word}"


def _scatter(axes: "Axes", result: "Validation", measure: str, scale: float) -> None:
    ends: list[float] = []
    for engine, colour in COLOURS.items():
        pairs = [
            (scale * entry.row.measured(measure), scale * entry.values[measure])  # type: ignore[operator]
            for entry in result.headline
            if entry.key("engine") == engine and entry.log_error(measure) is not None
        ]
        if not pairs:
            continue
        x, y = np.asarray(pairs).T
        ends += [float(v) for v in (x.min(), x.max(), y.min(), y.max())]
        axes.plot(x, y, ".", color=colour, markersize=3 if len(x) > FEW else 9, alpha=0.5,
                  label=engine)  # fmt: skip
    if not ends:
        axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        return
    # Both axes alike, so that the diagonal is a right prediction, with room around few points.
    line = np.asarray([min(ends) / MARGIN, max(ends) * MARGIN])
    axes.plot(line, line, color=GREY, linewidth=1)
    for factor in (0.8, 1.25):
        axes.plot(line, factor * line, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*line)
    axes.set_ylim(*line)
    axes.set_aspect("equal")
    axes.legend(loc="upper left")


def gain_picture(gain: "GainSummary"):
    """Predicted against measured gain of disaggregation, a colour a pair of frontiers."""
    pairs = len(gain["by_pair"])
    claim = f"Gain of disaggregation on {pairs:,} measured pairs of frontiers"
    source = "measurements of others, predictions of jaxsim"
    with sheet("page", claim, "at equal interactivity", source) as figure:
        axes = figure.add_subplot()
        every: list[float] = []
        for one in gain["by_pair"]:
            x, y = one["measured_gain"], one["predicted_gain"]
            every += [*x, *y]
            name = f"{one['model']} {one['gpu']} {one['precision']} {one['isl']:g}/{one['osl']:g}"
            axes.plot(x, y, "o", markersize=5, alpha=0.7, label=name)
        line = np.asarray([min(every) / 1.2, max(every) * 1.2])
        axes.plot(line, line, color=GREY, linewidth=1)
        axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        axes.axvline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log", xlim=line, ylim=line, aspect="equal")
        ticks = [
            tick for tick in (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0) if line[0] <= tick <= line[1]
        ]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ticks, [f"{tick:g} ×" for tick in ticks])
            axis.set_ticks([], minor=True)
        axes.set_xlabel("measured: disaggregated / co-located")
        axes.set_ylabel("predicted")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return figure
