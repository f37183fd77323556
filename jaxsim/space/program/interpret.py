"""What does a traced point function give on a small grid, without compiling anything?

Compiling costs about a millisecond an operation, whatever the size of the grid; an interactive
request covers some hundred thousand designs, which NumPy evaluates in less. The operations are
those of the traced function: there is no second physics.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import jax
import numpy as np

from jaxsim.space.program.cache import cached
from jaxsim.space.program.evaluate import Steps, evaluate, steps_of
from jaxsim.space.program.in_numpy import in_numpy
from jaxsim.space.program.inputs import Axis, DimsTree, axis_values, lengths_of, numbers_of
from jaxsim.space.program.trace import Literal, Program, numbers, trace


@cached
def _steps(program: Program) -> Steps:
    return steps_of(program.ops, in_numpy, program.free, numbers(program.outputs))


@cached
def _partition(program: Program, held: frozenset[int]) -> tuple[Steps, Steps]:
    """The operations on held axes alone, which keep what they give, and the others."""
    fixed, left = [], []
    for op in program.ops:
        (fixed if set(program.dims[op.outputs[0]]) <= held else left).append(op)
    return (
        steps_of(fixed, in_numpy, program.free),
        steps_of(left, in_numpy, program.free, numbers(program.outputs)),
    )


def run(program: Program, leaves: Sequence[np.ndarray], axes: int) -> list[np.ndarray]:
    """Every output of the program, with all `axes` dimensions, of length 1 where it has none.

    `leaves` are the program's inputs: the values of the axes, then the other numbers.
    """
    values: dict[int, np.ndarray] = {n: np.asarray(value) for n, value in program.constants.items()}
    for number, leaf in enumerate(leaves):
        shape = [1] * axes
        for d in program.dims[number]:
            shape[d] = np.shape(leaf)[0]
        values[number] = np.asarray(leaf).reshape(shape)
    with np.errstate(all="ignore"):
        evaluate(_steps(program), values)
    return [np.asarray(x.value if isinstance(x, Literal) else values[x]) for x in program.outputs]


class Prepared:
    """A traced function for many lists of points; what no listed axis changes is known.

    `axes` are those of a grid, so that the program of the grid serves; those with one value are
    held. Called with a value of every other axis for each point, it gives every output as an array
    with one entry a point.
    """

    def __init__(self, fn: Callable[..., object], point: object, axes: Sequence[Axis]):
        self.program = program = trace(fn, point, axes)
        values = axis_values(axes)
        leaves = [np.asarray(x) for x in jax.tree.leaves((values, numbers_of(point)[0]))]
        held = frozenset(d for d, length in enumerate(lengths_of(values)) if length == 1)
        self.inputs = {name: k for k, (name, _, _) in enumerate(axes)}
        self.known: dict[int, np.ndarray] = {n: np.asarray(v) for n, v in program.constants.items()}
        self.known.update({k: leaf[:1] if k < len(axes) else leaf for k, leaf in enumerate(leaves)})
        fixed, self.left = _partition(program, held)
        with np.errstate(all="ignore"):
            evaluate(fixed, self.known)

    def __call__(self, columns: Mapping[str, np.ndarray]) -> object:
        known = {**self.known, **{self.inputs[name]: x for name, x in columns.items()}}
        count = (len(next(iter(columns.values()))),)
        with np.errstate(all="ignore"):
            evaluate(self.left, known)
        outputs = (x.value if isinstance(x, Literal) else known[x] for x in self.program.outputs)
        full = [np.broadcast_to(np.reshape(x, np.shape(x) or (1,)), count) for x in outputs]
        return jax.tree.unflatten(self.program.tree, full)


Points = TypeVar("Points")
Outputs = TypeVar("Outputs")


def at_many(fn: Callable[[Points], Outputs], points: Points) -> Outputs:
    """`fn` at many points, without compilation: every output is an array of the points' shape.

    Every leaf of `points` is an array, and all broadcast with one another: an operation is as large
    as what it reads. The function is traced at the first point.

    >>> at_many(lambda p: p["x"] + p["y"], {"x": np.ones((2, 1)), "y": np.ones((1, 3))}).shape
    (2, 3)
    """
    first = jax.tree.map(lambda leaf: float(np.ravel(leaf)[0]), points)
    program = trace(fn, first, ())
    leaves = jax.tree.leaves(numbers_of(points)[0])
    known: dict[int, np.ndarray] = {n: np.asarray(value) for n, value in program.constants.items()}
    known.update(enumerate(leaves))
    with np.errstate(all="ignore"):
        evaluate(_steps(program), known)
    shape = np.broadcast_shapes(*(np.shape(leaf) for leaf in leaves))
    outputs = (x.value if isinstance(x, Literal) else known[x] for x in program.outputs)
    full = [np.broadcast_to(np.asarray(x), shape) for x in outputs]
    return jax.tree.unflatten(program.tree, full)


def interpreted(
    fn: Callable[[Points], Outputs], point: Points, axes: Sequence[Axis]
) -> tuple[Outputs, DimsTree]:
    """`fn` on natural dims, like `sweep.natural`, as NumPy arrays and without compilation.

    Equal to the compiled form up to the rounding of NumPy's elementary functions. Every leaf of
    the point must be a number.

    >>> axes = [("x", lambda p: p["x"], [1.0, 2.0]), ("y", lambda p: p["y"], [3.0])]
    >>> outputs, dims = interpreted(lambda p: {"twice": 2 * p["x"]}, {"x": 0.0, "y": 0.0}, axes)
    >>> outputs["twice"].tolist(), dims["twice"]
    ([2.0, 4.0], ('x',))
    """
    program, values = trace(fn, point, axes), axis_values(axes)
    lengths = lengths_of(values)
    leaves = [np.asarray(x) for x in jax.tree.leaves((values, numbers_of(point)[0]))]
    outputs, names = [], []
    for atom, value in zip(program.outputs, run(program, leaves, len(axes)), strict=True):
        dims = program.dims_of(atom)
        full = np.reshape(value, (1,) * (len(axes) - value.ndim) + value.shape)
        on_dims = tuple(n if d in dims else 1 for d, n in enumerate(lengths))
        own = tuple(lengths[d] for d in dims)
        outputs.append(np.broadcast_to(full, on_dims).reshape(own))
        names.append(tuple(axes[d][0] for d in dims))
    return jax.tree.unflatten(program.tree, outputs), jax.tree.unflatten(program.tree, names)
