"""What does a point function give at every combination of axes?"""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import jax
import jax.numpy as jnp

from jaxsim._record import combine
from jaxsim.space.program.in_jax import run_ops
from jaxsim.space.program.inputs import Axis, DimsTree, axis_values, lengths_of, numbers_of, replace
from jaxsim.space.program.trace import Literal, Program, trace

T = TypeVar("T")  # what a point function returns: a pytree of numbers


def sweep(fn: Callable[..., T], point: object, axes: Sequence[Axis]) -> T:
    """`fn` at every combination of `axes`: one leading dimension per axis, outer to inner.

    An axis is `(name, where, values)`: `where(point)` selects what the values replace, a leaf, a
    tuple of leaves, or a whole record (then `values` is that record, stacked). This is the plain
    form, nested `vmap` with every output on every dimension: what the others are tested against.
    """
    numbers, rest = numbers_of(point)

    def at(*chosen: object) -> T:
        return fn(replace(combine(numbers, rest), axes, chosen))

    for i in reversed(range(len(axes))):
        at = jax.vmap(at, in_axes=tuple(0 if i == j else None for j in range(len(axes))))
    return at(*axis_values(axes))


def flat(fn: Callable[..., T], point: object, axes: Sequence[Axis]) -> T:
    """`fn` over a list of points: every axis has values of one length, taken together.

    The form for designs that are no grid. Sharing work between designs is lost.
    """
    numbers, rest = numbers_of(point)

    def at(chosen: Sequence[object]) -> T:
        return fn(replace(combine(numbers, rest), axes, chosen))

    return jax.vmap(at)(axis_values(axes))


def natural(fn: Callable[..., T], point: object, axes: Sequence[Axis]) -> tuple[T, DimsTree]:
    """`fn` on natural dims: outputs, each on only the axes it depends on, and those axes' names.

    The second is a pytree like the first, with a tuple of names for every output, outer to inner.
    Equal to `sweep` once broadcast. One program: XLA may still recompute small terms inside large
    ones; `split` prevents that.
    """
    program = trace(fn, point, axes)
    values = axis_values(axes)
    lengths = lengths_of(values)
    numbers, _ = numbers_of(point)
    known = dict(enumerate(jax.tree.leaves((values, numbers))))
    known.update(program.constants)
    run_ops(program.ops, known, program, lengths)
    outputs = [
        jnp.asarray(x.value) if isinstance(x, Literal) else known[x] for x in program.outputs
    ]
    names = [name for name, _, _ in axes]
    return cast(T, jax.tree.unflatten(program.tree, outputs)), dims_tree(program, names)


def dims_tree(program: Program, names: Sequence[str]):
    """The names of the axes that each output depends on, as a pytree like the outputs."""
    dims = [tuple(names[d] for d in program.dims_of(x)) for x in program.outputs]
    return jax.tree.unflatten(program.tree, dims)
