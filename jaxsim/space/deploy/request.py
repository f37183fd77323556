"""What is a plan asked, and what does it evaluate to answer?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space, complete
from jaxsim.space.deploy.diagnose import nothing_valid
from jaxsim.space.designs import Designs, evaluate_phase


@dataclass(frozen=True)
class Question:
    """What a plan is asked: traffic, targets, and what may be spent.

    With `pack`, a stage does not straddle scale-up domains, and domains are paid whole.

    `objective` is what throughput is divided by: `gpu`, `cost` or `power`. `ttl_metric` says
    whether the co-located token latency is the `mean` gap or the `median` one.
    """

    workload: Workload
    ftl_s: float
    ttl_s: float
    max_gpus: int | None = None
    exact_gpus: int | None = None
    fixed_ratio: float | None = None
    pack: bool = False
    objective: str = "gpu"
    ttl_metric: str = "mean"
    tolerance: float = 0.03

    def __post_init__(self):
        for name in ("ftl_s", "ttl_s"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"{name} = {value}: a latency target is a positive time in seconds"
                )
        if self.objective not in ("gpu", "cost", "power"):
            raise InputError(f"objective {self.objective!r}: it is gpu, cost or power")
        if self.ttl_metric not in ("mean", "median"):
            raise InputError(f"ttl_metric {self.ttl_metric!r}: it is mean or median")
        if self.max_gpus is not None and self.exact_gpus is not None:
            raise InputError("give at most so many GPUs or exactly so many, not both")
        isl, osl = float(self.workload.isl), float(self.workload.osl)
        if not (isl >= 1 and osl >= 2):
            raise InputError(
                f"isl = {isl:g}, osl = {osl:g}: a prompt has at least 1 token and an answer at "
                "least 2 (the first one comes from prefill)"
            )


@dataclass(frozen=True)
class Swept:
    """The three phases over a space, and the set-ups they were evaluated with."""

    setup: Setup
    prefill_setup: Setup
    question: Question
    prefill: Designs
    decode: Designs
    colocated: Designs

    @property
    def points(self) -> int:
        return self.prefill.size + self.decode.size + self.colocated.size


def sweep_phases(
    setup: Setup,
    question: Question,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Swept:
    """Every design of every phase for one workload."""
    first = prefill_setup or setup
    isl, osl = (float(question.workload.isl),), (float(question.workload.osl),)
    designs = {}
    for phase, own in (("prefill", first), ("decode", setup), ("colocated", setup)):
        tell(f"evaluating {phase}")
        scenario = own.scenario(question.workload)
        filled = complete(space, scenario.model, scenario.hardware, isl[0])
        found = evaluate_phase(phase, scenario, filled, isl, osl)
        if not found.full("valid").any():
            widest = complete(None, scenario.model, scenario.hardware, isl[0])
            raise nothing_valid(
                found,
                lambda: evaluate_phase(phase, scenario, widest, isl, osl),  # noqa: B023
            )
        designs[phase] = found
    return Swept(setup, first, question, **designs)


def match_limits(swept: Swept) -> dict[str, Any]:
    """What limits a match: the cap, the ratio, the tolerance, and domains where they are packed."""
    question = swept.question
    sizes = [int(own.hardware.hardware.domain_gpus) for own in (swept.prefill_setup, swept.setup)]
    same = swept.prefill_setup.hardware.name == swept.setup.hardware.name
    domains = (sizes[1] if same else (sizes[0], sizes[1])) if question.pack else None
    return {
        "max_gpus": question.max_gpus,
        "exact_gpus": question.exact_gpus,
        "ratio": question.fixed_ratio,
        "tolerance": question.tolerance,
        "domain_gpus": domains,
    }


def gpu_weight(setup: Setup, objective: str) -> float:
    """What one GPU counts under an objective: 1, its price, or its power."""
    hardware = setup.hardware.hardware
    return {
        "gpu": 1.0,
        "cost": float(hardware.price_usd_per_hour),
        "power": float(hardware.power_w),
    }[objective]
