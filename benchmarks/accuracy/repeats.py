"""How far apart are two records of one configuration?  The floor of every error.

    python -m benchmarks.accuracy.repeats FOLDER

Records of equal model, GPU, engine, formats, lengths, load and layout, from the open tables: by how
much TPOT and TTFT differ where the engine's version is the same, and where it is another.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jaxsim.truth.read.readers import read_rows
from jaxsim.truth.read.rows import ServingRow

FILES = ("serving_open.csv", "endtoend_open.csv")


def configuration(row: ServingRow) -> tuple[object, ...]:
    """What two records of one configuration share."""
    return (
        row.source, row.model, row.hardware, row.framework, row.precision, row.formats, row.mode,
        row.load, row.isl, row.osl, row.concurrency, repr(row.decode), repr(row.prefill),
    )  # fmt: skip


def repeats(rows: Iterable[ServingRow]) -> dict[str, list[list[ServingRow]]]:
    """Records of one configuration, by whether the engine's version is the same.

    Rows whose speculation is unknown are left out: they mix runs with and without drafts.
    """
    groups: dict[tuple[object, ...], list[ServingRow]] = defaultdict(list)
    for row in rows:
        if not (row.excluded or row.refused) and row.tpot_s and row.version:
            groups[configuration(row)].append(row)
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


def main() -> None:
    """Print the table."""
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


if __name__ == "__main__":
    main()
