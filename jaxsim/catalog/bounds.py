"""Between which bounds does every number that is given lie?

A value outside is a mistake or in another unit, and a result from it would look plausible. Bounds
leave room for future products; they are wider than those of today.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jaxsim.catalog.documents import quoted
from jaxsim.catalog.errors import InputError


class Bounds(NamedTuple):
    """The lowest and highest value of a quantity, its unit, and whether it is whole."""

    lowest: float
    highest: float
    unit: str
    whole: bool = False


WORKLOAD = {
    "isl": Bounds(1.0, 1e9, "tokens"),
    "osl": Bounds(1.0, 1e9, "tokens"),
    # A prompt that is cached whole is still read by its last token.
    "hit_frac": Bounds(0.0, 1.0, "of a prompt"),
    "draft_tokens": Bounds(0.0, 1e3, "tokens", whole=True),
    "accept_frac": Bounds(0.0, 1.0, "of draft tokens"),
    # The busiest rank has no less than the mean, and no more than all.
    "imbalance": Bounds(1.0, 1e4, "times the mean"),
    "images": Bounds(0.0, 1e5, "images"),
}

HARDWARE = {
    "gpus_per_node": Bounds(1.0, 1e6, "accelerators", whole=True),
    "domain_gpus": Bounds(1.0, 1e6, "accelerators", whole=True),
    "multiprocessors": Bounds(1.0, 1e6, "multiprocessors", whole=True),
    "price_usd_per_hour": Bounds(0.0, 1e5, "dollars an hour"),
    "power_w": Bounds(1.0, 1e6, "W"),
    "hbm_bytes": Bounds(1e8, 1e15, "bytes"),
    "hbm_bytes_per_s": Bounds(1e9, 1e17, "bytes/s"),
    "bytes_per_s": Bounds(1e6, 1e17, "bytes/s"),
    "latency_s": Bounds(0.0, 1.0, "seconds"),
    **{
        f"{name}_flop_per_s": Bounds(1e9, 1e21, "FLOP/s")
        for name in ("bf16", "fp16", "fp8", "fp4", "int8", "int4")
    },
}

# Of any number of a file without bounds of its own; of a model's: heads, widths, layers, experts.
ANY, MODEL = Bounds(-1e25, 1e25, ""), Bounds(0.0, 1e9, "")
# Of a count, or a value of an axis: beyond it a number was meant otherwise, or fits no memory.
MOST_WHOLE = 10**12


def problem(bounds: Bounds, value: float) -> str | None:
    """What is wrong with a value, if anything, in words that follow its name."""
    low, high = f"{bounds.lowest:g}", f"{bounds.highest:g}"
    unit = f" {bounds.unit}" if bounds.unit else ""
    if not bounds.lowest <= value <= bounds.highest:
        return f"is {value:g}; {low} to {high}{unit} are allowed"
    if bounds.whole and value != math.floor(value):
        return f"is {value:g}; a whole number of {bounds.unit} is needed"
    return None


def real(name: str, value: float) -> float:
    """The number as a float; an error where it is none, or more than any float."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} = {quoted(value)}: a number up to 1e308 is needed") from None


def whole(name: str, value: float) -> float:
    """A whole number from 1 to `MOST_WHOLE`; an error of any other."""
    number = real(name, value)
    if not (number >= 1.0 and number % 1.0 == 0.0):
        raise InputError(f"{name} = {value}: a whole number of at least 1 is needed")
    if number > MOST_WHOLE:
        raise InputError(f"{name} = {number:g}: at most {MOST_WHOLE:,} is allowed")
    return number


def check(values: Mapping[str, object], bounds: Mapping[str, Bounds], where: str = "") -> None:
    """An error that names the first of the values, or of their entries, outside its bounds.

    What is no concrete number, as under a transformation of JAX, is not looked at.
    """
    for name, given in values.items():
        for value in _numbers(name, given):
            if name in bounds and (said := problem(bounds[name], value)):
                raise InputError(f"{where}{name} {said}.")


def _numbers(name: str, given: object) -> Iterable[float]:
    import numpy as np

    if isinstance(given, str):
        raise InputError(f"{name} = {quoted(given)}: a number is needed, and this is text")
    if isinstance(given, (bool, int, float)):
        return (real(name, given),)
    if isinstance(given, (list, tuple)):
        return [real(name, x) for x in given]
    if isinstance(given, (np.ndarray, np.number)):
        return [float(x) for x in np.ravel(given)]
    return ()
