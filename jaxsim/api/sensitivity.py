"""How is a sensitivity asked for from Python?"""

from dataclasses import fields, replace
from typing import Any

from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.engine import Options
from jaxsim.catalog.engines import EngineCard
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Unmet
from jaxsim.space.sensitivity.result import Sensitivity, sensitivity_of


def sensitivity(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload,
    *,
    ftl_s: float,
    ttl_s: float,
    gpus: int | None = None,
    prefill_hardware: str | HardwareCard | None = None,
    space: Space | None = None,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
    **asked: Any,
) -> Sensitivity | Unmet:
    """What limits the best deployment under the latency targets, and what would change it.

    Takes what `plan` takes (`exact_gpus`, `fixed_ratio`, `objective`, `ttl_metric`, …), and of
    `jaxsim.space.sensitivity.result.sensitivity_of` what to look at: `kind`, `levers`, `what_if`,
    `reach`, `ranges`, `priors`, `chips`, `parts`, `budgets`, `crossovers`.
    """
    setup = setup_of(model, hardware, precision, engine, options)
    first = (
        setup_of(setup.model, prefill_hardware, precision, engine, options)
        if prefill_hardware is not None
        else None
    )
    names = {one.name for one in fields(PlanRequest)} - {"workload", "ftl_s", "ttl_s", "max_gpus"}
    request = PlanRequest(
        workload=workload,
        ftl_s=ftl_s,
        ttl_s=ttl_s,
        max_gpus=gpus,
        **{name: asked.pop(name) for name in names if name in asked},
    )
    found = sensitivity_of(setup, request, space, first, **asked)
    if isinstance(found, Unmet):
        return found
    formats = {"prefill": (first or setup).formats, "decode": setup.formats}
    return replace(found, formats=formats, notes=setup.notes)
