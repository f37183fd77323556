"""Which keywords do the public functions take?  The fields of their requests, with types.

Each class has the fields of one request record but for the workload, and those of `SetupKeywords`;
a test compares them.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.engine import Options
from jaxsim.catalog.engine_limits import Limits
from jaxsim.catalog.known_engines import EngineCard
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.setup import Setup, setup_of


class SetupKeywords(TypedDict, total=False):
    """Number formats, engine and its options: names of the catalogue, or records."""

    precision: str | Precision | None
    engine: str | EngineCard | None
    options: Options | None


class EstimateKeywords(SetupKeywords, total=False):
    """Fields of an `EstimateRequest`."""

    phase: str
    tp: float
    ep: float
    pp: float
    batch: float
    chunk: float | None


class SearchKeywords(SetupKeywords, total=False):
    """Fields of a `SearchRequest`."""

    phase: str
    targets_s: float | Sequence[float]
    ftl_s: float
    count: int
    frontier: bool
    exact: bool


class ServeKeywords(SetupKeywords, total=False):
    """Fields of a `ServeRequest`."""

    tp: float
    ep: float
    pp: float
    instances: float
    prefill: Mapping[str, float] | None
    concurrency: float | None
    requests_per_s: float | None
    prompts: float | None
    osl_cv: float
    chunk: float | None
    limits: Limits | None


class PlanKeywords(SetupKeywords, total=False):
    """Fields of a `PlanRequest`; `gpus` is `max_gpus`."""

    ftl_s: float | None
    ttl_s: float | None
    gpus: int | None
    max_gpus: int | None
    exact_gpus: int | None
    fixed_ratio: float | None
    pack: bool
    objective: str
    ttl_metric: str
    tolerance: float
    deployable: str
    requests_per_s: float | None
    percentile: float | None
    cv: float


def setup_with(
    model: str | ModelCard, hardware: str | HardwareCard, keywords: SetupKeywords
) -> Setup:
    """The model on the hardware, with the formats, engine and options of the keywords."""
    return setup_of(
        model,
        hardware,
        keywords.get("precision"),
        keywords.get("engine"),
        keywords.get("options"),
    )
