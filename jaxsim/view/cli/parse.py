"""What did the user mean by `250ms`, `3%` or `1,2,4`?

A value that could be read in two ways is refused, with both readings spelled out.
"""

import math
import re
from typing import TYPE_CHECKING

from jaxsim.catalog.bounds import MOST_WHOLE
from jaxsim.catalog.errors import InputError

if TYPE_CHECKING:
    from jaxsim.space.sensitivity.request import Value

SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "min": 60.0,
    "h": 3600.0,
}

# Of one list.
_MOST_LENGTHS = 10**6

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_POSITIVE = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*([^\d\s.,]*)\s*")


def parse_duration(text: str, what: str = "duration", bare_below_s: float = math.inf) -> float:
    """Seconds of a duration such as `250ms`, `2s` or `0.05`; a bare number is seconds.

    A bare number of `bare_below_s` or more is refused: it may have been meant in milliseconds.
    """
    given = f"{what} {text!r}"
    example = "write it with a unit, such as 250ms or 2s"
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InputError(f"{given} is not a duration; {example}.")
    number, unit = float(match[1]), match[2]
    if unit == "m":
        minutes = f"{match[1]}min"
        raise InputError(f"{given} is ambiguous: write {minutes} or {match[1]}ms.")
    if unit and unit not in SECONDS:
        known = ", ".join(name for name in SECONDS if name.isascii())
        raise InputError(f"{given} has the unknown unit {unit!r}; known units are {known}.")
    if not unit and number >= bare_below_s:
        raise InputError(f"{given} is ambiguous: write {text.strip()}ms or {text.strip()}s.")
    seconds = number * SECONDS[unit or "s"]
    if not math.isfinite(seconds):
        raise InputError(f"{given} is not finite; {example}.")
    if seconds <= 0.0:
        raise InputError(f"{given} must be more than 0; {example}.")
    return seconds


def parse_durations(text: str, what: str, bare_below_s: float = math.inf) -> list[float]:
    """Seconds of each of several durations, with commas between them."""
    return [parse_duration(part, what, bare_below_s) for part in text.split(",")]


def parse_frac(text: str, what: str = "fraction") -> float:
    """A fraction from `3%` or `0.03`; between 0 and 1."""
    body, percent = (text.strip()[:-1], 0.01) if text.strip().endswith("%") else (text, 1.0)
    if not re.fullmatch(rf"\s*{_NUMBER}\s*", body):
        raise InputError(f"{what} {text!r} is not a fraction; write it as 3% or 0.03.")
    frac = float(body) * percent
    if not 0.0 <= frac <= 1.0:
        hint = f"; {body.strip()}% may be meant" if percent == 1.0 and 1.0 < frac <= 100.0 else ""
        raise InputError(f"{what} {text!r} must lie between 0 and 1{hint}.")
    return frac


def parse_positive(text: str, what: str = "number") -> float:
    """A finite number of more than 0."""
    if not re.fullmatch(rf"\s*{_NUMBER}\s*", text):
        raise InputError(f"{what} {text!r} is not a number.")
    number = float(text)
    if not (math.isfinite(number) and number > 0.0):
        raise InputError(f"{what} {text!r} must be more than 0 and finite.")
    return number


_BYTES = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2.0**10, "mib": 2.0**20,
          "gib": 2.0**30, "tib": 2.0**40}  # fmt: skip


def parse_bytes(text: str, what: str) -> float:
    """Bytes of a size such as `2GB` or `512MiB`."""
    match = re.fullmatch(rf"\s*({_POSITIVE})\s*([kKmMgGtT]i?[bB])\s*", text)
    size = float(match[1]) * _BYTES[match[2].lower()] if match else 0.0
    if not 1e6 <= size <= 1e15:
        raise InputError(f"{what} {_short(text)}: write a size from 1MB to 1000TB, such as 2GB.")
    return size


def parse_whole(text: str, what: str = "number", at_least: int = 1) -> int:
    """A whole number of at least `at_least`; digits may be grouped by underscores."""
    if re.fullmatch(rf"\s*{_NUMBER}[kK]\s*", text):
        thousands = float(text.strip()[:-1])
        raise InputError(
            f"{what} {text!r} is ambiguous: write {thousands * 1000:.0f} or {thousands * 1024:.0f}."
        )
    if not re.fullmatch(r"\s*[+-]?\d+(_\d+)*\s*", text):
        raise InputError(f"{what} {text!r} is not a whole number; write its digits, such as 16384.")
    # Thousands of digits are not even read: Python refuses them.
    if len(text.strip()) > 30 or int(text) > MOST_WHOLE:
        raise InputError(f"{what} {_short(text)} must be at most {MOST_WHOLE:,}.")
    if int(text) < at_least:
        raise InputError(f"{what} {text!r} must be at least {at_least}.")
    return int(text)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}…")


def parse_axis(text: str, what: str) -> tuple[float, ...]:
    """The values of an axis from a comma-separated list such as `1,2,4`."""
    entries = [entry for entry in text.split(",") if entry.strip()]
    if not entries:
        raise InputError(f"{what} {text!r} names no value; write a list such as 1,2,4.")
    return tuple(float(parse_whole(entry, what)) for entry in entries)


