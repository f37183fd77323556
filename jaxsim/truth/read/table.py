"""What does a table of measurements hold, cell by cell?

A cell that cannot be what its column says is refused with the file, the line and the column.
"""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from jaxsim.catalog.documents import MOST_TABLE_BYTES, read_text
from jaxsim.catalog.errors import InputError, nearest

_BLANK = {"", "nan", "none", "null", "n/a"}


@dataclass(frozen=True)
class Line:
    """One line of a table."""

    path: str
    number: int
    cells: dict[str, str]

    def error(self, column: str, problem: str) -> InputError:
        """An error about one cell."""
        return InputError(f"{self.path}: line {self.number}, column {column}: {problem}.")

    def text(self, column: str, default: str = "") -> str:
        """The words of a cell, or the default where it is blank or the column is absent."""
        value = (self.cells.get(column) or "").strip()
        return default if value.lower() in _BLANK else value

    def need(self, column: str) -> str:
        """The words of a cell that must not be blank."""
        value = self.text(column)
        if not value:
            raise self.error(column, "is blank; a value is needed")
        return value

    def number_of(self, column: str, zero: bool = True) -> float | None:
        """The number of a cell, 0 or more (more than 0 unless `zero`), or None where blank.

        Not a number is no blank: a measurement that failed is not one that was not made.
        """
        word = (self.cells.get(column) or "").strip()
        if word.lower() in _BLANK - {"nan"}:
            return None
        try:
            value = float(word)
        except ValueError:
            raise self.error(column, f"is {word!r}; a number is needed") from None
        if math.isnan(value) or math.isinf(value):
            raise self.error(column, f"is {word}; a finite number is needed")
        if value < 0 or (value == 0 and not zero):
            raise self.error(column, f"is {word}; it must be {'0 or more' if zero else 'over 0'}")
        return value

    def whole_of(self, column: str) -> float | None:
        """The whole number of a cell, 0 or more, or None where blank."""
        value = self.number_of(column)
        if value is not None and value != int(value):
            raise self.error(column, f"is {self.text(column)}; a whole number is needed")
        return value

    def flag(self, column: str) -> bool | None:
        """True or false, or None where blank."""
        word = self.text(column).lower()
        if not word:
            return None
        if word not in ("true", "false", "1", "0"):
            raise self.error(column, f"is {word!r}; true or false is needed")
        return word in ("true", "1")


def read_lines(path: Path) -> tuple[list[str], list[Line]]:
    """The columns and lines of a CSV file, all of equal width."""
    text = read_text(path, MOST_TABLE_BYTES)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}.") from None
    if not rows or not rows[0]:
        raise InputError(f"{path}: is empty; a header line and rows are needed.")
    columns = [name.strip() for name in rows[0]]
    lines = []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(columns):
            raise InputError(
                f"{path}: line {number} has {len(row)} cells, the header {len(columns)}; "
                "the file may be truncated."
            )
        lines.append(Line(str(path), number, dict(zip(columns, row, strict=True))))
    if not lines:
        raise InputError(f"{path}: has a header and no rows.")
    return columns, lines


def check_columns(
    path: Path, columns: list[str], required: set[str], optional: set[str], layout: str
) -> None:
    """Refuse a table with columns that the layout does not have, or without those it needs."""
    known = required | optional
    for name in columns:
        if name not in known:
            near = nearest(name, known, 1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"{path}: line 1, column {name!r}: not a column of the {layout} layout, and its "
                f"unit is not known.{meant} Known: {', '.join(sorted(known))}."
            )
    if missing := sorted(required - set(columns)):
        raise InputError(f"{path}: line 1: the {layout} layout needs column {missing[0]!r}.")
    if len(set(columns)) != len(columns):
        twice = sorted({name for name in columns if columns.count(name) > 1})
        raise InputError(f"{path}: line 1: column {twice[0]!r} occurs twice.")
