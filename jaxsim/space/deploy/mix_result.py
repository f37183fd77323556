"""What does a plan for a mix of workloads say?  Records only."""

from dataclasses import dataclass

from jaxsim.space.deploy.result import Deployed, Unmet


@dataclass(frozen=True)
class Share:
    """One workload of a mix: its lengths, and its share of all requests."""

    isl: int
    osl: int
    share: float


@dataclass(frozen=True)
class MixDeployed:
    """The best deployment of one kind under the targets, with latencies workload by workload.

    `deployed` has the worst latencies over workloads; times of passes are means over the mix and
    memory is that of the workload that needs most. `ftl_s` and `ttl_s`, one for each workload,
    are those of instances that serve only that workload; while the workloads share the slots of
    an instance all see the same steps, and the gap between tokens is `mixed_ttl_s` on average.
    """

    deployed: Deployed
    ftl_s: tuple[float, ...]
    ttl_s: tuple[float, ...]
    mixed_ttl_s: float


@dataclass(frozen=True)
class MixPlan:
    """What to deploy for a mix, against co-located. As `Plan`, without frontiers and levers.

    `valid_points` are the designs that obey every rule for every workload. `gain_at_mean_ttl` is
    the gain where both kinds are held to TTL on the mean of the mix alone (see `mix_mean`).
    """

    model: str
    hardware: str
    prefill_hardware: str
    precision: str
    engine: str
    calibration: str
    mix: tuple[Share, ...]
    ftl_target_s: float
    ttl_target_s: float
    max_gpus: int | None
    points_evaluated: int
    valid_points: dict[str, int]
    elapsed_s: float
    disaggregated: MixDeployed | Unmet
    colocated: MixDeployed | Unmet
    probability: float | None
    gain_at_mean_ttl: float | None = None
    objective: str = "gpu"
    notes: tuple[str, ...] = ()

    @property
    def gain(self) -> float | None:
        """Disaggregated over co-located, by the objective; None unless both meet the targets."""
        if isinstance(self.disaggregated, Unmet) or isinstance(self.colocated, Unmet):
            return None
        ours, theirs = self.disaggregated.deployed, self.colocated.deployed
        return ours.worth(self.objective) / theirs.worth(self.objective)

    @property
    def recommended(self) -> str | None:
        """`disaggregated` or `colocated`, whichever is worth more; None if neither can."""
        if isinstance(self.disaggregated, Unmet):
            return None if isinstance(self.colocated, Unmet) else "colocated"
        gain = self.gain
        return "disaggregated" if gain is None or gain > 1.0 else "colocated"

    @property
    def chosen(self) -> MixDeployed | None:
        """The recommended deployment; None where nothing meets the targets."""
        found = None if self.recommended is None else getattr(self, self.recommended)
        return found if isinstance(found, MixDeployed) else None
