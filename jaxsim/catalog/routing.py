"""How unequally do tokens choose experts?"""

from functools import cache

from jaxsim.catalog._datum import DataFile
from jaxsim.catalog.names import DATA


@cache
def popularity_variance() -> float:
    """The variance of the popularity of experts, whose mean is 1; 0 where routing is uniform."""
    file = DataFile(DATA / "routing.toml")
    variance = file.root.number("popularity_variance", zero=True)
    file.finish()
    return variance
