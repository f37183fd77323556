"""The same function without sharing between designs: in plain Python, NumPy and numba.

All are made from the traced operations of the point function, so they compute the same thing.
"""

import dataclasses
import itertools
import math
from typing import Any

import jax
import numpy as np

from jaxsim.space.program.host import on_host
from jaxsim.space.program.inputs import axis_values, lengths_of, numbers_of
from jaxsim.space.program.interpret import run
from jaxsim.space.program.trace import Literal, Program, size, trace

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=", "eq": "==", "ne": "!=", "and": "and", "or": "or",
}  # fmt: skip
_CALLED = {
    "exp": "math.exp", "log": "math.log", "log1p": "math.log1p", "expm1": "math.expm1",
    "sqrt": "math.sqrt", "ceil": "math.ceil", "floor": "math.floor", "round": "round",
    "tanh": "math.tanh",
    "max": "max", "min": "min", "abs": "abs", "not": "not ", "neg": "-",
}  # fmt: skip


def source(program: Program, name: str = "at") -> str:
    """The function of one point in plain Python: one line an operation."""
    lines = [f"def {name}({', '.join(f'v{i}' for i in range(program.inputs))}):"]
    for number, constant in program.constants.items():
        lines.append(f"    v{number} = {float(constant)!r}")
    for op in program.ops:
        lines.append(f"    v{op.outputs[0]} = {_expression(op)}")
    lines.append(f"    return {', '.join(_atom(x) for x in program.outputs)}")
    return "\n".join(lines)


def _atom(x) -> str:
    if not isinstance(x, Literal):
        return f"v{x}"
    value = x.value.item()
    return "math.inf" if value == math.inf else repr(value)


def _expression(op) -> str:
    name, given = op.primitive.name, [_atom(x) for x in op.inputs]
    if name in _INFIX:
        return f" {_INFIX[name]} ".join(given)
    if name in _CALLED:
        call = f"{_CALLED[name]}({', '.join(given)})"
        return f"float({call})" if name in ("ceil", "floor", "round") else call
    if name == "select_n":
        return f"{given[2]} if {given[0]} else {given[1]}"
    if name == "integer_pow":
        return f"{given[0]} ** {op.params['y']}"
    if name == "square":
        return f"{given[0]} * {given[0]}"
    if name == "rsqrt":
        return f"1.0 / math.sqrt({given[0]})"
    if name == "clamp":
        return f"min(max({given[1]}, {given[0]}), {given[2]})"
    if name == "exp2":
        return f"2.0 ** {given[0]}"
    if name == "sign":
        return f"math.copysign(1.0, {given[0]}) if {given[0]} else 0.0"
    if name in ("stop_gradient", "copy"):
        return given[0]
    if name == "convert_element_type":
        kind = np.dtype(op.params["new_dtype"]).kind
        return f"{'bool' if kind == 'b' else 'float' if kind == 'f' else 'int'}({given[0]})"
    raise NotImplementedError(f"operation '{name}' has no plain form here")


