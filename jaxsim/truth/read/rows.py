"""What is one measured serving run?

Every reader turns its own columns into these records, in base units; what follows knows only them.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from jaxsim.catalog.engine_limits import Limits
from jaxsim.traffic.layout import Layout

Mode = Literal["colocated", "disaggregated", "prefill_only", "decode_only"]
Load = Literal["closed", "open", "offline"]

# Of a request's time before its last token, the part before its first beyond which a run measures
# its queue rather than its prompts (data set's own definition).
QUEUED_FRAC = 0.3
# Requests for each place below which a closed loop is mostly its start and its end, and the regimes
# that a collector calls so.
STEADY_RUNS = 5.0
FINITE = ("prefill_bound", "finite_burst")


@dataclass(frozen=True)
class ServingRow:
    """One measured run: the load, the deployment, and what was measured.

    `line` is the line of the file. `isl` and `osl` are means of what was sent, `isl_max` and
    `osl_max` the longest. `decode` is the only pool of a co-located run. Measured values are None
    where not reported. `excluded` says why headline figures leave a row out; empty if they do not.
    `regime` is what its collector calls it; `prompts` is how many requests a finite run has in all,
    None for a steady state; `osl_cv` is the coefficient of variation of its output lengths.
    `limits` and `batched_tokens` (prompt tokens of a pass) are those that the engine was told, None
    where not stated. Requests of a rate came at equal intervals where `even`. The time to the first
    token is a median where `of_medians`.
    `hit_frac` of a prompt is found in a cache, and each of `draft_tokens`
    proposed in a step is accepted with probability `accept_frac`.
    """

    id: str
    line: int
    source: str
    model: str
    hardware: str
    framework: str
    version: str
    precision: str
    formats: tuple[str, str]  # of dense and of expert weights, where stated
    mode: Mode
    load: Load
    isl: float
    osl: float
    isl_max: float
    osl_max: float
    concurrency: float | None
    requests_per_s: float | None
    decode: Layout | None
    prefill: Layout | None
    ttft_s: float | None
    tpot_s: float | None
    output_tokens_per_s_per_gpu: float | None
    speculation: Literal["none", "mtp", "unknown"] = "none"
    client: str = ""  # which benchmark drove it, where that tells how it starts
    ttft_median_s: float | None = None
    excluded: str = ""
    refused: str = ""  # why no prediction is possible, as the reader sees it
    keys: dict[str, str] = field(default_factory=dict)
    regime: str = ""
    prompts: float | None = None
    osl_cv: float = 0.0
    default_limits: bool = False  # whether the engine ran with its own limits, as none is stated
    limits: Limits = field(default_factory=Limits)
    batched_tokens: float | None = None
    even: bool = False
    of_medians: bool = False
    hit_frac: float = 0.0
    draft_tokens: float = 0.0
    accept_frac: float = 0.0
    speculation_known: bool = True  # whether the file would say that it speculated
    date: str = ""  # of the run, YYYY-MM-DD; empty where not stated

    @property
    def gpus(self) -> float:
        """All GPUs of the run."""
        pools = (self.decode, self.prefill)
        return sum(pool.gpus for pool in pools if pool is not None)

    @property
    def finite(self) -> bool:
        """Whether a run is mostly its start and its end rather than a steady state."""
        if self.prompts is None or self.concurrency is None or self.load != "closed":
            return False
        return self.regime in FINITE or self.prompts < STEADY_RUNS * self.concurrency

    @property
    def queued(self) -> bool:
        """Whether the measured time to the first token is mostly a queue's."""
        if self.ttft_s is None or self.tpot_s is None:
            return False
        rest_s = (self.osl - 1.0) * self.tpot_s
        return self.ttft_s > QUEUED_FRAC * (self.ttft_s + rest_s)

    @property
    def kind(self) -> str:
        """What kind of run it is, which its errors depend on: closed, offline or disaggregated."""
        return "disaggregated" if self.mode == "disaggregated" else self.load

    def measured(self, measure: str) -> float | None:
        """A measured value by the name of its measure."""
        return {
            "tpot": self.tpot_s,
            "ttft": self.ttft_s,
            "output_tokens_per_s_per_gpu": self.output_tokens_per_s_per_gpu,
        }[measure]


def little_rate(row: ServingRow) -> float | None:
    """Requests/s that a closed loop must have had: N over the time in the system."""
    if row.load != "closed" or not row.concurrency or row.ttft_s is None or row.tpot_s is None:
        return None
    return row.concurrency / (row.ttft_s + (row.osl - 1.0) * row.tpot_s)


def implied_tokens_per_s_per_gpu(row: ServingRow) -> float | None:
    """Output tokens/s/GPU where it was not reported: from N = X · T, which a closed loop obeys."""
    rate = little_rate(row)
    return None if rate is None or not row.gpus else rate * row.osl / row.gpus


def finite(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and math.isfinite(value)
