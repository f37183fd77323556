"""What is asked by `hbm_bytes_per_s=+20%`?  Changes of inputs, written by people."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from jaxsim.catalog.errors import InputError, nearest
from jaxsim.space.sensitivity.change import Change
from jaxsim.space.sensitivity.parameters import HARDWARE

_FACTOR = re.compile(r"(?P<sign>[+-])(?P<percent>[\d.eE]+)%|[x×*](?P<times>[\d.eE+-]+)")
_DURATION = re.compile(r"(?P<number>\d+\.?\d*|\.\d+)\s*(?P<unit>ms|us|µs|s)")
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
TARGETS = ("ftl", "ttl")


def parse(text: str, values: Mapping[str, float], targets: Mapping[str, float]) -> Change:
    """The change that a text such as `hbm_bytes_per_s=+20%, ttl=x2` asks for.

    Names are the ends of paths (`scaleup.bytes_per_s`); a constant of every kernel moves in all of
    them. A number is the new value; `+20%`, `-5%` and `x1.5` are relative.
    """
    inputs: dict[str, float] = {}
    limits = dict.fromkeys(TARGETS, 1.0)
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise InputError(f"{part.strip()!r}: write NAME=CHANGE, such as hbm_bytes_per_s=+20%.")
        if name in TARGETS:
            limits[name] *= factor_of(name, _in_seconds(value), targets[name])
            continue
        for path in matching(name, list(values)):
            inputs[path] = inputs.get(path, 1.0) * factor_of(name, value, values[path])
    return Change(inputs, **limits)


def _in_seconds(text: str) -> str:
    """`40ms` as `0.04`; anything else as it is."""
    found = _DURATION.fullmatch(text)
    return repr(float(found["number"]) * _UNITS[found["unit"]]) if found else text


def factor_of(name: str, text: str, now: float) -> float:
    """The factor that `+20%`, `x1.5` or a new value is."""
    found = _FACTOR.fullmatch(text)
    try:
        if found and found["percent"]:
            factor = 1.0 + (1.0 if found["sign"] == "+" else -1.0) * float(found["percent"]) / 100.0
        elif found:
            factor = float(found["times"])
        else:
            factor = float(text) / now if now != 0.0 else np.nan
    except ValueError:
        raise InputError(
            f"{name}={text}: the change is +20%, -20%, x1.5, or the new value as a number."
        ) from None
    if now == 0.0:
        raise InputError(f"{name} is 0 now, so that no factor leads to {text}; give an option.")
    if not (np.isfinite(factor) and factor > 0.0):
        raise InputError(f"{name}={text}: an input must stay positive and finite.")
    return factor


def matching(name: str, paths: Sequence[str]) -> list[str]:
    """The paths that a name means: one, or one constant of every kernel."""
    pool, colon, wanted = name.strip().rpartition(":")
    if colon:
        own = [path for path in paths if path.startswith(f"{pool}:")]
        if not own:
            raise InputError(f"{name!r}: there is no {pool!r} pool on hardware of its own.")
        return matching(wanted, own)
    titles = {title.lower(): path for path, title in HARDWARE.items()}
    wanted = titles.get(wanted.lower(), wanted)
    found = [path for path in paths if path == wanted] or [
        path for path in paths if path.endswith(f".{wanted}")
    ]
    elsewhere = [path for path in found if not path.rpartition(":")[2].startswith("kernels.")]
    if elsewhere and len(elsewhere) < len(found):
        found = elsewhere
    if len(found) > 1 and elsewhere and len({p.rpartition(":")[2] for p in found}) > 1:
        raise InputError(f"{name!r} may be {', '.join(found)}; write more of the one you mean.")
    if not found:
        ends = sorted({path.rpartition(".")[2] for path in paths})
        near = nearest(wanted.rpartition(".")[2], ends)
        hint = f"did you mean {near[0]!r}?" if near else f"for example {', '.join(HARDWARE)}."
        raise InputError(f"{name!r} is no input; {hint}")
    return found


def parse_goal(text: str, now: float) -> float:
    """A throughput: tokens/s per GPU, or relative to that of now, such as +20%."""
    goal = now * factor_of("throughput", text, now)
    if goal <= now:
        raise InputError(
            f"--reach {text}: the best design already gives {now:.4g} tokens/s/GPU; ask for more."
        )
    return goal


def parse_ranges(
    texts: Sequence[str], values: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Factors between which inputs lie, from texts such as `imbalance=1..1.5`."""
    ranges = {}
    for text in texts:
        name, _, both = (piece.strip() for piece in text.partition("="))
        low, dots, high = (piece.strip() for piece in both.partition(".."))
        if not (name and dots and low and high):
            raise InputError(f"{text!r}: write NAME=LOW..HIGH, such as imbalance=1..1.5.")
        for path in matching(name, list(values)):
            ends = (factor_of(name, low, values[path]), factor_of(name, high, values[path]))
            if not ends[0] < ends[1]:
                raise InputError(f"{text!r}: the low end must be below the high one.")
            ranges[path] = ends
    return ranges
