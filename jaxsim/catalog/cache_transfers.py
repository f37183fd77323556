"""What do measured transfers of caches take beside their bytes over the link?"""

from dataclasses import dataclass
from functools import cache

from jaxsim.catalog._datum import DataFile
from jaxsim.catalog.names import DATA


@dataclass(frozen=True)
class Moves:
    """Seconds that every transfer takes, and the fraction of a link's rate that it reaches."""

    setup_s: float
    line_frac: float


@cache
def moves() -> Moves:
    """The measured numbers, from `transfers.toml`."""
    file = DataFile(DATA / "transfers.toml")
    constants = Moves(file.root.number("setup_s", zero=True), file.root.number("line_frac"))
    file.finish()
    return constants
