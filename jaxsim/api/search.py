"""Which designs are best, of spaces too large to keep?  The public verb, with labelled results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
import xarray as xr

from jaxsim._version import __version__
from jaxsim.api.dataset import Variables, attributes
from jaxsim.api.keywords import SearchKeywords, setup_with
from jaxsim.api.plan import lengths_in
from jaxsim.api.request import check_phase, request_of
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.engine_limits import check_context
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space, Values
from jaxsim.space.every_integer import with_every_integer
from jaxsim.space.grid.best import Best
from jaxsim.space.search import LATENCY, OBJECTIVE, SearchResult
from jaxsim.space.search import search as search_in


@dataclass(frozen=True)
class SearchRequest:
    """The best designs of a phase, for every workload and latency target.

    `workload` may hold sequences of `isl` and `osl`. `targets_s` limit TTL (TPOT), in prefill FTL
    (TTFT), in seconds; `ftl_s` limits FTL of co-located designs besides. The `count` best designs
    are kept, or with `frontier` all that no other beats in both latency and throughput. With
    `exact`, the best is that of every whole batch and chunk, also between those of the grid.

    >>> work = jaxsim.Workload(isl=np.array([1024, 4096]), osl=128)
    >>> jaxsim.SearchRequest(work, phase="decode", targets_s=(0.02, 0.05)).count
    1
    """

    workload: Workload
    phase: str
    targets_s: float | Sequence[float] = np.inf
    ftl_s: float = np.inf
    count: int = 1
    frontier: bool = False
    exact: bool = False

    def __post_init__(self):
        check_phase(self.phase)
        if self.count < 1 or self.count != int(self.count):
            raise InputError(f"count = {self.count}: a whole number of at least 1 is needed")
        if not (self.targets and all(target > 0 for target in self.targets)):
            raise InputError(f"targets_s = {self.targets_s}: seconds of more than 0 are needed")
        if self.exact and (self.frontier or self.count > 1):
            raise InputError("exact: the best design alone is sought; leave out count and frontier")
        if not self.ftl_s > 0:
            raise InputError(f"ftl_s = {self.ftl_s}: seconds of more than 0 are needed")

    @property
    def targets(self) -> tuple[float, ...]:
        """The latency targets, in seconds."""
        return tuple(np.atleast_1d(np.asarray(self.targets_s, dtype=float)).tolist())


def search(
    model: str | ModelCard | Sequence[str | ModelCard],
    hardware: str | HardwareCard | Sequence[str | HardwareCard],
    workload: Workload | SearchRequest,
    space: Space | None = None,
    **keywords: Unpack[SearchKeywords],
) -> xr.Dataset:
    """The best designs of a space too large to keep, for every workload and latency target.

    Keywords are the fields of `SearchRequest` (`phase`, `targets_s`, `ftl_s`, `count`, `frontier`),
    and `precision`, `engine`, `options`; or give a `SearchRequest` in place of the workload.

    Every design is evaluated and only the `count` best are kept (dimension `rank`), or with
    `frontier` those that no other beats in latency and throughput (dimension `point`). Several
    models or chips, if their layers are of the same kinds, are evaluated as one more axis, `setup`.
    A co-located design counts with the mode that gives it more throughput. NaN where no design is
    valid. Deterministic: of equal designs the first in the order of the axes. Seconds; tokens/s.

    >>> space = jaxsim.Space(tp=(1, 2), pp=(1,), batch=(1, 16))
    >>> work = jaxsim.Workload(isl=np.array([1024, 2048]), osl=128)
    >>> best = jaxsim.search("llama-3.1-8b", "h100", work, space, phase="decode", targets_s=0.05)
    >>> dict(best.sizes), best.batch.values.ravel().tolist()
    ({'isl': 2, 'osl': 1, 'ttl_target': 1}, [16.0, 16.0])
    """
    request = request_of("search", SearchRequest, workload, keywords)
    models = [model] if isinstance(model, str | ModelCard) else list(model)
    chips = [hardware] if isinstance(hardware, str | HardwareCard) else list(hardware)
    setups = [setup_with(m, h, keywords) for m in models for h in chips]
    one, isl, osl = lengths_in(request.workload)
    for name, least, lengths in (("isl", 1, isl), ("osl", 2, osl)):
        if not all(x >= least and np.isfinite(x) for x in lengths):
            raise InputError(f"{name} = {lengths}: lengths of at least {least} token(s) are needed")
    for setup in setups:
        check_context(setup.model, max(isl), max(osl))
    return searched(replace(request, workload=one), setups, space, isl, osl)


def searched(
    request: SearchRequest, setups: Sequence[Setup], space: Space | None, isl: Values, osl: Values
) -> xr.Dataset:
    """The Dataset of a search over set-ups of one structure, at every input and output length."""
    scenarios = [setup.scenario(request.workload) for setup in setups]
    result = search_in(
        request.phase, scenarios, space, isl, osl,
        targets_s=request.targets, ftl_s=request.ftl_s, count=int(request.count),
        frontier=request.frontier,
    )  # fmt: skip
    if request.exact:
        result, _ = with_every_integer(result, scenarios, space, request.ftl_s)
    return labelled(result, setups, request.ftl_s)


def labelled(result: SearchResult, setups: Sequence[Setup], ftl_s: float = np.inf) -> xr.Dataset:
    """What was found for these set-ups, as a Dataset; `ftl_s` limited co-located designs."""
    dataset = _best(result) if isinstance(result.designs, Best) else _frontiers(result)
    coordinates: dict[str, tuple[str, object] | tuple[str, object, dict[str, str]]] = {
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
    attrs: dict[str, object] = {
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
    variables: Variables = {
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

    def padded(values: np.ndarray) -> np.ndarray:
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
