"""What is one design, as a function that JAX can differentiate, map and compile?"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypedDict, Unpack, cast

import jax
import jax.numpy as jnp

from jaxsim._record import replace_leaf
from jaxsim._scalar import Scalar
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine import Options
from jaxsim.catalog.errors import InputError, nearest
from jaxsim.catalog.known_engines import EngineCard
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.designs import PHASES, name_of

AXES = tuple(item.name for item in dataclasses.fields(Deployment))
# Other numbers of a scenario that may be given, and where each is.
NUMBERS: dict[str, Callable[[Scenario], Scalar]] = {
    "isl": lambda s: s.workload.isl,
    "osl": lambda s: s.workload.osl,
    "hit_frac": lambda s: s.workload.hit_frac,
    "imbalance": lambda s: s.workload.imbalance,
    "hbm_bytes": lambda s: s.hardware.chip.hbm_bytes,
    "hbm_bytes_per_s": lambda s: s.hardware.chip.hbm_bytes_per_s,
    "scaleup_bytes_per_s": lambda s: s.hardware.scaleup.bytes_per_s,
    "scaleout_bytes_per_s": lambda s: s.hardware.scaleout.bytes_per_s,
    "price_usd_per_hour": lambda s: s.hardware.price_usd_per_hour,
    "power_w": lambda s: s.hardware.power_w,
}


class PointInputs(TypedDict, total=False):
    """What a design point may be called with: the axes of a design, and `NUMBERS`."""

    tp: Scalar
    ep: Scalar
    pp: Scalar
    batch: Scalar
    chunk: Scalar
    isl: Scalar
    osl: Scalar
    hit_frac: Scalar
    imbalance: Scalar
    hbm_bytes: Scalar
    hbm_bytes_per_s: Scalar
    scaleup_bytes_per_s: Scalar
    scaleout_bytes_per_s: Scalar
    price_usd_per_hour: Scalar
    power_w: Scalar


class DesignPoint:
    """One phase of a model on hardware, as a function of the design: every output by name.

    Call it with `tp`, `ep`, `pp`, `batch` and `chunk`, and with any of `numbers` (lengths, memory,
    bandwidths, price) to replace the set-up's. Inputs may be real-valued and traced: `jax.grad`,
    `jax.vmap` and `jax.jit` apply. Whole numbers that arise from rounding have no useful gradient;
    flags (`valid` and its parts) are booleans.
    """

    numbers = tuple(NUMBERS)

    def __init__(self, scenario: Scenario, phase: str):
        self.scenario = scenario
        self.phase = phase

    def __call__(self, **given: Unpack[PointInputs]) -> dict[str, jax.Array]:
        """Every output of the phase at these inputs, in SI units."""
        inputs = cast(Mapping[str, Scalar], given)
        for name in inputs:
            if name not in AXES and name not in NUMBERS:
                known = (*AXES, *NUMBERS)
                close = nearest(name, known)
                hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
                raise InputError(f"{name}: no input of a design point; {hint}")
        scenario = self.scenario
        for name, value in inputs.items():
            if name in NUMBERS:
                scenario = replace_leaf(NUMBERS[name], scenario, jnp.asarray(value, float))
        design = {name: getattr(scenario.design, name) for name in AXES}
        if "isl" in inputs:
            design["chunk"] = inputs["isl"]
        design |= {name: value for name, value in inputs.items() if name in AXES}
        design = {name: jnp.asarray(value, float) for name, value in design.items()}
        scenario = dataclasses.replace(scenario, design=Deployment(**design))
        outputs, _ = jax.tree_util.tree_flatten_with_path(PHASES[self.phase](scenario))
        return {name_of(path): leaf for path, leaf in outputs}


def design_point(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload,
    *,
    phase: str,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
) -> DesignPoint:
    """The function that evaluates one design of a phase (prefill, decode or colocated).

    `f = jaxsim.design_point("qwen3-32b", "h200", jaxsim.Workload(4096, 512), phase="decode")`;
    then `f(tp=4, batch=64.0)["ttl_s"]`, `jax.grad(lambda b: f(tp=4, batch=b)["ttl_s"])(64.0)`.

    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> step = jaxsim.design_point("llama-3.1-8b", "h100", work, phase="decode")
    >>> 0.0 < step(tp=1, batch=16.0)["ttl_s"] < 0.1
    Array(True, dtype=bool)
    """
    if phase not in PHASES:
        raise InputError(f"phase {phase!r}: it is one of {', '.join(PHASES)}")
    setup = setup_of(model, hardware, precision, engine, options)
    return DesignPoint(setup.scenario(workload), phase)
