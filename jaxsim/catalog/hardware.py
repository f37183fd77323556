"""Which accelerators exist, as their makers describe them."""

from jaxsim._record import Record
from jaxsim._scalar import Scalar


class PeakFlop(Record):
    """Dense peak arithmetic rate by operand type.

    A type that a chip has no units for runs at the rate of the next wider type it does have:
    the loader fills that in, so that every field is a rate that can be divided by.
    """

    fp4_flop_per_s: Scalar
    fp8_flop_per_s: Scalar
    bf16_flop_per_s: Scalar


class Chip(Record):
    """One accelerator.

    Every field is a peak. How near a kernel comes to a peak is calibration, kept apart, so a
    re-fit never edits a datasheet.
    """

    peak: PeakFlop
    multiprocessors: Scalar
    hbm_bytes: Scalar
    hbm_bytes_per_s: Scalar


class Fabric(Record):
    """A network between accelerators, per accelerator and per direction."""

    bytes_per_s: Scalar
    latency_s: Scalar


class Hardware(Record):
    """Accelerators and the networks that join them.

    `domain_gpus` accelerators share the scale-up fabric (an NVLink domain); beyond it they talk
    over the scale-out fabric. `price_usd_per_hour` and `power_w` are per accelerator, all in.
    """

    chip: Chip
    scaleup: Fabric
    scaleout: Fabric
    domain_gpus: Scalar
    price_usd_per_hour: Scalar
    power_w: Scalar
