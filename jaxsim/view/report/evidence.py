"""On what do a plan's numbers rest?  Every constant with its kind and source, ready to be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxsim.view.text import units
from jaxsim.view.text.catalogue import value_text

if TYPE_CHECKING:
    from jaxsim.catalog._datum import Datum
    from jaxsim.catalog.calibration import Calibration
    from jaxsim.catalog.known_engines import EngineCard
    from jaxsim.catalog.precision import Precision
    from jaxsim.catalog.setup import Setup


@dataclass(frozen=True)
class Evidence:
    """A group of numbers: rows of (name, value, kind, source)."""

    title: str
    rows: tuple[tuple[str, str, str, str], ...]


def evidence_of(setups: Sequence["Setup"]) -> tuple[Evidence, ...]:
    """The evidence behind set-ups of one model; hardware that two share is listed once."""
    first = setups[0]
    groups = [Evidence(f"Model {first.model.name}", _rows(first.model.provenance))]
    seen: set[str] = set()
    for setup in setups:
        if setup.hardware.name in seen:
            continue
        seen.add(setup.hardware.name)
        used = {
            key: datum
            for key, datum in setup.hardware.provenance.items()
            if not key.startswith("alternatives.")
        }
        groups.append(Evidence(f"Hardware {setup.hardware.name}", _rows(used)))
        title = f"Kernel calibration {setup.calibration.name}: {setup.calibration.title}"
        groups.append(Evidence(title, _fits(setup.calibration, setup.precision)))
    engine = first.engine
    groups.append(Evidence(f"Engine {engine.title}", _rows(_chosen(engine))))
    return tuple(groups)


def _chosen(engine: "EngineCard") -> dict[str, "Datum"]:
    """The numbers of the fit that was chosen, without those of fits to other chips and models."""
    own = f"variants.{engine.variant}."
    chosen = {
        key.removeprefix(own): datum
        for key, datum in engine.provenance.items()
        if key.startswith(own)
    }
    rest = {
        key: datum
        for key, datum in engine.provenance.items()
        if not key.startswith("variants.") and not (chosen and key in chosen)
    }
    return {**rest, **chosen}


def _rows(provenance: Mapping[str, "Datum"]) -> tuple[tuple[str, str, str, str], ...]:
    return tuple(
        (key, value_text(key, datum.value), datum.kind, f"{datum.source} ({datum.date})")
        for key, datum in provenance.items()
    )


def _fits(
    calibration: "Calibration", precision: "Precision"
) -> tuple[tuple[str, str, str, str], ...]:
    """The fits that a precision selects: how sure each is, and what it was fitted to."""
    from jaxsim.catalog.calibration import ANY, families_of

    chosen = dict.fromkeys(families_of(precision).values())
    plain = {(kind, ANY): None for kind, formats in calibration.families.items() if ANY in formats}
    rows = []
    for key in {**chosen, **plain}:
        family = calibration.family(*key)
        source = calibration.sources[family.source]
        name = key[0] if key[1] == ANY else f"{key[0]}, {key[1]}"
        on = f", {family.rows:,} measurements" if family.rows else ""
        text = f"{source['source']} ({source['date']}{on})"
        if family.note:
            text += f"; {family.note}"
        rows.append(
            (name.replace("_", " "), f"±{units.percent(family.sigma)}", source["kind"], text)
        )
    return tuple(rows)


def kinds(groups: Sequence[Evidence]) -> dict[str, int]:
    """How many numbers are of each kind."""
    counts: dict[str, int] = {}
    for group in groups:
        for _, _, kind, _ in group.rows:
            counts[kind] = counts.get(kind, 0) + 1
    return counts
