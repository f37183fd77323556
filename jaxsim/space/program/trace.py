"""Which axes does each step of a point function depend on?

A scalar point function is traced once to a flat list of operations (calls inlined, repeats and
dead code dropped). Every value then gets the set of axes it depends on, and can be evaluated on
those axes alone: an operation stays small until an axis it depends on arrives.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import jax
import numpy as np
from jax.core import Tracer

from jaxsim._record import combine
from jaxsim.space.program import files
from jaxsim.space.program.bits import wide
from jaxsim.space.program.cache import CACHE
from jaxsim.space.program.inputs import Axis, axis_values, numbers_of, replace, type_of

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

# Primitives that only call what they carry: the parameter that holds their body.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}

# Primitives that act element by element, so that arrays can be given where scalars were traced.
_ELEMENTWISE = frozenset(
    """abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil
    clamp convert_element_type cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt
    integer_pow is_finite le lgamma log log1p log2 logistic lt max min mul ne neg nextafter not or
    pow rem round rsqrt select_n sign sin sinh sqrt square stop_gradient sub tan tanh xor""".split()  # noqa: SIM905
)


class Primitive(Protocol):
    """What an operation does: a primitive of JAX, or `PICK`."""

    name: str
    multiple_results: bool


class Op(NamedTuple):
    """One operation: `inputs` are numbers of values, or literals; `outputs` numbers of values."""

    primitive: Primitive
    params: dict[str, object]
    inputs: tuple["Atom", ...]
    outputs: tuple[int, ...]
    scalar: bool


class Literal(NamedTuple):
    """A number written in the function, with its type."""

    value: np.ndarray


# The number of a value, or a number itself.
Atom: TypeAlias = int | Literal


class _Pick:
    """The operation that hands out values: of the last axis of the first input, at the second."""

    name = "pick"
    multiple_results = False


PICK = _Pick()


@dataclass(frozen=True, eq=False)
class Program:
    """A traced point function; two are the same only if they are one object.

    The first values are its inputs: those of the axes, in order, then the other leaves of the
    point. `dims[i]` says on which axes (as positions, outer to inner) value `i` depends.
    """

    ops: tuple[Op, ...]
    dims: Mapping[int, tuple[int, ...]]
    inputs: int
    constants: Mapping[int, np.ndarray]
    outputs: tuple[Atom, ...]
    tree: object
    shapes: Mapping[int, tuple[int, ...]]

    @property
    def free(self) -> int:
        """The first number after those of all values: there may be gaps among them."""
        return max(self.dims) + 1

    def dims_of(self, atom: Atom) -> tuple[int, ...]:
        return () if isinstance(atom, Literal) else self.dims[atom]


def trace(fn: Callable[..., object], point: object, axes: Sequence[Axis]) -> Program:
    """The operations of `fn` at one point, and the axes on which each depends.

    Traced once for a function, a structure of the point and the leaves that axes replace: other
    numbers, and other values or lengths of the axes, give the same program.
    """
    key = _key_of(fn, point, axes)
    if key is None:
        return _traced(fn, point, axes)
    return CACHE.get(key, lambda: _read_or_traced(fn, point, axes, key), _holds_no_tracer)


def _holds_no_tracer(program: Program) -> bool:
    """Whether a program may outlive the call: one traced within another trace may not."""
    return not any(isinstance(c, Tracer) for c in program.constants.values())


def _read_or_traced(
    fn: Callable[..., object], point: object, axes: Sequence[Axis], key: tuple[Hashable, ...]
) -> Program:
    path = files.path_of(fn, key)
    program = None if path is None else files.read(path, Program, Literal, Op)
    if program is None:
        program = _traced(fn, point, axes)
        if path is not None:
            files.write(path, program)
    return program


def _traced(fn: Callable[..., object], point: object, axes: Sequence[Axis]) -> Program:
    numbers, rest = numbers_of(point)
    values = axis_values(axes)
    one = jax.tree.map(lambda v: jax.ShapeDtypeStruct(v.shape[1:], v.dtype), values)
    like = jax.tree.map(lambda v: jax.ShapeDtypeStruct(v.shape, v.dtype), numbers)

    def at(chosen: Sequence[object], others: object) -> object:
        return fn(replace(combine(others, rest), axes, chosen))

    closed, shape = jax.make_jaxpr(at, return_shape=True)(one, like)
    owners = [(i,) for i, value in enumerate(values) for _ in jax.tree.leaves(value)]
    owners += [()] * len(jax.tree.leaves(numbers))
    return _flatten(closed, owners, jax.tree.structure(shape))


def _key_of(
    fn: Callable[..., object], point: object, axes: Sequence[Axis]
) -> tuple[Hashable, ...] | None:
    """What a program depends on: the function, structures, types and what is no number.

    None if that cannot be told.
    """
    leaves, structure = jax.tree.flatten(point)
    # An axis is known by the leaves that it replaces, whatever function points at them.
    counted = jax.tree.unflatten(structure, range(len(leaves)))
    replaced = tuple(tuple(jax.tree.leaves(where(counted))) for _, where, _ in axes)
    values, shape = jax.tree.flatten(axis_values(axes))
    types = tuple((x.shape[1:], x.dtype) for x in values)
    key = (fn, wide(), replaced, shape, types, structure, tuple(map(type_of, leaves)))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _flatten(closed: "ClosedJaxpr", owners: Sequence[tuple[int, ...]], tree: object) -> Program:
    builder = _Builder(list(owners))
    inputs = list(range(len(owners)))
    for i, var in zip(inputs, closed.jaxpr.invars, strict=True):
        builder.shapes[i] = tuple(var.aval.shape)
    outputs = tuple(builder.inline(closed.jaxpr, closed.consts, inputs))
    needed, ops = {x for x in outputs if not isinstance(x, Literal)}, []
    for op in reversed(builder.ops):
        if needed.intersection(op.outputs):
            needed.update(x for x in op.inputs if not isinstance(x, Literal))
            ops.append(op)
    constants = {i: c for i, c in builder.constants.items() if i in needed}
    # Only numbers that something reads or makes, as in a program that was kept in a file.
    used = {*range(len(owners)), *numbers(outputs), *constants}.union(
        *(numbers((*op.inputs, *op.outputs)) for op in ops)
    )
    dims = {number: builder.dims[number] for number in sorted(used)}
    return Program(tuple(ops[::-1]), dims, len(owners), constants, outputs, tree, builder.shapes)


class _Builder:
    """Numbers the values of a jaxpr while inlining it."""

    def __init__(self, dims: Sequence[tuple[int, ...]]):
        self.dims = list(dims)
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.ops: list[Op] = []
        self.constants: dict[int, np.ndarray] = {}
        self._seen: dict[Hashable, tuple[int, ...]] = {}
        self._constant_ids: dict[int, int] = {}

    def new(self, dims: tuple[int, ...], shape: tuple[int, ...]) -> int:
        self.dims.append(dims)
        self.shapes[len(self.dims) - 1] = tuple(shape)
        return len(self.dims) - 1

    def constant(self, value: np.ndarray) -> int:
        if id(value) not in self._constant_ids:
            number = self.new((), np.shape(value))
            self._constant_ids[id(value)] = number
            self.constants[number] = value
        return self._constant_ids[id(value)]

    def inline(
        self, jaxpr: "Jaxpr", consts: Sequence[np.ndarray], inputs: Sequence[Atom]
    ) -> list[Atom]:
        from jax.extend import core as jex_core  # not needed for a program that was kept

        atoms: dict[object, Atom] = dict(
            zip(jaxpr.constvars, map(self.constant, consts), strict=True)
        )
        atoms.update(zip(jaxpr.invars, inputs, strict=True))

        def read(var: object) -> Atom:
            if isinstance(var, jex_core.Literal):
                dtype = getattr(var.aval, "dtype", None)
                return Literal(np.asarray(var.val, dtype=dtype))
            return atoms[var]

        for eqn in jaxpr.eqns:
            given = [read(v) for v in eqn.invars]
            body = _CALLS.get(eqn.primitive.name)
            if body is not None and body in eqn.params:
                inner = eqn.params[body]
                closed = isinstance(inner, jex_core.ClosedJaxpr)
                inner_jaxpr, inner_consts = (inner.jaxpr, inner.consts) if closed else (inner, ())
                results = self.inline(inner_jaxpr, inner_consts, given)
            else:
                results = self.apply(eqn, given)
            for var, result in zip(eqn.outvars, results, strict=True):
                atoms[var] = result
        return [read(v) for v in jaxpr.outvars]

    def apply(self, eqn: "JaxprEqn", given: Sequence[Atom]) -> tuple[int, ...]:
        if eqn.effects:
            raise ValueError(
                f"the point function has a side effect ({eqn.primitive.name}): "
                "a sweep evaluates each step once for many designs; remove the print or callback"
            )
        key = _key(eqn, given)
        if key is not None and key in self._seen:
            return self._seen[key]
        used: set[int] = set()
        for atom in given:
            if not isinstance(atom, Literal):
                used.update(self.dims[atom])
        dims = tuple(sorted(used))
        outputs = tuple(self.new(dims, getattr(v.aval, "shape", ())) for v in eqn.outvars)
        shapes = [np.shape(x.value) if isinstance(x, Literal) else self.shapes[x] for x in given]
        scalar = eqn.primitive.name in _ELEMENTWISE and not any(shapes)
        self.ops.append(Op(eqn.primitive, dict(eqn.params), tuple(given), outputs, scalar))
        if key is not None:
            self._seen[key] = outputs
        return outputs


def _key(eqn: "JaxprEqn", given: Sequence[Atom]) -> Hashable | None:
    """What makes two operations the same, or nothing if that cannot be told."""
    parts = tuple(
        (x.value.tobytes(), x.value.dtype.str, x.value.shape) if isinstance(x, Literal) else x
        for x in given
    )
    key = (eqn.primitive.name, tuple(sorted(eqn.params.items(), key=lambda kv: kv[0])), parts)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def numbers(atoms: Iterable[Atom]) -> set[int]:
    """Which of the atoms are values, not literals."""
    return {x for x in atoms if not isinstance(x, Literal)}


def size(dims: Sequence[int], lengths: Sequence[int]) -> int:
    """How many elements a value on these axes has."""
    return math.prod(lengths[d] for d in dims)