class Plain:
    """A case's function over a list of points or a grid, in forms that share nothing or little."""

    def __init__(self, fn, point, axes):
        self.program = trace(fn, point, axes)
        self.values = axis_values(axes)
        self.lengths = lengths_of(self.values)
        self.leaves = [np.asarray(x) for x in jax.tree.leaves((self.values, numbers_of(point)[0]))]
        self.axes = len(axes)
        self.axes_given = axes

    def points(self, count: int) -> list[np.ndarray]:
        """Inputs of `count` points spread over the grid, one array for each axis."""
        total = size(range(self.axes), self.lengths)
        places = np.unravel_index(np.linspace(0, total - 1, count).astype(np.int64), self.lengths)
        return [self.leaves[i][place] for i, place in enumerate(places)]

    def python(self, count: int) -> float:
        """Sum of the first output, one point at a time."""
        scope: dict[str, Any] = {"math": math}
        exec(source(self.program), scope)
        others = [float(x) for x in self.leaves[self.axes :]]
        total = 0.0
        for at in zip(*(p.tolist() for p in self.points(count)), strict=True):
            total += scope["at"](*at, *others)[0]
        return total

    def numpy_flat(self, count: int):
        """Every output, over a list of points."""
        dims = {i: (0,) if d else () for i, d in self.program.dims.items()}
        listed = dataclasses.replace(self.program, dims=dims)
        return run(listed, [*self.points(count), *self.leaves[self.axes :]], 1)

    def numpy_broadcast(self):
        """Every output over the grid on all its dimensions, by broadcasting."""
        outputs = run(self.program, self.leaves, self.axes)
        return [np.ascontiguousarray(np.broadcast_to(x, self.lengths)) for x in outputs]

    def numpy_stages(self, groups: int, share: float = 1 / 64):
        """The best of the first output for every group, in the same two stages as the engine."""
        known = dict(enumerate(self.leaves)) | dict(self.program.constants)
        total = size(range(self.axes), self.lengths)
        left = on_host(self.program, known, self.lengths, int(share * total))
        rest = dataclasses.replace(self.program, ops=tuple(self.program.ops[i] for i in left))
        inputs = sorted(i for i in known if i in _read(rest))
        best = []
        for at in itertools.product(*(range(n) for n in self.lengths[:groups])):
            part = {}
            for number in inputs:
                value, dims = np.asarray(known[number]), self.program.dims[number]
                where = tuple(slice(at[d], at[d] + 1) if d < groups else slice(None) for d in dims)
                shape = [
                    self.lengths[d] if d in dims and d >= groups else 1 for d in range(self.axes)
                ]
                part[number] = value[where].reshape(shape)
            best.append(_evaluate(rest, part))
        return best

    def numba_flat(self, count: int):
        """A function that gives the first output over a list of points, in parallel loops."""
        import numba

        scope: dict[str, Any] = {"math": math, "numba": numba, "np": np}
        inputs = ", ".join(f"x{i}[i]" for i in range(self.axes))
        others = ", ".join(f"c[{i}]" for i in range(self.program.inputs - self.axes))
        arrays = ", ".join(f"x{i}" for i in range(self.axes))
        exec(
            source(self.program)
            + "\nat = numba.njit(at)\n@numba.njit(parallel=True)\n"
            + f"def every({arrays}, c, out):\n    for i in numba.prange(out.size):\n"
            + f"        out[i] = at({inputs}, {others})[0]\n",
            scope,
        )
        listed = self.points(count)
        constants = np.array([float(x) for x in self.leaves[self.axes :]])
        out = np.empty(count)
        return lambda: scope["every"](*listed, constants, out)

    def numba_loops(self, groups: int):
        """The best of the first output for every group, in nested loops, compiled by numba.

        Small terms come from the host, as for the engine; every other operation stands in the
        outermost loop that it can, and axes on which nothing depends are not looped over. Groups
        run in parallel. What somebody would write by hand, in good order.
        """
        import numba

        known = dict(enumerate(self.leaves)) | dict(self.program.constants)
        total = size(range(self.axes), self.lengths)
        left = on_host(self.program, known, self.lengths, int(total / 64))
        rest = dataclasses.replace(self.program, ops=tuple(self.program.ops[i] for i in left))
        used = {i: np.asarray(known[i]) for i in sorted(known) if i in _read(rest)}
        scope: dict[str, Any] = {"math": math, "numba": numba, "np": np}
        exec(nested_source(rest, used, self.lengths, groups), scope)
        every = numba.njit(parallel=True)(scope["every"])
        # In one piece: numba takes few arguments.
        flat = np.concatenate([np.ravel(x).astype(np.float32) for x in used.values()])
        out = np.empty(size(range(groups), self.lengths))
        return lambda: every(flat, out)


def nested_source(program: Program, known, lengths, groups: int) -> str:
    """Loops over the axes that outputs depend on, with each operation as far out as it can be."""
    looped = sorted({d for x in program.outputs for d in program.dims_of(x)}.union(range(groups)))
    lines: dict[int, list[str]] = {d: [] for d in (-1, *looped)}
    level: dict[int, int] = {}
    offset = 0
    for number, value in known.items():
        dims = program.dims[number]
        level[number] = max(dims, default=-1)
        steps = [size(dims[i + 1 :], lengths) for i in range(len(dims))]
        place = " + ".join(
            [str(offset), *(f"i{d} * {n}" for d, n in zip(dims, steps, strict=True))]
        )
        flag = " != 0.0" if value.dtype == bool else ""
        lines[level[number]].append(f"v{number} = flat[{place}]{flag}")
        offset += value.size
    for op in program.ops:
        reads = [level[x] for x in op.inputs if not isinstance(x, Literal)]
        level[op.outputs[0]] = max(reads, default=-1)
        lines[level[op.outputs[0]]].append(f"v{op.outputs[0]} = {_expression(op)}")
    text = ["def every(flat, out):", *(f"    {line}" for line in lines[-1])]
    text.append(f"    for group in numba.prange({size(range(groups), lengths)}):")
    divisor = size(range(groups), lengths)
    for d in range(groups):
        divisor //= lengths[d]
        text.append(f"        i{d} = group // {divisor} % {lengths[d]}")
        text += [f"        {line}" for line in lines[d]]
    text.append("        best = -np.inf")
    indent = " " * 8
    for d in looped[groups:]:
        text.append(f"{indent}for i{d} in range({lengths[d]}):")
        indent += "    "
        text += [indent + line for line in lines[d]]
    value, ok = (_atom(x) for x in program.outputs)
    text += [f"{indent}if {ok} and {value} > best:", f"{indent}    best = {value}"]
    return "\n".join([*text, "        out[group] = best"])


def _read(program: Program) -> set[int]:
    reads = {x for op in program.ops for x in op.inputs if not isinstance(x, Literal)}
    return reads | {x for x in program.outputs if not isinstance(x, Literal)}


def _evaluate(program: Program, part):
    from jaxsim.space.program.evaluate import evaluate, steps_of
    from jaxsim.space.program.in_numpy import in_numpy

    known = dict(part)
    with np.errstate(all="ignore"):
        evaluate(steps_of(program.ops, in_numpy, program.free), known)
    result = [x.value if isinstance(x, Literal) else known[x] for x in program.outputs]
    value, ok = np.broadcast_arrays(*result)
    return np.where(ok, value, -np.inf).max()
