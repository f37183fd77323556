"""What does a validation leave in a folder?  Every row, the errors, and a picture."""

import csv
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsim.truth.gain import GainSummary
from jaxsim.truth.validate import KEYS, Predicted, Validation
from jaxsim.view.figures.frontier import BLUE, GREEN, GREY, ORANGE, STYLE, image
from jaxsim.view.files.atomic import replace_bytes, replace_text
from jaxsim.view.text.cells import cell
from jaxsim.view.text.plain_json import dumps
from jaxsim.view.text.validation import ValidationSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {"tpot": "tpot_s", "ttft": "ttft_s", "output_tokens_per_s_per_gpu": ""}
TITLES = {
    "tpot": ("time per output token", "ms", 1e3),
    "ttft": ("time to first token", "ms", 1e3),
    "output_tokens_per_s_per_gpu": ("output tokens/s/GPU", "tokens/s", 1.0),
}
MARGIN = 1.5
FEW = 100  # points, up to which each is drawn large
COLOURS = {"trtllm": GREEN, "vllm": BLUE, "sglang": ORANGE}


def rows_csv(result: Validation) -> str:
    """Every row with its prediction and 80 % interval, or the reason why it has none."""
    text = StringIO()
    measures = [name for key in MEASURES for name in _columns(key)]
    columns = ["id", "line", *KEYS, "variant", "isl", "osl", "concurrency", "gpus", *measures]
    writer = csv.DictWriter(text, [*columns, "queued", "excluded", "reason"], lineterminator="\n")
    writer.writeheader()
    for entry in result.predicted:
        writer.writerow({name: cell(value) for name, value in _cells(entry).items()})
    for row, reason in result.left_out:
        left = {"id": row.id, "line": row.line, "model": row.model, "reason": reason}
        writer.writerow({name: cell(value) for name, value in left.items()})
    return text.getvalue()


def _columns(measure: str) -> tuple[str, ...]:
    name = MEASURES[measure] or measure
    return (name, f"{name}_predicted", f"{name}_low", f"{name}_high")


def _cells(entry: Predicted) -> dict[str, object]:
    row = entry.row
    cells: dict[str, object] = {
        "id": row.id,
        "line": row.line,
        **{key: entry.key(key) for key in KEYS},
        "variant": entry.variant,
        "isl": f"{row.isl:g}",
        "osl": f"{row.osl:g}",
        "concurrency": "" if row.concurrency is None else f"{row.concurrency:g}",
        "gpus": f"{row.gpus:g}",
        "queued": row.queued,
        "excluded": row.excluded,
    }
    for measure in MEASURES:
        values = (row.measured(measure), entry.values[measure], *entry.interval(measure))
        for name, value in zip(_columns(measure), values, strict=True):
            cells[name] = "" if value is None else f"{value:.6g}"
    return cells


def picture(result: Validation):
    """Predicted against measured, a point a row, with lines at a factor of 1.25 either way."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.0, 4.2), layout="constrained")
        for place, (measure, (title, unit, scale)) in enumerate(TITLES.items(), start=1):
            axes = figure.add_subplot(1, 3, place)
            _scatter(axes, result, measure, scale)
            axes.set_title(title)
            axes.set_xlabel(f"measured, {unit}")
            axes.set_ylabel(f"predicted, {unit}")
    return figure


def _scatter(axes: "Axes", result: Validation, measure: str, scale: float) -> None:
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


def gain_picture(gain: GainSummary):
    """Predicted against measured gain of disaggregation, a colour a pair of frontiers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.6), layout="constrained")
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
        axes.set_title("gain of disaggregated over co-located, at equal interactivity")
        axes.set_xlabel("measured")
        axes.set_ylabel("predicted")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return figure


def write_validation(folder: Path, result: Validation, document: ValidationSummary) -> None:
    """Write `rows.csv`, `validation.json` and pictures of rows and gains, each whole."""
    replace_text(folder / "rows.csv", rows_csv(result))
    replace_text(folder / "validation.json", dumps(document) + "\n")
    figure = picture(result)
    replace_bytes(folder / "predicted.png", image(figure, "png"))
    replace_bytes(folder / "predicted.svg", image(figure, "svg"))
    if document["gain"]["pairs"]:
        gains = gain_picture(document["gain"])
        replace_bytes(folder / "gain.png", image(gains, "png"))
        replace_bytes(folder / "gain.svg", image(gains, "svg"))
