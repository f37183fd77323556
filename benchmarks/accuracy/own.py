"""How far are kernels and whole passes from those measured here, on cards of our own?

    python -m benchmarks.accuracy.own [--json FILE] [--markdown FILE]

`benchmarks/gpu/CHIP/kernels.csv` and `passes.csv` hold launches and passes of an H100 and an H200,
timed by `benchmarks.gpu.kernels` and `benchmarks.gpu.passes` with cuBLAS, cuDNN, FlashAttention
and Triton. No fit has read them: the calibrations are fitted to tables of TensorRT-LLM's kernels,
which others measured. Passes have no engine around them, and are compared with `engine="ideal"`.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import jaxsim
from jaxsim.catalog.calibration import fit_of, load_calibration
from jaxsim.catalog.load import load_hardware
from jaxsim.truth.kernels.csv import csv_rows
from jaxsim.truth.kernels.fit import error_stats, predict_s

MEASURED = Path(__file__).parents[1] / "gpu"
CHIPS = ("h100", "h200")


class Pass(NamedTuple):
    """One measured pass, its prediction, and whether the 80 % interval holds it."""

    chip: str
    model: str
    phase: str
    batch: int
    length: int
    measured_s: float
    predicted_s: float
    held: bool


def kernels(chip: str) -> Iterator[dict]:
    """Errors by family and number format, over every launch of a chip's file."""
    card = load_hardware(chip)
    calibration = load_calibration(card.calibration)
    for rows in csv_rows(MEASURED / chip / "kernels.csv", card):
        fit = fit_of(calibration, rows.kind, rows.number_format)
        stats = error_stats(predict_s(rows, fit, card.hardware), rows.seconds)
        yield {"chip": chip, "family": rows.kind, "format": rows.number_format, **stats}


def passes(chip: str) -> Iterator[Pass]:
    """Every measured pass of a chip, predicted.

    A step of decode over `length` tokens of each sequence writes the last of them; a prefill pass
    is over a whole prompt of `length`.
    """
    with (MEASURED / chip / "passes.csv").open() as file:
        for row in csv.DictReader(file):
            phase, length, batch = row["phase"], int(row["length"]), int(row["batch"])
            isl, osl = (length - 1, 2) if phase == "decode" else (length, 1)
            predicted = jaxsim.estimate(
                row["model"], chip, jaxsim.Workload(isl=isl, osl=osl), phase=phase, tp=1,
                batch=batch, precision=row["precision"], engine="ideal",
            )  # fmt: skip
            seconds = float(row["seconds"])
            low, high = predicted.interval_s or (np.nan, np.nan)
            held = low <= seconds <= high
            yield Pass(chip, row["model"], phase, batch, length, seconds, predicted.total_s, held)


def summary(measured: list[Pass]) -> list[dict]:
    """Errors of passes by chip, model and phase."""
    groups: dict[tuple[str, str, str], list[Pass]] = defaultdict(list)
    for one in measured:
        groups[one.chip, one.model, one.phase].append(one)
    records = []
    for (chip, model, phase), group in groups.items():
        predicted, seconds = (
            np.asarray([getattr(one, name) for one in group])
            for name in ("predicted_s", "measured_s")
        )
        held = float(np.mean([one.held for one in group]))
        where = {"chip": chip, "model": model, "phase": phase}
        records.append({**where, **error_stats(predicted, seconds), "held": held})
    return records


def markdown(families: list[dict], groups: list[dict], measured: list[Pass]) -> str:
    """Tables of errors in percent, and every pass."""
    lines = [
        "Kernels and passes measured here on one H100 and one H200, against predictions by",
        "calibrations that never saw them. Relative errors in percent; bias is the median with",
        "sign.",
        "",
        "## Whole passes, no engine",
        "",
        "| chip | model | phase | passes | median | p90 | bias | 80 % interval holds |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for one in groups:
        lines.append(
            f"| {one['chip']} | {one['model']} | {one['phase']} | {one['n']:.0f} | "
            f"{_percent(one)} | {100 * one['held']:.0f} % |"
        )
    lines += [
        "",
        "## Kernels",
        "",
        "| chip | family | format | launches | median | p90 | bias |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for one in families:
        lines.append(
            f"| {one['chip']} | {one['family']} | {one['format']} | {one['n']:.0f} | "
            f"{_percent(one)} |"
        )
    lines += [
        "",
        "## Every pass",
        "",
        "| chip | model | phase | batch | length | measured, ms | predicted, ms | error |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for one in measured:
        lines.append(
            f"| {one.chip} | {one.model} | {one.phase} | {one.batch} | {one.length} | "
            f"{1e3 * one.measured_s:.2f} | {1e3 * one.predicted_s:.2f} | "
            f"{100 * (one.predicted_s / one.measured_s - 1):+.1f} |"
        )
    return "\n".join(lines) + "\n"


def _percent(one: dict) -> str:
    return f"{100 * one['median']:.1f} | {100 * one['p90']:.1f} | {100 * one['bias']:+.1f}"


def main() -> None:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    families = [one for chip in CHIPS for one in kernels(chip)]
    measured = [one for chip in CHIPS for one in passes(chip)]
    groups = summary(measured)
    text = markdown(families, groups, measured)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text)
    if arguments.json:
        records = {
            "kernels": families,
            "passes": groups,
            "each": [one._asdict() for one in measured],
        }
        arguments.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
