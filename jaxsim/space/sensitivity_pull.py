"""What does each operation pass back to its inputs, in reverse mode?

Functions of (cotangent, inputs, output), by the names of JAX's operations. Rounding up is taken
straight through, and at a tie of a maximum both sides count half, as in JAX.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxsim.space._program import Op
from jaxsim.space.interpret import NotInterpreted


def _first(a, b):
    """1 where the first is the larger, one half at a tie."""
    return 0.5 * ((a > b) + 1.0 * (a >= b))


def _log(a):
    """The logarithm; of 0 it counts as 0, as in JAX."""
    return np.log(np.where(a > 0.0, a, 1.0))


def _times_power(g, a, b):
    """g · b · a^(b − 1); 0 where b is."""
    return g * b * np.where(b == 0.0, 0.0, a ** np.where(b == 0.0, 1.0, b - 1.0))


# What each operation passes back to each input: functions of (cotangent, inputs, output).
_PULL: dict[str, tuple[Callable[..., Any], ...]] = {
    "abs": (lambda g, i, o: g * np.sign(i[0]),),
    "add": (lambda g, i, o: g, lambda g, i, o: g),
    "add_any": (lambda g, i, o: g, lambda g, i, o: g),
    "cbrt": (lambda g, i, o: g / (3.0 * o * o),),
    "cos": (lambda g, i, o: -g * np.sin(i[0]),),
    "div": (lambda g, i, o: g / i[1], lambda g, i, o: g * (-o / i[1])),
    "exp": (lambda g, i, o: g * o,),
    "exp2": (lambda g, i, o: g * (o * np.log(2.0)),),
    "expm1": (lambda g, i, o: g * (o + 1.0),),
    "log": (lambda g, i, o: g / i[0],),
    "log1p": (lambda g, i, o: g / (1.0 + i[0]),),
    "log2": (lambda g, i, o: g / (i[0] * np.log(2.0)),),
    "max": (lambda g, i, o: g * _first(*i), lambda g, i, o: g * _first(*i[::-1])),
    "min": (lambda g, i, o: g * _first(*i[::-1]), lambda g, i, o: g * _first(*i)),
    "mul": (lambda g, i, o: g * i[1], lambda g, i, o: g * i[0]),
    "neg": (lambda g, i, o: -g,),
    "pow": (lambda g, i, o: _times_power(g, *i), lambda g, i, o: g * (o * _log(i[0]))),
    "rsqrt": (lambda g, i, o: g * (-0.5 * o / i[0]),),
    "sin": (lambda g, i, o: g * np.cos(i[0]),),
    "sqrt": (lambda g, i, o: g * (0.5 / o),),
    "square": (lambda g, i, o: g * (2.0 * i[0]),),
    "sub": (lambda g, i, o: g, lambda g, i, o: -g),
    "tanh": (lambda g, i, o: g * (1.0 - o * o),),
}
# Operations that are constant wherever they have a derivative.
_FLAT = frozenset(
    "and ceil eq floor ge gt is_finite le lt ne not or round sign stop_gradient".split()  # noqa: SIM905
)


def pulls_of(op: Op) -> tuple[Callable[..., Any] | None, ...]:
    """What an operation passes back to each of its inputs; None where it has no derivative."""
    name = op.primitive.name
    if name in _PULL:
        return _PULL[name]
    if name in _FLAT:
        return (None,) * len(op.inputs)
    if name == "select_n" and len(op.inputs) == 3:
        return (
            None,
            lambda g, i, o: np.where(i[0], 0.0, g),
            lambda g, i, o: np.where(i[0], g, 0.0),
        )
    if name == "integer_pow":
        y = op.params["y"]
        return (lambda g, i, o: g * (y * i[0] ** (y - 1)),)
    if name == "clamp":
        return (
            lambda g, i, o: np.where(i[1] <= i[0], g, 0.0),
            lambda g, i, o: np.where((i[1] > i[0]) & (i[1] < i[2]), g, 0.0),
            lambda g, i, o: np.where(i[1] >= i[2], g, 0.0),
        )
    if name in ("convert_element_type", "copy", "copy_p"):
        return (lambda g, i, o: g,)
    raise NotInterpreted(f"operation '{name}' has no derivative in jaxsim.space.sensitivity_pull")
