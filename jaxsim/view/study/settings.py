"""What does the study assume, what does it leave open, and what do we compare at?

Everything comes from `catalog/data/study.toml`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import TypeAlias, TypedDict, Unpack, cast

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
    The next two are no unknowns but options of an implementation that some claims turn on. What
    would have to be true of a claim that fails is sought in the last two: `hidden_frac` is how far
    from `fitted` to `overlapped` the attention of a chunk is, `decode_attention` multiplies what
    attention takes in a decode step.
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
    hidden_frac: float = 0.0
    decode_attention: float = 1.0


# What an unknown may be: a name or a number.
Level: TypeAlias = str | float


class Choices(TypedDict, total=False):
    """Fields of a mixture that claims replace."""

    chunk_attention: str
    engine: str
    keep_up_projected: float
    equal_time_chunks: float
    hidden_frac: float
    decode_attention: float


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

    def level(self, unknown: str) -> Level:
        """The choice made for an unknown."""
        return getattr(self if unknown in SELECTED else self.mixture, unknown)

    def mixed(self, **choices: Unpack[Choices]) -> "Setting":
        """The same setting with some choices of its mixture replaced."""
        return replace(self, mixture=replace(self.mixture, **choices))


def mixture_of(levels: Sequence[Level]) -> Mixture:
    """The mixture with a level for each of `SWEPT`."""
    build = cast(Callable[..., Mixture], Mixture)
    return build(**dict(zip(SWEPT, levels, strict=True)))


def setting_of(mixture: Mixture, levels: Sequence[Level]) -> Setting:
    """The setting with a level for each of `SELECTED`."""
    build = cast(Callable[..., Setting], Setting)
    return build(mixture, **dict(zip(SELECTED, levels, strict=True)))


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
    unknowns: Mapping[str, tuple[Level, ...]]
    mixtures: int
    seed: int
    grids: Mapping[str, Grid]
    interactivity: np.ndarray
    criteria: Mapping[str, float]
    numbers: Mapping[str, float]
    lists: Mapping[str, tuple[float, ...]]
    claims: Mapping[str, ClaimText]
    provenance: Mapping[str, Datum]

    @property
    def cutoffs(self) -> tuple[float, ...]:
        """The FTL cutoffs, in seconds."""
        return tuple(float(level) for level in self.unknowns["ftl_s"])

    def readings(self, mixtures: int | None = None) -> list[Setting]:
        """Every FTL cutoff, TTL metric and piggybacking of the base mixture and of random ones."""
        chosen = self.mixed(self.mixtures if mixtures is None else mixtures)
        selected = list(product(*(self.unknowns[name] for name in SELECTED)))
        return [
            setting_of(mixture, selection)
            for mixture in (self.base.mixture, *chosen)
            for selection in selected
        ]

    def mixed(self, count: int) -> list[Mixture]:
        """Random mixtures in which every level of every unknown is (nearly) equally frequent."""
        random = np.random.default_rng(self.seed)
        columns: dict[str, list[Level]] = {}
        for name in SWEPT:
            levels = self.unknowns[name]
            order = random.permutation(np.resize(np.arange(len(levels)), max(count, 1)))
            columns[name] = [levels[i] for i in order[:count]]
        return [mixture_of([columns[name][i] for name in SWEPT]) for i in range(count)]


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The study's settings."""
    file = DataFile(DATA / "study.toml")
    root = file.root
    base, open_, sampling = root.table("setting"), root.table("unknowns"), root.table("sampling")
    unknowns = {name: _levels(open_, name) for name in (*SWEPT, *SELECTED)}
    first = {name: levels[0] for name, levels in unknowns.items()}
    mixture = mixture_of([first[name] for name in SWEPT])
    numbers, lists = _values(root.table("numbers"))
    grids = root.table("grids")
    result = Settings(
        hardware=base.text("hardware"),
        precision=base.text("precision"),
        tolerance=base.number("tolerance"),
        base=setting_of(mixture, [first[name] for name in SELECTED]),
        unknowns=unknowns,
        mixtures=int(sampling.number("mixtures", zero=True)),
        seed=int(sampling.number("seed")),
        grids={name: _grid(grids.table(name)) for name in grids.raw},
        interactivity=_ladder(root.table("ladder")),
        criteria=_numbers(root.table("criteria")),
        numbers=numbers,
        lists=lists,
        claims=_claims(root.table("claims")),
        provenance=file.provenance,
    )
    file.finish()
    return result


def _grid(table: Table) -> Grid:
    names = ("batch_per_octave", "chunk_per_octave", "least_chunk")
    return Grid(**{name: int(table.number(name)) for name in names})


def _ladder(table: Table) -> np.ndarray:
    least, most = table.number("least"), table.number("most")
    steps = round(np.log2(most / least) * table.number("per_octave"))
    return np.geomspace(least, most, steps + 1)


def _numbers(table: Table) -> dict[str, float]:
    return {name: table.number(name, zero=True) for name in table.raw}


def _values(table: Table) -> tuple[dict[str, float], dict[str, tuple[float, ...]]]:
    """Numbers, and lists of numbers."""
    values = {name: table.value(name) for name in table.raw}
    numbers: dict[str, float] = {}
    lists: dict[str, tuple[float, ...]] = {}
    for name, own in values.items():
        if isinstance(own, int | float):
            numbers[name] = own
        elif isinstance(own, list):
            lists[name] = tuple(own)
    return numbers, lists


def _levels(table: Table, name: str) -> tuple[Level, ...]:
    """What an unknown may be."""
    value = table.value(name)
    if not isinstance(value, list):
        raise table.error(name, f"is {value!r}; a list is needed")
    return tuple(value)


def _claims(table: Table) -> dict[str, ClaimText]:
    claims = {}
    for name in table.raw:
        own = table.table(name)
        texts = (str(own.value(key)) for key in ("claim", "conditions", "expected"))
        claims[name] = ClaimText(name, *texts)
    return claims
