"""How is a number shown to a person?  Three digits and a prefix; SI units stay in files."""

import math

DIGITS = 3
NONE = "n/a"

# What a plan maximises, by its objective.
WORTH = {
    "gpu": "throughput per GPU",
    "cost": "output tokens per dollar",
    "power": "output tokens per joule",
}

DECIMAL = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_TIMES = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def rounded(value: float, digits: int = DIGITS) -> float:
    """The value to so many significant digits."""
    if value == 0.0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def compact(value: float | None) -> str:
    """A number to three digits, whole ones without zeros after the point."""
    return trimmed(plain(value))


def plain(value: float | None, digits: int = DIGITS) -> str:
    """A number with so many significant digits, thousands grouped, never in exponent form."""
    if value is None or not math.isfinite(value):
        return NONE
    value = rounded(float(value), digits)
    if value == 0.0:
        return "0"
    decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{decimals}f}"


def prefixed(value: float | None, unit: str) -> str:
    """A number of 1 or more with a decimal prefix: `1.93 GB/s`, `192 GB`."""
    if value is None or not math.isfinite(value):
        return NONE
    value = rounded(float(value))
    scale, prefix = next((s for s in DECIMAL if abs(value) >= s[0]), DECIMAL[-1])
    return f"{plain(value / scale)} {prefix}{unit}"


def parameters(value: float | None) -> str:
    """A number of parameters as models are named: `671 B`, `1.03 T`, `596 M`."""
    return prefixed(value, "").strip().replace("G", "B") if value is not None else NONE


def seconds(value: float | None) -> str:
    """A duration: `16.2 ms`, `1.93 s`, `5 s`, `12 min`."""
    if value is None or not math.isfinite(value):
        return NONE
    value = rounded(float(value))
    if value == 0.0:
        return "0 s"
    units = _TIMES if abs(value) >= 600.0 else _TIMES[2:]
    scale, unit = next((s for s in units if abs(value) >= s[0] * (1 - 1e-12)), _TIMES[-1])
    text = plain(value / scale)
    return f"{trimmed(text)} {unit}"


def trimmed(text: str) -> str:
    """A whole number without the zeros after its point; other numbers as they are."""
    head, point, tail = text.partition(".")
    return head if point and not tail.strip("0") else text


def count(value: float | None) -> str:
    """A whole number, thousands grouped."""
    return NONE if value is None or not math.isfinite(value) else f"{round(value):,}"


def percent(value: float | None, signed: bool = False) -> str:
    """A fraction as a percentage, to a tenth below ten."""
    if value is None or not math.isfinite(value):
        return NONE
    value *= 100.0
    decimals = 1 if abs(value) < 9.95 else 0
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    return f"{trimmed(text)} %"


def usd(value: float | None) -> str:
    """An amount of money: `$0.61`, `$12.3`."""
    return NONE if value is None or not math.isfinite(value) else f"${plain(value)}"


def times(value: float | None) -> str:
    """A ratio: `1.23×`."""
    return NONE if value is None or not math.isfinite(value) else f"{plain(value)}×"


def probability(value: float | None) -> str:
    """A probability to two digits; what rounds to 0 or 1 is not quite either."""
    if value is None or not math.isfinite(value):
        return NONE
    return "> 0.99" if value > 0.995 else "< 0.01" if value < 0.005 else f"{value:.2f}"
