"""Which rows does a file of measurements hold?  Readers for every layout that is known."""

import json
from dataclasses import replace
from pathlib import Path

from jaxsim.catalog.documents import MOST_TABLE_BYTES, decode_json, given_path, read_text
from jaxsim.catalog.errors import InputError
from jaxsim.truth.read import aiconfigurator, external_table, results, run_table, serving_table
from jaxsim.truth.read.clients import requests, vendors
from jaxsim.truth.read.clients.stated import Stated, refuse_for_tables, restated
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
    """The measured runs of a file: a CSV table of a known layout, or a benchmark's result file.

    A folder holds result files of the ranks of one run, which are one row.
    `results` names the clients whose files are read; `stated` says what they leave out.
    """
    path, own = given_path(path), stated or Stated()
    if path.is_dir():
        return [restated(_of_ranks(path, own), own)]
    return [restated(row, own) for row in _rows(path, own)]


def _of_ranks(folder: Path, stated: Stated) -> ServingRow:
    """The run whose ranks wrote a file each; what is stated of its load is of all ranks."""
    each = replace(stated, concurrency=None, rate=None, prompts=None)
    rows = []
    for path in requests.rank_files(folder):
        own = _rows(path, each)
        if len(own) != 1:
            raise InputError(f"{path}: holds {len(own)} runs; a rank's file holds one.")
        rows += own
    return requests.of_ranks(rows, folder, stated)


def _rows(path: Path, stated: Stated) -> list[ServingRow]:
    if path.suffix.lower() in (".json", ".jsonl"):
        return results.read_json(load_json(path), path, stated)
    rows = results.read_text(load_text(path), path, stated)
    if rows is not None:
        return rows
    if path.suffix.lower() in (".txt", ".log", ".md", ".out"):
        raise vendors.no_summary(str(path))
    columns, lines = read_lines(path)
    if results.is_inferencex(columns):
        return results.read_inferencex(lines, stated)
    if aiconfigurator.is_aiconfigurator(columns):
        refuse_for_tables(stated, str(path))
        return aiconfigurator.read(lines)
    best = max(TABLES.values(), key=lambda layout: len(layout.REQUIRED & set(columns)))
    if not best.REQUIRED & set(columns):
        known = "; ".join(f"{name}: {', '.join(sorted(t.REQUIRED))}" for name, t in TABLES.items())
        raise InputError(f"{path}: line 1: no known layout of columns. Known are {known}.")
    refuse_for_tables(stated, str(path))
    return best.read(path, columns, lines)


def load_text(path: Path) -> str:
    """The text of a file."""
    return read_text(path, MOST_TABLE_BYTES)


def load_json(path: Path) -> list[dict[str, object]]:
    """The JSON objects of a file: one, a list, or one a line."""
    text = load_text(path)
    try:
        rows = decode_json(text)
    except json.JSONDecodeError:
        rows = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                rows.append(decode_json(line))
            except ValueError as error:
                raise InputError(f"{path}: line {number}: not valid JSON: {error}.") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}.") from None
    entries = rows if isinstance(rows, list) else [rows]
    objects = [entry for entry in entries if isinstance(entry, dict)]
    if not objects or len(objects) < len(entries):
        raise InputError(f"{path}: holds no JSON object; a benchmark's result file is needed.")
    return objects
