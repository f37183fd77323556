"""What does a page get that follows changes?  A plan in stages, the first of them soon."""

from collections.abc import Iterator
from typing import Unpack

from jaxsim.api.keywords import SetupKeywords, setup_with
from jaxsim.api.plan import prefill_setup_of
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.engine_limits import check_context
from jaxsim.space.axes import Space
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Plan
from jaxsim.space.deploy.sweep import Evaluate
from jaxsim.space.designs import evaluate_phase
from jaxsim.space.plan import plan_stages as stages_of


def plan_stages(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    request: PlanRequest,
    *,
    prefill_hardware: str | HardwareCard | None = None,
    space: Space | None = None,
    evaluate: Evaluate = evaluate_phase,
    **keywords: Unpack[SetupKeywords],
) -> Iterator[Plan]:
    """A plan as it becomes known, for a page that follows changes; its end is `plan`'s, `choices`.

    `evaluate` may keep what it evaluated (`HeldSweeps`): of a request that differs in targets,
    budget or prices alone, nothing is evaluated again.

    Raises what `plan` raises, when the first stage is asked for.
    """
    setup = setup_with(model, hardware, keywords)
    prefill_setup = prefill_setup_of(setup, prefill_hardware, keywords)
    for share in request.mix:
        check_context(setup.model, float(share.workload.isl), float(share.workload.osl))
    yield from stages_of(setup, request, space, prefill_setup, evaluate)
