"""Which inputs does a name mean, and by which factor do they move?"""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxsim.catalog.errors import InputError, nearest
from jaxsim.space.sensitivity.change import Change
from jaxsim.space.sensitivity.parameters import HARDWARE
from jaxsim.space.sensitivity.request import Times, Value

TARGETS = ("ftl", "ttl")


def change_of(
    moves: Mapping[str, Value], values: Mapping[str, float], targets: Mapping[str, float]
) -> Change:
    """The change of inputs and targets by name; `values` and `targets` are what they are now.

    Names are the ends of paths (`scaleup.bytes_per_s`); a constant of every kernel moves in all of
    them. Targets are in seconds.
    """
    inputs: dict[str, float] = {}
    limits = dict.fromkeys(TARGETS, 1.0)
    for name, value in moves.items():
        if name in TARGETS:
            limits[name] *= factor_of(name, value, targets[name])
            continue
        for path in matching(name, list(values)):
            inputs[path] = inputs.get(path, 1.0) * factor_of(name, value, values[path])
    return Change(inputs, **limits)


def factor_of(name: str, value: Value, now: float) -> float:
    """The factor from what a number is now to `value`."""
    if now == 0.0:
        raise InputError(f"{name} is 0 now, so that no factor leads elsewhere; give it an option.")
    factor = value.factor if isinstance(value, Times) else value / now
    if not (np.isfinite(factor) and factor > 0.0):
        raise InputError(f"{name}: an input must stay positive and finite, and would be {value}.")
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
    matches = [path for path in paths if path == wanted] or [
        path for path in paths if path.endswith(f".{wanted}")
    ]
    elsewhere = [path for path in matches if not path.rpartition(":")[2].startswith("kernels.")]
    if elsewhere and len(elsewhere) < len(matches):
        matches = elsewhere
    if len(matches) > 1 and elsewhere and len({p.rpartition(":")[2] for p in matches}) > 1:
        raise InputError(f"{name!r} may be {', '.join(matches)}; write more of the one you mean.")
    if not matches:
        ends = sorted({path.rpartition(".")[2] for path in paths})
        near = nearest(wanted.rpartition(".")[2], ends)
        hint = f"did you mean {near[0]!r}?" if near else f"for example {', '.join(HARDWARE)}."
        raise InputError(f"{name!r} is no input; {hint}")
    return matches


def goal_of(reach: Value, now: float) -> float:
    """A throughput to reach, tokens/s per GPU, above that of now."""
    goal = now * factor_of("reach", reach, now)
    if goal <= now:
        raise InputError(
            f"reach {goal:.4g}: the best design already gives {now:.4g} tokens/s/GPU; ask for more."
        )
    return goal


def ranges_of(
    ranges: Mapping[str, tuple[Value, Value]], values: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Factors between which inputs lie, by path."""
    by_path = {}
    for name, (low, high) in ranges.items():
        for path in matching(name, list(values)):
            ends = (factor_of(name, low, values[path]), factor_of(name, high, values[path]))
            if not ends[0] < ends[1]:
                raise InputError(f"range of {name}: the low end must be below the high one.")
            by_path[path] = ends
    return by_path
