"""How is a value read from a data file, with where it came from?

Every value of a file is a datum: a value, its kind, its source and the date of that source. To
keep files short, a file names its sources once, under `[sources]`, and a value refers to one by
name with `from`; a value without a reference has the file's own. A value may also carry its kind,
source and date itself.

    from = "datasheet"
    hbm_bytes = 8.0e10
    power_w = { value = 700, from = "datasheet", note = "configurable" }

    [sources.datasheet]
    kind = "spec"
    source = "Maker's datasheet, revision 3"
    date = 2025-01-31
"""

import datetime
import math
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsFloat

from jaxsim.catalog.bounds import ANY, HARDWARE, Bounds, problem
from jaxsim.catalog.documents import quoted, read_toml
from jaxsim.catalog.errors import InputError, nearest

KINDS = ("spec", "measured", "fitted", "assumed", "derived")
_DATUM_KEYS = {"value", "from", "kind", "source", "date", "note"}


@dataclass(frozen=True)
class Datum:
    """A value and where it came from."""

    value: object
    kind: str
    source: str
    date: datetime.date
    note: str = ""

    @property
    def number(self) -> float:
        """The value, where it is a number; a TypeError where it is none."""
        if not isinstance(self.value, SupportsFloat):
            raise TypeError(f"{self.value!r} is not a number")
        return float(self.value)


class DataFile:
    """A TOML file that is read key by key, and complains about every key that nobody read."""

    def __init__(self, path: Path, bounds: Bounds = ANY):
        self.path, self.bounds = path, bounds
        self.raw = read_toml(path)
        self.provenance: dict[str, Datum] = {}
        self.sources: dict[str, dict[str, object]] = {}
        sources = self.raw.pop("sources", {})
        if not isinstance(sources, dict):
            raise self.error("sources", "must be a table of sources by name")
        for name, source in sources.items():
            self.sources[name] = self._source(f"sources.{name}", source)
        self.default = self.raw.pop("from", None)
        self.root = Table(self, "", self.raw)

    def error(self, key: str, problem: str) -> InputError:
        """An error about one key of this file."""
        return InputError(f"{self.path}: {key}: {problem}.")

    def _source(self, key: str, entry: object) -> dict[str, object]:
        if not isinstance(entry, dict):
            raise self.error(key, "must be a table with kind, source and date")
        missing = {"kind", "source", "date"} - set(entry)
        if missing:
            raise self.error(key, f"lacks {', '.join(sorted(missing))}")
        if entry["kind"] not in KINDS:
            given = quoted(entry["kind"])
            raise self.error(f"{key}.kind", f"is {given}; allowed are {', '.join(KINDS)}")
        if not isinstance(entry["date"], datetime.date):
            raise self.error(f"{key}.date", "must be a date, such as 2025-01-31")
        if not isinstance(entry["source"], str) or not entry["source"].strip():
            raise self.error(f"{key}.source", "must be a sentence that says where it is from")
        return entry

    def _dated(self, key: str, entry: dict[str, object], note: str, value: object) -> Datum:
        """A value with a source that is whole."""
        kind, source, date = (self._source(key, entry)[name] for name in ("kind", "source", "date"))
        assert isinstance(kind, str)
        assert isinstance(source, str)
        assert isinstance(date, datetime.date)
        return Datum(value, kind, source, date, note)

    def datum(self, key: str, raw: object) -> Datum:
        """One value with its provenance, which is recorded under `key`."""
        entry = raw if isinstance(raw, dict) else {"value": raw}
        unknown = set(entry) - _DATUM_KEYS
        if unknown or "value" not in entry:
            wrong = f"unknown {sorted(unknown)[0]!r}" if unknown else "no value"
            raise self.error(key, f"{wrong}; a value may have {', '.join(sorted(_DATUM_KEYS))}")
        named = entry.get("from", None if "source" in entry else self.default)
        if named is not None and (not isinstance(named, str) or named not in self.sources):
            known, given = ", ".join(self.sources) or "none", quoted(named)
            raise self.error(key, f"is from {given}, which [sources] lacks; it has: {known}")
        origin = dict(self.sources[named]) if named is not None else {}
        origin.update({name: entry[name] for name in ("kind", "source", "date") if name in entry})
        if "source" not in origin:
            raise self.error(key, "has no source, and the file names none for all its values")
        datum = self._dated(key, origin, str(entry.get("note", "")), entry["value"])
        self.provenance[key] = datum
        return datum

    def finish(self) -> None:
        """Refuse the first key that nobody read."""
        self.root.finish()


