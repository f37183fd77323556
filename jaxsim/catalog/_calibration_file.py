"""What does a calibration file hold, and is it whole?

Reads TOML, refusing whatever is missing, unknown or impossible, with the file and the key.
"""

import datetime
import math
from collections.abc import Collection, Iterable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

from jaxsim.catalog._calibration_kinds import (
    ANY,
    ARITHMETIC,
    BORROWED,
    BORROWED_SIGMA,
    BORROWED_SOURCE,
    DATA,
    FORMATS,
    KINDS,
    OWN_KINDS,
    SCALELESS,
    STATE_KINDS,
    STATES,
    VARIANTS,
    Calibration,
    Family,
)
from jaxsim.catalog.documents import given_path, quoted, read_toml
from jaxsim.catalog.errors import InputError, nearest, unknown_name


def list_calibrations() -> list[str]:
    """The names of all calibrations in the catalogue, sorted."""
    return sorted(path.stem for path in DATA.glob("*.toml"))


def load_calibration(name: str) -> Calibration:
    """A calibration by its name in the catalogue, or from a TOML file."""
    path = given_path(name if name.endswith(".toml") else DATA / f"{name}.toml", "calibration ")
    if not path.is_file():
        hint = "Give the path of a TOML file, or make one with `jaxsim calibrate`."
        raise unknown_name("calibration", name, list_calibrations(), hint)
    return _at(path)


def _at(path: Path) -> Calibration:
    return _shipped(path) if path.parent == DATA else read_calibration(path)


@cache
def _shipped(path: Path) -> Calibration:
    """A calibration of the catalogue, whose files nobody changes while it runs: read once."""
    return read_calibration(path)


def constant_names(kind: str) -> tuple[str, ...]:
    """The constants that a fit of a family has."""
    return tuple(f.name for f in fields(KINDS[kind]) if f.name not in NOT_FITTED)


def read_calibration(path: Path) -> Calibration:
    """A calibration from a TOML file, refusing whatever is missing, unknown or impossible."""
    calibration = _Reader(path, read_toml(path), OWN_KINDS).calibration()
    families, sources = state_families(path.stem)
    return replace(
        calibration,
        families={**families, **calibration.families},
        sources={**sources, **calibration.sources},
    )


def state_families(name: str) -> tuple[dict[str, dict[str, Family]], dict[str, dict[str, object]]]:
    """The fits of recurrent layers for a calibration, with their sources."""
    path = STATES / f"{name}.toml"
    own = path.is_file()
    path = path if own else STATES / f"{BORROWED}.toml"
    calibration = _Reader(path, read_toml(path), STATE_KINDS).calibration()
    if own:
        return calibration.families, calibration.sources
    return {
        kind: {
            number_format: replace(
                family,
                sigma=math.hypot(family.sigma, BORROWED_SIGMA),
                source="borrowed_state",
                note=f"transferred from {BORROWED}",
            )
            for number_format, family in formats.items()
        }
        for kind, formats in calibration.families.items()
    }, {"borrowed_state": {**BORROWED_SOURCE}}


Table = dict[str, object]
_SOURCE_KEYS = {"kind", "source", "date", "note"}
_TOP_KEYS = {"title", "multiprocessors", "sources", "transferred_from", "sigma", "source"}
# Fields that a calibration does not hold: of the chip, and of networks beyond a domain.
NOT_FITTED = ("peak", "multiprocessors", "across_launch_s", "across_setup_s")
_FAMILY_KEYS = {f.name for f in fields(Family)} | {"same_as"}


