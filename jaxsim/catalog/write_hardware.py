"""What does a file that describes an accelerator look like, ready to be filled in?"""

import datetime

from jaxsim.catalog.cards import HardwareCard

# How sure kernels are that were measured on another chip: a standard deviation of ln seconds.
BORROWED_SIGMA = 0.2

TEXT = """\
# An accelerator for jaxsim. The numbers are those of {name}: put in those of the data sheet, and
# say in [sources] where they come from. Units are bytes, bytes/s, flop/s, seconds, dollars, watts.
from = "datasheet"
full_name = "{full_name} (to be renamed)"
vendor = "{vendor}"

# Accelerators in one server, and those that the scale-up network (NVLink) joins.
gpus_per_node = {gpus_per_node}
domain_gpus = {domain_gpus}

# Of one accelerator an hour, and all that it draws, its part of the server included.
price_usd_per_hour = {price}
power_w = {power}

# Kernels are taken to come as near to this chip's peaks as to those of another: the name of a
# calibration of the catalogue, or a TOML file of `jaxsim calibrate`. The deviation is how sure that
# is (of ln seconds); it widens every interval. Leave it out once the chip itself is measured.
calibration = "{calibration}"
calibration_sigma = {{ value = {sigma}, from = "borrowed" }}

[chip]
# Streaming multiprocessors, compute units or cores.
multiprocessors = {multiprocessors}
hbm_bytes = {hbm_bytes}
hbm_bytes_per_s = {hbm_rate}

[chip.peak]
# Dense, without sparsity. Leave out a type that the chip has no units for.
{peaks}

[scaleup]
# Of one accelerator, in one direction. Data sheets often give both directions together: halve that.
bytes_per_s = {scaleup}
latency_s = {{ value = {scaleup_latency}, from = "borrowed" }}

[scaleout]
# The network card of one accelerator, in one direction: 400 Gbit/s are 5.0e10 bytes/s.
bytes_per_s = {scaleout}
latency_s = {{ value = {scaleout_latency}, from = "borrowed" }}

[sources.datasheet]
kind = "spec"
source = "Data sheet of the maker (which, and its revision)"
date = {today}

[sources.borrowed]
kind = "assumed"
source = "As for {name}"
date = {today}
"""


def hardware_text(like: HardwareCard) -> str:
    """A commented file with the numbers of a similar accelerator, to be changed."""
    hardware, chip = like.hardware, like.hardware.chip
    peaks = "\n".join(
        f"{kind}_flop_per_s = {float(getattr(chip.peak, f'{kind}_flop_per_s')):.12g}"
        for kind in ("bf16", "fp8", "fp4")
        if kind in like.arithmetic
    )
    return TEXT.format(
        name=like.name,
        full_name=like.full_name,
        vendor=like.vendor,
        gpus_per_node=int(like.gpus_per_node),
        domain_gpus=int(hardware.domain_gpus),
        price=float(hardware.price_usd_per_hour),
        power=float(hardware.power_w),
        calibration=like.calibration,
        sigma=BORROWED_SIGMA,
        multiprocessors=int(chip.multiprocessors),
        hbm_bytes=f"{float(chip.hbm_bytes):.12g}",
        hbm_rate=f"{float(chip.hbm_bytes_per_s):.12g}",
        peaks=peaks,
        scaleup=f"{float(hardware.scaleup.bytes_per_s):.12g}",
        scaleup_latency=f"{float(hardware.scaleup.latency_s):.12g}",
        scaleout=f"{float(hardware.scaleout.bytes_per_s):.12g}",
        scaleout_latency=f"{float(hardware.scaleout.latency_s):.12g}",
        today=datetime.date.today().isoformat(),
    )
