"""How often is the token accepted that a model's own layer drafts, where that was published?"""

import tomllib
from dataclasses import dataclass
from functools import cache

from jaxsim.catalog.names import DATA


@dataclass(frozen=True)
class Acceptance:
    """The chance that one draft a step is accepted, and who says so."""

    accept_frac: float
    kind: str
    source: str


@cache
def published() -> dict[str, dict[str, object]]:
    """What the data file says, by model."""
    return tomllib.loads((DATA / "drafts.toml").read_text(encoding="utf-8"))


def acceptance_of(model: str) -> Acceptance | None:
    """What is published of a model of the catalogue; None where nothing is."""
    entry = published().get(model)
    if entry is None:
        return None
    return Acceptance(float(str(entry["accept_frac"])), str(entry["kind"]), str(entry["source"]))
