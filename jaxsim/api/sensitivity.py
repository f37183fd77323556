"""What limits a deployment?  `jaxsim.sensitivity`, on names or records."""

from dataclasses import replace
from typing import Unpack

from jaxsim.api.keywords import PlanKeywords, setup_with
from jaxsim.api.plan import prefill_setup_of
from jaxsim.api.request import plan_request
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Unmet
from jaxsim.space.plan import notes_of_both
from jaxsim.space.sensitivity.request import SensitivityRequest
from jaxsim.space.sensitivity.result import DEFAULT, Sensitivity, sensitivity_of


def sensitivity(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload | PlanRequest,
    details: SensitivityRequest = DEFAULT,
    *,
    prefill_hardware: str | HardwareCard | None = None,
    space: Space | None = None,
    **keywords: Unpack[PlanKeywords],
) -> Sensitivity | Unmet:
    """What limits the best deployment under the latency targets, and what would change it.

    Takes what `plan` takes, of one workload. `details` says what else to compute: changes to solve
    for, a throughput to reach, chips within budgets (see `SensitivityRequest`). `Unmet` where no
    design meets the targets.

    Raises InputError for names and values that make no sense; TypeError for an unknown keyword.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> little = jaxsim.SensitivityRequest(kind="colocated", levers=0, domains=False)
    >>> targets = {"ftl_s": 1.0, "ttl_s": 0.02}
    >>> found = jaxsim.sensitivity("llama-3.1-8b", "h100", work, little, space=space, **targets)
    >>> found.kind, found.value > 0
    ('colocated', True)
    """
    request = plan_request("sensitivity", workload, keywords)
    setup = setup_with(model, hardware, keywords)
    prefill_setup = prefill_setup_of(setup, prefill_hardware, keywords)
    _ = request.only_workload  # several are refused before any work
    result = sensitivity_of(setup, request, space, prefill_setup, details)
    if isinstance(result, Unmet):
        return result
    formats = {"prefill": (prefill_setup or setup).formats, "decode": setup.formats}
    return replace(result, formats=formats, notes=notes_of_both(setup, prefill_setup or setup))