class _Reader:
    """One file, and complaints that name it and the key."""

    def __init__(self, path: Path, raw: dict[str, object], kinds: dict[str, type]):
        self.path, self.raw, self.kinds = path, raw, kinds

    def error(self, key: str, problem: str) -> InputError:
        return InputError(f"{self.path}: {key}: {problem}.")

    def known(self, key: str, names: Iterable[str], allowed: Collection[str]) -> None:
        for name in names:
            if name not in allowed:
                near = nearest(name, allowed)
                meant = (
                    f"did you mean {near[0]!r}" if near else f"known: {', '.join(sorted(allowed))}"
                )
                raise self.error(f"{key}{name}", f"is not a known key; {meant}")

    def table(self, key: str, value: object, problem: str = "must be a table") -> Table:
        if not isinstance(value, dict):
            raise self.error(key, problem)
        return value

    def listed(self, key: str, value: object) -> list[object]:
        if not isinstance(value, list):
            raise self.error(key, "must be a list")
        return value

    def real(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, f"is {quoted(value)}; a number is needed")
        return float(value)

    def number(self, key: str, given: object, zero: bool = True) -> float:
        value = self.real(key, given)
        if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
            need = "a finite number of 0 or more" if zero else "a finite number above 0"
            raise self.error(key, f"is {quoted(given)}; {need} is needed")
        return value

    def calibration(self) -> Calibration:
        raw = self.raw
        self.known("", raw, _TOP_KEYS | set(self.kinds))
        for name in ("title", "multiprocessors", "sources"):
            if name not in raw:
                raise self.error(name, "is missing")
        sources = {
            name: self.source(name, entry)
            for name, entry in self.table("sources", raw["sources"]).items()
        }
        cores = self.number("multiprocessors", raw["multiprocessors"], zero=False)
        families: dict[str, dict[str, Family]] = {}
        if "transferred_from" in raw:
            families = self.transferred(sources)
        for kind in self.kinds:
            by_format = families.setdefault(kind, {})
            entries = self.table(kind, raw.get(kind, {}))
            self.known(f"{kind}.", entries, (*FORMATS.get(kind, (ANY,)), *VARIANTS.get(kind, ())))
            # Those that stand alone first, so that others can refer to them.
            tables = {name: self.table(f"{kind}.{name}", entry) for name, entry in entries.items()}
            for number_format in sorted(tables, key=lambda name: "same_as" in tables[name]):
                key = f"{kind}.{number_format}"
                by_format[number_format] = self.family(
                    kind, key, tables[number_format], by_format, sources
                )
            for number_format in FORMATS.get(kind, (ANY,)):
                if number_format not in by_format:
                    raise self.error(f"{kind}.{number_format}", "is missing")
        return Calibration(self.path.stem, str(raw["title"]), cores, families, sources)

    def source(self, name: str, given: object) -> Table:
        key = f"sources.{name}"
        entry = self.table(key, given, "must be a table with kind, source and date")
        self.known(f"{key}.", entry, _SOURCE_KEYS)
        for needed in ("kind", "source", "date"):
            if needed not in entry:
                raise self.error(key, f"lacks {needed}")
        if entry["kind"] not in ("measured", "fitted", "assumed"):
            raise self.error(f"{key}.kind", "must be measured, fitted or assumed")
        if not isinstance(entry["date"], datetime.date):
            raise self.error(f"{key}.date", "must be a date, such as 2025-01-31")
        return entry

    def transferred(self, sources: dict[str, Table]) -> dict[str, dict[str, Family]]:
        raw = self.raw
        for needed in ("sigma", "source"):
            if needed not in raw:
                raise self.error(needed, "is missing, and `transferred_from` needs it")
        if not isinstance(raw["source"], str) or raw["source"] not in sources:
            raise self.error("source", f"{quoted(raw['source'])} is not in [sources]")
        sigma = self.number("sigma", raw["sigma"], zero=False)
        named = raw["transferred_from"]
        # One name of one file: a chain of such files could come back to this one.
        if not isinstance(named, str) or not named.replace("-", "").replace(".", "").isalnum():
            raise self.error("transferred_from", f"is {quoted(named)}; a name is needed")
        beside = given_path(self.path.with_name(f"{named}.toml"), "transferred_from ")
        if beside.is_file() and "transferred_from" in read_toml(beside):
            raise self.error("transferred_from", f"{beside} is itself transferred; name its origin")
        origin = _at(beside) if beside.is_file() else load_calibration(named)
        # The share of a chip's time that starting tiles takes is what is carried over, so that few
        # large multiprocessors start as much work in a second as many small ones.
        ratio = self.number("multiprocessors", raw["multiprocessors"]) / origin.multiprocessors
        return {
            kind: {
                name: replace(
                    family,
                    constants={
                        constant: value * (ratio if constant == "tile_s" else 1.0)
                        for constant, value in family.constants.items()
                    },
                    sigma=math.hypot(family.sigma, sigma),
                    source=str(raw["source"]),
                    note=f"transferred from {origin.name}",
                )
                for name, family in by_format.items()
            }
            for kind, by_format in origin.families.items()
            if kind in self.kinds
        }

    def family(
        self,
        kind: str,
        key: str,
        entry: Table,
        by_format: dict[str, Family],
        sources: Collection[str],
    ) -> Family:
        self.known(f"{key}.", entry, _FAMILY_KEYS)
        for needed in ("sigma", "source"):
            if needed not in entry:
                raise self.error(f"{key}.{needed}", "is missing")
        source = str(entry["source"])
        if source not in sources:
            raise self.error(f"{key}.source", f"{source!r} is not in [sources]")
        sigma = self.number(f"{key}.sigma", entry["sigma"], zero=False)
        names = constant_names(kind)
        given = self.table(f"{key}.constants", entry.get("constants", {}))
        self.known(f"{key}.constants.", given, names)
        constants = {
            name: self.number(f"{key}.constants.{name}", value) for name, value in given.items()
        }
        base = Family({}, sigma, source)
        if "same_as" in entry:
            same_as = str(entry["same_as"])
            if same_as not in by_format:
                raise self.error(f"{key}.same_as", f"{same_as!r} is not in this family")
            base = by_format[same_as]
        constants = {**base.constants, **constants}
        for name in names:
            if name not in constants:
                raise self.error(f"{key}.constants.{name}", "is missing")
        arithmetic = str(entry.get("arithmetic", base.arithmetic))
        if KINDS[kind] not in SCALELESS and arithmetic not in ARITHMETIC:
            raise self.error(f"{key}.arithmetic", f"must be one of {', '.join(ARITHMETIC)}")
        free = tuple(map(str, self.listed(f"{key}.free", entry.get("free", []))))
        self.known(f"{key}.free.", free, names)
        place = f"{key}.covariance"
        covariance = tuple(
            tuple(self.real(place, x) for x in self.listed(place, row))
            for row in self.listed(place, entry.get("covariance", []))
        )
        if [len(row) for row in covariance] != list(range(1, len(covariance) + 1)) or (
            len(covariance) not in (0, len(free))
        ):
            raise self.error(place, "must be a lower triangle with a row per `free`")
        return Family(
            constants=constants,
            sigma=sigma,
            source=source,
            rows=int(self.number(f"{key}.rows", entry.get("rows", base.rows))),
            free=free,
            covariance=covariance,
            errors={
                name: self.real(f"{key}.errors.{name}", x)
                for name, x in self.table(f"{key}.errors", entry.get("errors", {})).items()
            },
            arithmetic=arithmetic,
            note=str(entry.get("note", "")),
        )
