"""What are the parts of a kernel's time?  The dispatch on kinds of work that `roofline` fills."""

from functools import singledispatch

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.fits import PeakShare
from jaxsim.catalog.hardware import Chip
from jaxsim.point.work import AbstractWork


class KernelParts(Record):
    """Seconds of one kernel, and what each resource alone would need."""

    seconds: Scalar
    arithmetic_s: Scalar
    memory_s: Scalar
    launch_s: Scalar


def one_peak_flop_per_s(share: PeakShare, multiprocessors: Scalar, chip: Chip) -> Scalar:
    """Peak arithmetic rate of one multiprocessor."""
    peak = chip.peak
    return (
        share.fp4 * peak.fp4_flop_per_s
        + share.fp8 * peak.fp8_flop_per_s
        + share.bf16 * peak.bf16_flop_per_s
    ) / multiprocessors


@singledispatch
def kernel_parts(work: AbstractWork, fit: Record, chip: Chip) -> KernelParts:
    """Seconds of one kernel on one chip, with what each resource alone would need."""
    raise NotImplementedError(type(work).__name__)


def kernel_s(work: AbstractWork, fit: Record, chip: Chip) -> Scalar:
    """Seconds of one kernel on one chip; `fit` is of the kind that the work asks for."""
    return kernel_parts(work, fit, chip).seconds
