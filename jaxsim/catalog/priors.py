"""How unsure are kernel constants that measurements leave open?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from jaxsim.catalog._datum import DataFile, Datum
from jaxsim.catalog.names import DATA

FILE = "priors.toml"


@dataclass(frozen=True)
class Priors:
    """Standard deviations of ln of constants before any measurement, by the constant's name.

    `log_sigma` is that of constants that have none of their own.
    """

    log_sigma: float
    by_name: Mapping[str, float]
    provenance: Mapping[str, Datum] = field(default_factory=dict, compare=False, repr=False)

    def of(self, name: str) -> float:
        """The prior of one constant."""
        return self.by_name.get(name, self.log_sigma)

    def source(self, name: str) -> str:
        """The kind of number the prior of a constant is; `user` where it was given."""
        key = f"constants.{name}" if name in self.by_name else "log_sigma"
        return self.provenance[key].kind if key in self.provenance else "user"


@cache
def load_priors() -> Priors:
    """The priors of the catalogue."""
    file = DataFile(DATA / FILE)
    table = file.root.table("constants")
    by_name = {name: table.number(name) for name in table.raw}
    priors = Priors(file.root.number("log_sigma"), by_name, file.provenance)
    file.finish()
    return priors
