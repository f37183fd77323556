"""What does a message cost beyond one scale-up domain?"""

from collections.abc import Mapping
from functools import cache

from jaxsim.catalog._datum import DataFile
from jaxsim.catalog.names import DATA

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv")
CONSTANTS = ("across_launch_s", "across_setup_s", "across_hops", "across_frac")


@cache
def scaleout_constants() -> Mapping[str, Mapping[str, float]]:
    """The constants of `CollectiveFit` beyond a domain, by collective."""
    file = DataFile(DATA / "scaleout.toml")
    constants = {}
    for name in COLLECTIVES:
        table = file.root.table(name)
        constants[name] = {key: table.number(key, zero=True) for key in CONSTANTS}
    file.finish()
    return constants
