"""What is the derivative of each operation by each of its inputs?

By the names of JAX's operations. Rounding up is taken straight through, and at a tie of a maximum
both sides count half, as in JAX.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np

from jaxsim.space.program.in_numpy import NotInNumpy
from jaxsim.space.program.trace import Op


class Partial(NamedTuple):
    """A derivative: a function of what it reads, or a number if it reads nothing.

    `reads` are positions of inputs, and −1 for the output.
    """

    of: Callable[..., object] | float
    reads: tuple[int, ...] = ()


def _first(a: np.ndarray, b: np.ndarray):
    """1 where the first is the larger, one half at a tie."""
    return 0.5 * ((a > b) + 1.0 * (a >= b))


def _second(a: np.ndarray, b: np.ndarray):
    return _first(b, a)


def _log(a: np.ndarray, o: np.ndarray):
    """∂ a^b / ∂b; the logarithm of 0 counts as 0, as in JAX."""
    return o * np.log(np.where(a > 0.0, a, 1.0))


def _power(a: np.ndarray, b: np.ndarray):
    """b · a^(b − 1); 0 where b is."""
    return b * np.where(b == 0.0, 0.0, a ** np.where(b == 0.0, 1.0, b - 1.0))


ONE, MINUS = Partial(1.0), Partial(-1.0)
_OTHER = (Partial(lambda b: b, (1,)), Partial(lambda a: a, (0,)))

# The derivative by each input.
_PARTIAL: dict[str, tuple[Partial, ...]] = {
    "abs": (Partial(np.sign, (0,)),),
    "add": (ONE, ONE),
    "add_any": (ONE, ONE),
    "cbrt": (Partial(lambda o: 1.0 / (3.0 * o * o), (-1,)),),
    "cos": (Partial(lambda a: -np.sin(a), (0,)),),
    "div": (Partial(lambda b: 1.0 / b, (1,)), Partial(lambda b, o: -o / b, (1, -1))),
    "exp": (Partial(lambda o: o, (-1,)),),
    "exp2": (Partial(lambda o: o * np.log(2.0), (-1,)),),
    "expm1": (Partial(lambda o: o + 1.0, (-1,)),),
    "log": (Partial(lambda a: 1.0 / a, (0,)),),
    "log1p": (Partial(lambda a: 1.0 / (1.0 + a), (0,)),),
    "log2": (Partial(lambda a: 1.0 / (a * np.log(2.0)), (0,)),),
    "max": (Partial(_first, (0, 1)), Partial(_second, (0, 1))),
    "min": (Partial(_second, (0, 1)), Partial(_first, (0, 1))),
    "mul": _OTHER,
    "neg": (MINUS,),
    "pow": (Partial(_power, (0, 1)), Partial(_log, (0, -1))),
    "rsqrt": (Partial(lambda a, o: -0.5 * o / a, (0, -1)),),
    "sin": (Partial(np.cos, (0,)),),
    "sqrt": (Partial(lambda o: 0.5 / o, (-1,)),),
    "square": (Partial(lambda a: 2.0 * a, (0,)),),
    "sub": (ONE, MINUS),
    "tanh": (Partial(lambda o: 1.0 - o * o, (-1,)),),
}
# Operations that are constant wherever they have a derivative.
_FLAT = frozenset(
    "and ceil eq floor ge gt is_finite le lt ne not or round sign stop_gradient".split()  # noqa: SIM905
)
_CHOSEN = (
    None,
    Partial(lambda which: 1.0 * (which == 0.0), (0,)),
    Partial(lambda which: 1.0 * (which != 0.0), (0,)),
)
_CLAMPED = (
    Partial(lambda low, a: 1.0 * (a <= low), (0, 1)),
    Partial(lambda low, a, high: 1.0 * ((a > low) & (a < high)), (0, 1, 2)),
    Partial(lambda a, high: 1.0 * (a >= high), (1, 2)),
)


def partials_of(op: Op) -> tuple[Partial | None, ...]:
    """The derivatives of an operation by its inputs; None where there is none."""
    name = op.primitive.name
    if name in _PARTIAL:
        return _PARTIAL[name]
    if name in _FLAT:
        return (None,) * len(op.inputs)
    if name == "select_n" and len(op.inputs) == 3:
        return _CHOSEN
    if name == "integer_pow":
        y = cast(int, op.params["y"])
        return (Partial(lambda a: y * a ** (y - 1), (0,)),)
    if name == "clamp":
        return _CLAMPED
    if name in ("convert_element_type", "copy", "copy_p"):
        return (ONE,)
    raise NotInNumpy(f"operation '{name}' has no derivative in jaxsim.space.gradient.of_operations")
