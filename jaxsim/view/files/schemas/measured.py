"""What is in the files of validations and of the study?  One type a table."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from jaxsim.truth.gain_of_pairs import GainOfPair, Reliability
from jaxsim.view.files.schemas.common import Ends, File, Fraction, Kind, NotNegative, Positive
from jaxsim.view.text.measured import Explained

Total = int


class Score(File, kw_only=True):
    """Errors of a measure as fractions of the measured; null without a row."""

    n: Total
    median: NotNegative | None
    mean: NotNegative | None
    p90: NotNegative | None
    bias: float | None
    interval80: Fraction | None


class Scores(File, kw_only=True):
    """Errors of every measure."""

    tpot: Score
    ttft: Score
    output_tokens_per_s_per_gpu: Score
    ttft_all: Score


class Overall(Scores, kw_only=True):
    """Errors of all headline rows."""

    rows: Total


class Group(Scores, kw_only=True):
    """Errors of the rows that share some keys."""

    model: str | UnsetType = UNSET
    gpu: str | UnsetType = UNSET
    engine: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET
    precision: str | UnsetType = UNSET
    regime: str | UnsetType = UNSET
    source: str | UnsetType = UNSET


class Excluded(Overall, kw_only=True):
    """Errors of rows that headline figures leave out for one reason."""

    reason: str


class Coverage(File, kw_only=True):
    """How many rows are predicted, and why the others are not."""

    rows: Total
    predicted: Total
    reasons: dict[str, Total]


class Side(File, kw_only=True):
    """How often the sign of the gain is right, where the measured one is clear."""

    points: Total
    right: Total


class GainOfOneEngine(File, kw_only=True):
    """Errors of the gain where both modes ran on one engine."""

    pairs: Total
    points: Total
    median: NotNegative
    mean: NotNegative
    interval80: Fraction
    side: Side


class Gain(File, kw_only=True):
    """Errors of the gain of disaggregated over co-located runs."""

    pairs: Total
    points: Total
    reason: str | None
    one_engine: GainOfOneEngine | UnsetType | None = UNSET
    median: NotNegative | None
    mean: NotNegative | None
    interval80: Fraction | None
    side: Side | None
    reliability: list[Reliability]
    by_pair: list[GainOfPair]


class Decisions(File, kw_only=True):
    """Regret of choices among measured designs, and how often a target is missed."""

    groups: Total
    choices: Total
    none: Total
    reason: str | None
    mean: NotNegative | None
    median: NotNegative | None
    p90: NotNegative | None
    missed: Fraction | None


class Validation(File, kw_only=True):
    """`validation.json`: predictions against measured rows."""

    schema: Literal["jaxsim.validate/1"]
    file: str
    overall: Overall
    groups: list[Group]
    by: dict[str, list[Group]]
    excluded: list[Excluded]
    coverage: Coverage
    gain: Gain
    decisions: Decisions


class Measures(File, kw_only=True):
    """Latencies in seconds and throughput in tokens/s per GPU; null where not measured."""

    ttft: Positive | None
    tpot: Positive | None
    output_tokens_per_s_per_gpu: Positive | None


class Verdicts(File, kw_only=True):
    """Whether each measure held; null where that cannot be said."""

    ttft: bool | None
    tpot: bool | None
    output_tokens_per_s_per_gpu: bool | None


class Run(File, kw_only=True):
    """One measured run against its plan."""

    concurrency: Positive | None
    requests_per_s: Positive | None
    at_the_plans_load: bool
    measured: Measures
    planned: Measures
    predicted_at_this_load: Measures
    interval80: dict[str, Ends]
    held: Verdicts
    queued: bool
    explained: dict[str, Explained] | UnsetType = UNSET


class PlanOf(File, kw_only=True):
    """The plan that was measured."""

    model: str
    kind: Kind
    engine: str
    concurrency: Positive
    digest: str


class Held(File, kw_only=True):
    """What held of a plan that was measured; `verdict` is the run nearest to its load."""

    schema: Literal["jaxsim.held/1"]
    plan: PlanOf
    verdict: Run
    runs: list[Run]
    left_out: dict[str, Total]


class Compared(File, kw_only=True):
    """One design, and what one of two tools predicts for it; seconds."""

    kind: Kind
    by: str
    found_by: str
    design: str
    engine: str
    gpus: Positive
    ttft_s: Positive
    tpot_s: Positive
    output_tokens_per_s_per_gpu: Positive


class Comparison(File, kw_only=True):
    """A plan beside AIConfigurator's designs; differences are medians over all of its designs."""

    schema: Literal["jaxsim.compare/1"]
    model: str
    workload: dict[str, Total]
    targets: dict[str, Positive | None]
    entries: list[Compared]
    designs: Total
    within_targets: dict[Kind, Total]
    median_difference: dict[str, NotNegative]
    left_out: dict[str, Total]


class Part(File, kw_only=True):
    """One statement of a claim, and whether it holds."""

    text: str
    holds: bool


class Robustness(File, kw_only=True):
    """In which fraction of the readings a claim holds."""

    holds: Fraction
    partly: Fraction
    label: Literal["robust", "depends", "finding"]
    readings: Total
    not_applicable: Total
    by_unknown: dict[str, dict[str, Fraction]]


class AtLimit(File, kw_only=True):
    """A claim with kernels and messages at the limit of the chip."""

    verdict: Literal["reproduced", "partly", "not"]
    value: str
    parts: list[Part]


class Claim(File, kw_only=True):
    """One claim of the study, with its verdict in the base reading, also at the chip's limit."""

    id: str
    claim: str
    conditions: str
    verdict: Literal["reproduced", "partly", "not"]
    value: str
    expected: str
    parts: list[Part]
    why: str
    measures: dict[str, Any]
    robustness: Robustness
    figure: str
    at_limit: AtLimit | UnsetType | None = UNSET
    would_have_to_be: str | UnsetType = UNSET


class Study(File, kw_only=True):
    """The study: its claims, and what was evaluated for them."""

    schema: Literal["jaxsim.study/1"]
    claims: list[Claim]
    designs: Total
    elapsed_s: NotNegative
    mixtures: Total
