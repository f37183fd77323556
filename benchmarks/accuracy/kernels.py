"""How far are kernel times from measured ones, on shapes that no fit has seen?

    python -m benchmarks.accuracy.kernels [--tables DIR] [--chips h100,b200] [--json FILE]
                                          [--markdown FILE]

Reads the measured tables of `aiconfigurator-core` (its installed ones, or those in DIR), predicts
every row with the calibrations of the catalogue, and reports the relative error by family, number
format and chip. Caches are warm, as they were when the tables were made. Where a table has no held
out shape, the errors on the rows that were fitted stand in, marked `seen`.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from jaxsim.catalog.calibration import fit_of, load_calibration
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_hardware
from jaxsim.truth.kernels.calibrate import installed_tables, table_rows
from jaxsim.truth.kernels.fit import error_stats, predict_s

CHIPS = ("h100", "h200", "b200", "b300", "gb200-nvl72", "gb300-nvl72")
# What smooth forms of a throw-away prototype reached on random unseen rows of B200, in percent:
# mean, median, 90th percentile. Rows were left out at random there, whole shapes here.
PROTOTYPE = {
    ("gemm", "nvfp4"): (3.8, 2.4, 8.6),
    ("gemm", "fp8_block"): (3.8, 2.9, 7.5),
    ("gemm", "fp8"): (4.4, 3.6, 9.1),
    ("gemm", "bf16"): (7.1, 5.4, 16.0),
    ("context", "fp8"): (5.3, 4.1, 12.0),
    ("context", "bf16"): (7.0, 5.9, 14.0),
    ("context_latent", "bf16"): (4.9, 3.8, 10.0),
    ("decode", "bf16"): (4.0, None, 9.0),
    ("decode", "fp8"): (4.0, None, 9.0),
    ("decode_latent", "bf16"): (10.0, 7.0, 25.0),
    ("decode_latent", "fp8"): (10.0, 7.0, 25.0),
    ("experts", "nvfp4"): (16.0, 11.0, 34.0),
    ("experts", "fp8"): (16.0, 11.0, 34.0),
    ("all_reduce", "any"): (10.0, 6.0, 25.0),
    ("all_gather", "any"): (10.0, 6.0, 25.0),
    ("reduce_scatter", "any"): (10.0, 6.0, 25.0),
    ("all_to_all", "any"): (10.0, 6.0, 25.0),
}


def errors(tables: Path, chips: tuple[str, ...] = CHIPS) -> list[dict]:
    """One record for each chip, family and format, after one for each family pooled over them.

    `sound` repeats the figures without the launches that contradict others of their table.
    """
    records = []
    pools: dict[tuple[str, str], list[tuple[np.ndarray, ...]]] = defaultdict(list)
    for chip in chips:
        card = load_hardware(chip)
        calibration = load_calibration(card.calibration)
        for rows in table_rows(tables, card):
            fit = fit_of(calibration, rows.kind, rows.number_format)
            predicted_s = predict_s(rows, fit, card.hardware)
            held_out = bool(rows.unseen.any())
            judged = rows.unseen if held_out else ~rows.unseen
            kept = (predicted_s[judged], rows.seconds[judged], rows.sound[judged])
            which = "unseen" if held_out else "seen"
            pools[rows.kind, which].append(kept)
            where = {"chip": chip, "family": rows.kind, "format": rows.number_format}
            records.append({**where, "rows": which, **_stats(*kept), "source": rows.source})
    pooled = []
    for (kind, which), kept in sorted(pools.items()):
        where = {"chip": "all", "family": kind, "format": "all", "rows": which}
        pooled.append(
            {**where, **_stats(*(np.concatenate(part) for part in zip(*kept, strict=True)))}
        )
    return pooled + records


def _stats(predicted_s: np.ndarray, measured_s: np.ndarray, sound: np.ndarray) -> dict:
    return {
        **error_stats(predicted_s, measured_s),
        "sound": error_stats(predicted_s[sound], measured_s[sound]),
    }


def markdown(records: list[dict]) -> str:
    """Tables of errors in percent: families, then each format and chip."""
    lines = [
        "Relative error of kernel times on held-out shapes, percent. `sound` leaves out launches",
        "that contradict others of the same table (see `README.md`). Where no shape of a table is",
        "held out, rows that were fitted stand in: `seen`. `prototype` is what smooth forms of an",
        "earlier throw-away prototype reached on random held-out rows of B200.",
        "",
        "## Families, all chips and formats",
        "",
        "| family | rows | n | mean | median | p90 | bias | n sound | mean | median | p90 |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in (r for r in records if r["chip"] == "all"):
        sound = one["sound"]
        lines.append(
            f"| {one['family']} | {one['rows']} | {one['n']} | {_percent(one)} | "
            f"{100 * one['bias']:+.1f} | {sound['n']} | {_percent(sound)} |"
        )
    lines += [
        "",
        "## Each format and chip",
        "",
        "| family | format | chip | rows | n | mean | median | p90 | bias | n sound | mean "
        "| median | prototype |",
        "|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    each = [r for r in records if r["chip"] != "all"]
    for one in sorted(each, key=lambda r: (r["family"], r["format"], CHIPS.index(r["chip"]))):
        earlier = PROTOTYPE.get((one["family"], one["format"]))
        beside = ""
        if earlier is not None and one["chip"] == "b200":
            beside = " / ".join("–" if x is None else f"{x:g}" for x in earlier)
        sound = one["sound"]
        also = " | | "
        if sound["n"] < one["n"]:
            also = f"{sound['n']} | {100 * sound['mean']:.1f} | {100 * sound['median']:.1f}"
        lines.append(
            f"| {one['family']} | {one['format']} | {one['chip']} | {one['rows']} | {one['n']} | "
            f"{_percent(one)} | {100 * one['bias']:+.1f} | {also} | {beside} |"
        )
    return "\n".join(lines) + "\n"


def _percent(stats: dict) -> str:
    return " | ".join(f"{100 * stats[key]:.1f}" for key in ("mean", "median", "p90"))


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=Path, help="the folder systems/data of the package")
    parser.add_argument("--chips", default=",".join(CHIPS))
    parser.add_argument("--json", type=Path, help="write the errors to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    given = parser.parse_args()
    try:
        chips = tuple(given.chips.split(","))
        records = errors(given.tables or installed_tables(), chips)
    except InputError as error:
        raise SystemExit(f"{error}") from None
    text = markdown(records)
    print(text, end="")
    if given.json:
        rounded = [_rounded(one) for one in records]
        given.json.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