class Table:
    """One table of a data file."""

    def __init__(self, file: DataFile, prefix: str, raw: object):
        if not isinstance(raw, dict):
            raise file.error(prefix, "must be a table")
        self.file, self.prefix, self.raw = file, prefix, raw
        self.children: list[Table] = []
        self.read: set[str] = set()

    def key(self, name: str) -> str:
        """The full name of a key of this table."""
        return f"{self.prefix}.{name}" if self.prefix else name

    def error(self, name: str, problem: str) -> InputError:
        """An error about one key of this table."""
        return self.file.error(self.key(name), problem)

    def __contains__(self, name: str) -> bool:
        return name in self.raw

    def plain(self, name: str, default: object = None) -> object:
        """What needs no source, of any type."""
        self.read.add(name)
        if name not in self.raw and default is None:
            raise self.error(name, "is missing")
        return self.raw.get(name, default)

    def label(self, name: str, default: str | None = None) -> str:
        """A word or a sentence, which needs no source."""
        return self._word(name, self.plain(name, default))

    def text(self, name: str) -> str:
        """A sourced word."""
        return self._word(name, self.value(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A sourced list of words."""
        value = self.value(name)
        if not isinstance(value, list):
            raise self.error(name, f"is {quoted(value)}; a list of words is needed")
        return tuple(self._word(name, word) for word in value)

    def _word(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise self.error(name, f"is {quoted(value)}; a word is needed")
        return value

    def value(self, name: str) -> object:
        """A sourced value of any type."""
        self.read.add(name)
        if name not in self.raw:
            raise self.error(name, "is missing")
        return self.file.datum(self.key(name), self.raw[name]).value

    def number(self, name: str, zero: bool = False, infinite: bool = False) -> float:
        """A sourced number: positive, finite unless `infinite`, and not 0 unless `zero`."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(name, f"is {quoted(value)}; a number is needed")
        if math.isnan(value) or (math.isinf(value) and not infinite):
            raise self.error(name, f"is {value}; a finite number is needed")
        if value < 0 or (value == 0 and not zero):
            need = "0 or more" if zero else "more than 0"
            raise self.error(name, f"is {value}; it must be {need}")
        bounds = HARDWARE.get(name, self.file.bounds)
        if math.isfinite(value) and (said := problem(bounds, float(value))):
            raise self.error(name, said)
        return float(value)

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """A sourced value that is one of a few."""
        value = self.value(name)
        if not isinstance(value, str) or value not in allowed:
            raise self.error(name, f"is {quoted(value)}; allowed are {', '.join(allowed)}")
        return value

    def table(self, name: str) -> "Table":
        """A table within this one."""
        self.read.add(name)
        if name not in self.raw:
            raise self.error(name, "is missing")
        child = Table(self.file, self.key(name), self.raw[name])
        self.children.append(child)
        return child

    def tables(self, name: str) -> list["Table"]:
        """A list of tables within this one."""
        rows = self.plain(name)
        if not isinstance(rows, list) or not rows:
            raise self.error(name, "must be a list of at least one table")
        tables = [Table(self.file, f"{self.key(name)}[{i}]", row) for i, row in enumerate(rows)]
        self.children.extend(tables)
        return tables

    def finish(self) -> None:
        """Refuse the first key that nobody read, here or further down."""
        for name in self.raw:
            if name not in self.read:
                near = nearest(name, self.read)
                meant = f"; did you mean {near[0]!r}?" if near else ""
                known = ", ".join(sorted(self.read))
                raise self.error(name, f"is not a known key{meant} Known here: {known}")
        for child in self.children:
            child.finish()
