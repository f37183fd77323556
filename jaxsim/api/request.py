"""How does a call from Python become a request?"""

from collections.abc import Sequence

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.workload import Share, Workload
from jaxsim.space.deploy.request import PlanRequest


def plan_request(
    workload: Workload | Sequence[Share] | PlanRequest,
    ftl_s: float | None,
    ttl_s: float | None,
    gpus: int | None,
) -> PlanRequest:
    """The request that was given, or the one that workload, targets and a cap make."""
    targets = {"ftl_s": ftl_s, "ttl_s": ttl_s}
    if isinstance(workload, PlanRequest):
        given = [name for name, own in {**targets, "gpus": gpus}.items() if own is not None]
        if given:
            raise InputError(
                f"{', '.join(given)}: the PlanRequest has its own targets and limits; give them "
                "there alone"
            )
        return workload
    if ftl_s is None or ttl_s is None:
        missing = [name for name, own in targets.items() if own is None]
        raise InputError(
            f"{', '.join(missing)}: missing; give both latency targets in seconds, or a PlanRequest"
        )
    return PlanRequest(workload, ftl_s, ttl_s, max_gpus=gpus)
