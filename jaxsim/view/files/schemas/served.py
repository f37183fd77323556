"""What is printed of designs, loads, searches and simulations, and what stamps a deployment?"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

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
from jaxsim.view.files.schemas.plan import Targets


class PassPart(File, kw_only=True):
    """A kernel or message of a pass: seconds, FLOP, bytes, and what bounds it."""

    name: str
    part: str
    seconds: NotNegative
    flop: NotNegative
    bytes: NotNegative
    bound: str


class Estimate(File, kw_only=True):
    """One design, explained; seconds and bytes."""

    phase: Pool
    total_s: Positive
    interval_s: Ends | None
    parts: list[PassPart]
    memory: dict[str, float]
    feasible: bool
    flags: dict[str, bool]
    outputs: dict[str, float | bool | None]
    formats: dict[str, str]
    notes: list[str]
    error: str | UnsetType = UNSET


class UnderLoad(File, kw_only=True):
    """What users of a deployment see under a load; means, in seconds and tokens/s per GPU."""

    phase: Kind
    mode: Kind
    ttft_s: Positive
    tpot_s: Positive
    requests_per_s: Positive
    output_tokens_per_s_per_gpu: Positive
    waiting_s: float
    concurrency: Positive
    decode_batch: Positive
    slots: Positive
    prefill_busy_frac: NotNegative
    gpus: Count
    sustained: bool
    formats: dict[str, str]
    notes: list[str]
    ttft_parts_s: dict[str, float]
    limits: dict[str, float | None]
    engine_defaults: dict[str, float | str]
    prompts: float | None
    osl_cv: NotNegative
    duration_s: float | None
    tpot_interval: Ends
    ttft_interval: Ends
    output_tokens_per_s_per_gpu_interval: Ends


class Search(Struct, kw_only=True):
    """The best designs of every workload and target: arrays on `dims`, nested in that order.

    The objective and the axes of the designs are further keys, arrays of numbers or null.
    """

    jaxsim_version: str
    model: str
    hardware: list[str]
    precision: list[str]
    engine: list[str]
    formats: list[dict[str, str]]
    phase: Pool
    points_evaluated: Count
    elapsed_s: NotNegative
    dims: list[str]
    coordinates: dict[str, list[float | str | None]]
    notes: list[str]
    device: str | UnsetType = UNSET
    file: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


class Frontiers(File, kw_only=True):
    """One table a store: a row for every workload and target, columns by name."""

    frontiers: list[list[dict[str, float | None]]]
    formats: list[dict[str, str]]


class Load(File, kw_only=True):
    """The requests of a simulation."""

    name: str
    count: Count
    duration_s: NotNegative
    requests_per_s: NotNegative | None
    isl_mean: Positive
    osl_mean: Positive
    skipped: int
    skipped_lines: list[str]


class Decision(File, kw_only=True):
    """A change of the pools, and why."""

    time_s: NotNegative
    instances: dict[Pool, int]
    reason: str


class Outcome(Struct, kw_only=True):
    """Measures of a policy in base units; latencies by quantile and pools by role are more keys."""

    policy: str
    requests: Count
    served: int
    attainment: Fraction
    output_tokens_per_s: NotNegative
    duration_s: NotNegative
    gpu_seconds: NotNegative
    usd: NotNegative
    joules: NotNegative


class Traffic(File, kw_only=True):
    """`traffic.json`: policies side by side on the same requests."""

    schema: Literal["jaxsim.traffic/1"]
    requests: Load
    targets: Targets
    formats: dict[str, str]
    policies: list[Outcome]
    decisions: dict[str, list[Decision]]


class Deployment(File, kw_only=True):
    """`deploy.json`: what a folder of deployment files deploys, from which plan."""

    schema: Literal["jaxsim.deploy/1"]
    jaxsim_version: str
    plan: str
    target: str
    kind: Kind
    engine: str
    engine_version: str
    checkpoint: str
    formats: dict[str, str]
    connector: str | None
    gpus: Count
    concurrency: Positive
    files: list[str]
    notes: list[str]
