"""What is in `sensitivity.json`?  One type a table."""

from typing import Literal

from jaxsim.view.files.schemas.common import Ends, File, Kind, NotNegative, Positive
from jaxsim.view.files.schemas.plan import Instances, Targets, Workload

# Designs by pool, each an axis and its real value.
Designs = dict[str, dict[str, float]]


class Optimum(File, kw_only=True):
    """The best design in real numbers, and its throughput per GPU, $ or W, by the objective."""

    value: Positive
    mode: str | None
    designs: Designs


class Input(File, kw_only=True):
    """d ln throughput / d ln input."""

    name: str
    title: str
    group: str
    elasticity: float | None


class Effect(File, kw_only=True):
    """What a factor on an input does to throughput, as a fraction; null: no design is valid."""

    factor: Positive
    exact: float | None
    local: float | None
    changed: bool


class Lever(File, kw_only=True):
    """An input that is moved, with the factors between which the design holds."""

    title: str
    elasticity: float | None
    stable_factors: Ends
    effects: list[Effect]


class Price(File, kw_only=True):
    """What `amount` more of a limit, in its unit, adds: at the margin, and solved again."""

    name: str
    amount: float
    unit: str
    tokens_per_s_per_gpu: float | None
    usd_per_million: float | None
    exact: float | None
    binding: bool


class Step(File, kw_only=True):
    """The fraction of throughput gained by another value of a discrete axis."""

    pool: str
    axis: str
    value: float
    other: float
    effect: float | None


class WhatIf(File, kw_only=True):
    """The fraction of throughput gained by a change, solved again and by elasticities."""

    change: str
    exact: float | None
    local: float | None
    changed: bool
    designs: Designs | None


class Share(File, kw_only=True):
    """How much of the variance of ln throughput a source explains."""

    name: str
    constant: str
    linear: float | None
    first: float | None
    total: float | None


class LeftOpen(File, kw_only=True):
    """A constant that measurements leave open: both deviations, the one used, and its effect."""

    constant: str
    fit: str
    measured: float | None
    prior: float | None
    kind: str
    used: float | None
    effect: float | None


class Uncertainty(File, kw_only=True):
    """Standard deviations of ln throughput, the 80 % interval, and shares by source."""

    delta_sigma: NotNegative | None
    sample_sigma: NotNegative | None
    interval80: Ends
    lost: float | None
    linear: bool
    shares: list[Share]
    worth_measuring: list[str]
    rest_on_priors: list[LeftOpen]


class Reached(File, kw_only=True):
    """The factor on one lever that reaches the goal; null where none does."""

    title: str
    factor: float | None


class Cheapest(File, kw_only=True):
    """Factors on several levers that reach the goal at the least cost."""

    factors: dict[str, float]
    cost: float | None
    designs: Designs | None


class Chips(File, kw_only=True):
    """The best chips within a budget: factors by pool (or `all`), what they take, and the gain."""

    factors: dict[str, dict[str, float]]
    used: dict[str, dict[str, float]]
    gain: float
    designs: Designs


class Source(File, kw_only=True):
    """Where a number comes from."""

    kind: str
    source: str


class ChipBudget(File, kw_only=True):
    """What parts take of a chip, and what a chip may take, as factors of what it takes now."""

    shares: dict[str, dict[str, float]]
    most: dict[str, float]
    sources: dict[str, Source]


class Crossing(File, kw_only=True):
    """Two neighbouring lengths between which the gain passes 1, and where it does."""

    low: float
    high: float
    gain_low: float | None
    gain_high: float | None
    value: float | None


class Solved(File, kw_only=True):
    """Both kinds' throughput per GPU at one length; null where targets are missed."""

    value: float
    disaggregated: float | None
    colocated: float | None


class Crossover(File, kw_only=True):
    """Where along an axis disaggregation begins to pay."""

    axis: Literal["isl", "osl"]
    crossings: list[Crossing]
    solved: list[Solved]


class Resources(File, kw_only=True):
    """Seconds of a pass, by part and by the resource that it waits for."""

    total_s: Positive
    parts: dict[str, dict[str, NotNegative]]


class Sensitivity(File, kw_only=True):
    """`sensitivity.json`: what limits the best deployment, and what would change it. SI units."""

    schema: Literal["jaxsim.sensitivity/1"]
    jaxsim_version: str
    kind: Kind
    formats: dict[str, dict[str, str]]
    notes: list[str]
    workload: Workload
    targets: Targets
    objective: Literal["gpu", "cost", "power"]
    output_tokens_per_s_per_gpu: Positive
    instances: list[Instances]
    optimum: Optimum
    prefill_share: float
    binding: dict[str, list[str]]
    multipliers: dict[str, float | None]
    inputs: list[Input]
    levers: list[Lever]
    prices: list[Price]
    steps: list[Step]
    what_if: list[WhatIf]
    uncertainty: Uncertainty
    goal: float | None
    reached: list[Reached]
    cheapest: Cheapest | None
    chips: list[Chips]
    chip_budget: ChipBudget | None
    crossovers: list[Crossover]
    resources: dict[str, Resources]
