"""How do the outputs of a traced point function move with every number in it?

Reverse mode over the operations of `_program`, in NumPy and 64 bits: one sweep forward, one back,
for many points and many outputs at once, with nothing compiled. Tracing `jax.grad` of the same
function takes seconds, because its thousands of operations are differentiated in Python; tests
hold the two equal.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxsim.space._program import Axis, Literal, Op, Program, trace
from jaxsim.space.designs import name_of
from jaxsim.space.interpret import NotInterpreted, _apply

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
    seeds = _seeds(program, outputs)
    ops = _needed(program, seeds)
    known = forward(program, leaves, ops)
    found = backward(program, known, seeds, count, ops)
    slopes: dict[str, dict[str, np.ndarray]] = {name: {} for name in outputs}
    results = {}
    for row, (name, atom) in enumerate(zip(outputs, seeds, strict=True)):
        results[name] = _value(atom, known, count)
        for number, path in enumerate(paths):
            if number in found and np.any(found[number][row]):
                slopes[name][path] = found[number][row]
    held = {
        path: np.broadcast_to(leaf, (count,))
        for path, leaf in reversed(list(zip(paths, leaves, strict=True)))
    }
    return Slopes(results, slopes, held)


def values_of(
    fn: Callable[[Any], Any],
    point: Any,
    listed: Sequence[Axis],
    outputs: Sequence[str],
    dtype: type = np.float32,
) -> dict[str, np.ndarray]:
    """Outputs of `fn` at `n` points, [n], in 64 bits; see `slopes_of`."""
    program, leaves, _ = prepared(fn, point, listed, dtype)
    seeds = _seeds(program, outputs)
    ops, count = _needed(program, seeds), max(leaf.size for leaf in leaves)
    blocks: list[list[np.ndarray]] = []
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        some = [leaf[part] if leaf.size > 1 else leaf for leaf in leaves]
        known = forward(program, some, ops, kept=seeds)
        held = min(count - start, BLOCK)
        blocks.append([_value(atom, known, held) for atom in seeds])
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    return dict(zip(outputs, columns, strict=True))


def prepared(fn, point, listed: Sequence[Axis], dtype: type):
    """The program of `fn`, the values of its inputs at the points, and their paths."""
    typed = jax.tree.map(lambda leaf: np.ones((), dtype), point)
    axes = [(name, where, jax.tree.map(np.asarray, values)) for name, where, values in listed]
    one = [
        (name, where, jax.tree.map(lambda v: np.ones(1, dtype), values))
        for name, where, values in axes
    ]
    program = trace(fn, typed, one)
    values = [values for _, _, values in axes]
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves((values, point))]
    return program, leaves, _paths(point, axes)


def _seeds(program: Program, outputs: Sequence[str]) -> list[Any]:
    atoms = _atoms(program)
    missing = [name for name in outputs if name not in atoms]
    if missing:
        raise ValueError(f"no outputs {missing}; there are {', '.join(sorted(atoms))}")
    return [atoms[name] for name in outputs]


def _value(atom, known: Mapping[int, Any], count: int) -> np.ndarray:
    held = np.asarray(atom.value if isinstance(atom, Literal) else known[atom])
    kind = np.bool_ if held.dtype == np.bool_ else np.float64
    return np.broadcast_to(held.astype(kind), (count,)).copy()


def _paths(point, axes: Sequence[Axis]) -> list[str]:
    """The path in the point of every input of the program: of the axes first, then the others."""
    flat, tree = jax.tree_util.tree_flatten_with_path(point)
    names = [path_name(path) for path, _ in flat]
    named = jax.tree.unflatten(tree, names)
    return [*(x for _, where, _ in axes for x in jax.tree.leaves(where(named))), *names]


def _needed(program: Program, seeds: Sequence[Any]) -> list[Op]:
    """The operations that some outputs need, in order."""
    needed, ops = {x for x in seeds if not isinstance(x, Literal)}, []
    for op in reversed(program.ops):
        if needed.intersection(op.outputs):
            needed.update(x for x in op.inputs if not isinstance(x, Literal))
            ops.append(op)
    return ops[::-1]


def _atoms(program: Program) -> dict[str, Any]:
    """The outputs of a program by their reported names."""
    numbered = jax.tree.unflatten(program.tree, range(len(program.outputs)))
    flat, _ = jax.tree_util.tree_flatten_with_path(numbered)
    return {name_of(path): program.outputs[i] for path, i in flat}


def forward(
    program: Program,
    leaves: Sequence[np.ndarray],
    ops: Sequence[Op],
    kept: Sequence[Any] | None = None,
) -> dict[int, Any]:
    """Every value that some operations of a program give, in 64 bits; or those `kept`, at last."""
    last: dict[int, list[int]] = {}
    if kept is not None:
        final = {x: i for i, op in enumerate(ops) for x in op.inputs if not isinstance(x, Literal)}
        for number, position in final.items():
            if number not in kept:
                last.setdefault(position, []).append(number)
    known: dict[int, Any] = dict(enumerate(leaves))
    known.update({number: np.asarray(value) for number, value in program.constants.items()})
    with np.errstate(all="ignore"):
        for position, op in enumerate(ops):
            if not op.scalar:
                raise NotInterpreted(f"operation '{op.primitive.name}' works on arrays")
            given = [x.value if isinstance(x, Literal) else known[x] for x in op.inputs]
            name = op.primitive.name
            if name == "ceil":
                given = [given[0] - WHOLE * np.abs(given[0])]
            if name == "convert_element_type" and np.issubdtype(
                op.params["new_dtype"], np.floating
            ):
                known[op.outputs[0]] = np.asarray(given[0], np.float64)
            else:
                known[op.outputs[0]] = _apply(op, given)
            for number in last.get(position, ()):
                del known[number]
    return known


def backward(
    program: Program, known: Mapping[int, Any], seeds: Sequence[Any], count: int, ops: Sequence[Op]
) -> dict[int, np.ndarray]:
    """Derivatives of the seeds by the program's inputs: input number to [seeds, points]."""
    cotangents: dict[int, Any] = {}
    for row, atom in enumerate(seeds):
        if not isinstance(atom, Literal):
            seed = cotangents.setdefault(atom, np.zeros((len(seeds), count)))
            seed[row] = 1.0
    with np.errstate(all="ignore"):
        for op in reversed(ops):
            cotangent = cotangents.pop(op.outputs[0], None)
            if cotangent is None:
                continue
            given = [x.value if isinstance(x, Literal) else known[x] for x in op.inputs]
            parts = _pulled(op, cotangent, given, known[op.outputs[0]])
            for atom, part in zip(op.inputs, parts, strict=True):
                if isinstance(atom, Literal) or part is None:
                    continue
                earlier = cotangents.get(atom)
                cotangents[atom] = part if earlier is None else earlier + part
    return {
        number: np.broadcast_to(value, (len(seeds), count))
        for number, value in cotangents.items()
        if number < program.inputs
    }


