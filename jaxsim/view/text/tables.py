"""How are rows put into columns, so that they fit the page?"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from jaxsim.view.text.layout import Page, bar, wrap

LEAST_BAR = 4  # cells: shorter bars say nothing


def table(
    rows: Sequence[Sequence[str]],
    page: Page,
    left: Iterable[int] = (0,),
    *,
    by: int = 2,
    gap: int = 2,
    head: str | None = "",
    drop: Sequence[int] = (),
) -> list[str]:
    """Rows in columns within the page, those in `left` flush left, the others flush right.

    `head` is the style of the first row, None where that is a row like the others. Where the page
    is too narrow, the gap becomes one space; then words of the head and of cells flush left go on
    in a line below; then columns of `drop` are left out, in this order, and named in a last line.
    """
    if not rows:
        return []
    count = max(len(row) for row in rows)
    columns = [
        _Column([row[i] if i < len(row) else "" for row in rows], i in set(left), head is not None)
        for i in range(count)
    ]
    shown, widths, space = _fitted(columns, page.width - by, gap, drop)
    kept = [columns[i] for i in shown]
    lines: list[str] = []
    for k in range(len(rows)):
        cells = [column.lines(k, width) for column, width in zip(kept, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=""):
            placed = [c.place(p, w) for c, p, w in zip(kept, parts, widths, strict=True)]
            line = " " * by + (" " * space).join(placed).rstrip()
            lines.append(page.paint(line, head) if head and k == 0 else line)
    if len(kept) < count and head is not None:
        names = dict.fromkeys(c.cells[0] for i, c in enumerate(columns) if i not in shown)
        lines += wrap(f"(no room for: {', '.join(names)})", page, by)
    return lines


def _fitted(
    columns: Sequence["_Column"], room: int, gap: int, drop: Sequence[int]
) -> tuple[list[int], list[int], int]:
    """The columns to show, their widths and the gap: of the first way that fits, else the last."""
    shown, widths, space = [], [], gap
    for dropped in range(len(drop) + 1):
        shown = [i for i in range(len(columns)) if i not in drop[:dropped]]
        kept = [columns[i] for i in shown]
        whole, gaps = _widths(kept), len(kept) - 1
        for space, widths in ((gap, whole), (1, whole), (1, _folded(kept, room - gaps))):
            if sum(widths) + space * gaps <= room:
                return shown, widths, space
    return shown, widths, space


@dataclass(frozen=True)
class _Column:
    """The cells of a column, from the top; the first is its head where it has one."""

    cells: list[str]
    left: bool
    headed: bool

    def least(self) -> int:
        """The least width that cuts no word, nor a cell that is flush right."""
        return max(
            max(map(len, cell.split()), default=0) if self.foldable(k) else len(cell)
            for k, cell in enumerate(self.cells)
        )

    def foldable(self, k: int) -> bool:
        """Whether a cell may go on in a line below."""
        return self.left or (self.headed and k == 0)

    def lines(self, k: int, width: int) -> list[str]:
        """A cell in lines of a width; all but the first are moved by a space."""
        cell = self.cells[k]
        if len(cell) <= width or not self.foldable(k):
            return [cell]
        hang = " " if self.left and k and self.least() < width else ""
        return textwrap.wrap(
            cell, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False
        )

    def place(self, text: str, width: int) -> str:
        """A line of a cell, flush left or right."""
        return text.ljust(width) if self.left else text.rjust(width)


def _widths(columns: Sequence[_Column]) -> list[int]:
    return [max(map(len, column.cells)) for column in columns]


def _folded(columns: Sequence[_Column], room: int) -> list[int]:
    """Widths within the room as far as can be: heads are folded first, then the widest column."""
    widths = _widths(columns)
    least = [column.least() for column in columns]
    for of_left in (False, True):
        while sum(widths) > room:
            able = [
                i
                for i, column in enumerate(columns)
                if column.left == of_left and widths[i] > least[i]
            ]
            if not able:
                break
            widths[max(able, key=lambda i: widths[i])] -= 1
    return widths


def with_bars(
    rows: Sequence[Sequence[str]],
    fracs: Sequence[float | None],
    page: Page,
    left: Iterable[int] = (0,),
    *,
    by: int = 2,
    most: int = 36,
    head: str | None = None,
) -> list[str]:
    """A table with a bar at the end of each row, as long as the page has room for."""
    count = max(map(len, rows), default=0)
    used = sum(max(len(row[i]) for row in rows if i < len(row)) for i in range(count))
    cells = min(page.width - by - used - 2 * count, most)
    if cells < LEAST_BAR:
        return table(rows, page, left, by=by, head=head)
    filled = [[*row, *[""] * (count - len(row))] for row in rows]
    bars = ["" if frac is None else bar(frac, cells) for frac in fracs]
    barred = [[*row, drawn] for row, drawn in zip(filled, bars, strict=True)]
    return table(barred, page, (*left, count), by=by, head=head)
