"""What does a sensitivity look like to a script, and which files does it leave?"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import xarray as xr

from jaxsim._version import __version__
from jaxsim.api.dataset import attributes
from jaxsim.space.sensitivity.along import Along
from jaxsim.space.sensitivity.result import Sensitivity
from jaxsim.view.figures.style import image
from jaxsim.view.figures.tornado import case_of, draw_tornado, resources_figure
from jaxsim.view.files.atomic import replace_bytes, replace_netcdf, replace_text
from jaxsim.view.files.inverse_json import inverse_dict
from jaxsim.view.files.plan_json import instance_dict, served_dict
from jaxsim.view.text.levers import change
from jaxsim.view.text.plain_json import dumps

SCHEMA = "jaxsim.sensitivity/1"
_LISTS = ("shares", "left_open")


def sensitivity_dict(result: Sensitivity) -> dict[str, object]:
    """All of it in SI units; elasticities are percent per percent, effects fractions."""
    request, deployed = result.request, result.deployed
    return {
        "schema": SCHEMA,
        "jaxsim_version": __version__,
        "kind": result.kind,
        "formats": {pool: dict(own) for pool, own in result.formats.items()},
        "notes": list(result.notes),
        "workload": {
            "isl": request.only_workload.isl,
            "osl": request.only_workload.osl,
            **served_dict(request.only_workload),
        },
        "targets": {"ftl_s": request.ftl_s, "ttl_s": request.ttl_s},
        "objective": request.objective,
        "output_tokens_per_s_per_gpu": deployed.output_tokens_per_s_per_gpu,
        "instances": [instance_dict(shape) for shape in deployed.instances],
        "optimum": {"value": result.value, "mode": result.optimum.mode or None,
                    "designs": result.optimum.designs},
        "prefill_share": float(result.elasticities.share[0]),
        "binding": result.elasticities.binding[0],
        "multipliers": {n: float(v[0]) for n, v in result.elasticities.by_limit.items()},
        "inputs": [
            {"name": own.name, "title": own.title, "group": own.group, "elasticity": elasticity}
            for own, elasticity in result.inputs
        ],
        "levers": [
            {
                "title": lever.title,
                "elasticity": lever.elasticity,
                "stable_factors": lever.stable,
                "effects": [vars(effect) for effect in lever.effects],
            }
            for lever in result.levers
        ],
        "prices": [vars(price) for price in result.prices],
        "steps": [vars(step) for step in result.steps],
        "what_if": [
            {"change": change(case.moves), "exact": case.exact, "local": case.local,
             "changed": case.changed, "designs": case.optimum and case.optimum.designs}
            for case in result.what_if
        ],
        "uncertainty": {
            **{n: v for n, v in vars(result.uncertainty).items() if n not in _LISTS},
            "linear": result.uncertainty.linear,
            "shares": [vars(share) for share in result.uncertainty.shares],
            "worth_measuring": [share.constant for share in result.uncertainty.worth_measuring],
            "rest_on_priors": [vars(own) for own in result.uncertainty.left_open],
        },
        "goal": result.goal,
        "reached": [{"title": one.title, "factor": one.factor} for one in result.reached],
        **inverse_dict(result),
        "resources": {
            pool: {
                "total_s": float(own.seconds[0].sum()),
                "parts": {
                    part: dict(zip(own.resources, line.tolist(), strict=True))
                    for part, line in zip(own.parts, own.seconds[0], strict=True)
                },
            }
            for pool, own in result.attributions.items()
        },
    }  # fmt: skip


# Dimensions, values and attributes of each variable; what xarray takes for a coordinate.
Variables = dict[str, tuple[str | tuple[str, ...], np.ndarray, dict[str, str]]]
Coordinates = dict[str, object]


def sensitivity_dataset(result: Sensitivity) -> xr.Dataset:
    """Elasticities of every input at the optimum, and of every lever along the frontier."""
    names = [own.name for own, _ in result.inputs]
    elasticity = {
        "units": "1",
        "long_name": "elasticity",
        "description": "Percent of throughput per percent of the input, at fixed targets.",
    }
    variables: Variables = {
        "elasticity": ("input", np.array([e for _, e in result.inputs]), elasticity),
    }
    coordinates: Coordinates = {
        "input": names,
        "group": ("input", [own.group for own, _ in result.inputs]),
    }
    _add_levers(result, variables, coordinates)
    _add_steps(result, variables, coordinates)
    _add_prices(result, variables, coordinates)
    if result.along is not None:
        _add_along(result.along, variables, coordinates, elasticity)
    return xr.Dataset(
        variables,
        coordinates,
        {
            "jaxsim_version": __version__,
            "kind": result.kind,
            "isl": float(result.request.only_workload.isl),
            "osl": float(result.request.only_workload.osl),
            "ftl_target_s": result.request.ftl_s,
            "ttl_target_s": result.request.ttl_s,
            "instances": dumps([instance_dict(shape) for shape in result.deployed.instances]),
        },
    )


def _described(units: str, long_name: str, description: str) -> dict[str, str]:
    return {"units": units, "long_name": long_name, "description": description}


def _fractions(values: Iterable[float | None]) -> np.ndarray:
    """Numbers as an array, NaN where there is none: the one place where it is said so."""
    return np.array([np.nan if value is None else value for value in values], float)


def _add_levers(result: Sensitivity, variables: Variables, coordinates: Coordinates) -> None:
    """Exact effects of every lever at every factor, beside those its elasticity predicts."""
    if not result.levers:
        return
    coordinates["moved"] = [lever.title for lever in result.levers]
    coordinates["factor"] = [effect.factor for effect in result.levers[0].effects]
    coordinates["side"] = ["low", "high"]
    dims = ("moved", "factor")
    again = "Everything optimised again. Missing where no design meets the targets."
    variables["effect"] = (
        dims, np.stack([_fractions(e.exact for e in lever.effects) for lever in result.levers]),
        _described("1", "throughput gained, solved again", again),
    )  # fmt: skip
    variables["effect_by_elasticity"] = (
        dims, np.array([[e.local for e in lever.effects] for lever in result.levers]),
        _described("1", "throughput gained by the elasticity", "factor ** elasticity − 1."),
    )  # fmt: skip
    variables["design_changes"] = (
        dims, np.array([[e.changed for e in lever.effects] for lever in result.levers]),
        _described("1", "design changes", "Whether widths, stages or mode of the best change."),
    )  # fmt: skip
    variables["stable_factor"] = (
        ("moved", "side"), np.array([lever.stable for lever in result.levers]),
        _described("1", "factors between which the design holds", "The furthest ones tried count."),
    )  # fmt: skip


def _add_steps(result: Sensitivity, variables: Variables, coordinates: Coordinates) -> None:
    """Exact effects of the next value of each discrete axis."""
    if not result.steps:
        return
    steps = result.steps
    coordinates["step"] = [
        f"{step.pool} {step.axis}: {step.value:g} to {step.other:g}".strip() for step in steps
    ]
    variables["step_effect"] = (
        "step", _fractions(step.effect for step in steps),
        _described("1", "throughput gained by a step", "Missing where nothing is valid there."),
    )  # fmt: skip


def _add_prices(result: Sensitivity, variables: Variables, coordinates: Coordinates) -> None:
    """Shadow prices of the limits."""
    coordinates["limit"] = [price.name for price in result.prices]
    coordinates["limit_amount"] = ("limit", [price.amount for price in result.prices])
    coordinates["limit_unit"] = ("limit", [price.unit for price in result.prices])
    missing = "Missing where no design meets the targets."
    per_gpu = "At the margin; of a GPU budget in all, not per GPU. Missing where none applies."
    variables["price_tokens_per_s_per_gpu"] = (
        "limit", _fractions(price.tokens_per_s_per_gpu for price in result.prices),
        _described("tokens/s", "throughput that the amount of a limit adds", per_gpu),
    )  # fmt: skip
    variables["price_solved_tokens_per_s_per_gpu"] = (
        "limit", _fractions(price.exact for price in result.prices),
        _described("tokens/s", "the same, solved again", missing),
    )  # fmt: skip
    variables["price_usd_per_million"] = (
        "limit", _fractions(price.usd_per_million for price in result.prices),
        _described("USD", "change of the cost of a million output tokens", "At the margin."),
    )  # fmt: skip


def _add_along(
    along: Along, variables: Variables, coordinates: Coordinates, elasticity: dict[str, str]
) -> None:
    coordinates["ttl_s"] = ("ttl_s", along.ttl_s, attributes("ttl_s"))
    coordinates["lever"] = list(along.levers)
    variables["lever_elasticity"] = (
        ("lever", "ttl_s"), np.stack(list(along.levers.values())), elasticity
    )  # fmt: skip
    name = "output_tokens_per_s_per_gpu"
    variables[name] = ("ttl_s", along.output_tokens_per_s_per_gpu, attributes(name))
    coordinates["pool"] = list(along.attributions)
    one = next(iter(along.attributions.values()))
    coordinates["part"], coordinates["resource"] = list(one.parts), list(one.resources)
    stacked = np.stack([own.seconds for own in along.attributions.values()])
    described = {
        "units": "s",
        "long_name": "time by part and resource",
        "description": "Seconds of a pass by part and by the resource it waits for.",
    }
    variables["seconds"] = (("pool", "ttl_s", "part", "resource"), stacked, described)


def write_sensitivity(result: Sensitivity, folder: Path) -> list[Path]:
    """Write sensitivity.json, sensitivity.nc, tornado.png and resources.png; their paths."""
    writers: dict[str, Callable[[Path], None]] = {
        "sensitivity.json": lambda p: replace_text(p, dumps(sensitivity_dict(result)) + "\n"),
        "sensitivity.nc": lambda p: replace_netcdf(p, sensitivity_dataset(result)),
    }
    if result.levers:
        writers["tornado.png"] = lambda p: replace_bytes(p, image(draw_tornado(result), "png"))
    if (along := result.along) is not None:
        writers["resources.png"] = lambda p: replace_bytes(
            p, image(resources_figure(along, case_of(result)), "png")
        )
    written = []
    for name, write in writers.items():
        write(folder / name)
        written.append(folder / name)
    return written
