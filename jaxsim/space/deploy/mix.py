"""What should be deployed for several workloads that the same pools serve?

Every design is evaluated for each workload of the mix, and only those that obey every rule for all
of them are kept. Instances time-share (see `match_mix`): one that finishes r_k requests/s of kind k
alone finishes 1 / Σ_k (f_k / r_k) of the mix. Latency targets are met for every workload even while
an instance serves only that one, which is stricter than meeting them on the mix's average.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from jaxsim.catalog.setup import Setup
from jaxsim.space.axes import Space
from jaxsim.space.deploy.candidates import MODES
from jaxsim.space.deploy.mix_mean import gain_at_mean_ttl
from jaxsim.space.deploy.mix_result import MixDeployed, MixPlan, Share
from jaxsim.space.deploy.mix_select import best_colocated_mix, best_disaggregated_mix
from jaxsim.space.deploy.mix_sweep import all_hold, sweep_mix, valid_for_all
from jaxsim.space.deploy.request import Question
from jaxsim.space.deploy.uncertainty import better_probability

__all__ = ["MixPlan", "Share", "plan_mix", "sweep_mix"]


def plan_mix(
    setup: Setup,
    question: Question,
    mix: Sequence[Share],
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> MixPlan:
    """The best disaggregated and co-located deployments that serve a mix under the targets.

    `question` has the targets, the limits and all of a workload but its lengths, which the mix
    gives. Shares may have any sum.
    """
    started = time.perf_counter()
    mixed = sweep_mix(setup, question, mix, space, prefill_setup, tell)
    tell("matching pools")
    valid = {name: valid_for_all(mixed, name) for name in ("prefill", "decode")}
    apart, apart_spread = best_disaggregated_mix(mixed, valid["prefill"], valid["decode"])
    together, together_spread = best_colocated_mix(mixed)
    probability = None
    if isinstance(apart, MixDeployed) and isinstance(together, MixDeployed):
        probability = better_probability(
            apart.deployed.worth(question.objective),
            apart_spread,
            together.deployed.worth(question.objective),
            together_spread,
        )
    either = [all_hold(mixed.phase("colocated"), f"{mode}_valid") for mode in MODES]
    return MixPlan(
        model=setup.model.name,
        hardware=setup.hardware.name,
        prefill_hardware=mixed.swept[0].prefill_setup.hardware.name,
        precision=setup.precision_name,
        engine=setup.engine.name,
        calibration=setup.calibration.name,
        mix=mixed.mix,
        ftl_target_s=question.ftl_s,
        ttl_target_s=question.ttl_s,
        max_gpus=question.max_gpus or question.exact_gpus,
        points_evaluated=sum(one.points for one in mixed.swept),
        valid_points={
            **{name: len(index) for name, index in valid.items()},
            "colocated": int(np.count_nonzero(either[0] | either[1])),
        },
        elapsed_s=time.perf_counter() - started,
        disaggregated=apart,
        colocated=together,
        probability=probability,
        gain_at_mean_ttl=gain_at_mean_ttl(mixed, valid["prefill"], valid["decode"]),
        objective=question.objective,
    )
