"""How is a page of plain text laid out?  Colours, bars and wrapped lines."""

import os
import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

NARROWEST, WIDEST = 40, 110
_CODES = {"bold": "1", "dim": "2", "green": "32", "yellow": "33", "cyan": "36"}
_ASCII = {
    "×": "x",
    "·": ".",
    "–": "-",
    "≤": "<=",
    "µ": "u",
    "●": "o",
    "○": "x",
    "█": "#",
    "┊": ":",
    "│": "|",
    "└": "+",
    "┤": "+",
    "┴": "+",
    "─": "-",
    "±": "+-",
}


@dataclass(frozen=True)
class Page:
    """What the reader's screen can show."""

    width: int = 80
    colour: bool = False
    unicode: bool = True

    def paint(self, text: str, *styles: str) -> str:
        """The text in bold or in a colour, where the screen has them."""
        if not self.colour or not text:
            return text
        return f"\033[{';'.join(_CODES[style] for style in styles)}m{text}\033[0m"

    def finish(self, lines: Iterable[str]) -> str:
        """The lines as one text, in ASCII where the screen has nothing else."""
        text = "\n".join(line.rstrip() for line in lines)
        if self.unicode:
            return text
        for own, other in _ASCII.items():
            text = text.replace(own, other)
        for partial in PARTIAL:
            text = text.replace(partial, "")
        return text.encode("ascii", "replace").decode()


@runtime_checkable
class Stream(Protocol):
    """Where a page goes."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        ...


def page_for(stream: Stream) -> Page:
    """The page that suits a stream: colour only on a terminal, and not where NO_COLOR is set."""
    terminal = stream.isatty()
    width = shutil.get_terminal_size((80, 24)).columns if terminal else _columns()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return Page(
        width=min(max(width, NARROWEST), WIDEST),
        colour=terminal and not plain,
        unicode=encoding.startswith("utf"),
    )


def _columns() -> int:
    """The width that COLUMNS asks for, 80 where it asks for none."""
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdigit() else 80


PARTIAL = "▏▎▍▌▋▊▉"


def bar(frac: float, cells: int) -> str:
    """A bar of a fraction of `cells`, to an eighth of a cell."""
    eighths = round(min(max(frac, 0.0), 1.0) * cells * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (PARTIAL[rest - 1] if rest else "")


def indent(lines: Iterable[str], by: int = 2) -> list[str]:
    """The lines moved to the right."""
    return [" " * by + line for line in lines]


def wrap(text: str, page: Page, by: int = 0, hang: int = 0) -> list[str]:
    """The text cut at spaces to the page's width."""
    return textwrap.wrap(
        text,
        page.width,
        initial_indent=" " * by,
        subsequent_indent=" " * (by + hang),
        break_long_words=False,
        break_on_hyphens=False,
    )
