"""How do swept phases become labelled datasets, and back?

The one place that joins arrays and labels. Names and coordinates come from the space, units and
descriptions from `quantities`; nothing is guessed from a shape.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from jaxsim._version import __version__
from jaxsim.api import accessors as accessors  # registers `tree.jaxsim`
from jaxsim.quantities import quantity
from jaxsim.space.deploy.result import Plan
from jaxsim.space.designs import Designs, OnDevice


def attributes(name: str) -> dict[str, str]:
    """The units, long name and description of a reported number."""
    number = quantity(name)
    return {
        "units": number.units,
        "long_name": number.long_name,
        "description": number.description,
    }


def end_attributes(end: str, name: str = "output_tokens_per_s_per_gpu") -> dict[str, str]:
    """The attributes of one end of a number's 80 % interval, "low" or "high"."""
    which = "Lower" if end == "low" else "Upper"
    return attributes(name) | {"description": f"{which} end of the 80 % interval."}


# Of each variable: its dimensions, its values and its attributes.
Variables = dict[str, tuple[str | tuple[str, ...], np.ndarray, dict[str, str]]]


def phase_dataset(designs: Designs | OnDevice, inputs: Mapping[str, object]) -> xr.Dataset:
    """One phase as a Dataset: every variable on the axes it depends on.

    Designs that break a rule keep their numbers; `valid` and the rules say which they are.
    """
    coordinates = {
        name: xr.Variable((name,), values, attributes(name))
        for name, values in designs.axes.items()
    }
    variables = {
        name: xr.Variable(dims, array, attributes(name))
        for name, (array, dims) in designs.outputs.items()
    }
    return xr.Dataset(variables, coordinates, {"phase": designs.phase, **dict(inputs)})


def tree_of(phases: Mapping[str, Designs | OnDevice], inputs: Mapping[str, object]) -> xr.DataTree:
    """All phases as a DataTree, with what made them in its attributes."""
    attrs = {"jaxsim_version": __version__, **dict(inputs)}
    children = {name: phase_dataset(designs, attrs) for name, designs in phases.items()}
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **children})
    return tree


def designs_of(dataset: xr.Dataset) -> Designs:
    """The phase behind a Dataset, or a selection of it: an axis selected away has one value."""
    phase = dataset.attrs.get("phase")
    if phase is None:
        raise ValueError("the dataset lacks 'phase' in attrs; give a node of evaluate's tree")
    axes = {}
    for name in ("isl", "osl", "tp", "ep", "pp", "chunk", "batch"):
        if name in dataset.coords:
            axes[name] = np.atleast_1d(dataset.coords[name].values)
    outputs = {}
    for name, variable in dataset.data_vars.items():
        dims = tuple(axis for axis in axes if axis in variable.dims)
        outputs[str(name)] = (variable.transpose(*dims).values, dims)
    return Designs(phase, axes, outputs)


def frontier_dataset(plan: Plan) -> xr.Dataset:
    """The frontiers of a plan: variables on (`curve`, `point`), NaN past a curve's end."""
    longest = max((len(curve.ttl_s) for curve in plan.curves), default=0)

    def padded(values: np.ndarray | Sequence[float]) -> np.ndarray:
        row = np.full(longest, np.nan)
        row[: len(values)] = values
        return row

    names = {
        "ttl_s": "ttl_s",
        "output_tokens_per_s_per_gpu": "output_tokens_per_s_per_gpu",
    }
    variables: Variables = {
        name: (
            ("curve", "point"),
            np.stack([padded(getattr(curve, name)) for curve in plan.curves])
            if plan.curves
            else np.zeros((0, 0)),
            attributes(meaning),
        )
        for name, meaning in names.items()
    }
    for bound in ("low", "high"):
        stacked = np.stack([padded(getattr(curve, bound)) for curve in plan.curves])
        variables[f"output_tokens_per_s_per_gpu_{bound}"] = (
            ("curve", "point"),
            stacked,
            end_attributes(bound),
        )
    columns = sorted({name for curve in plan.curves for name in curve.designs})
    for column in columns:
        rows = [curve.designs.get(column, ()) for curve in plan.curves]
        variables[column] = (
            ("curve", "point"),
            np.stack([padded(row) for row in rows]),
            {"units": "1", "long_name": column, "description": f"{column} of the design"},
        )
    return xr.Dataset(
        variables,
        {"curve": [curve.name for curve in plan.curves]},
        {
            "jaxsim_version": __version__,
            "model": plan.model,
            "hardware": plan.hardware,
            "prefill_hardware": plan.prefill_hardware,
            "precision": plan.precision,
            "engine": plan.engine,
            "calibration": plan.calibration,
            "isl": plan.isl,
            "osl": plan.osl,
            "ftl_target_s": plan.ftl_target_s,
            "ttl_target_s": plan.ttl_target_s,
        },
    )
