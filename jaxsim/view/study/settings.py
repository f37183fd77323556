"""What does the study assume, what does it leave open, and what do we compare at?

Everything comes from `catalog/data/study.toml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from jaxsim.catalog._datum import DataFile, Datum, Table
from jaxsim.catalog.names import DATA

# What the study leaves open, as readers know it.
UNKNOWNS = {
    "kv": "KV cache",
    "attention": "attention projections",
    "attention_math": "attention arithmetic",
    "chunk_attention": "chunk attention",
    "comm_overlap_frac": "communication overlap",
    "imbalance": "expert imbalance",
    "engine": "engine",
    "ftl_s": "FTL cutoff, s",
    "ttl_metric": "co-located TTL",
    "piggybacking": "piggybacked TTL",
}

# Unknowns that need a sweep of their own; the rest select among what one sweep gives.
SWEPT = (
    "kv", "attention", "attention_math", "chunk_attention", "comm_overlap_frac", "imbalance",
    "engine",
)  # fmt: skip
SELECTED = ("ftl_s", "ttl_metric", "piggybacking")


@dataclass(frozen=True)
class Mixture:
    """One choice for each unknown that changes what a design gives.

    `chunk_attention` says how a chunk attends to what came before it: `fitted`, as the fit to
    kernels without a past extrapolates; `overlapped`, blocks of queries share the walk over earlier
    keys, and reading them hides behind arithmetic.
    The last two are no unknowns but options of an implementation that some claims turn on.
    """

    kv: str
    attention: str
    attention_math: str
    chunk_attention: str
    comm_overlap_frac: float
    imbalance: float
    engine: str
    keep_up_projected: float = 0.0
    equal_time_chunks: float = 0.0


@dataclass(frozen=True)
class Setting:
    """One reading of the study: a mixture, and what selects among the designs it gives.

    `ftl_s` is the cutoff, `ttl_metric` which gap of a co-located design counts, the mean or the
    median one. `piggybacking` says which gap counts there: that of a `mixed_step`, one that carries
    a chunk, as in a steady mix of tokens; or by `ttl_metric`, as with in-flight batching.
    """

    mixture: Mixture
    ftl_s: float
    ttl_metric: str
    piggybacking: str

    def level(self, unknown: str) -> Any:
        """The choice made for an unknown."""
        return getattr(self if unknown in SELECTED else self.mixture, unknown)

    def mixed(self, **choices: Any) -> "Setting":
        """The same setting with some choices of its mixture replaced."""
        return replace(self, mixture=replace(self.mixture, **choices))


@dataclass(frozen=True)
class Grid:
    """How finely batches and chunks are tried."""

    batch_per_octave: int
    chunk_per_octave: int
    least_chunk: int


@dataclass(frozen=True)
class ClaimText:
    """A claim as the study makes it: in a line, under which conditions, and what must show."""

    id: str
    claim: str
    conditions: str
    expected: str


@dataclass(frozen=True)
class Settings:
    """The file, read."""

    hardware: str
    precision: str
    tolerance: float
    base: Setting
    unknowns: Mapping[str, tuple[Any, ...]]
    mixtures: int
    seed: int
    grids: Mapping[str, Grid]
    interactivity: np.ndarray
    criteria: Mapping[str, float]
    numbers: Mapping[str, Any]
    claims: Mapping[str, ClaimText]
    provenance: Mapping[str, Datum]

    def readings(self, mixtures: int | None = None) -> list[Setting]:
        """Every FTL cutoff, TTL metric and piggybacking of the base mixture and of random ones."""
        chosen = self.mixed(self.mixtures if mixtures is None else mixtures)
        selected = list(product(*(self.unknowns[name] for name in SELECTED)))
        return [
            Setting(mixture, *selection)
            for mixture in (self.base.mixture, *chosen)
            for selection in selected
        ]

    def mixed(self, count: int) -> list[Mixture]:
        """Random mixtures in which every level of every unknown is (nearly) equally frequent."""
        random = np.random.default_rng(self.seed)
        columns = {}
        for name in SWEPT:
            levels = self.unknowns[name]
            order = random.permutation(np.resize(np.arange(len(levels)), max(count, 1)))
            columns[name] = [levels[i] for i in order[:count]]
        return [Mixture(**{name: columns[name][i] for name in SWEPT}) for i in range(count)]


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The study's settings."""
    file = DataFile(DATA / "study.toml")
    root = file.root
    base, open_, sampling = root.table("setting"), root.table("unknowns"), root.table("sampling")
    unknowns = {name: tuple(open_.value(name)) for name in (*SWEPT, *SELECTED)}
    first = {name: levels[0] for name, levels in unknowns.items()}
    mixture = Mixture(**{name: first[name] for name in SWEPT})
    grids = root.table("grids")
    found = Settings(
        hardware=base.value("hardware"),
        precision=base.value("precision"),
        tolerance=base.number("tolerance"),
        base=Setting(mixture, *(first[name] for name in SELECTED)),
        unknowns=unknowns,
        mixtures=int(sampling.number("mixtures", zero=True)),
        seed=int(sampling.number("seed")),
        grids={name: _grid(grids.table(name)) for name in grids.raw},
        interactivity=_ladder(root.table("ladder")),
        criteria=_numbers(root.table("criteria")),
        numbers=_values(root.table("numbers")),
        claims=_claims(root.table("claims")),
        provenance=file.provenance,
    )
    file.finish()
    return found


def _grid(table: Table) -> Grid:
    names = ("batch_per_octave", "chunk_per_octave", "least_chunk")
    return Grid(**{name: int(table.number(name)) for name in names})


def _ladder(table: Table) -> np.ndarray:
    least, most = table.number("least"), table.number("most")
    steps = round(np.log2(most / least) * table.number("per_octave"))
    return np.geomspace(least, most, steps + 1)


def _numbers(table: Table) -> dict[str, float]:
    return {name: table.number(name, zero=True) for name in table.raw}


def _values(table: Table) -> dict[str, Any]:
    return {name: table.value(name) for name in table.raw}


def _claims(table: Table) -> dict[str, ClaimText]:
    found = {}
    for name in table.raw:
        own = table.table(name)
        texts = (str(own.value(key)) for key in ("claim", "conditions", "expected"))
        found[name] = ClaimText(name, *texts)
    return found
