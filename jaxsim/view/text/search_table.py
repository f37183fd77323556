"""What was found, as rows for a table and as one object for a script."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jaxsim._version import __version__
from jaxsim.catalog.setup import Setup
from jaxsim.space.grid.best import Best, ranked
from jaxsim.space.search import OBJECTIVE, SearchResult
from jaxsim.view.text.cells import cell


@dataclass(frozen=True)
class BestDesigns:
    """The best designs of a search on `dims`: the groups, then `rank`, of length 1 for one each.

    `rate` is what was sought and `axes` the design behind it, both NaN where `valid` is false;
    `named` says what every dimension stands for, by the name of its column.
    """

    dims: tuple[str, ...]
    rate: np.ndarray
    valid: np.ndarray
    axes: dict[str, np.ndarray]
    named: dict[str, Sequence[float | str]]
    points: int


def designs_of(result: SearchResult, setups: Sequence[Setup]) -> BestDesigns:
    """What a search found, as tables and pages read it."""
    assert isinstance(result.designs, Best)
    best = ranked(result.designs, len(result.groups))
    dims = (*result.groups, "rank")
    axes = {
        name: np.where(best.found, result.axes[name][where], np.nan)
        for name, where in best.index.items()
    }
    named = dict(
        _named(result, setups, dim, length)
        for dim, length in zip(dims, best.value.shape, strict=True)
    )
    rate = np.where(best.found, best.value, np.nan)
    return BestDesigns(dims, rate, best.found, axes, named, best.points)


def _named(
    result: SearchResult, setups: Sequence[Setup], dim: str, length: int
) -> tuple[str, Sequence[float | str]]:
    """The name of a dimension's column, and what its places stand for."""
    if dim == "setup":
        return "hardware", [setup.hardware.name for setup in setups]
    if dim == "rank":
        return dim, list(range(1, length + 1))
    values = [float(value) for value in result.axes[dim]]
    if not dim.endswith("_target"):
        return dim, values
    # What a target was before it became a number of 32 bits; lengths are whole.
    return f"{dim}_s", [float(f"{value:.6g}") for value in values]


def rows(result: SearchResult, setups: Sequence[Setup]) -> Iterator[list[object]]:
    """A heading, then a row for every design, in the order of the dimensions."""
    best = designs_of(result, setups)
    yield ["model", "precision", "engine", *best.named, OBJECTIVE[result.phase], *best.axes]
    for place in zip(*np.nonzero(best.valid), strict=True):
        own = [values[i] for values, i in zip(best.named.values(), place, strict=True)]
        design = [int(values[place]) for values in best.axes.values()]
        setup = setups[place[0] if "setup" in best.dims else 0]
        case = [setup.model.name, setup.precision_name, setup.engine.name]
        yield [*case, *map(_short, own), f"{best.rate[place]:.6g}", *design]


def _short(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def csv_text(result: SearchResult, setups: Sequence[Setup]) -> str:
    """The rows as CSV, SI units; workloads without a design within the targets have none."""
    text = io.StringIO()
    every = ([cell(value) for value in row] for row in rows(result, setups))
    csv.writer(text, lineterminator="\n").writerows(every)
    return text.getvalue()


def json_dict(result: SearchResult, setups: Sequence[Setup], elapsed_s: float) -> dict[str, object]:
    """Arrays on `dims`, nested in that order; null where there is no valid design."""
    best = designs_of(result, setups)
    named = {
        name: [None if value == float("inf") else value for value in values]
        for name, values in best.named.items()
    }
    values = {OBJECTIVE[result.phase]: best.rate} | best.axes
    return {
        "jaxsim_version": __version__,
        "model": setups[0].model.name,
        "hardware": [setup.hardware.name for setup in setups],
        "precision": [setup.precision_name for setup in setups],
        "engine": [setup.engine.name for setup in setups],
        "formats": [setup.formats for setup in setups],
        "phase": result.phase,
        "points_evaluated": best.points,
        "elapsed_s": elapsed_s,
        "dims": list(named),
        "coordinates": named,
        **{name: _nested(value) for name, value in values.items()},
    }


def _nested(values: np.ndarray) -> list[object]:
    held = values.astype(object)
    held[np.isnan(values)] = None
    return held.tolist()
