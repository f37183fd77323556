"""What should be deployed?  The whole journey from a set-up and targets to an answer."""

import time
from collections.abc import Callable

import numpy as np

from jaxsim.catalog.setup import Setup
from jaxsim.space.axes import Space
from jaxsim.space.deploy.candidates import (
    colocated_candidates,
    decode_candidates,
    prefill_candidates,
)
from jaxsim.space.deploy.curves import curves_of
from jaxsim.space.deploy.request import Question, Swept, gpu_weight, sweep_phases
from jaxsim.space.deploy.result import Deployed, Lever, Plan, Unmet
from jaxsim.space.deploy.select import best_colocated, best_disaggregated
from jaxsim.space.deploy.uncertainty import better_probability
from jaxsim.space.sensitivity.plan_levers import levers

__all__ = ["Question", "Swept", "plan", "sweep_phases"]


def plan(
    setup: Setup,
    question: Question,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Plan:
    """The best disaggregated and co-located deployments under the targets, and which to choose.

    All designs of the space are evaluated; pools are matched exactly (`match`), and the better of
    both modes of co-location is the baseline. An answer that no design gives says what is nearest.
    """
    started = time.perf_counter()
    swept = sweep_phases(setup, question, space, prefill_setup, tell)
    tell("matching pools")
    link = float(setup.hardware.hardware.scaleout.bytes_per_s)
    first = prefill_candidates(swept.prefill, gpu_weight(swept.prefill_setup, question.objective))
    second = decode_candidates(swept.decode, link, gpu_weight(setup, question.objective))
    both = colocated_candidates(swept.colocated, question.ttl_metric)
    disaggregated, apart = best_disaggregated(swept, first, second)
    together_deployed, together = best_colocated(swept, both)
    probability = None
    if apart is not None and together is not None:
        assert isinstance(disaggregated, Deployed)
        assert isinstance(together_deployed, Deployed)
        probability = better_probability(
            disaggregated.worth(question.objective),
            apart,
            together_deployed.worth(question.objective),
            together,
        )
    tell("drawing frontiers")
    curves = curves_of(swept, first, second, both)
    return Plan(
        model=setup.model.name,
        hardware=setup.hardware.name,
        prefill_hardware=swept.prefill_setup.hardware.name,
        precision=setup.precision_name,
        engine=setup.engine.name,
        calibration=setup.calibration.name,
        isl=int(question.workload.isl),
        osl=int(question.workload.osl),
        ftl_target_s=question.ftl_s,
        ttl_target_s=question.ttl_s,
        max_gpus=question.max_gpus or question.exact_gpus,
        points_evaluated=swept.points,
        valid_points={
            name: int(np.count_nonzero(getattr(swept, name).full("valid")))
            for name in ("prefill", "decode", "colocated")
        },
        elapsed_s=time.perf_counter() - started,
        disaggregated=disaggregated,
        colocated=together_deployed,
        probability=probability,
        curves=curves,
        objective=question.objective,
        levers=_levers(swept, disaggregated, together_deployed),
    )


def _levers(swept: Swept, *found: Deployed | Unmet) -> tuple[Lever, ...]:
    """Elasticities of the better deployment."""
    met = [one for one in found if isinstance(one, Deployed)]
    objective = swept.question.objective
    best = max(met, key=lambda one: one.worth(objective), default=None)
    return levers(swept, best)
