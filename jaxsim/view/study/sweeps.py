"""What do all designs of one model, traffic and reading of the study give?"""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypedDict, Unpack

import numpy as np

from jaxsim._record import replace_leaf
from jaxsim.catalog.cards import with_domain
from jaxsim.catalog.engine import Options
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.catalog.precision_presets import override_precision
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.setup import Setup, setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space, Values, complete, geometric
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.view.study.settings import Grid, Mixture, settings

MOST_SEQUENCES = 16384.0
MOST_PROMPTS = 256.0


@dataclass(frozen=True)
class Case:
    """A model under one traffic, on the study's hardware or with another scale-up domain."""

    model: str
    isl: float
    osl: float
    domain_gpus: float | None = None

    def __str__(self) -> str:
        domain = f", domain {self.domain_gpus:g}" if self.domain_gpus else ""
        return f"{self.model} {self.isl:g}/{self.osl:g}{domain}"


class Axes(TypedDict, total=False):
    """Axes of a space."""

    tp: Values
    ep: Values
    pp: Values
    batch: Values
    chunk: Values
    prefill_batch: Values


@dataclass
class Count:
    """How many designs have been evaluated."""

    designs: int = 0
    sweeps: int = 0


@dataclass(frozen=True)
class Sweeper:
    """Evaluates cases on one grid, and counts the designs."""

    grid: Grid
    count: Count = field(default_factory=Count)

    def scenario(self, case: Case, mixture: Mixture) -> Scenario:
        """The numbers of a case under a mixture."""
        workload = Workload(case.isl, case.osl, imbalance=mixture.imbalance)
        return replace(_scenario(case.model, case.domain_gpus, mixture), workload=workload)

    def space(self, case: Case, **axes: Unpack[Axes]) -> Space:
        """The design space of a case; `axes` replaces some."""
        grid = self.grid
        chunk = geometric(case.isl, grid.chunk_per_octave)
        own: Axes = {
            "batch": geometric(MOST_SEQUENCES, grid.batch_per_octave),
            "prefill_batch": geometric(MOST_PROMPTS, min(grid.batch_per_octave, 2)),
            "chunk": tuple(c for c in chunk if c >= min(grid.least_chunk, case.isl)),
        }
        return Space(**(own | axes))

    def phase(
        self, phase: str, case: Case, mixture: Mixture, space: Space | None = None
    ) -> Designs:
        """Every design of one phase."""
        scenario = self.scenario(case, mixture)
        filled = complete(space or self.space(case), scenario.model, scenario.hardware, case.isl)
        designs = evaluate_phase(phase, scenario, filled, (case.isl,), (case.osl,))
        self.count.designs += designs.size
        self.count.sweeps += 1
        return designs


def _chunk_fit(scenario: Scenario):
    """What of the fit of context attention only matters to a chunk with a past.

    The walk of the slowest block of queries, and how reading keys adds to arithmetic.
    """
    plain, latent = scenario.kernels.context, scenario.kernels.context_latent
    return plain.tail, plain.overlap_power, latent.tail, latent.overlap_power


# The walk is spread over the chip, and reading hides behind arithmetic.
_OVERLAPPED = (0.0, 8.0, 0.0, 8.0)


@lru_cache(maxsize=64)
def _loaded(model: str, engine: str) -> Setup:
    """A model with an engine on the study's hardware: read once for all mixtures."""
    known = settings()
    return setup_of(load_model(model), load_hardware(known.hardware), known.precision, engine)


@lru_cache(maxsize=64)
def _scenario(model: str, domain_gpus: float | None, mixture: Mixture) -> Scenario:
    """The numbers of a mixture, for some workload."""
    loaded = _loaded(model, mixture.engine)
    hardware = loaded.hardware
    if domain_gpus is not None:
        hardware = with_domain(hardware, domain_gpus)
    precision = override_precision(
        loaded.precision,
        kv=mixture.kv,
        attention=mixture.attention,
        attention_math=mixture.attention_math,
    )
    options = Options(
        comm_overlap_frac=mixture.comm_overlap_frac,
        keep_up_projected=mixture.keep_up_projected,
        equal_time_chunks=mixture.equal_time_chunks,
    )
    setup = replace(loaded, hardware=hardware, precision=precision, options=options)
    scenario = setup.scenario(Workload(1.0, 2.0))
    hidden = 1.0 if mixture.chunk_attention == "overlapped" else mixture.hidden_frac
    if hidden:
        pairs = zip(_chunk_fit(scenario), _OVERLAPPED, strict=True)
        between = tuple((1.0 - hidden) * own + hidden * other for own, other in pairs)
        scenario = replace_leaf(_chunk_fit, scenario, between)
    factor = scenario.engine.attention_factor * mixture.decode_attention
    return replace_leaf(lambda s: (s.engine.attention_factor,), scenario, (factor,))


def best_by_targets(
    y: np.ndarray,
    ttl_s: np.ndarray,
    ftl_s: np.ndarray,
    ttl_targets: np.ndarray,
    ftl_targets: np.ndarray,
) -> np.ndarray:
    """The largest y of designs with TTL and FTL within each pair of targets, 0 where none is.

    Targets ascend; the result is on (FTL target, TTL target). Every design is dropped into the
    first target that it meets, and maxima accumulate over looser ones.
    """
    rows, columns = len(ftl_targets), len(ttl_targets)
    i, j = np.searchsorted(ftl_targets, ftl_s), np.searchsorted(ttl_targets, ttl_s)
    table = np.zeros((rows + 1) * (columns + 1))
    np.maximum.at(table, i * (columns + 1) + j, y)
    table = table.reshape(rows + 1, columns + 1)[:rows, :columns]
    return np.maximum.accumulate(np.maximum.accumulate(table, axis=0), axis=1)