def _first(a, b):
    """1 where the first is the larger, one half at a tie."""
    return np.where(a > b, 1.0, np.where(a == b, 0.5, 0.0))


def _power(g, a, b, out) -> tuple[Any, Any]:
    """Both derivatives of a^b; the logarithm of 0 counts as 0, as in JAX."""
    log = np.log(np.where(a > 0.0, a, 1.0))
    return g * b * np.where(b == 0.0, 0.0, a ** np.where(b == 0.0, 1.0, b - 1.0)), g * out * log


# What each operation passes back to its inputs: (cotangent, inputs, output) to one part for each.
_PULL: dict[str, Callable[..., Any]] = {
    "abs": lambda g, i, o: (g * np.sign(i[0]),),
    "add": lambda g, i, o: (g, g),
    "add_any": lambda g, i, o: (g, g),
    "cbrt": lambda g, i, o: (g / (3.0 * o * o),),
    "cos": lambda g, i, o: (-g * np.sin(i[0]),),
    "div": lambda g, i, o: (g / i[1], -g * o / i[1]),
    "exp": lambda g, i, o: (g * o,),
    "exp2": lambda g, i, o: (g * o * np.log(2.0),),
    "expm1": lambda g, i, o: (g * (o + 1.0),),
    "log": lambda g, i, o: (g / i[0],),
    "log1p": lambda g, i, o: (g / (1.0 + i[0]),),
    "log2": lambda g, i, o: (g / (i[0] * np.log(2.0)),),
    "max": lambda g, i, o: (g * _first(*i), g * _first(*i[::-1])),
    "min": lambda g, i, o: (g * _first(*i[::-1]), g * _first(*i)),
    "mul": lambda g, i, o: (g * i[1], g * i[0]),
    "neg": lambda g, i, o: (-g,),
    "pow": lambda g, i, o: _power(g, i[0], i[1], o),
    "rsqrt": lambda g, i, o: (-0.5 * g * o / i[0],),
    "sin": lambda g, i, o: (g * np.cos(i[0]),),
    "sqrt": lambda g, i, o: (0.5 * g / o,),
    "square": lambda g, i, o: (2.0 * g * i[0],),
    "sub": lambda g, i, o: (g, -g),
    "tanh": lambda g, i, o: (g * (1.0 - o * o),),
}
# Operations that are constant wherever they have a derivative.
_FLAT = frozenset(
    "and ceil eq floor ge gt is_finite le lt ne not or round sign stop_gradient".split()  # noqa: SIM905
)


def _pulled(op: Op, g, given, out) -> tuple[Any, ...]:
    name = op.primitive.name
    if name in _PULL:
        return _PULL[name](g, given, out)
    if name in _FLAT:
        return (None,) * len(given)
    if name == "select_n" and len(given) == 3:
        return None, np.where(given[0], 0.0, g), np.where(given[0], g, 0.0)
    if name == "integer_pow":
        y = op.params["y"]
        return (g * y * given[0] ** (y - 1),)
    if name == "clamp":
        low, x, high = given
        inside = np.where((x > low) & (x < high), g, 0.0)
        return np.where(x <= low, g, 0.0), inside, np.where(x >= high, g, 0.0)
    if name in ("convert_element_type", "copy", "copy_p"):
        real = np.issubdtype(np.asarray(given[0]).dtype, np.floating)
        return (g if real else None,)
    raise NotInterpreted(
        f"operation '{name}' has no derivative in jaxsim.space.sensitivity_reverse"
    )
