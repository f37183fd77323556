"""How is the catalogue shown: as a table, or one entry with the source of every number?"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from jaxsim.view.text import units
from jaxsim.view.text.layout import Page, page_for, wrap
from jaxsim.view.text.plain_json import dumps
from jaxsim.view.text.tables import table

if TYPE_CHECKING:
    from jaxsim.catalog._datum import Datum

# Of each key of a row: its title, and how its values are written.
Columns = Mapping[str, tuple[str, Callable[..., str]]]


def show_table(
    what: str,
    rows: Sequence[Mapping[str, object]],
    columns: Columns,
    format: str,
    more: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
    note: str = "",
    drop: Sequence[str] = (),
) -> None:
    """Print entries a line each; JSON has every key of them, and `more` besides.

    Where the page is too narrow, columns of `drop` are left out, in this order.
    """
    if format == "json":
        print(dumps({what: list(rows), **(more or {})}))
        return
    page = page_for(sys.stdout)
    cells = [[title for title, _ in columns.values()]]
    cells += [
        ["-" if row[key] is None else show(row[key]) for key, (_, show) in columns.items()]
        for row in rows
    ]
    left = [i for i, (_, show) in enumerate(columns.values()) if show is str]
    order = [list(columns).index(key) for key in drop]
    lines = table(cells, page, left, by=0, head="bold", drop=order)
    lines += ["", *wrap(note, page)] if note else []
    for kind, entries in (more or {}).items():
        lines += ["", page.paint(f"{kind.capitalize()}:", "bold")]
        lines += wrap(", ".join(entry["name"] for entry in entries), page, 2)
    print(page.finish(lines))


def show_card(
    described: Mapping[str, object],
    provenance: Mapping[str, "Datum"],
    format: str,
    summary: str = "",
) -> None:
    """Print one entry: what it is, with a `summary`, and every number with its kind and source."""
    if format == "json":
        print(dumps({**described, "provenance": sourced(provenance)}))
        return
    page = page_for(sys.stdout)
    lines = [page.paint(str(described["name"]), "bold")]
    if described.get("full_name"):
        lines.append(str(described["full_name"]))
    aliases = described.get("aliases")
    if aliases and isinstance(aliases, tuple):
        lines += wrap(f"also called {', '.join(map(str, aliases))}", page, 0, 2)
    lines += wrap(summary, page)
    if described.get("note"):
        lines += wrap(str(described["note"]), page)
    sources = list(dict.fromkeys((d.kind, d.source, d.date) for d in provenance.values()))
    numbers = {source: i + 1 for i, source in enumerate(sources)}
    rows = [
        [
            key,
            value_text(key, datum.value),
            datum.kind,
            f"[{numbers[datum.kind, datum.source, datum.date]}]",
            datum.note,
        ]
        for key, datum in provenance.items()
    ]
    lines += ["", *_numbers(rows, page), "", page.paint("Sources", "bold")]
    for source, i in numbers.items():
        kind, text, date = source
        lines += wrap(f"[{i}] {text} ({kind}, {date})", page, 0, 4)
    print(page.finish(lines))


def _numbers(rows: Sequence[Sequence[str]], page: Page) -> list[str]:
    """Rows of a key and what is said of it in columns; where they do not fit, below the key."""
    lines = table(rows, page, (0, 2, 3, 4), by=0, head=None)
    if max(map(len, lines), default=0) <= page.width:
        return lines
    below = [(key, "  ".join(cell for cell in cells if cell)) for key, *cells in rows]
    return [line for key, text in below for line in (key, *wrap(text, page, 4, 4))]


def sourced(provenance: Mapping[str, "Datum"]) -> dict[str, dict[str, object]]:
    """Every datum with its kind, source and date, for a script."""
    return {
        key: {
            "value": datum.value if isinstance(datum.value, int | float) else str(datum.value),
            "kind": datum.kind,
            "source": datum.source,
            "date": datum.date.isoformat(),
            **({"note": datum.note} if datum.note else {}),
        }
        for key, datum in provenance.items()
    }


def value_text(key: str, value: object) -> str:
    """A value as a person reads it, by the unit at the end of its key."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    name = key.rsplit(".", 1)[-1]
    suffixes: tuple[tuple[str, Callable[[float], str]], ...] = (
        ("_flop_per_s", lambda x: units.prefixed(x, "FLOP/s")),
        ("bytes_per_s", lambda x: units.prefixed(x, "B/s")),
        ("_bytes", lambda x: units.prefixed(x, "B")),
        ("_usd_per_hour", lambda x: f"{units.usd(x)}/h"),
        ("_w", lambda x: units.prefixed(x, "W")),
        ("_s", units.seconds),
        ("_frac", units.percent),
    )
    for suffix, show in suffixes:
        if name.endswith(suffix):
            return show(float(value))
    if math.isinf(value):
        return "no limit"
    whole = float(value) == int(value)
    return f"{value:,}" if whole else f"{value:g}"
