"""How far apart are two records of one configuration?  The floor of every error.

    python -m benchmarks.accuracy.repeats FOLDER

Records of equal model, GPU, engine, formats, lengths, load and layout, from the open tables: by how
much TPOT and TTFT differ where the engine's version is the same, and where it is another. Then what
errors would be left if every prediction were replaced by another record of the same configuration:
no model that does not know the run can be nearer than that.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.serving import MEASURES
from jaxsim.truth.cases import Case, layouts
from jaxsim.truth.decisions import decisions
from jaxsim.truth.gain_of_pairs import errors_of, pairs
from jaxsim.truth.read.names import names_of
from jaxsim.truth.read.readers import read_rows
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.validate import Predicted, Scored, score

FILES = ("serving_open.csv", "endtoend_open.csv")
CURVE = ("model", "gpu", "engine", "mode")  # what one version of an engine makes faster at once
DRAWS, SEED = 200, 0


def configuration(row: ServingRow) -> tuple[object, ...]:
    """What two records of one configuration share."""
    return (
        row.source, row.model, row.hardware, row.framework, row.precision, row.formats, row.mode,
        row.load, row.isl, row.osl, row.concurrency, repr(row.decode), repr(row.prefill),
    )  # fmt: skip


def _measured(row: ServingRow) -> tuple[str, ...]:
    return tuple(f"{row.measured(measure) or 0.0:.4g}" for measure in MEASURES)


def repeats(rows: Iterable[ServingRow]) -> dict[str, list[list[ServingRow]]]:
    """Records of one configuration, by whether the engine's version is the same.

    Rows whose speculation is unknown are left out: they mix runs with and without drafts. A
    measurement that was published twice is one record.
    """
    groups: dict[tuple[object, ...], list[ServingRow]] = defaultdict(list)
    for row in rows:
        own = groups[configuration(row)]
        known = not (row.excluded or row.refused) and row.tpot_s and row.version
        if known and _measured(row) not in map(_measured, own):
            own.append(row)
    result: dict[str, list[list[ServingRow]]] = {"same version": [], "other version": []}
    for own in groups.values():
        if len(own) > 1:
            same = len({row.version for row in own}) == 1
            result["same version" if same else "other version"].append(own)
    return result


def spreads(groups: Iterable[list[ServingRow]], measure: str) -> np.ndarray:
    """The largest over the smallest of a measure, in each group that has two."""
    ratios = []
    for own in groups:
        values = [value for row in own if (value := row.measured(measure))]
        if len(values) > 1:
            ratios.append(max(values) / min(values))
    return np.array(ratios)


def _predicted(row: ServingRow, values: dict[str, float]) -> Predicted | None:
    """A row with the values, None where its names or its layout are not known."""
    try:
        case = Case(row, names_of(row))
        layouts(case)
    except InputError:
        return None
    return Predicted(case, values, dict.fromkeys(MEASURES, 0.0), "another record")


def replaced(groups: Iterable[Sequence[ServingRow]]) -> list[Predicted]:
    """Every record, predicted by the geometric mean of the others of its configuration."""
    entries = []
    for own in groups:
        for row in own:
            others = [other for other in own if other is not row]
            values = {}
            for measure in MEASURES:
                known = [value for other in others if (value := other.measured(measure))]
                values[measure] = float(np.exp(np.mean(np.log(known)))) if known else np.nan
            entry = _predicted(row, values)
            if entry is not None and np.isfinite(list(values.values())).all():
                entries.append(entry)
    return entries


def departures(groups: Iterable[Sequence[ServingRow]]) -> np.ndarray:
    """Logs of TPOT of a record over that of another one of its configuration, all ordered pairs."""
    logs = [np.log([row.tpot_s for row in own if row.tpot_s]) for own in groups]
    return np.concatenate([(one[:, None] - one)[~np.eye(len(one), dtype=bool)] for one in logs])


def gain_floor(
    rows: Iterable[ServingRow], apart: np.ndarray, draws: int = DRAWS
) -> tuple[float, float]:
    """Median and mean error of the gain if each frontier of a pair were that of another record.

    Few disaggregated configurations were recorded twice, so each frontier of each draw is as much
    faster or slower, in TPOT and in tokens/s/GPU, as two records of some configuration were apart
    (`apart`, logs).
    """
    measured: list[Predicted] = []
    for row in rows:
        tpot, rate = row.tpot_s, row.output_tokens_per_s_per_gpu
        if not (row.excluded or row.refused) and tpot and rate:
            entry = _predicted(row, {"tpot": tpot, "output_tokens_per_s_per_gpu": rate})
            measured += [] if entry is None else [entry]
    curves = [tuple(entry.key(key) for key in CURVE) for entry in measured]
    names = sorted(set(curves))
    random, results = np.random.default_rng(SEED), []
    for _ in range(draws):
        slower = dict(zip(names, np.exp(random.choice(apart, len(names))), strict=True))
        drawn = []
        for entry, curve in zip(measured, curves, strict=True):
            tpot, rate = entry.values["tpot"], entry.values["output_tokens_per_s_per_gpu"]
            own = {
                "tpot": tpot * slower[curve],
                "output_tokens_per_s_per_gpu": rate / slower[curve],
            }
            drawn.append(replace(entry, values=own))
        if paired := pairs(drawn, one_engine=True, monthly=0.0):
            errors = errors_of(paired, 1.0)
            results.append((errors["median"], errors["mean"]))
    if not results:
        raise InputError("no pair of frontiers: it takes co-located and disaggregated runs.")
    median, mean = np.mean(results, axis=0)
    return float(median), float(mean)


def floors(name: str, groups: Sequence[list[ServingRow]], rows: Sequence[ServingRow]) -> list[str]:
    """Lines of the table of what is left if another record is the prediction."""
    entries = replaced(groups)
    lines: list[tuple[str, int, float, float]] = []
    measures: tuple[tuple[Scored, str], ...] = (("tpot", "TPOT"), ("ttft", "TTFT, not queued"))
    for measure, title in measures:
        own = score(entries, measure)
        if own["median"] is not None and own["mean"] is not None:
            lines.append((title, own["n"], 100 * own["median"], 100 * own["mean"]))
    median, mean = gain_floor(rows, departures(groups))
    lines.append(("gain, drawn", DRAWS, 100 * median, 100 * mean))
    chosen = decisions(entries)
    table = [f"| {name} | {t} | {n} | {mid:.1f} | {average:.1f} |" for t, n, mid, average in lines]
    if chosen["mean"] is not None and chosen["missed"] is not None:
        regret = f"{100 * chosen['mean']:.1f} | {100 * chosen['missed']:.1f}"
        table.append(
            f"| {name} | regret, mean; beyond the target | {chosen['choices']} | {regret} |"
        )
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the tables of measurements are")
    folder = parser.parse_args().folder
    rows = [row for name in FILES for row in read_rows(folder / name)]
    print("| records of one configuration | configurations | measure | median | p75 | p90 |")
    print("|---|---|---|---|---|---|")
    for name, groups in repeats(rows).items():
        for measure in ("tpot", "ttft"):
            ratios = spreads(groups, measure)
            if len(ratios):
                cells = (f"{q:.2f}" for q in np.quantile(ratios, (0.5, 0.75, 0.9)))
                print(f"| {name} | {len(ratios)} | {measure.upper()} | {' | '.join(cells)} |")
    print("\n| predicted by another record | measure | n | median, % | mean, % |")
    print("|---|---|---|---|---|")
    for name, groups in repeats(rows).items():
        print("\n".join(floors(name, groups, rows)))


if __name__ == "__main__":
    main()
