"""What goes into rate matching, and what comes out?"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

import numpy as np

from jaxsim.catalog.errors import InputError

# A column of numbers; of what is taken at one place, one number. Records take lists for them.
if TYPE_CHECKING:
    Column: TypeAlias = np.ndarray
else:
    Column = np.ndarray | np.generic | float | list | tuple
Index: TypeAlias = np.ndarray | slice | int | np.integer


@dataclass(frozen=True)
class Pool:
    """Candidates of one phase: 1-D arrays of equal length, one entry per valid design.

    `requests_per_s` and `gpus` are per instance. `latency_s` is the FTL of prefill, the TTL of
    decode. `weight` is the price or power of one GPU (one number, or one per candidate): the
    objective is divided by GPUs × weight. `confined_gpus` is the part of an instance that must lie
    within one scale-up domain (a pipeline stage); by default the whole instance.
    """

    requests_per_s: Column
    gpus: Column
    latency_s: Column
    weight: Column | float = 1.0
    confined_gpus: Column | None = None

    def __post_init__(self):
        for name in ("requests_per_s", "gpus", "latency_s", "weight", "confined_gpus"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value, np.float64))
        if self.requests_per_s.ndim != 1:
            raise InputError(
                f"A pool needs one-dimensional arrays; requests_per_s has shape"
                f" {self.requests_per_s.shape}. Flatten it, and keep only valid designs."
            )
        for name in ("gpus", "latency_s", "weight", "confined_gpus"):
            value = getattr(self, name)
            if value is None or (name == "weight" and value.ndim == 0):
                continue
            if value.shape != self.requests_per_s.shape:
                raise InputError(
                    f"A pool needs arrays of equal length: {name} has shape {value.shape},"
                    f" requests_per_s {self.requests_per_s.shape}."
                )
        if self.gpus.size and not (self.gpus >= 1).all():
            raise InputError(
                f"gpus of an instance must be at least 1; the least given is {self.gpus.min()}."
            )
        if not (np.all(np.isfinite(self.weight)) and np.all(np.asarray(self.weight) > 0)):
            raise InputError("weight (price or power of a GPU) must be positive and finite.")

    def __len__(self):
        return len(self.requests_per_s)

    def weight_of(self, index: Index) -> Column:
        """Weight of one GPU of the candidates at `index`."""
        weight = np.asarray(self.weight)
        return weight[index] if weight.ndim else weight

    def confined_of(self, index: Index) -> Column:
        """GPUs that must share a domain, of the candidates at `index`."""
        return (self.gpus if self.confined_gpus is None else self.confined_gpus)[index]


@dataclass(frozen=True)
class Option:
    """One plan: which designs, how many instances, and its value (tokens/s per GPU × weight)."""

    value: float
    prefill_index: int
    decode_index: int
    prefill_instances: int
    decode_instances: int


@dataclass(frozen=True)
class Certificate:
    """Why the match is optimal, or how far from the optimum it may be.

    `upper_bound` is a proved bound on the value of any allowed plan and `gap` = 1 − value / bound.
    A gap of 0 says proved optimal (to rounding). `runner_up` is the best plan of any *other* pair
    of designs, and `margin` = 1 − its value / ours. `prefill_rate_range` holds the factors by
    which the rates of all prefill candidates may be multiplied together, decode unchanged, before
    another plan (other designs or other counts) is better; `decode_rate_range` the same of decode.
    Many counts are nearly as good under a large cap, so the `near_` ranges say when another plan
    first is better by more than `near_frac`: 1 %, and without a cap what whole counts lose besides.
    Without a cap both ranges are this one.
    """

    upper_bound: float
    gap: float
    runner_up: Option | None
    margin: float
    prefill_rate_range: tuple[float, float]
    decode_rate_range: tuple[float, float]
    near_prefill_rate_range: tuple[float, float]
    near_decode_rate_range: tuple[float, float]
    pairs_considered: int
    pairs_solved: int
    method: str
    near_frac: float


@dataclass(frozen=True)
class Match:
    """The best plan: designs, instance counts, what it serves, and the proof.

    `gpus` are those that run an instance and `paid_gpus` those that are paid, idle ones included.
    `value` is output tokens/s per paid GPU × weight: the objective. `relaxed_value` is what real
    numbers of instances would reach without a cap, (OSL − 1) / (c_p/r_p + c_d/r_d), for these two
    designs. `copies` is how often the plan fits in the cap, at the same value.
    """

    prefill_index: int
    decode_index: int
    prefill_instances: int
    decode_instances: int
    requests_per_s: float
    output_tokens_per_s: float
    gpus: float
    paid_gpus: float
    output_tokens_per_s_per_gpu: float
    value: float
    relaxed_value: float
    ctx_gen_ratio: float
    ftl_s: float
    ttl_s: float
    copies: int
    certificate: Certificate
    domains: int | None = None


@dataclass(frozen=True)
class NoMatch:
    """Nothing meets the targets; the nearest that can be met.

    `ftl_s_at_ttl` is the lowest FTL of any allowed plan that meets the TTL target (None where
    none meets it whatever its FTL), `ttl_s_at_ftl` the converse. `attainable` is the staircase of
    all (FTL, TTL) targets that can just be met, and `nearest` the one that needs the smallest
    relative loosening of the worse axis.
    """

    reason: str
    ftl_s_at_ttl: float | None
    ttl_s_at_ftl: float | None
    nearest: tuple[float, float] | None
    attainable: list[tuple[float, float]] = field(default_factory=list)

    def __bool__(self) -> Literal[False]:
        return False


class MatchLimits(TypedDict, total=False):
    """What limits a match besides targets and a cap: sizes, costs, ratio, counts, domains."""

    exact_gpus: float | None
    max_cost: float | None
    exact_cost: float | None
    ratio: float | None
    ratio_tolerance: float
    prefill_instances: tuple[int, int | None]
    decode_instances: tuple[int, int | None]
    paired: bool
    domain_gpus: int | tuple[int, int] | None
    tolerance: float
