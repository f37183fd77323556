"""What do the parts of a chip take of its cost, power and area?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from jaxsim.catalog._datum import DataFile, Datum
from jaxsim.catalog.names import DATA

KINDS = ("cost", "power", "area")

# Parts by their names in the file, and the inputs of a scenario that scale with them.
PARTS: dict[str, str] = {
    "multiprocessors": "hardware.chip.multiprocessors",
    "hbm_bytes_per_s": "hardware.chip.hbm_bytes_per_s",
    "hbm_bytes": "hardware.chip.hbm_bytes",
    "scaleup_bytes_per_s": "hardware.scaleup.bytes_per_s",
}


@dataclass(frozen=True)
class ChipParts:
    """`shares[kind][path]`: the fraction of a kind of budget that goes to what the path names.

    The rest is taken whatever the parts are. `provenance` says where each number is from.
    """

    shares: Mapping[str, Mapping[str, float]]
    provenance: Mapping[str, Datum] = field(default_factory=dict, compare=False, repr=False)


@cache
def load_chip_parts() -> ChipParts:
    """The parts of a chip as the catalogue has them."""
    file = DataFile(DATA / "chip_parts.toml")
    shares: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
    for name, path in PARTS.items():
        table = file.root.table(name)
        for kind in KINDS:
            shares[kind][path] = table.number(kind, zero=True)
    for kind, parts in shares.items():
        if sum(parts.values()) > 1.0:
            raise file.error(kind, f"the parts take {sum(parts.values()):.3g} of it; at most 1")
    file.finish()
    return ChipParts(shares, file.provenance)
