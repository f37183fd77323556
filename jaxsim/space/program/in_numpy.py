"""Which function of NumPy does what an operation of JAX does?"""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from jaxsim.space.program.trace import Op

IN_NUMPY: dict[str, Callable[..., object]] = {
    "abs": np.abs,
    "add": np.add,
    "add_any": np.add,
    "and": np.logical_and,
    "cbrt": np.cbrt,
    "ceil": np.ceil,
    "cos": np.cos,
    "div": np.divide,
    "eq": np.equal,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "is_finite": np.isfinite,
    "le": np.less_equal,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.logical_not,
    "or": np.logical_or,
    "pow": np.power,
    "round": np.rint,  # to even at a tie, as `jnp.round`
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "square": np.square,
    "sub": np.subtract,
    "tanh": np.tanh,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    **dict.fromkeys(("stop_gradient", "copy", "copy_p"), lambda x: x),
}


class NotInNumpy(ValueError):
    """An operation that has no NumPy counterpart here; compile the function instead."""


def in_numpy(op: Op) -> Callable[..., object]:
    """The function of an operation on scalars, on arrays that broadcast with one another.

    `NotInNumpy` if there is none.
    """
    name = op.primitive.name
    if not op.scalar:
        raise NotInNumpy(f"operation '{name}' works on arrays")
    if name in IN_NUMPY:
        return IN_NUMPY[name]
    if name == "select_n" and len(op.inputs) == 3:
        return lambda which, no, yes: np.where(which, yes, no)
    if name == "integer_pow":
        power = cast(int, op.params["y"])
        return lambda x: x**power
    if name == "convert_element_type":
        dtype = _dtype(op)
        return lambda x: np.asarray(x).astype(dtype)
    raise NotInNumpy(
        f"operation '{name}' has no NumPy counterpart in jaxsim.space.program.in_numpy"
    )


def _dtype(op: Op) -> np.dtype:
    return np.dtype(cast(DTypeLike, op.params["new_dtype"]))


def in_float64(op: Op) -> Callable[..., object]:
    """The same in 64 bits, whatever the function was traced for."""
    name = op.primitive.name
    if name == "convert_element_type" and np.issubdtype(_dtype(op), np.floating):
        return lambda x: np.asarray(x, np.float64)
    if name == "convert_element_type" and np.issubdtype(_dtype(op), np.bool_):
        return lambda x: np.asarray(x) != 0
    return in_numpy(op)


def as_float64(value: ArrayLike) -> np.ndarray:
    """A constant of the function in 64 bits, if it is a real number."""
    value = np.asarray(value)
    return value.astype(np.float64) if value.dtype.kind == "f" else value
