"""What is in `plan.json` and in a mix of workloads?  One type a table."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from jaxsim.view.files.schemas.common import (
    Count,
    Ends,
    File,
    Fraction,
    Kind,
    NotNegative,
    Pool,
    Positive,
)


class Share(File, kw_only=True):
    """One workload of a mix: tokens of a prompt and of an output, and its share of requests."""

    isl: Annotated[float, Meta(ge=1)]
    osl: Annotated[float, Meta(ge=2)]
    share: Positive


class Served(File, kw_only=True):
    """What is served besides lengths: as `jaxsim.Workload` has it."""

    hit_frac: Fraction | UnsetType = UNSET
    draft_tokens: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    accept_frac: Fraction | UnsetType = UNSET
    images: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    imbalance: Annotated[float, Meta(ge=1)] | UnsetType = UNSET


class ServedShare(Served, kw_only=True):
    """One workload of a mix, and what is served besides lengths."""

    isl: Annotated[float, Meta(ge=1)]
    osl: Annotated[float, Meta(ge=2)]
    share: Positive


class Workload(Served, kw_only=True):
    """Tokens of a request; of a mix, those of a mean request, and every workload."""

    isl: Annotated[float, Meta(ge=1)]
    osl: Annotated[float, Meta(ge=2)]
    mix: list[ServedShare] | UnsetType = UNSET


class Latencies(Share, kw_only=True):
    """A workload of a mix, with latencies in seconds of instances that serve it alone."""

    ftl_s: Positive
    ttl_s: Positive


class Targets(File, kw_only=True):
    """Latency targets in seconds."""

    ftl_s: Positive
    ttl_s: Positive


class Nearest(File, kw_only=True):
    """The nearest latencies that can be met, each under the other's target; null where none."""

    ftl_s: Positive | None
    ttl_s: Positive | None


class Instances(File, kw_only=True):
    """`count` instances of one shape; times in seconds, memory of the fullest GPU in bytes."""

    pool: Pool
    mode: Literal["ifb", "piggybacked"] | None
    hardware: str
    count: Count
    gpus_per_instance: Count
    tp: Count
    ep: Count
    pp: Count
    batch: Count
    chunk: Annotated[int, Meta(ge=0)]
    latency_s: Positive
    requests_per_s: Positive
    parts_s: dict[str, NotNegative]
    memory_bytes: dict[str, NotNegative]


class Encoders(File, kw_only=True):
    """`count` GPUs that each encode the images of one prompt at a time; seconds and bytes."""

    hardware: str
    count: Count
    latency_s: Positive
    requests_per_s: Positive
    weights_bytes: Positive


class Certificate(File, kw_only=True):
    """How sure it is that no other match is better."""

    gap: NotNegative
    upper_bound: Positive
    runner_up: float | None
    stable_range: dict[str, Ends]
    method: str
    near_frac: NotNegative = 0.01


class Colocated(File, kw_only=True):
    """The best deployment of one kind under the targets."""

    output_tokens_per_s_per_gpu: Positive
    interval: Annotated[list[Positive], Meta(min_length=2, max_length=2)]
    ftl_s: Positive
    ttl_s: Positive
    ttl_median_s: Positive | None
    gpus: Count
    requests_per_s: Positive
    cost_usd_per_million_output_tokens: NotNegative | None
    output_tokens_per_joule: NotNegative | None
    instances: Annotated[list[Instances], Meta(min_length=1)]
    host_s: NotNegative | UnsetType = UNSET
    encoders: Encoders | UnsetType = UNSET
    copies: Count | UnsetType = UNSET
    costs: dict[str, Any] | UnsetType = UNSET
    mixed_ttl_s: Positive | UnsetType = UNSET
    workloads: list[Latencies] | UnsetType = UNSET


class Disaggregated(Colocated, kw_only=True):
    """The best deployment of two pools: with their ratio, KV flows and certificate."""

    ctx_gen_ratio: Positive
    kv_egress_bytes_per_s_per_gpu: NotNegative
    kv_ingress_bytes_per_s_per_gpu: NotNegative
    certificate: Certificate | None


class Curve(File, kw_only=True):
    """A frontier: throughput per GPU with both ends of 80 %, and the design, at each TTL."""

    name: str
    ttl_s: list[Positive]
    output_tokens_per_s_per_gpu: list[float]
    low: list[float]
    high: list[float]
    designs: dict[str, list[float]]


class Lever(File, kw_only=True):
    """Percent of throughput for one percent more of a resource or target."""

    name: str
    elasticity: float | None


class Held(File, kw_only=True):
    """What some instances give at the percentile; seconds, and the fraction within both targets."""

    instances: list[Instances]
    gpus: Count
    ttft_s: Positive | None
    tpot_s: Positive | None
    attainment: Fraction
    holds: bool


class UnderRate(File, kw_only=True):
    """Pools sized for requests that arrive at a rate, beside the steady-state plan's own."""

    requests_per_s: Positive
    percentile: Positive
    cv: NotNegative
    requests: Count
    kind: Kind | None
    sized: Held | None
    other: Held | None
    steady: Held
    largest_requests_per_s: NotNegative | None
    nearest: Held | None = None


class Plan(File, kw_only=True):
    """`plan.json`: what to deploy, against co-located, why, and how sure. SI units."""

    schema: Literal["jaxsim.plan/1"]
    jaxsim_version: str
    model: str
    hardware: str
    prefill_hardware: str
    precision: str
    formats: dict[str, dict[str, str]]
    engine: str
    calibration: str
    workload: Workload
    targets: Targets
    objective: Literal["gpu", "cost", "power"]
    max_gpus: Count | None
    points_evaluated: Count
    valid_points: dict[str, int]
    elapsed_s: NotNegative
    recommended: Kind | None
    gain: Positive | None
    probability: Fraction | None
    disaggregated: Disaggregated | None
    colocated: Colocated | None
    frontiers: list[Curve]
    levers: list[Lever]
    notes: list[str]
    gain_at_mean_ttl: Positive | UnsetType | None = UNSET
    gain_interval: list[Positive] | UnsetType | None = UNSET
    beyond_measured: list[str] | UnsetType = UNSET
    headroom: dict[Kind, Positive] | UnsetType = UNSET
    exact_gpus: Count | UnsetType | None = UNSET
    under_rate: UnderRate | UnsetType = UNSET
    calibration_sha256: str | UnsetType = UNSET
    machine: str | UnsetType = UNSET
    reason: dict[Kind, str] | UnsetType = UNSET
    nearest: dict[Kind, Nearest] | UnsetType = UNSET
    error: str | UnsetType = UNSET


Mix = Annotated[list[Share], Meta(min_length=1, description="Workloads served together.")]
