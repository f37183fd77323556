"""Which workloads does a mix file list?

A CSV table with the columns isl, osl and share, or a JSON list of objects with these keys. The
content is data only; whatever is not understood is refused, with file, row and column.
"""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

from jaxsim.catalog.documents import decode_json, read_text
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.workload import Share, Workload

COLUMNS = ("isl", "osl", "share")
LEAST = {"isl": 1, "osl": 2}
MOST_TOKENS = 2**31  # longer than any context; beyond, a number is a mistake
SHAPE = "a CSV table with the columns isl,osl,share, or a JSON list of objects with these keys"


def read_mix(path: Path, others: Mapping[str, float] | None = None) -> tuple[Share, ...]:
    """The workloads of a mix file, with shares that sum to 1.

    `others` are the fields of a workload besides its lengths, the same for all. Rows of the same
    lengths become one workload; the order is that of the file.
    """
    text = read_text(path, missing=f"A mix is {SHAPE}.", encoding="utf-8-sig")
    rows = _json_rows(text, path) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text, path)
    if not rows:
        raise InputError(f"{path}: no workload; a mix is {SHAPE}, one row for each workload.")
    weights: dict[tuple[int, int], float] = {}
    for where, row in rows:
        isl, osl = (_tokens(row[name], name, where) for name in ("isl", "osl"))
        share = _number(row["share"], f"{where}, column share")
        if share <= 0.0:
            raise InputError(
                f"{where}, column share: {share:g} is not positive; "
                "leave out a workload that has no requests."
            )
        weights[isl, osl] = weights.get((isl, osl), 0.0) + share
    total = sum(weights.values())
    if not math.isfinite(total):
        raise InputError(f"{path}: the shares add up to {total}; write smaller ones.")
    return tuple(
        Share(Workload(float(isl), float(osl), **(others or {})), share / total)
        for (isl, osl), share in weights.items()
    )


def _csv_rows(text: str, path: Path) -> list[tuple[str, Mapping[str, object]]]:
    """Rows of a CSV table, each with where it is; the first row that is not blank is the header."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV table: {error}; a mix is {SHAPE}.") from None
    if not lines:
        return []
    header = [cell.strip().lower() for cell in lines[0][1]]
    _check_columns(header, f"{path}, row {lines[0][0]}", "column")
    rows = []
    for number, cells in lines[1:]:
        where = f"{path}, row {number}"
        if len(cells) != len(header):
            raise InputError(
                f"{where}: {len(cells)} cells for the {len(header)} columns {','.join(header)}."
            )
        rows.append((where, dict(zip(header, cells, strict=True))))
    return rows


def _json_rows(text: str, path: Path) -> list[tuple[str, Mapping[str, object]]]:
    """Objects of a JSON list, each with where it is."""
    try:
        content = decode_json(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: not JSON: {error.msg}; a mix is {SHAPE}."
        ) from None
    except ValueError as error:  # nested too deep, or an endless integer
        raise InputError(f"{path}: not JSON that can be read: {error}.") from None
    if not isinstance(content, list):
        raise InputError(f"{path}: a JSON object; a mix is {SHAPE}.")
    rows = []
    for number, item in enumerate(content, 1):
        where = f"{path}, row {number}"
        if not isinstance(item, dict):
            raise InputError(f"{where}: not an object; write {{isl, osl, share}} for each.")
        _check_columns(list(item), where, "key")
        rows.append((where, item))
    return rows


def _check_columns(columns: list[str], where: str, kind: str) -> None:
    """Refuse columns that are unknown, missing or twice there."""
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise InputError(
            f"{where}: unknown {kind} {unknown[0]!r}; a mix has {', '.join(COLUMNS)} alone."
        )
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise InputError(f"{where}: no {kind} {missing[0]!r}; a mix has {', '.join(COLUMNS)}.")
    if len(columns) > len(COLUMNS):
        raise InputError(f"{where}: a {kind} is there twice; a mix has {', '.join(COLUMNS)}.")


def _number(given: object, where: str) -> float:
    """A finite number; JSON's must be numbers, not text or true."""
    try:
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise ValueError
        number = float(given)
    except (ValueError, OverflowError):
        raise InputError(f"{where}: {_shown(given)} is not a number.") from None
    if not math.isfinite(number):
        raise InputError(f"{where}: {_shown(given)} is not a finite number.")
    return number


def _shown(given: object) -> str:
    """What was given, cut if it is long."""
    text = repr(given) if isinstance(given, str) else json.dumps(given, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _tokens(given: object, name: str, where: str) -> int:
    """A length in whole tokens."""
    place = f"{where}, column {name}"
    number = _number(given, place)
    if not (number.is_integer() and LEAST[name] <= number <= MOST_TOKENS):
        raise InputError(
            f"{place}: {_shown(given)} is not a length; write whole tokens, from {LEAST[name]} to "
            f"{MOST_TOKENS:,}."
        )
    return int(number)
