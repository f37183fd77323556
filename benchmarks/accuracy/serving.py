"""How near are predictions of serving runs, on systems that no fit has seen?

    python -m benchmarks.accuracy.serving DIR [--json FILE] [--write-engines]

DIR holds `serving_open.csv`, `endtoend_open.csv` and `serving_peer_open.csv`. Engines are fitted
without some whole systems (model, GPU, engine and number format), then without curves, formats,
architectures and GPUs, and predict those; beside our error stands that of the best peer on the same
rows.
`--write-engines` rewrites the catalogue's files with the fit of all rows.
"""

import argparse
import csv
import datetime
import json
import math
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.accuracy.serving_tables import markdown
from jaxsim._version import __version__
from jaxsim.catalog.names import DATA
from jaxsim.traffic.serving import MEASURES
from jaxsim.truth.decisions import decisions
from jaxsim.truth.engines.files import write_engines
from jaxsim.truth.engines.fit import FREE, SPREAD, Free, values_of
from jaxsim.truth.engines.held_out import SCHEMES, HeldOut, cross_validate, row_sigmas
from jaxsim.truth.gain_of_pairs import gain_summary
from jaxsim.truth.joint import joint_error
from jaxsim.truth.read.readers import read_rows
from jaxsim.truth.runs import Runs, runs_of
from jaxsim.truth.validate import Predicted, Validation, score, summary

FILES = ("serving_open.csv", "endtoend_open.csv")
PEER = "serving_peer_open.csv"
PEER_COLUMNS = {
    "tpot": ("peer_tpot_ms", 1e-3),
    "ttft": ("peer_ttft_ms", 1e-3),
    "output_tokens_per_s_per_gpu": ("peer_tok_s_gpu", 1.0),
}
FEWEST_OF_A_GROUP = 30
NEAR_LIMIT = 0.03  # of a limit, within which a fitted number is reported to be at it
COLUMNS = ("median", "mean", "p90", "bias", "in80")


def held_out_validation(runs: Runs, logs: np.ndarray, sigmas: np.ndarray, rows: int) -> Validation:
    """Rows with their held-out predictions, as `jaxsim validate` scores them."""
    predicted = [
        Predicted(
            case,
            dict(zip(MEASURES, np.exp(own).tolist(), strict=True)),
            dict(zip(MEASURES, spread.tolist(), strict=True)),
            "held out",
        )
        for case, own, spread in zip(runs.cases, logs, sigmas, strict=True)
    ]
    return Validation(rows, predicted, runs.left_out, runs.reasons)


def read_peer(path: Path) -> dict[str, dict[str, float]]:
    """The peer's predictions by the row's id."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            line["id"]: {
                measure: float(line[column]) * scale
                for measure, (column, scale) in PEER_COLUMNS.items()
                if line[column] and math.isfinite(float(line[column]))
            }
            for line in csv.DictReader(file)
        }


def beside_peer(entries: Sequence[Predicted], peer: Mapping[str, Mapping[str, float]]) -> dict:
    """Our error and the peer's on the rows that the peer predicts."""
    result: dict[str, Any] = {}
    common = [entry for entry in entries if entry.row.id in peer]
    for measure in MEASURES:
        own = [e for e in common if measure in peer[e.row.id] and e.log_error(measure) is not None]
        errors = np.asarray(
            [peer[e.row.id][measure] / e.row.measured(measure) - 1.0 for e in own]  # type: ignore[operator]
        )
        if not len(errors):
            continue
        size = np.abs(errors)
        result[measure] = {
            "ours": score(own, measure),
            "peer": {
                "n": len(errors),
                "median": float(np.median(size)),
                "mean": float(size.mean()),
                "p90": float(np.quantile(size, 0.9)),
                "bias": float(np.median(errors)),
            },
        }
    return result


def large_groups(entries: Sequence[Predicted]) -> list[dict]:
    """Groups of at least 30 rows by model, engine, mode and precision, the worst TPOT first."""
    from jaxsim.truth.validate import groups

    keys = ("model", "engine", "mode", "precision")
    result: list[dict[str, Any]] = [dict(group) for group in groups(entries, keys)]
    result = [group for group in result if group["tpot"]["n"] >= FEWEST_OF_A_GROUP]
    return sorted(result, key=lambda g: -g["tpot"]["median"])


def at_limit(free: Free, value: float) -> bool:
    """Whether a fitted number is as good as at one of its limits."""
    low = bool(free.low) and value - free.low < NEAR_LIMIT * free.low
    return low or value > (1.0 - NEAR_LIMIT) * free.high