def parse_lengths(text: str, what: str, at_least: int = 1) -> tuple[float, ...]:
    """Numbers of tokens, from `1024,4096`, or `1024..65536:64`: 64 values, evenly in the logarithm.

    Whole, ascending, each once (so there may be fewer small ones than requested); 32 where a range
    does not say how many.
    """
    low, dots, rest = text.partition("..")
    if not dots:
        lengths = parse_axis(text, what)
    else:
        high, colon, many = rest.partition(":")
        first, last = parse_whole(low, what), parse_whole(high, what)
        steps = parse_whole(many, what) if colon else min(32, last - first + 1)
        if not (first < last and steps > 1):
            raise InputError(
                f"{what} {text!r}: write LOW..HIGH with LOW < HIGH, or LOW..HIGH:N for N values, "
                "for example 1024..65536:64."
            )
        if steps > last - first + 1:
            raise InputError(
                f"{what} {text!r}: there are only {last - first + 1:,} whole numbers in that range."
            )
        if steps > _MOST_LENGTHS:
            raise InputError(f"{what} {text!r}: at most {_MOST_LENGTHS:,} lengths, and {steps:,}.")
        ratio = (last / first) ** (1 / (steps - 1))
        lengths = tuple(float(round(first * ratio**i)) for i in range(steps))
    if min(lengths) < at_least:
        raise InputError(f"{what} {text!r}: lengths of at least {at_least} tokens are needed.")
    return tuple(sorted(set(lengths)))


def parse_gpus(text: str) -> tuple[int, bool]:
    """A GPU budget, and whether all of it must be used, from `64` or `exactly:64`."""
    word, _, number = text.rpartition(":")
    if word not in ("", "exactly") or (text.startswith(":")):
        raise InputError(f"--gpus {text!r}: write 64 for at most 64 GPUs, or exactly:64.")
    return parse_whole(number, "--gpus"), word == "exactly"


def parse_relative(text: str, what: str) -> "Value":
    """A change: `+20%`, `-5%` or `x1.5` of what a value is now, or the new value as a number.

    A new value may be a duration with its unit, such as `40ms`.
    """
    from jaxsim.space.sensitivity.request import Times

    given = text.strip()
    wrong = InputError(f"{what}={given}: the change is +20%, -20%, x1.5, or the new value.")
    change = re.fullmatch(rf"([+-])\s*({_POSITIVE})\s*%|[x×*]\s*({_POSITIVE})", given)
    if change is None:
        match = _QUANTITY.fullmatch(given)
        if match is None or (match[2] and match[2] not in SECONDS):
            raise wrong
        return float(match[1]) * SECONDS.get(match[2] or "s", 1.0)
    times = float(change[3]) if change[3] else 1.0 + float(change[1] + change[2]) / 100.0
    if not (math.isfinite(times) and times > 0.0):
        raise InputError(f"{what}={given}: a value must stay positive and finite.")
    return Times(times)


def _pair(text: str, split: str, example: str) -> tuple[str, str]:
    """Both sides of a text such as `NAME=VALUE`."""
    left, separator, right = (piece.strip() for piece in text.partition(split))
    if not (left and separator and right):
        raise InputError(f"{text.strip()!r}: write {example}.")
    return left, right


def parse_changes(text: str) -> "dict[str, Value]":
    """Changes by name, from `hbm_bytes_per_s=+20%,ttl=40ms`."""
    changes: dict[str, Value] = {}
    for part in text.split(","):
        name, value = _pair(part, "=", "NAME=CHANGE, such as hbm_bytes_per_s=+20%")
        if name in changes:
            raise InputError(f"{text!r}: {name} is there twice.")
        changes[name] = parse_relative(value, name)
    return changes


def parse_range(text: str) -> "tuple[str, tuple[Value, Value]]":
    """A name and two ends, from `imbalance=1..1.5`."""
    example = "NAME=LOW..HIGH, such as imbalance=1..1.5"
    name, ends = _pair(text, "=", example)
    low, high = _pair(ends, "..", example)
    return name, (parse_relative(low, name), parse_relative(high, name))


def parse_prior(text: str) -> tuple[str, float]:
    """A constant's name ("" for all) and a standard deviation, from `wave_power=0.3` or `0.3`."""
    name, _, value = (piece.strip() for piece in text.rpartition("="))
    return name, parse_positive(value, f"--prior {name}".strip())


def parse_budgets(text: str) -> dict[str, float]:
    """Factors of what a chip takes now by kind, from `cost=+10%,area=-5%`."""
    from jaxsim.space.sensitivity.request import Times

    budgets: dict[str, float] = {}
    for part in text.split(","):
        kind, value = _pair(part, "=", "KIND=CHANGE, such as cost=+10%")
        change = parse_relative(value, kind)
        budgets[kind] = change.factor if isinstance(change, Times) else change
    return budgets


def parse_part(text: str) -> tuple[str, dict[str, float]]:
    """A part and what it takes of a chip, from `hbm_bytes_per_s=cost:30%,power:20%`."""
    name, takes = _pair(text, "=", "NAME=KIND:SHARE,…, such as hbm_bytes_per_s=cost:30%,power:20%")
    shares = {}
    for one in takes.split(","):
        kind, share = _pair(one, ":", "KIND:SHARE, such as cost:30%")
        shares[kind] = parse_frac(share, f"--part {name}: the share of {kind},")
    return name, shares


def parse_crossover(text: str) -> tuple[str, float, float]:
    """An axis and the ends of a range of lengths, from `isl=256..32768`."""
    example = "isl=LOW..HIGH or osl=LOW..HIGH, such as isl=256..32768"
    axis, ends = _pair(text, "=", example)
    low, high = _pair(ends, "..", example)
    numbers = [parse_whole(end.replace(",", ""), f"--crossover {axis}") for end in (low, high)]
    return axis.lower(), float(numbers[0]), float(numbers[1])
