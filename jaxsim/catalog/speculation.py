"""What is taken of speculative decoding that a record does not describe?"""

from dataclasses import dataclass
from functools import cache

from jaxsim.catalog._datum import DataFile
from jaxsim.catalog.names import DATA


@dataclass(frozen=True)
class SpeculationPrior:
    """Drafts a step and how often each is accepted, with the log deviation of tokens a step."""

    draft_tokens: float
    accept_frac: float
    log_sigma: float


@cache
def speculation_prior() -> SpeculationPrior:
    """The prior of the catalogue."""
    file = DataFile(DATA / "speculation.toml")
    names = ("draft_tokens", "accept_frac", "log_sigma")
    prior = SpeculationPrior(*(file.root.number(name) for name in names))
    file.finish()
    return prior
