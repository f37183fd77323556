"""Calls of the Python interface with numbers that are nearly right."""

import dataclasses
import math
import random
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.fuzz.values import text

if TYPE_CHECKING:
    from jaxsim.catalog.setup import Setup
    from jaxsim.catalog.workload import Workload

NUMBERS = (
    0, -0.0, -1, 1, 2, 8, 2.5, 0.5, 1024, 65536, 1e-30, 1e30, 1e308, -1e308, 1e-309, math.nan,
    math.inf, -math.inf, 10**18, 10**310, -(10**310), True, 1 + 1e-12, 0.999999999, 2**53 + 1,
)  # fmt: skip
WORKLOAD: dict[str, Any] = {
    "isl": 1024, "osl": 128, "hit_frac": 0.5, "draft_tokens": 2, "accept_frac": 0.5,
    "imbalance": 1.5, "images": 0,
}  # fmt: skip
SPACE: dict[str, Any] = {"tp": (1, 2), "ep": (1,), "pp": (1,), "batch": (4, 8), "chunk": (512,)}
REQUEST: dict[str, Any] = {
    "ftl_s": 2.0, "ttl_s": 0.05, "max_gpus": 8, "fixed_ratio": 1.0, "tolerance": 0.01,
    "requests_per_s": 5.0, "percentile": 95.0, "cv": 1.0, "objective": "gpu",
}  # fmt: skip
DESIGN: dict[str, Any] = {"tp": 1, "ep": 1, "pp": 1, "batch": 8, "chunk": 512}
PHASES = ("prefill", "decode", "colocated")


class Call(NamedTuple):
    """A function of jaxsim with its keywords, in words and to be made."""

    what: str
    make: Callable[[], object]


def call_of(chosen: random.Random) -> Call:
    """A call with one to three arguments of another value, too many or too few."""
    import jaxsim

    kind = chosen.choices(("Workload", "Space", "PlanRequest", "estimate"), (4.0, 2.0, 3.0, 0.2))[0]
    if kind == "Workload":
        given = _changed(WORKLOAD, chosen)
        return Call(f"Workload {given}", lambda: _used(jaxsim.Workload(**given)))
    if kind == "Space":
        given = _changed(SPACE, chosen)
        return Call(f"Space {given}", lambda: _plain(jaxsim.Space(**given)))
    if kind == "PlanRequest":
        given, work = _changed(REQUEST, chosen), jaxsim.Workload(isl=1024, osl=128)
        return Call(f"PlanRequest {given}", lambda: _plain(jaxsim.PlanRequest(work, **given)))
    phase, given = chosen.choice(PHASES), _changed(DESIGN, chosen)
    model = "llama-3.1-8b" if chosen.random() < 0.9 else text(chosen)
    return Call(f"estimate {model!r} {phase} {given}", lambda: _estimated(model, phase, given))


def _changed(base: dict[str, Any], chosen: random.Random) -> dict[str, Any]:
    """The keywords with some values exchanged, left out, or under another name."""
    given = dict(base)
    for _ in range(chosen.choice((1, 1, 2, 3))):
        name = chosen.choice(list(base))
        how = chosen.random()
        if how < 0.85:
            number: object = chosen.choice(NUMBERS)
            if isinstance(base[name], tuple):
                number = tuple(chosen.choice(NUMBERS) for _ in range(chosen.choice((0, 1, 2, 3))))
            given[name] = number
        elif how < 0.95:
            given.pop(name, None)
        else:
            given[text(chosen)] = chosen.choice(NUMBERS)
    return given


@cache
def _setup() -> "Setup":
    from jaxsim.catalog.setup import setup_of

    return setup_of("llama-3.1-8b", "h100", None, None)


def _used(workload: "Workload") -> object:
    """A workload's fields, once it is used: where it is made, its numbers may be JAX's."""
    _setup().scenario(workload)
    return _plain(workload)


def _plain(record: object) -> object:
    """The fields of a record that are numbers, or lists of them."""
    assert dataclasses.is_dataclass(record)
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {name: value for name, value in fields.items() if isinstance(value, int | float | tuple)}


def _estimated(model: str, phase: str, design: dict[str, Any]) -> object:
    import jaxsim

    work = jaxsim.Workload(isl=1024, osl=128)
    explained = jaxsim.estimate(model, "h100", work, phase=phase, **design)
    return {"total_s": float(explained.total_s)}
