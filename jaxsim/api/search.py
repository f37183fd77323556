"""Which designs are best, of spaces too large to keep?  The public verb, with labelled results."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from jaxsim._version import __version__
from jaxsim.api.dataset import attributes
from jaxsim.api.plan import lengths_in
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.engine import Options
from jaxsim.catalog.engines import EngineCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.setup import Setup, setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space
from jaxsim.space.grid.best import Best
from jaxsim.space.search import LATENCY, OBJECTIVE, SearchResult
from jaxsim.space.search import search as search_in


def search(
    model: str | ModelCard | Sequence[str | ModelCard],
    hardware: str | HardwareCard | Sequence[str | HardwareCard],
    workload: Workload,
    space: Space | None = None,
    *,
    phase: str,
    targets_s: float | Sequence[float] = np.inf,
    ftl_s: float = np.inf,
    count: int = 1,
    frontier: bool = False,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
) -> xr.Dataset:
    """The best designs of a space too large to keep, for every workload and latency target.

    Every design is evaluated and only the `count` best are kept (dimension `rank`), or with
    `frontier` those that no other beats in latency and throughput (dimension `point`). Targets are
    on TTL (TPOT), in prefill on FTL (TTFT); `ftl_s` limits co-located designs besides. `workload`
    may hold sequences of `isl` and `osl`; several models or chips, if their layers are of the same
    kinds, are evaluated as one more axis, `setup`. A co-located design counts with the mode that
    gives it more throughput. NaN where no design is valid. Deterministic: of equal designs the
    first in the order of the axes. Seconds; tokens/s.
    """
    models: Sequence[Any] = model if isinstance(model, list | tuple) else [model]
    chips: Sequence[Any] = hardware if isinstance(hardware, list | tuple) else [hardware]
    if count < 1 or count != int(count):
        raise InputError(f"count = {count}: a whole number of at least 1 is needed")
    targets = np.atleast_1d(np.asarray(targets_s, dtype=float))
    if not (targets.size and np.all(targets > 0)):
        raise InputError(f"targets_s = {targets_s}: seconds of more than 0 are needed")
    if not ftl_s > 0:
        raise InputError(f"ftl_s = {ftl_s}: seconds of more than 0 are needed")
    setups = [setup_of(m, h, precision, engine, options) for m in models for h in chips]
    one, isl, osl = lengths_in(workload)
    for name, least, lengths in (("isl", 1, isl), ("osl", 2, osl)):
        if not all(x >= least and np.isfinite(x) for x in lengths):
            raise InputError(f"{name} = {lengths}: lengths of at least {least} token(s) are needed")
    return searched(
        phase, setups, one, space, isl, osl,
        targets_s=tuple(targets), ftl_s=ftl_s, count=int(count), frontier=frontier,
    )  # fmt: skip


def searched(
    phase: str, setups: Sequence[Setup], workload: Workload, space: Space | None, isl, osl, **limits
) -> xr.Dataset:
    """The Dataset of a search over set-ups of one structure."""
    scenarios = [setup.scenario(workload) for setup in setups]
    result = search_in(phase, scenarios, space, isl, osl, **limits)
    return labelled(result, setups, limits.get("ftl_s", np.inf))


def labelled(result: SearchResult, setups: Sequence[Setup], ftl_s: float = np.inf) -> xr.Dataset:
    """What was found for these set-ups, as a Dataset; `ftl_s` limited co-located designs."""
    dataset = _best(result) if isinstance(result.designs, Best) else _frontiers(result)
    coordinates: dict[str, Any] = {
        name: (name, result.axes[name], attributes(name))
        for name in result.groups
        if name != "setup"
    }
    if "setup" in result.groups:
        labels = {"model": [s.model.name for s in setups], "on": [s.hardware.name for s in setups]}
        names = [f"{m} on {h}" for m, h in zip(labels["model"], labels["on"], strict=True)]
        coordinates["setup"] = ("setup", names)
        coordinates["model"] = ("setup", labels["model"])
        coordinates["hardware"] = ("setup", labels["on"])
    first = setups[0]
    attrs: dict[str, Any] = {
        "jaxsim_version": __version__,
        "phase": result.phase,
        "points_evaluated": result.designs.points,
        "precision": ", ".join(dict.fromkeys(s.precision_name for s in setups)),
        "formats": json.dumps([s.formats for s in setups]),
        "engine": ", ".join(dict.fromkeys(s.engine.name for s in setups)),
        "calibration": ", ".join(dict.fromkeys(s.calibration.name for s in setups)),
    }
    if result.phase == "colocated":
        attrs["ftl_target_s"] = ftl_s
    if len(setups) == 1:
        attrs |= {"model": first.model.name, "hardware": first.hardware.name}
    return dataset.assign_coords(coordinates).assign_attrs(attrs)


def _best(result: SearchResult) -> xr.Dataset:
    """Variables on the groups and `rank`: the throughput, and the design behind it."""
    best = result.designs
    assert isinstance(best, Best)
    shape = best.value.shape
    dims = result.groups if len(shape) == len(result.groups) else (*result.groups, "rank")
    variables: dict[str, Any] = {
        OBJECTIVE[result.phase]: (dims, best.value, attributes(OBJECTIVE[result.phase]))
    }
    for name, where in best.index.items():
        values = np.where(best.found, result.axes[name][where], np.nan)
        variables[name] = (dims, values, attributes(name))
    return xr.Dataset(variables)


def _frontiers(result: SearchResult) -> xr.Dataset:
    """Variables on the groups and `point`, in order of latency; NaN past a frontier's end."""
    fronts = result.designs
    assert not isinstance(fronts, Best)
    starts = np.asarray(fronts.starts)
    longest = int(np.diff(starts).max(initial=0))

    def padded(values) -> np.ndarray:
        rows = np.full((len(starts) - 1, longest), np.nan)
        for row, begin, end in zip(rows, starts[:-1], starts[1:], strict=True):
            row[: end - begin] = values[begin:end]
        return rows.reshape(*fronts.shape, longest)

    dims = (*result.groups, "point")
    columns = {LATENCY[result.phase]: fronts.x, OBJECTIVE[result.phase]: fronts.y}
    columns |= {name: result.axes[name][where] for name, where in fronts.index.items()}
    return xr.Dataset(
        {name: (dims, padded(values), attributes(name)) for name, values in columns.items()}
    )
