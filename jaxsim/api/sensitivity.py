"""What limits a deployment?  `jaxsim.sensitivity`, on names or records."""

from collections.abc import Callable
from dataclasses import replace

from jaxsim.api.request import plan_request
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.engine import Options
from jaxsim.catalog.engines import EngineCard
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Unmet
from jaxsim.space.sensitivity.request import SensitivityRequest
from jaxsim.space.sensitivity.result import DEFAULT, Sensitivity, sensitivity_of


def sensitivity(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload | PlanRequest,
    details: SensitivityRequest = DEFAULT,
    *,
    ftl_s: float | None = None,
    ttl_s: float | None = None,
    gpus: int | None = None,
    prefill_hardware: str | HardwareCard | None = None,
    space: Space | None = None,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Sensitivity | Unmet:
    """What limits the best deployment under the latency targets, and what would change it.

    Takes what `plan` takes, of one workload. `details` says what else to compute: changes to solve
    for, a throughput to reach, chips within budgets (see `SensitivityRequest`). `Unmet` where no
    design meets the targets.

    Raises InputError for names and values that make no sense.
    """
    setup = setup_of(model, hardware, precision, engine, options)
    prefill_setup = (
        setup_of(setup.model, prefill_hardware, precision, engine, options)
        if prefill_hardware is not None
        else None
    )
    request = plan_request(workload, ftl_s, ttl_s, gpus)
    _ = request.only_workload  # several are refused before any work
    found = sensitivity_of(setup, request, space, prefill_setup, details, progress)
    if isinstance(found, Unmet):
        return found
    formats = {"prefill": (prefill_setup or setup).formats, "decode": setup.formats}
    return replace(found, formats=formats, notes=setup.notes)
