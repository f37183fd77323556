"""How much power does a GPU take that has nothing to do?"""

from functools import cache

from jaxsim.catalog._datum import DataFile
from jaxsim.catalog.names import DATA


@cache
def idle_power_frac() -> float:
    """What an idle GPU, with a model loaded, takes of the power of its datasheet."""
    file = DataFile(DATA / "power.toml")
    fraction = file.root.number("idle_power_frac", zero=True)
    file.finish()
    return fraction
