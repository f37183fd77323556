"""What are the derivatives at winning designs: how do outputs move with every number in a program?

Reverse mode over the operations of a `Program`, in NumPy and 64 bits: one sweep forward, one back,
for many points and many outputs at once, with nothing compiled. Tracing `jax.grad` of the same
function takes seconds, because its thousands of operations are differentiated in Python; tests
hold the two equal.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from jaxsim.space.designs import name_of
from jaxsim.space.gradient.equal_points import Inputs, Table, chosen, moved_by
from jaxsim.space.gradient.grouped import slopes as at_points
from jaxsim.space.gradient.levels import Levels, levels_of
from jaxsim.space.gradient.of_operations import partials_of
from jaxsim.space.program.cache import CACHE, cached
from jaxsim.space.program.evaluate import Steps, evaluate, steps_of
from jaxsim.space.program.in_numpy import as_float64, in_float64
from jaxsim.space.program.inputs import Axis
from jaxsim.space.program.trace import Atom, Literal, Program, numbers, trace

# Points evaluated together: arrays of so many numbers stay in the cache.
BLOCK = 8192


@dataclass(frozen=True)
class Slopes:
    """Outputs at `n` points and their derivatives by every number of the point.

    `values[name]` has shape [n]; `slopes[name]` maps the path of a number to ∂output/∂number, [n],
    numbers without influence left out; `numbers` maps every path to its value, [n].
    """

    values: Mapping[str, np.ndarray]
    slopes: Mapping[str, Mapping[str, np.ndarray]]
    numbers: Mapping[str, np.ndarray]

    def log_slope(self, output: str, number: str) -> np.ndarray:
        """∂ln output / ∂ln number; 0 where the number is 0 or has no influence."""
        slope = self.slopes[output].get(number)
        if slope is None:
            return np.zeros_like(self.values[output])
        return slope * self.numbers[number] / self.values[output]


def path_name(path: Sequence[object]) -> str:
    """The path of a number in a record, with dots: `hardware.chip.hbm_bytes`."""
    keys = (getattr(k, "name", getattr(k, "idx", getattr(k, "key", k))) for k in path)
    return ".".join(str(key) for key in keys)


def slopes_of(
    fn: Callable[..., object],
    point: object,
    listed: Sequence[Axis],
    outputs: Sequence[str],
    dtype: type = np.float32,
) -> Slopes:
    """Outputs of `fn` and their derivatives at `n` points.

    `listed` are axes as in a sweep, but all of length n and taken together; any other number of
    the point is one for all, or has length n too. Outputs are named as in reports. Rounding up is
    taken straight through, and at a tie of a maximum both sides count half, as in JAX. `dtype` is
    what the function is traced for, by default that of a sweep, whose trace is then used again;
    evaluation is in 64 bits.
    """
    program, leaves, paths = prepared(fn, point, listed, dtype)
    count = max(leaf.size for leaf in leaves)
    levels, tables = wanted_of(program, tuple(outputs)).classes(leaves)
    values, derivatives = at_points(levels, tables, leaves, count)
    results = dict(zip(outputs, values, strict=True))
    names = [paths[number] for number, _ in levels.paths.inputs]
    moved = np.any(derivatives, axis=2)
    slopes = {
        output: {
            name: slope[row]
            for name, slope, some in zip(names, derivatives, moved, strict=True)
            if some[row]
        }
        for row, output in enumerate(outputs)
    }
    held = dict(zip(reversed(paths), reversed(leaves), strict=True))
    return Slopes(results, slopes, Numbers(held, count))


class Numbers(Mapping[str, np.ndarray]):
    """The value of every number at `n` points, by its path."""

    def __init__(self, held: Mapping[str, np.ndarray], count: int):
        self._held, self._count = held, count

    def __getitem__(self, path: str) -> np.ndarray:
        held = self._held[path]
        return held if held.shape == (self._count,) else np.full(self._count, held)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def values_of(
    fn: Callable[..., object],
    point: object,
    listed: Sequence[Axis],
    outputs: Sequence[str],
    dtype: type = np.float32,
) -> dict[str, np.ndarray]:
    """Outputs of `fn` at `n` points, [n], in 64 bits; see `slopes_of`."""
    program, leaves, _ = prepared(fn, point, listed, dtype)
    wanted, count = wanted_of(program, tuple(outputs)), max(leaf.size for leaf in leaves)
    blocks: list[list[np.ndarray]] = []
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        some = [leaf[part] if leaf.size > 1 else leaf for leaf in leaves]
        known = dict(enumerate(some)) | wanted.constants
        with np.errstate(all="ignore"):
            evaluate(wanted.steps, known)
        held = min(count - start, BLOCK)
        blocks.append([_value(known[x], held) for x in wanted.seeds])
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    return dict(zip(outputs, columns, strict=True))


def prepared(fn: Callable[..., object], point: object, listed: Sequence[Axis], dtype: type):
    """The program of `fn`, the values of its inputs at the points, and their paths."""
    axes = [(name, where, jax.tree.map(np.asarray, values)) for name, where, values in listed]
    values = [values for _, _, values in axes]
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves((values, point))]
    key = (fn, jax.tree.structure(point), dtype, tuple((name, where) for name, where, _ in axes))

    def traced():
        typed = jax.tree.map(lambda leaf: np.ones((), dtype), point)
        one = [
            (name, where, jax.tree.map(lambda v: np.ones(1, dtype), values))
            for name, where, values in axes
        ]
        return trace(fn, typed, one), _paths(point, axes)

    program, paths = CACHE.get(("slopes", *key), traced)
    return program, leaves, paths


def _value(held: np.ndarray, count: int) -> np.ndarray:
    held = np.asarray(held)
    kind = np.bool_ if held.dtype == np.bool_ else np.float64
    return np.broadcast_to(held.astype(kind), (count,)).copy()


def _paths(point: object, axes: Sequence[Axis]) -> list[str]:
    """The path in the point of every input of the program: of the axes first, then the others."""
    flat, tree = jax.tree_util.tree_flatten_with_path(point)
    names = [path_name(path) for path, _ in flat]
    named = jax.tree.unflatten(tree, names)
    return [*(x for _, where, _ in axes for x in jax.tree.leaves(where(named))), *names]


def _atoms(program: Program) -> dict[str, Atom]:
    """The outputs of a program by their reported names."""
    numbered = jax.tree.unflatten(program.tree, range(len(program.outputs)))
    flat, _ = jax.tree_util.tree_flatten_with_path(numbered)
    return {name_of(path): program.outputs[i] for path, i in flat}


@dataclass(frozen=True, eq=False)
class Wanted:
    """Some outputs of a program: the steps that evaluate them, and tables that differentiate them.

    `seeds` are the numbers of the outputs' values; `levels_in` makes the tables.
    """

    constants: dict[int, np.ndarray]
    seeds: tuple[int, ...]
    steps: Steps
    levels_in: Callable[[tuple[Inputs, ...], Mapping[int, Inputs]], Levels]

    def classes(self, leaves: Sequence[np.ndarray]) -> tuple[Levels, list[Table]]:
        """The classes of points that pay, and the operations on them."""
        values = {i: leaf for i, leaf in enumerate(leaves) if leaf.size > 1}
        every = frozenset(values)

        def counted():
            moved = moved_by(every, ((s.inputs, s.outputs[0]) for s in self.steps.steps))
            return moved, Counter(moved[s.outputs[0]] for s in self.steps.steps)

        moved, uses = CACHE.get((self, every), counted)
        names, tables = chosen(values, uses)
        levels = CACHE.get((self, every, names), lambda: self.levels_in(names, moved))
        return levels, tables


@cached
def wanted_of(program: Program, outputs: tuple[str, ...]) -> Wanted:
    """What is to be done for some outputs of a program."""
    atoms = _atoms(program)
    missing = [name for name in outputs if name not in atoms]
    if missing:
        raise ValueError(f"no outputs {missing}; there are {', '.join(sorted(atoms))}")
    needed, ops = numbers(atoms[name] for name in outputs), []
    for op in reversed(program.ops):
        if needed.intersection(op.outputs):
            needed |= numbers(op.inputs)
            ops.append(op)
    ops.reverse()
    constants = {n: as_float64(value) for n, value in program.constants.items()}
    seeds, free = [], program.free
    for name in outputs:
        atom = atoms[name]
        if isinstance(atom, Literal):
            constants[free], atom = as_float64(atom.value), free
            free += 1
        seeds.append(atom)
    steps = steps_of(ops, in_float64, free, {*seeds, *constants}, as_float64)
    moving, partials = set(range(program.inputs)), []
    for op, step in zip(ops, steps.steps, strict=True):
        each = zip(step.inputs, partials_of(op), strict=True)
        partials.append(tuple(by if x in moving else None for x, by in each))
        if any(partials[-1]):
            moving.update(op.outputs)
    levels = partial(
        levels_of, ops, [step.inputs for step in steps.steps], program.inputs,
        [*constants.items(), *steps.literals.items()], seeds, partials,
    )  # fmt: skip
    return Wanted(constants, tuple(seeds), steps, levels)
