"""Which serving engines does the catalogue have?"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import NotRequired, TypedDict

from jaxsim.catalog._datum import DataFile, Datum, Table
from jaxsim.catalog.cards import ModelCard
from jaxsim.catalog.documents import given_path
from jaxsim.catalog.engine import Engine, Serving
from jaxsim.catalog.errors import unknown_name
from jaxsim.catalog.names import DATA
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.routing import popularity_variance
from jaxsim.catalog.silicon_limit import LIMIT

NO_SOFTWARE = ("ideal", LIMIT)  # readings of kernels: nothing that can be deployed
_POPULARITY = "popularity_variance"
# Measures whose errors a fit leaves, by their names in a file.
SIGMAS = ("tpot", "ttft", "output_tokens_per_s_per_gpu")


@dataclass(frozen=True)
class EngineCard:
    """One engine of the catalogue: its numbers, and where each came from.

    `log_sigma` is the standard deviation of the log error of a step that the engine's fit leaves,
    `sigmas` those of what a co-located run under load shows, `kind_sigmas` those of other kinds of
    run (disaggregated, offline). `variant` names the fit that was chosen among
    those of the engine: of a generation of GPUs and an architecture of models, of the generation
    alone, or, where neither was measured, of all (empty). Number formats share an engine's numbers:
    what a format changes is in the kernels.
    `kernels` is `limit` where kernels and messages are at the limit of the chip, and empty where
    they are as measured.
    """

    name: str
    title: str
    engine: Engine
    log_sigma: float
    provenance: Mapping[str, Datum] = field(compare=False, repr=False)
    serving: Serving = field(default_factory=Serving)
    sigmas: Mapping[str, float] = field(default_factory=dict, compare=False)
    kind_sigmas: Mapping[str, Mapping[str, float]] = field(default_factory=dict, compare=False)
    variant: str = ""
    kernels: str = ""


def list_engines() -> list[str]:
    """The names of all engines in the catalogue, sorted."""
    return sorted(path.stem for path in (DATA / "engines").glob("*.toml"))


@cache
def _families() -> dict[str, str]:
    table = DataFile(DATA / "generations.toml").root.table("generations")
    return {name: table.text(name) for name in table.raw}


def generations() -> list[str]:
    """The generations that accelerators of the catalogue have, sorted."""
    return sorted(set(_families().values()))


def generation_of(hardware: str) -> str:
    """The generation of an accelerator, which shares kernels and engine builds; empty if none."""
    return _families().get(hardware, "")


def format_of(precision: Precision) -> str:
    """The number format of most weights: of the experts, or of the only network.

    FP8 with one scale a block runs on other kernels than FP8 with one a tensor.
    """
    return precision.experts


def load_engine(
    name: str, hardware: str | None = None, model: ModelCard | None = None
) -> EngineCard:
    """The engine of that name, or of a TOML file at that path.

    With `hardware` (a catalogue name) and a model, the fit nearest to them.
    """
    path = given_path(DATA / "engines" / f"{name.lower()}.toml", "engine ")
    if not path.is_file():
        path = given_path(name, "engine ")
        if path.suffix != ".toml":
            hint = f"Known: {', '.join(list_engines())}; or give a TOML file."
            raise unknown_name("engine", name, list_engines(), hint)
    generation = generation_of(hardware) if hardware else ""
    return _read(path, generation, model.architecture if model else "")


def _read(path: Path, generation: str, architecture: str) -> EngineCard:
    changed_ns = path.stat().st_mtime_ns if path.is_file() else 0
    title, kernels, cards, kinds, provenance = _fits(path, changed_ns)
    wanted = [f"{generation}-{architecture}", generation, ""]
    chosen = next(key for key in wanted if key in cards)
    return EngineCard(
        name=path.stem,
        title=title,
        provenance=provenance,
        variant=chosen,
        kind_sigmas=kinds,
        kernels=kernels,
        **cards[chosen],
    )


@cache
def _fits(
    path: Path, changed_ns: int
) -> tuple[str, str, Mapping[str, "_Fit"], Mapping[str, Mapping[str, float]], Mapping[str, Datum]]:
    """Title, whose kernels, fits by variant, sigmas by kind of run and sources of a file."""
    file = DataFile(path)
    title = file.root.label("title")
    kernels = file.root.label("kernels", "")
    if kernels not in ("", LIMIT):
        raise file.root.error("kernels", f"is {kernels!r}; {LIMIT!r} is allowed, or leave it out")
    cards = {"": _numbers(file.root)}
    if "variants" in file.root:
        variants = file.root.table("variants")
        for key in variants.raw:
            cards[key] = _numbers(variants.table(key))
    kinds = {}
    if "kinds" in file.root:
        table = file.root.table("kinds")
        kinds = {kind: _sigmas(table.table(kind)) for kind in table.raw}
    file.finish()
    return title, kernels, cards, kinds, file.provenance


class _Fit(TypedDict):
    """The records of one fit, as an `EngineCard` has them."""

    engine: Engine
    log_sigma: float
    serving: NotRequired[Serving]
    sigmas: NotRequired[dict[str, float]]


def _numbers(table: Table) -> _Fit:
    """The records of one fit."""
    values = table.table("values")
    names = [key.name for key in fields(Engine) if key.name != _POPULARITY]
    numbers = {name: values.number(name, zero=True) for name in names}
    # What an engine does not state of its routing is that of all.
    stated = values.number(_POPULARITY, zero=True) if _POPULARITY in values else None
    numbers[_POPULARITY] = popularity_variance() if stated is None else stated
    engine = Engine(**numbers)
    fit: _Fit = {"engine": engine, "log_sigma": values.number("log_sigma", zero=True)}
    if "serving" in table:
        serving = table.table("serving")
        names = [key.name for key in fields(Serving)]
        fit["serving"] = Serving(**{key: serving.number(key, zero=True) for key in names})
    if "sigmas" in table:
        fit["sigmas"] = _sigmas(table)
    return fit


def _sigmas(table: Table) -> dict[str, float]:
    sigmas = table.table("sigmas")
    return {key: sigmas.number(key, zero=True) for key in SIGMAS}
