"""How do the outputs of a traced point function move with every number in it?

Reverse mode over the operations of `_program`, in NumPy and 64 bits: one sweep forward, one back,
for many points and many outputs at once, with nothing compiled. Tracing `jax.grad` of the same
function takes seconds, because its thousands of operations are differentiated in Python; tests
hold the two equal.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsim.space.designs import name_of
from jaxsim.space.gradient.equal_points import Inputs, Table, chosen, moved_by
from jaxsim.space.gradient.grouped import slopes as at_points
from jaxsim.space.gradient.levels import Levels, levels_of
from jaxsim.space.gradient.partials import partials_of
from jaxsim.space.program.interpret import IN_NUMPY, NotInterpreted, apply_in_numpy
from jaxsim.space.program.trace import Axis, Literal, Op, Program, trace

# A count this near to a whole number is one: what is rounded up may carry a rounding error.
WHOLE = 1e-7

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


def path_name(path) -> str:
    """The path of a number in a record, with dots: `hardware.chip.hbm_bytes`."""
    keys = (getattr(k, "name", getattr(k, "idx", getattr(k, "key", k))) for k in path)
    return ".".join(str(key) for key in keys)


def slopes_of(
    fn: Callable[[Any], Any],
    point: Any,
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
    steps = steps_of(program, outputs)
    levels, tables = steps.classes(leaves)
    values, found = at_points(levels, tables, leaves, count)
    results = dict(zip(outputs, values, strict=True))
    names = [paths[number] for number, _ in levels.paths.inputs]
    moved = found.any(axis=2).tolist()
    slopes = {
        output: {
            name: slope[row]
            for name, slope, some in zip(names, found, moved, strict=True)
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
    fn: Callable[[Any], Any],
    point: Any,
    listed: Sequence[Axis],
    outputs: Sequence[str],
    dtype: type = np.float32,
) -> dict[str, np.ndarray]:
    """Outputs of `fn` at `n` points, [n], in 64 bits; see `slopes_of`."""
    program, leaves, _ = prepared(fn, point, listed, dtype)
    steps, count = steps_of(program, outputs), max(leaf.size for leaf in leaves)
    blocks: list[list[np.ndarray]] = []
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        some = [leaf[part] if leaf.size > 1 else leaf for leaf in leaves]
        known = forward(steps, some)
        held = min(count - start, BLOCK)
        blocks.append([_value(known[slot], held) for slot in steps.seeds])
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    return dict(zip(outputs, columns, strict=True))


_PREPARED: OrderedDict[Any, tuple[Program, list[str]]] = OrderedDict()
_HELD = 64


def prepared(fn, point, listed: Sequence[Axis], dtype: type):
    """The program of `fn`, the values of its inputs at the points, and their paths."""
    axes = [(name, where, jax.tree.map(np.asarray, values)) for name, where, values in listed]
    values = [values for _, _, values in axes]
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves((values, point))]
    key = (fn, jax.tree.structure(point), dtype, tuple((name, where) for name, where, _ in axes))
    if key not in _PREPARED:
        typed = jax.tree.map(lambda leaf: np.ones((), dtype), point)
        one = [
            (name, where, jax.tree.map(lambda v: np.ones(1, dtype), values))
            for name, where, values in axes
        ]
        _PREPARED[key] = trace(fn, typed, one), _paths(point, axes)
        if len(_PREPARED) > _HELD:
            _PREPARED.popitem(last=False)
    program, paths = _PREPARED[key]
    return program, leaves, paths


def _value(held, count: int) -> np.ndarray:
    held = np.asarray(held)
    kind = np.bool_ if held.dtype == np.bool_ else np.float64
    return np.broadcast_to(held.astype(kind), (count,)).copy()


def _paths(point, axes: Sequence[Axis]) -> list[str]:
    """The path in the point of every input of the program: of the axes first, then the others."""
    flat, tree = jax.tree_util.tree_flatten_with_path(point)
    names = [path_name(path) for path, _ in flat]
    named = jax.tree.unflatten(tree, names)
    return [*(x for _, where, _ in axes for x in jax.tree.leaves(where(named))), *names]


def _atoms(program: Program) -> dict[str, Any]:
    """The outputs of a program by their reported names."""
    numbered = jax.tree.unflatten(program.tree, range(len(program.outputs)))
    flat, _ = jax.tree_util.tree_flatten_with_path(numbered)
    return {name_of(path): program.outputs[i] for path, i in flat}


class Step(NamedTuple):
    """One operation: what it computes from which slots into which.

    `last` are slots that no later one needs.
    """

    run: Callable[..., Any]
    inputs: tuple[int, ...]
    output: int
    last: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """The operations that some outputs of a program need, in order, and by tables in `levels_in`.

    What was made of them for inputs that differ between points, and for tables, is in `made`.
    """

    size: int
    constants: tuple[tuple[int, Any], ...]
    seeds: tuple[int, ...]
    steps: tuple[Step, ...]
    levels_in: Callable[[tuple[Inputs, ...], Mapping[int, Inputs]], Levels]
    made: dict[Any, Any]

    def classes(self, leaves: Sequence[np.ndarray]) -> tuple[Levels, list[Table]]:
        """The classes of points that pay, and the operations on them."""
        values = {i: leaf for i, leaf in enumerate(leaves) if leaf.size > 1}
        every = frozenset(values)
        if len(self.made) > _HELD:
            self.made.clear()
        if every not in self.made:
            moved = moved_by(every, ((step.inputs, step.output) for step in self.steps))
            self.made[every] = moved, Counter(moved[step.output] for step in self.steps)
        moved, uses = self.made[every]
        names, tables = chosen(values, uses)
        if (every, names) not in self.made:
            self.made[every, names] = self.levels_in(names, moved)
        return self.made[every, names], tables


_STEPS: OrderedDict[Any, tuple[Program, Steps]] = OrderedDict()


def steps_of(program: Program, outputs: Sequence[str]) -> Steps:
    """What is to be done for some outputs, worked out once."""
    key = (id(program), tuple(outputs))
    if key not in _STEPS:
        _STEPS[key] = program, _steps_of(program, outputs)
        if len(_STEPS) > _HELD:
            _STEPS.popitem(last=False)
    return _STEPS[key][1]


def _steps_of(program: Program, outputs: Sequence[str]) -> Steps:
    atoms = _atoms(program)
    missing = [name for name in outputs if name not in atoms]
    if missing:
        raise ValueError(f"no outputs {missing}; there are {', '.join(sorted(atoms))}")
    literals: list[Any] = []
    first = program.free

    def slot(atom) -> int:
        if not isinstance(atom, Literal):
            return atom
        literals.append(_in_64_bits(atom.value))
        return first + len(literals) - 1

    seeds = tuple(slot(atoms[name]) for name in outputs)
    needed, ops = set(seeds), []
    for op in reversed(program.ops):
        if needed.intersection(op.outputs):
            needed.update(x for x in op.inputs if not isinstance(x, Literal))
            ops.append(op)
    ops.reverse()
    slots = [tuple(slot(x) for x in op.inputs) for op in ops]
    final = {x: i for i, own in enumerate(slots) for x in own}
    moving, partials, steps = set(range(program.inputs)), [], []
    for i, (op, own) in enumerate(zip(ops, slots, strict=True)):
        if not op.scalar:
            raise NotInterpreted(f"operation '{op.primitive.name}' works on arrays")
        each = zip(own, partials_of(op), strict=True)
        partials.append(tuple(by if x in moving else None for x, by in each))
        if any(partials[-1]):
            moving.add(op.outputs[0])
        last = tuple(x for x in dict.fromkeys(own) if final[x] == i and x not in seeds)
        steps.append(Step(_run(op), own, op.outputs[0], last))
    constants = [(n, _in_64_bits(value)) for n, value in program.constants.items()]
    constants += [(first + i, value) for i, value in enumerate(literals)]
    levels = partial(levels_of, ops, slots, program.inputs, constants, seeds, _run, partials)
    return Steps(first + len(literals), tuple(constants), seeds, tuple(steps), levels, {})


def _in_64_bits(value) -> np.ndarray:
    """A constant of the function, whatever it was traced for."""
    value = np.asarray(value)
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def _run(op: Op) -> Callable[..., Any]:
    """The operation as a function of its inputs, in 64 bits."""
    name = op.primitive.name
    if name == "ceil":
        return lambda x: np.ceil(x - WHOLE * np.abs(x))
    if name == "convert_element_type" and np.issubdtype(op.params["new_dtype"], np.floating):
        return lambda x: np.asarray(x, np.float64)
    if name == "convert_element_type" and np.issubdtype(op.params["new_dtype"], np.bool_):
        return lambda x: np.asarray(x) != 0
    return IN_NUMPY.get(name) or (lambda *given: apply_in_numpy(op, given))


def forward(steps: Steps, leaves: Sequence[np.ndarray]) -> list[Any]:
    """The values in their slots, in 64 bits, at many points; in the end only those of outputs."""
    known: list[Any] = [None] * steps.size
    known[: len(leaves)] = leaves
    for number, value in steps.constants:
        known[number] = value
    with np.errstate(all="ignore"):
        for run, inputs, output, last in steps.steps:
            known[output] = run(*[known[x] for x in inputs])
            for number in last:
                known[number] = None
    return known
