"""Which serving engines does the catalogue have?"""

from dataclasses import dataclass, fields
from pathlib import Path

from jaxsim.catalog._datum import DataFile, Datum
from jaxsim.catalog.engine import Engine
from jaxsim.catalog.errors import unknown_name
from jaxsim.catalog.names import DATA


@dataclass(frozen=True)
class EngineCard:
    """One engine of the catalogue: its numbers, and where each came from.

    `log_sigma` is the standard deviation of the log error of a step that the engine's fit leaves.
    """

    name: str
    title: str
    engine: Engine
    log_sigma: float
    provenance: dict[str, Datum]


def list_engines() -> list[str]:
    """The names of all engines in the catalogue, sorted."""
    return sorted(path.stem for path in (DATA / "engines").glob("*.toml"))


def load_engine(name: str) -> EngineCard:
    """The engine of that name, or of a TOML file at that path."""
    path = DATA / "engines" / f"{name.lower()}.toml"
    if not path.is_file():
        path = Path(name)
        if path.suffix != ".toml":
            hint = f"Known: {', '.join(list_engines())}; or give a TOML file."
            raise unknown_name("engine", name, list_engines(), hint)
    file = DataFile(path)
    title = file.root.plain("title")
    values = file.root.table("values")
    engine = Engine(**{key.name: values.number(key.name, zero=True) for key in fields(Engine)})
    log_sigma = values.number("log_sigma", zero=True)
    file.finish()
    return EngineCard(path.stem, title, engine, log_sigma, file.provenance)
