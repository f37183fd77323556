"""What does a plan have to meet?  Workloads, latency targets, budgets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxsim.catalog.bounds import real, whole
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.shapes import PAIRED, RULES, WHOLE_PROMPTS
from jaxsim.catalog.workload import Share, Workload

OBJECTIVES = ("gpu", "cost", "power")
TTL_METRICS = ("mean", "median")
TOLERANCE = 0.01  # of throughput, given up for fewer GPUs where there is no cap


@dataclass(frozen=True)
class PlanRequest:
    """What a plan must meet: workloads, latency targets, and a budget.

    `workload` is one workload, or the shares of several that the same instances serve. Every
    workload must meet the targets. At most `max_gpus` or exactly `exact_gpus` GPUs; neither means
    no cap. `fixed_ratio` is prefill GPUs per decode GPU, instead of the best ratio. With `pack`, a
    stage does not straddle scale-up domains, and domains are paid whole. `objective` is what
    throughput is divided by: `gpu`, `cost` or `power`. `ttl_metric` says whether the co-located
    token latency is the `mean` gap or the `median` one. Without a cap, at most the fraction
    `tolerance` of throughput is given up for fewer GPUs. `deployable` names the rules that
    shapes must obey (`catalog/shapes.py`); none where it is empty.

    With `requests_per_s`, pools are also sized so that the targets hold at the `percentile` of
    requests that arrive at this rate at random, the gaps between them with the coefficient of
    variation `cv` (1: Poisson).

    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> jaxsim.PlanRequest(work, ftl_s=1.0, ttl_s=0.02, max_gpus=8, objective="cost").cap
    8
    """

    workload: Workload | Sequence[Share]
    ftl_s: float
    ttl_s: float
    max_gpus: int | None = None
    exact_gpus: int | None = None
    fixed_ratio: float | None = None
    pack: bool = False
    objective: str = "gpu"
    ttl_metric: str = "mean"
    tolerance: float = TOLERANCE
    deployable: str = ""
    requests_per_s: float | None = None
    percentile: float | None = None
    cv: float = 1.0

    def __post_init__(self):
        for name in ("ftl_s", "ttl_s"):
            value = real(name, getattr(self, name))
            if not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"{name} = {value}: a latency target is a positive time in seconds"
                )
        for name in ("max_gpus", "exact_gpus"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))
        if not 0 <= real("tolerance", self.tolerance) <= 1:
            raise InputError(f"tolerance = {self.tolerance}: a fraction from 0 to 1 is needed")
        ratio = None if self.fixed_ratio is None else real("fixed_ratio", self.fixed_ratio)
        if ratio is not None and not 1e-4 <= ratio <= 1e4:
            raise InputError(
                f"fixed_ratio = {ratio:g}: 0.0001 to 10,000 prefill GPUs per decode GPU are allowed"
            )
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective {self.objective!r}: it is gpu, cost or power")
        if self.ttl_metric not in TTL_METRICS:
            raise InputError(f"ttl_metric {self.ttl_metric!r}: it is mean or median")
        if self.deployable and self.deployable not in RULES:
            raise InputError(f"deployable {self.deployable!r}: it is one of {', '.join(RULES)}")
        if self.paired and (ratio is not None or self.requests_per_s is not None):
            what = "a fixed ratio of GPUs" if ratio is not None else "a rate of arrivals"
            raise InputError(
                f"{self.deployable} has as many prefill instances as decode instances, and {what} "
                "asks for other counts; leave one of both out"
            )
        if self.max_gpus is not None and self.exact_gpus is not None:
            raise InputError("give at most so many GPUs or exactly so many, not both")
        self._check_arrivals()
        for one in self.mix:
            isl, osl = float(one.workload.isl), float(one.workload.osl)
            if not (isl >= 1 and osl >= 2):
                raise InputError(
                    f"isl = {isl:g}, osl = {osl:g}: a prompt has at least 1 token and an output at "
                    "least 2 (the first one comes from prefill)"
                )

    def _check_arrivals(self) -> None:
        """Refuse a rate without a percentile, and either where it makes no sense."""
        if (self.requests_per_s is None) != (self.percentile is None):
            raise InputError(
                "give a rate and a percentile, or neither: the percentile of the requests that "
                "must meet the targets, such as 95"
            )
        if self.requests_per_s is None or self.percentile is None:
            return
        rate = real("requests_per_s", self.requests_per_s)
        if not (np.isfinite(rate) and rate > 0):
            raise InputError(f"a rate of {rate:g} requests/s: more than 0 is needed")
        percentile, cv = real("percentile", self.percentile), real("cv", self.cv)
        if not 0 < percentile < 100:
            raise InputError(f"percentile {percentile:g}: between 0 and 100, such as 95")
        if not 0 <= cv <= 100:
            raise InputError(f"cv = {cv:g}: a variation of gaps between 0 and 100 is needed")

    @property
    def mix(self) -> tuple[Share, ...]:
        """The workloads, with shares of requests that sum to 1."""
        if isinstance(self.workload, Workload):
            return (Share(self.workload, 1.0),)
        if not self.workload:
            raise InputError("a mix has no workload; give at least one share")
        weights = np.array([float(one.share) for one in self.workload])
        if not ((weights > 0).all() and np.isfinite(weights).all()):
            raise InputError(f"shares of a mix must be positive; {weights.tolist()} was given")
        fractions = (weights / weights.sum()).tolist()
        return tuple(
            Share(one.workload, share) for one, share in zip(self.workload, fractions, strict=True)
        )

    @property
    def paired(self) -> bool:
        """Whether there must be as many prefill instances as decode instances."""
        return self.deployable in PAIRED

    @property
    def whole_prompts(self) -> bool:
        """Whether prompts are taken whole, in one chunk."""
        return self.deployable in WHOLE_PROMPTS

    @property
    def held(self) -> bool:
        """Whether the ratio of the pools is given, by GPUs or by counts."""
        return self.paired or self.fixed_ratio is not None

    @property
    def targets_s(self) -> dict[str, tuple[float, ...]]:
        """The latency targets of each phase's instances; of co-located ones TTL, then FTL."""
        return {
            "prefill": (self.ftl_s,),
            "decode": (self.ttl_s,),
            "colocated": (self.ttl_s, self.ftl_s),
        }

    @property
    def only_workload(self) -> Workload:
        """The workload, where there is one.

        Raises InputError where there are several: the caller needs one.
        """
        if isinstance(self.workload, Workload):
            return self.workload
        if len(self.workload) > 1:
            raise InputError(
                f"this is worked out for one workload, and a mix of {len(self.workload)} was "
                "given; ask for each workload by itself"
            )
        return self.mix[0].workload

    @property
    def shares(self) -> np.ndarray:
        """Shares of requests, one a workload; they sum to 1."""
        return np.array([one.share for one in self.mix])

    @property
    def gaps(self) -> np.ndarray:
        """Gaps between the output tokens of a request, OSL - 1, one a workload."""
        return np.array([float(one.workload.osl) - 1.0 for one in self.mix])

    @property
    def slot_shares(self) -> np.ndarray:
        """Of the decoding requests at any time, the fraction of each workload.

        All requests of a batch gain tokens at the same pace, so a request of workload k stays for
        a time in proportion to OSL_k - 1: f_k (OSL_k - 1) / Σ f (OSL - 1).
        """
        stay = self.shares * self.gaps
        return stay / stay.sum()

    @property
    def mean_osl(self) -> float:
        """Output tokens of a mean request."""
        return float(self.shares @ self.gaps) + 1.0

    @property
    def cap(self) -> int | None:
        """The most GPUs that may be paid; None without a cap."""
        return self.max_gpus or self.exact_gpus


def gpu_weight(setup: Setup, objective: str) -> float:
    """What one GPU counts under an objective: 1, its price, or its power."""
    hardware = setup.hardware.hardware
    return {
        "gpu": 1.0,
        "cost": float(hardware.price_usd_per_hour),
        "power": float(hardware.power_w),
    }[objective]
