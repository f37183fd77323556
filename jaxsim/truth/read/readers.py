"""Which rows does a file of measurements hold?  Readers for every layout that is known."""

import json
from pathlib import Path

from jaxsim.catalog.errors import InputError
from jaxsim.truth.read import external_table, results, run_table, serving_table
from jaxsim.truth.read.results import Stated
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.read.table import read_lines

# A few published runs, each with its address, to try without a file of one's own.
PUBLISHED = Path(__file__).parent / "published.csv"

TABLES = {
    "serving points": serving_table,
    "published runs": run_table,
    "third parties' runs": external_table,
}


def read_rows(path: str | Path, stated: Stated | None = None) -> list[ServingRow]:
    """The measured runs of a file: a CSV table of either layout, or a benchmark's result file.

    Result files are those of AIPerf (`profile_export_aiperf.json`), `vllm bench serve`, SGLang's
    `bench_serving` (JSON lines) and InferenceX (`agg_*.json`); `stated` says what they leave out.
    """
    path = Path(path)
    if path.suffix.lower() in (".json", ".jsonl"):
        return results.read(load_json(path), path, stated or Stated())
    columns, lines = read_lines(path)
    best = max(TABLES.values(), key=lambda layout: len(layout.REQUIRED & set(columns)))
    if not best.REQUIRED & set(columns):
        known = "; ".join(f"{name}: {', '.join(sorted(t.REQUIRED))}" for name, t in TABLES.items())
        raise InputError(f"{path}: line 1: no known layout of columns. Known are {known}.")
    return best.read(path, columns, lines)


def load_json(path: Path) -> list[dict]:
    """The JSON objects of a file: one, a list, or one a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}.") from None
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise InputError(f"{path}: line {number}: not valid JSON: {error}.") from None
    found = found if isinstance(found, list) else [found]
    if not found or not all(isinstance(entry, dict) for entry in found):
        raise InputError(f"{path}: holds no JSON object; a benchmark's result file is needed.")
    return found
