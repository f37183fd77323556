"""What does a validation leave in a folder?  Every row, the errors, and a picture."""

import csv
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsim.truth.validate import KEYS, Predicted, Validation
from jaxsim.view.figures.measured import draw_measured, gain_picture
from jaxsim.view.figures.style import image
from jaxsim.view.files.atomic import replace_bytes, replace_text
from jaxsim.view.text.cells import cell
from jaxsim.view.text.plain_json import dumps
from jaxsim.view.text.validation import ValidationSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES = {"tpot": "tpot_s", "ttft": "ttft_s", "output_tokens_per_s_per_gpu": ""}


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


def write_validation(folder: Path, result: Validation, document: ValidationSummary) -> list[Path]:
    """Write `rows.csv`, `validation.json` and pictures of rows and gains, each whole; the paths."""
    replace_text(folder / "rows.csv", rows_csv(result))
    replace_text(folder / "validation.json", dumps(document) + "\n")
    written = [folder / "rows.csv", folder / "validation.json"]
    pictures: dict[str, Axes | Figure] = {"predicted": draw_measured(result)}
    if document["gain"]["pairs"]:
        pictures["gain"] = gain_picture(document["gain"])
    for name, picture in pictures.items():
        for kind in ("png", "svg"):
            written.append(folder / f"{name}.{kind}")
            replace_bytes(written[-1], image(picture, kind))
    return written
