"""What does a traced point function give on a small grid, without compiling anything?

Compiling costs about a millisecond an operation, whatever the size of the grid; an interactive
question asks for some hundred thousand designs, which NumPy evaluates in less. The operations are
those of the traced function, each on only the axes it depends on: there is no second physics.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxsim.space.program.trace import (
    Axis,
    Literal,
    Op,
    Program,
    axis_values,
    numbers_of,
    trace,
)

# Operations of JAX and of NumPy that are the same.
IN_NUMPY: dict[str, Callable[..., Any]] = {
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
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "square": np.square,
    "sub": np.subtract,
    "tanh": np.tanh,
}


class NotInterpreted(ValueError):
    """An operation that has no NumPy counterpart here; compile the function instead."""


def apply_in_numpy(op: Op, given: Sequence[Any]) -> Any:
    """What an operation on scalars gives on arrays that broadcast with one another."""
    name = op.primitive.name
    if name in IN_NUMPY:
        return IN_NUMPY[name](*given)
    if name == "select_n" and len(given) == 3:
        return np.where(given[0], given[2], given[1])
    if name == "integer_pow":
        return given[0] ** op.params["y"]
    if name == "rsqrt":
        return 1.0 / np.sqrt(given[0])
    if name == "clamp":
        return np.minimum(np.maximum(given[1], given[0]), given[2])
    if name == "convert_element_type":
        return np.asarray(given[0]).astype(op.params["new_dtype"])
    if name in ("stop_gradient", "copy", "copy_p"):
        return given[0]
    raise NotInterpreted(
        f"operation '{name}' has no NumPy counterpart in jaxsim.space.program.interpret"
    )


def run(program: Program, leaves: Sequence[np.ndarray], axes: int) -> list[np.ndarray]:
    """Every output of the program, with all `axes` dimensions, of length 1 where it has none.

    `leaves` are the program's inputs: the values of the axes, then the other numbers.
    """
    last_use: dict[int, int] = {}
    for position, op in enumerate(program.ops):
        last_use.update({x: position for x in op.inputs if not isinstance(x, Literal)})
    for x in program.outputs:
        if not isinstance(x, Literal):
            last_use[x] = len(program.ops)
    known: dict[int, Any] = {}
    for number, leaf in enumerate(leaves):
        own = program.dims[number]
        shape = [1] * axes
        for d in own:
            shape[d] = np.shape(leaf)[0]
        known[number] = np.asarray(leaf).reshape(shape)
    known.update({number: np.asarray(value) for number, value in program.constants.items()})
    with np.errstate(all="ignore"):
        for position, op in enumerate(program.ops):
            if not op.scalar:
                raise NotInterpreted(f"operation '{op.primitive.name}' works on arrays")
            given = [x.value if isinstance(x, Literal) else known[x] for x in op.inputs]
            known[op.outputs[0]] = apply_in_numpy(op, given)
            for x in op.inputs:
                if not isinstance(x, Literal) and last_use[x] == position:
                    known.pop(x, None)
    return [np.asarray(x.value if isinstance(x, Literal) else known[x]) for x in program.outputs]


_PROGRAMS: dict[Any, Program] = {}


def _program(fn, point, axes: Sequence[Axis]) -> Program:
    """The traced function, once for every structure of point and axes."""
    leaves, structure = jax.tree.flatten(point)
    kinds = tuple(str(np.result_type(leaf)) for leaf in leaves)
    key = (fn, structure, kinds, tuple((name, where) for name, where, _ in axes))
    if key not in _PROGRAMS:
        _PROGRAMS[key] = trace(fn, point, axes)
    return _PROGRAMS[key]


def interpreted(fn, point, axes: Sequence[Axis]) -> tuple[Any, Any]:
    """`fn` on natural dims, like `sweep.natural`, as NumPy arrays and without compilation.

    Equal to the compiled form up to the rounding of NumPy's elementary functions. Every leaf of
    the point must be a number.
    """
    program = _program(fn, point, axes)
    numbers, _ = numbers_of(point)
    leaves = [np.asarray(x) for x in jax.tree.leaves((axis_values(axes), numbers))]
    outputs, names = [], []
    for atom, value in zip(program.outputs, run(program, leaves, len(axes)), strict=True):
        dims = program.dims_of(atom)
        lengths = tuple(len(leaves_of) for leaves_of in _lengths(axes))
        full = np.reshape(value, (1,) * (len(axes) - value.ndim) + value.shape)
        kept = tuple(lengths[d] for d in dims)
        outputs.append(np.broadcast_to(full, _on(dims, lengths)).reshape(kept))
        names.append(tuple(axes[d][0] for d in dims))
    return jax.tree.unflatten(program.tree, outputs), jax.tree.unflatten(program.tree, names)


def _lengths(axes: Sequence[Axis]) -> list[Any]:
    return [jax.tree.leaves(values)[0] for _, _, values in axes]


def _on(dims: Sequence[int], lengths: Sequence[int]) -> tuple[int, ...]:
    """The shape of a value on some axes, with length 1 on the others."""
    return tuple(length if d in dims else 1 for d, length in enumerate(lengths))
