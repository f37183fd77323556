"""How fast could kernels and messages be on a chip, if nothing but the chip held them up?"""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache

from jaxsim._record import Record
from jaxsim.catalog._calibration_kinds import KINDS, STATE_KINDS, Calibration, Family
from jaxsim.catalog._datum import DataFile, Datum
from jaxsim.catalog.fits import ConvolutionFit, SelectedFit, StateFit, StreamFit
from jaxsim.catalog.names import DATA

LIMIT = "limit"
_STATE_TABLES: dict[type[Record], str] = {
    StateFit: "state",
    ConvolutionFit: "convolution",
    SelectedFit: "selected",
    StreamFit: "stream",
}
# Kernels that share constants in the file.
_TABLES = {
    "context_latent": "context",
    "decode_latent": "decode",
    "all_gather": "one_way",
    "reduce_scatter": "all_reduce",
    "all_to_all": "one_way",
    "send_recv": "one_way",
    **{kind: _STATE_TABLES[record] for kind, record in STATE_KINDS.items()},
}
# What a fit has of a chip, not of its kernels.
_OF_CHIP = ("peak", "multiprocessors")


@cache
def limit_constants() -> tuple[Mapping[str, Mapping[str, float]], Mapping[str, Datum]]:
    """The constants of every kind of kernel at the limit, and where each came from."""
    file = DataFile(DATA / f"{LIMIT}.toml")
    constants: dict[str, dict[str, float]] = {}
    for kind, record in KINDS.items():
        table = file.root.table(_TABLES.get(kind, kind))
        names = [f.name for f in fields(record) if f.name not in _OF_CHIP]
        constants[kind] = {name: table.number(name, zero=True) for name in names}
    file.finish()
    return constants, file.provenance


def at_the_limit(calibration: Calibration) -> Calibration:
    """A chip's calibration with kernels and messages at the limit of the silicon.

    Every constant is that of `data/limit.toml`. Formats keep the rate of arithmetic that they run
    at, and fits their sigmas.
    """
    constants, _ = limit_constants()

    def family(kind: str, own: Family) -> Family:
        kept = own.sigma, own.source
        note = "at the limit of the chip"
        return Family(dict(constants[kind]), *kept, arithmetic=own.arithmetic, note=note)

    families = {
        kind: {name: family(kind, own) for name, own in formats.items()}
        for kind, formats in calibration.families.items()
    }
    return replace(calibration, name=f"{calibration.name}, {LIMIT}", families=families)