def engine_numbers(held_out: HeldOut) -> list[dict]:
    """Every fitted number: its value, how unsure, and whether it is at its lower limit.

    `settled` is the part of the prior's deviation of its logarithm that runs took away.
    """
    result, tree = [], held_out.whole
    for leaf, rows in sorted(tree.rows.items()):
        logs, unsure = tree.logs(leaf), tree.deviations(leaf)
        values = values_of(logs)
        for i, free in enumerate(FREE):
            value = float(values[free.name])
            result.append(
                {
                    "engine": " ".join(leaf),
                    "rows": rows,
                    "name": free.name,
                    "value": float(f"{value:.4g}"),
                    "log_deviation": round(float(unsure[i]), 3),
                    "settled": round(1.0 - float(unsure[i] / SPREAD[i]), 2),
                    "at_limit": at_limit(free, value),
                }
            )
    return result


def run(folder: Path, write: bool) -> dict[str, Any]:
    """Everything that the tables of the README show."""
    started = time.monotonic()
    rows = [row for name in FILES for row in read_rows(folder / name)]
    runs = runs_of(rows)
    print(f"{len(runs)} of {len(rows)} rows timed in {time.monotonic() - started:.0f} s")
    held_out = cross_validate(runs, lambda text: print(" ", text, flush=True))
    if write:
        for path in write_engines(DATA / "engines", held_out, runs, FILES):
            print(f"wrote {path.name}")
    judged = {}
    for scheme, logs in held_out.logs.items():
        sigmas = row_sigmas(runs, logs, held_out.usable)
        judged[scheme] = held_out_validation(runs, logs, sigmas, len(rows))
    result = judged["system"]
    peer = read_peer(folder / PEER)
    headline = result.headline
    points = [entry for entry in headline if entry.row.source == "serving points"]
    return {
        "date": datetime.date.today().isoformat(),
        "versions": {
            "jaxsim": __version__,
            "jax": jax.__version__,
            "python": platform.python_version(),
        },
        "seconds": round(time.monotonic() - started, 1),
        "left_out": {
            scheme: {m: score(judged[scheme].headline, m) for m in (*MEASURES, "ttft_all")}
            for scheme in SCHEMES
        },
        "engines": engine_numbers(held_out),
        **summary(result),
        "gain": gain_summary(result.predicted),
        "gain_joint": {
            name: joint_error(result.predicted, one_engine=one)
            for name, one in (("one engine", True), ("any engines", False))
        },
        "decisions": decisions(result.predicted),
        "by_source": {
            source: {measure: score(own, measure) for measure in (*MEASURES, "ttft_all")}
            for source in sorted({entry.row.source for entry in headline})
            if (own := [entry for entry in headline if entry.row.source == source])
        },
        "large_groups": large_groups(headline),
        "beside_peer": beside_peer(points, peer),
        "beside_peer_with_deepseek": beside_peer(
            [entry for entry in result.predicted if entry.row.source == "serving points"], peer
        ),
    }


def _line(name: str, scores: Mapping[str, Any]) -> str:
    if not scores["n"]:
        return f"{name:46s} {'0':>6s}"
    cells = "".join(f"{100 * scores[key]:8.1f}" for key in ("median", "mean", "p90", "bias"))
    inside = f"{100 * scores['interval80']:8.1f}" if "interval80" in scores else ""
    return f"{name:46s} {scores['n']:6d}{cells}{inside}"


def show(result: Mapping[str, Any]) -> str:
    """The tables as text, in %."""
    lines = [f"{'':46s} {'rows':>6s}" + "".join(f"{name:>8s}" for name in COLUMNS)]
    for scheme, scores in result["left_out"].items():
        for measure in (*MEASURES, "ttft_all"):
            lines.append(_line(f"left out by {scheme}: {measure}", scores[measure]))
    for measure, both in result["beside_peer"].items():
        lines.append(_line(f"peer's rows, ours: {measure}", both["ours"]))
        lines.append(_line(f"peer's rows, peer: {measure}", both["peer"]))
    for source, scores in result["by_source"].items():
        for measure in (*MEASURES, "ttft_all"):
            if scores[measure]["n"]:
                lines.append(_line(f"{source}: {measure}", scores[measure]))
    for group in result["large_groups"]:
        name = " ".join(group[key] for key in ("model", "engine", "mode", "precision"))
        lines.append(_line(f"TPOT {name}", group["tpot"]))
    gain = {name: result["gain"][name] for name in ("pairs", "points", "median", "mean", "side")}
    lines += [f"gain of disaggregation: {gain}", f"decisions: {result['decisions']}"]
    coverage = result["coverage"]
    lines.append(f"coverage {coverage['predicted']} of {coverage['rows']}: {coverage['reasons']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the tables of measurements are")
    parser.add_argument("--json", type=Path, help="write the figures here, and tables beside it")
    parser.add_argument(
        "--write-engines", action="store_true", help="rewrite the catalogue's engines"
    )
    args = parser.parse_args()
    result = run(args.folder, args.write_engines)
    print(show(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        args.json.with_suffix(".md").write_text(markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
