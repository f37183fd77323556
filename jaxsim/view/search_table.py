"""What was found, as rows for a table and as one object for a script."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxsim._version import __version__
from jaxsim.catalog.setup import Setup
from jaxsim.space.search import OBJECTIVE, Found
from jaxsim.space.stream import Best


def best_of(found: Found) -> tuple[Best, tuple[str, ...]]:
    """The best designs, and their dimensions: the groups, then `rank`, of length 1 for one each."""
    best = found.answer
    assert isinstance(best, Best)
    if best.value.ndim > len(found.groups):
        return best, (*found.groups, "rank")
    index = {name: where[..., None] for name, where in best.index.items()}
    one = Best(best.value[..., None], best.found[..., None], index, best.points)
    return one, (*found.groups, "rank")


def designs_of(found: Found) -> dict[str, np.ndarray]:
    """The value of every axis in the best designs, NaN where none is valid."""
    best, _ = best_of(found)
    return {
        name: np.where(best.found, found.axes[name][where], np.nan)
        for name, where in best.index.items()
    }


def coordinates(found: Found, setups: Sequence[Setup]) -> dict[str, list[Any]]:
    """What every dimension stands for."""
    best, dims = best_of(found)
    named: dict[str, list[Any]] = {}
    for dim, length in zip(dims, best.value.shape, strict=True):
        if dim == "setup":
            named["hardware"] = [setup.hardware.name for setup in setups]
        elif dim == "rank":
            named["rank"] = list(range(1, length + 1))
        else:
            # What a target was before it became a number of 32 bits; lengths are whole.
            values = [float(value) for value in found.axes[dim]]
            named[dim] = [float(f"{v:.6g}") for v in values] if dim.endswith("target") else values
    return named


def rows(found: Found, setups: Sequence[Setup]) -> Iterator[list[Any]]:
    """A heading, then a row for every design, in the order of the dimensions."""
    best, _ = best_of(found)
    designs, named = designs_of(found), coordinates(found, setups)
    columns = [_unit(name) for name in named]
    yield ["model", "precision", "engine", *columns, OBJECTIVE[found.phase], *designs]
    for place in zip(*np.nonzero(best.found), strict=True):
        own = [values[i] for values, i in zip(named.values(), place, strict=True)]
        design = [int(values[place]) for values in designs.values()]
        setup = setups[place[0] if "hardware" in named else 0]
        case = [setup.model.name, setup.precision_name, setup.engine.name]
        yield [*case, *map(_short, own), f"{best.value[place]:.6g}", *design]


def _unit(name: str) -> str:
    return f"{name}_s" if name.endswith("_target") else name


def _short(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def csv_text(found: Found, setups: Sequence[Setup]) -> str:
    """The rows as CSV, SI units; workloads without a design within the targets have none."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows(found, setups))
    return text.getvalue()


def json_dict(found: Found, setups: Sequence[Setup], elapsed_s: float) -> dict[str, Any]:
    """Arrays on `dims`, nested in that order; null where there is no valid design."""
    best, _ = best_of(found)
    named = {
        _unit(name): [None if value == float("inf") else value for value in values]
        for name, values in coordinates(found, setups).items()
    }
    values = {OBJECTIVE[found.phase]: np.where(best.found, best.value, np.nan)} | designs_of(found)
    return {
        "jaxsim_version": __version__,
        "model": setups[0].model.name,
        "hardware": [setup.hardware.name for setup in setups],
        "precision": [setup.precision_name for setup in setups],
        "engine": [setup.engine.name for setup in setups],
        "phase": found.phase,
        "points_evaluated": best.points,
        "elapsed_s": elapsed_s,
        "dims": list(named),
        "coordinates": named,
        **{name: _nested(value) for name, value in values.items()},
    }


def _nested(values: np.ndarray) -> list[Any]:
    held = values.astype(object)
    held[np.isnan(values)] = None
    return held.tolist()
