"""What does a plan say?  Records only: how they are found is in `plan`, how shown in `view`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import numpy as np

from jaxsim.catalog.workload import Share
from jaxsim.space.deploy.choices import Choices
from jaxsim.space.deploy.encoder_pool import Encoders


@dataclass(frozen=True)
class InstanceShape:
    """`count` instances of one shape, and why each takes the time it takes.

    `phase` is prefill, decode or colocated; `mode` is "" or, co-located, ifb or piggybacked.
    `latency_s` is the first-token latency of a prefill instance, the token latency of the others.
    `parts_s` are the seconds of a pass (decode, co-located) or of a prompt (prefill) by part, and
    `memory_bytes` the memory of the fullest GPU by use. Price and power are of one GPU.
    """

    phase: str
    mode: str
    hardware: str
    tp: int
    ep: int
    pp: int
    batch: int
    chunk: int
    gpus_per_instance: int
    count: int
    latency_s: float
    requests_per_s: float
    parts_s: dict[str, float]
    memory_bytes: dict[str, float]
    price_usd_per_hour: float = 0.0
    price_source: str = ""
    power_w: float = 0.0
    domain_gpus: float = 0.0


@dataclass(frozen=True)
class Certificate:
    """How sure it is that no other match is better.

    `gap` is 1 - value / upper_bound, 0 where proved. `runner_up` is the best value of any other
    pair of designs, with real-valued counts, as the bound is, where no cap makes counts whole.
    While all prefill rates or all decode rates, times one factor, stay in `stable_range`, no other
    result is better by more than `near_frac`: 1 %, and without a cap what whole counts lose
    besides.
    """

    gap: float
    upper_bound: float
    runner_up: float | None
    stable_range: dict[str, tuple[float, float]]
    method: str
    near_frac: float = 0.01


@dataclass(frozen=True)
class Latencies:
    """Latencies of instances that serve one workload alone."""

    ftl_s: float
    ttl_s: float


@dataclass(frozen=True)
class Deployed:
    """The best deployment of one kind under the targets.

    Of a mix, `ftl_s` and `ttl_s` are the worst over workloads, `by_workload` has those of each,
    times of passes are means, memory is the most, and `mixed_ttl_s` the mean gap between tokens
    while all share an instance. Under a cap, `copies` is how often the smallest unit fits.
    `host_s` of `ftl_s` are before and after the passes (host, tokenizer, hand-over between pools,
    images where `encoders` are GPUs of their own, which `gpus` and throughput count).

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=1.0, ttl_s=0.02, space=space)
    >>> best = plan.colocated
    >>> best.gpus, best.ttl_s <= 0.02, best.interval[0] < best.output_tokens_per_s_per_gpu
    (1, True, True)
    """

    output_tokens_per_s_per_gpu: float
    interval: tuple[float, float]
    ftl_s: float
    ttl_s: float
    ttl_median_s: float | None
    gpus: int
    requests_per_s: float
    instances: tuple[InstanceShape, ...]
    cost_usd_per_million_output_tokens: float
    output_tokens_per_joule: float
    ctx_gen_ratio: float | None = None
    kv_egress_bytes_per_s_per_gpu: float | None = None
    kv_ingress_bytes_per_s_per_gpu: float | None = None
    certificate: Certificate | None = None
    by_workload: tuple[Latencies, ...] = ()
    mixed_ttl_s: float | None = None
    copies: int = 1
    host_s: float = 0.0
    encoders: Encoders | None = None

    def worth(self, objective: str) -> float:
        """Output tokens per second and GPU, per dollar (of a million), or per joule."""
        return {
            "gpu": self.output_tokens_per_s_per_gpu,
            "cost": 1.0 / self.cost_usd_per_million_output_tokens,
            "power": self.output_tokens_per_joule,
        }[objective]


@dataclass(frozen=True)
class Unmet:
    """No deployment of this kind meets the targets: why, and the nearest that can be met.

    `ftl_s` is the least attainable under the TTL target, `ttl_s` that under the FTL target.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=1.0, ttl_s=0.001, space=space)
    >>> plan.recommended, plan.colocated.ttl_s > 0.001
    (None, True)
    """

    reason: str
    ftl_s: float | None
    ttl_s: float | None


@dataclass(frozen=True)
class FrontierCurve:
    """Throughput per GPU, with 80 % bounds, against token latency under the FTL target, by design.

    `designs` names the design behind each point, in words.
    """

    name: str
    ttl_s: np.ndarray
    output_tokens_per_s_per_gpu: np.ndarray
    low: np.ndarray
    high: np.ndarray
    designs: dict[str, np.ndarray]


@dataclass(frozen=True)
class Lever:
    """What one more percent of a resource buys: percent of throughput per percent."""

    name: str
    elasticity: float


@dataclass(frozen=True)
class Held:
    """What some instances give users whose requests arrive at random.

    `ttft_s` and `tpot_s` are the latencies at the percentile, `attainment` the fraction of
    requests within both targets.
    """

    instances: tuple[InstanceShape, ...]
    gpus: int
    ttft_s: float
    tpot_s: float
    attainment: float
    holds: bool


@dataclass(frozen=True)
class UnderRate:
    """Pools sized for arrivals at `requests_per_s`, gaps with variation `cv`, and what they give.

    `sized` are the fewest instances of the shapes tried that hold the targets at the percentile, of
    `kind`, if any; `other` the best of the other kind, or `nearest` what came closest. `steady` has
    as many instances of the plan as the mean rate needs; `requests` were simulated. Where a cap on
    GPUs is exceeded, or nothing holds, the plan's own instances hold `largest_requests_per_s`.
    """

    requests_per_s: float
    percentile: float
    cv: float
    requests: int
    kind: str
    sized: Held | None
    other: Held | None
    steady: Held
    largest_requests_per_s: float | None = None
    nearest: Held | None = None


def _mean(name: str, mix: tuple[Share, ...]) -> float:
    mean = sum(one.share * float(getattr(one.workload, name)) for one in mix)
    return int(mean) if mean == int(mean) else mean


@dataclass(frozen=True)
class Plan:
    """What to deploy, against co-located, why, and how sure.

    `formats` has the format of every class of tensor by pool, `mix` the workloads with shares that
    sum to 1. `points_evaluated` counts designs × workloads; `valid_points` those that obey rules.
    `gain_at_mean_ttl` is the gain of a mix where both kinds are held to TTL on the mean of the mix
    alone, not for every workload; None for one workload. `max_gpus` is the cap on GPUs, and
    `exact_gpus` the same where all of them are paid. `under_rate` is of a request with a rate,
    `choices` of one that asks for other targets too; `headroom`: `deploy.headroom`, by kind.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=1.0, ttl_s=0.02, space=space)
    >>> plan.recommended, plan.gain > 1.0
    ('disaggregated', True)
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
    disaggregated: Deployed | Unmet
    colocated: Deployed | Unmet
    probability: float | None
    curves: tuple[FrontierCurve, ...]
    objective: str = "gpu"
    levers: tuple[Lever, ...] = ()
    notes: tuple[str, ...] = field(default=())
    formats: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    gain_at_mean_ttl: float | None = None
    gain_interval: tuple[float, float] | None = None
    beyond_measured: tuple[str, ...] = ()
    exact_gpus: int | None = None
    under_rate: UnderRate | None = None
    choices: Choices | None = None
    headroom: Mapping[str, float] = field(default_factory=dict)
    calibration_sha256: str = ""

    @property
    def isl(self) -> float:
        """Input tokens of a mean request."""
        return _mean("isl", self.mix)

    @property
    def osl(self) -> float:
        """Output tokens of a mean request."""
        return _mean("osl", self.mix)

    @property
    def chosen(self) -> Deployed | None:
        """The recommended deployment; None where nothing meets the targets."""
        deployed = None if self.recommended is None else getattr(self, self.recommended)
        return deployed if isinstance(deployed, Deployed) else None

    def to_dataframe(self):
        """One row for each pool of each kind that meets the targets, as a pandas DataFrame."""
        import pandas as pd

        left_out, rows = ("parts_s", "memory_bytes", "price_source"), []
        for kind in ("disaggregated", "colocated"):
            deployed = getattr(self, kind)
            if isinstance(deployed, Unmet):
                continue
            names = ("output_tokens_per_s_per_gpu", "ftl_s", "ttl_s", "gpus")
            whole = {name: getattr(deployed, name) for name in names}
            for shape in deployed.instances:
                own = {name: value for name, value in vars(shape).items() if name not in left_out}
                rows.append({"kind": kind, **own, **whole})
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """The plan as a notebook shows it."""
        gain = "" if self.gain is None else f", {self.gain:.2f}× by the objective"
        head = f"{self.model} on {self.hardware}: {self.recommended or 'no design'}{gain}"
        return f"<p>{escape(head)}</p>{self.to_dataframe().to_html(index=False)}"

    @property
    def gain(self) -> float | None:
        """Disaggregated over co-located, by the objective; None unless both meet the targets."""
        if isinstance(self.disaggregated, Unmet) or isinstance(self.colocated, Unmet):
            return None
        return self.disaggregated.worth(self.objective) / self.colocated.worth(self.objective)

    @property
    def recommended(self) -> str | None:
        """`disaggregated` or `colocated`, whichever is worth more; None if neither can."""
        if isinstance(self.disaggregated, Unmet):
            return None if isinstance(self.colocated, Unmet) else "colocated"
        return "colocated" if (self.gain or np.inf) <= 1.0 else "disaggregated"
