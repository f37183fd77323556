"""Which designs are one and the same to an operation?

Attention knows a design by the sequences and heads of a rank, and thousands of designs share a few
hundred of those. The positions of the inner axes are put into classes, by the values on which an
operation depends; the operation is evaluated once for every class, on an axis of its own, and its
result is handed out to the positions where it meets something finer. The classes come from the
numbers of the grid at hand: the physics does not know of them.
"""

import copy
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from jaxsim.space._program import PICK, Literal, Op, Program, numbers, size

# Classes are sought among the positions of the inner axes, of which there are at most so many.
CLASS_POINTS = 1 << 18
# Worth an axis of their own if there are at most this share as many classes as positions.
_MOST_CLASSES = 1 / 2
_FEWEST_POSITIONS = 256
# What an operation costs against an addition, in vectors: elementary functions, handing out.
_SLOW = dict.fromkeys(
    ["exp", "exp2", "expm1", "log", "log1p", "log2", "logistic", "pow", "tanh"], 12.0
)
_PICK_COST = 12.0


@dataclass(frozen=True, eq=False)
class Classes:
    """A partition of the positions on the axes `dims`: the class of each, `None` if all differ.

    `first` is a position (flat) of each class.
    """

    dims: tuple[int, ...]
    count: int
    of: np.ndarray | None = None
    first: np.ndarray | None = None


class Shared(NamedTuple):
    """A program with operations on classes: `lengths` are those of the added axes."""

    program: Program
    left: tuple[int, ...]
    lengths: tuple[int, ...]
    known: dict[int, Any]


def shared(
    program: Program, known: dict[int, Any], left: Sequence[int], lengths: tuple[int, ...]
) -> Shared:
    """The operations `left` of a program, each once for every class of positions it can tell apart.

    `known` holds the values that are there before, as arrays on natural dims; those that classes
    ask for are added to a copy.
    """
    first = len(lengths)
    while first and math.prod(lengths[first - 1 :]) <= CLASS_POINTS:
        first -= 1
    partitions = _Partitions(program, known, lengths, first)
    ops = [program.ops[i] for i in left]
    if math.prod(lengths) < _FEWEST_POSITIONS:
        return Shared(program, tuple(left), (), known)
    found = partitions.of_ops(ops)
    cost, kept = _cost(program, ops, found, lengths, first), set()
    # Classes that do not seem to pay are given up if all is cheaper without them.
    while doubtful := {c: w for c, w in cost.worth.items() if w <= 0.0 and c not in kept}:
        worst = min(doubtful, key=lambda c: doubtful[c])
        without = partitions.refusing(worst)
        other = without.of_ops(ops)
        less = _cost(program, ops, other, lengths, first)
        if less.total < cost.total:
            partitions, found, cost = without, other, less
        else:
            kept.add(worst)
    if all(classes.of is None for classes in found.values()):
        return Shared(program, tuple(left), (), known)
    return _rewritten(program, ops, found, partitions, lengths)


class _Partitions:
    """The classes of values and operations, each found once."""

    def __init__(self, program, known, lengths, first):
        self.program, self.known, self.lengths, self.first = program, known, lengths, first
        self.made: dict[int, Classes] = {}
        self._values: dict[int, Classes] = {}
        self._joins: dict[tuple[Classes, ...], Classes] = {}
        self._same: dict[Any, Classes] = {}

    def inner(self, number: int) -> tuple[int, ...]:
        """The axes of a value that classes are sought on."""
        return tuple(d for d in self.program.dims[number] if d >= self.first)

    def full(self, dims: tuple[int, ...]) -> Classes:
        return self._same.setdefault(dims, Classes(dims, size(dims, self.lengths)))

    def refusing(self, classes: Classes) -> "_Partitions":
        """The same without some classes, which are not worth an axis."""
        full, new = self.full(classes.dims), copy.copy(self)
        for name in ("_values", "_joins", "_same"):
            table = getattr(self, name).items()
            setattr(new, name, {k: full if v is classes else v for k, v in table})
        return new

    def of_value(self, number: int) -> Classes:
        """The classes of a known value: positions where it is the same, for all outer ones."""
        if number not in self._values:
            dims = self.inner(number)
            many = size(dims, self.lengths)
            rows = np.asarray(self.known[number]).reshape(-1, max(many, 1))
            classes = self.full(dims)
            if many >= _FEWEST_POSITIONS and len(rows) <= 64:
                code = np.zeros(many, np.int64)
                for row in rows:
                    same, own = np.unique(row, return_inverse=True)
                    code = code * same.size + own
                    code = np.unique(code, return_inverse=True)[1] if len(rows) > 1 else code
                classes = self._of_codes(dims, code)
            self._values[number] = classes
        return self._values[number]

    def of_ops(self, ops: Sequence[Op]) -> dict[int, Classes]:
        """The classes of what each operation makes."""
        self.made = {}
        for op in ops:
            self.made.update(dict.fromkeys(op.outputs, self._of_op(op)))
        return self.made

    def _of_op(self, op: Op) -> Classes:
        """The classes of an operation: positions where all its inputs are the same.

        An operation on what was evaluated at all positions before is evaluated at all, too.
        """
        dims, parts = self.inner(op.outputs[0]), []
        for x in numbers(op.inputs):
            made = self.made.get(x)
            part = self.of_value(x) if made is None else made
            if not op.scalar or (made is not None and made.of is None and made.dims):
                return self.full(dims)
            if part.dims:
                parts.append(part)
        if not parts:
            return self.full(dims)
        joined = self._join(tuple(sorted(set(parts), key=id)))
        return joined if joined.of is not None else self.full(dims)

    def _join(self, parts: tuple[Classes, ...]) -> Classes:
        """The coarsest partition that is at least as fine as each of the parts."""
        if len(parts) == 1:
            return parts[0]
        if parts not in self._joins:
            dims = tuple(sorted({d for part in parts for d in part.dims}))
            many = size(dims, self.lengths)
            if any(part.of is None and part.dims == dims for part in parts):
                self._joins[parts] = self.full(dims)
            else:
                code = np.zeros(many, np.int64)
                for part in parts:
                    code = code * part.count + _spread(part, dims, self.lengths)
                    code = _dense(code)
                self._joins[parts] = self._of_codes(dims, code)
        return self._joins[parts]

    def _of_codes(self, dims, code) -> Classes:
        _, first, own = np.unique(code, return_index=True, return_inverse=True)
        if first.size > _MOST_CLASSES * code.size:
            return self.full(dims)
        # Numbered in order of their first position, so that the same classes are the same array.
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(order.size)
        own = rank[own].astype(np.int32)
        classes = Classes(dims, first.size, own, first[order])
        return self._same.setdefault((dims, own.tobytes()), classes)


def _dense(code: np.ndarray) -> np.ndarray:
    """The same codes, numbered without gaps."""
    most = int(code.max()) + 1
    if most > 1 << 22:
        return np.unique(code, return_inverse=True)[1]
    used = np.zeros(most, bool)
    used[code] = True
    return (np.cumsum(used) - 1)[code]


def _spread(part: Classes, dims, lengths) -> np.ndarray:
    """The class of each position on more axes, flat."""
    of = np.arange(part.count) if part.of is None else part.of
    shape = [lengths[d] if d in part.dims else 1 for d in dims]
    return np.broadcast_to(of.reshape(shape), [lengths[d] for d in dims]).reshape(-1)


class _Cost(NamedTuple):
    """Additions that all operations come to, and how many each partition seems to save."""

    total: float
    worth: dict[Classes, float]


def _cost(program, ops, found, lengths, first) -> _Cost:
    worth: Counter[Classes] = Counter()
    total, handed = 0.0, set()
    for op in ops:
        own = found[op.outputs[0]]
        outer = size([d for d in program.dims[op.outputs[0]] if d < first], lengths)
        one = _SLOW.get(op.primitive.name, 1.0) * outer
        total += one * own.count
        if own.of is not None:
            worth[own] += one * (size(own.dims, lengths) - own.count)
        for x in numbers(op.inputs).intersection(found):
            if found[x].of is not None and found[x] is not own:
                handed.add((x, own if own.of is not None else None))
    made = numbers(program.outputs).intersection(found)
    handed.update((x, None) for x in made if found[x].of is not None)
    for x, onto in handed:
        outer = size([d for d in program.dims[x] if d < first], lengths)
        many = size(found[x].dims, lengths) if onto is None else onto.count
        worth[found[x]] -= _PICK_COST * outer * many
        total += _PICK_COST * outer * many
    return _Cost(total, dict(worth))


# Programs rewritten lately, so that the same structure compiles once.
_REWRITTEN: dict[Any, tuple[Program, tuple[int, ...]]] = {}
_REWRITTEN_LIMIT = 64


def _rewritten(program, ops, found, partitions, lengths) -> Shared:
    """The program with the operations of each partition on an axis of its own."""
    axes: dict[Classes, int] = {}
    for op in ops:
        if found[op.outputs[0]].of is not None:
            axes.setdefault(found[op.outputs[0]], len(lengths) + len(axes))
    emit = _Emitter(program, found, partitions, axes, lengths)
    for op in ops:
        emit.op(op)
    outputs = tuple(x if isinstance(x, Literal) else emit.read(x, None) for x in program.outputs)
    key = (program, tuple(op.outputs[0] for op in ops), *emit.signature)
    if key not in _REWRITTEN:
        if len(_REWRITTEN) >= _REWRITTEN_LIMIT:
            _REWRITTEN.pop(next(iter(_REWRITTEN)))
        new = replace(program, ops=tuple(emit.ops), dims=emit.dims, outputs=outputs)
        _REWRITTEN[key] = (new, tuple(range(len(emit.ops))))
    new, left = _REWRITTEN[key]
    padded = tuple(_bucket(classes.count) for classes in axes)
    return Shared(new, left, padded, emit.known)


class _Emitter:
    """Writes operations anew, each on the classes it was given."""

    def __init__(self, program, found, partitions, axes, lengths):
        self.program, self.found, self.partitions = program, found, partitions
        self.axes, self.lengths = axes, lengths
        self.dims, self.known = dict(program.dims), dict(partitions.known)
        self.ops: list[Op] = []
        self.signature: list[Any] = []
        self._next = max(self.dims) + 1
        self._read: dict[Any, int] = {}
        self._index: dict[Any, int] = {}

    def op(self, op: Op) -> None:
        own = self.found[op.outputs[0]]
        classes = own if own.of is not None else None
        inputs = tuple(x if isinstance(x, Literal) else self.read(x, classes) for x in op.inputs)
        made = op.outputs
        if classes is not None:
            self.dims[made[0]] = (*self._outer(made[0]), self.axes[classes])
        self.signature.append(None if classes is None else self.axes[classes])
        self.ops.append(op._replace(inputs=inputs, outputs=made))

    def read(self, x: int, classes: Classes | None) -> int:
        """The value on the axis of some classes, or at all positions."""
        if x in self.found:
            own = self.found[x]
            if own.of is None or own is classes:
                return x
        elif classes is None or not self.partitions.inner(x):
            return x
        if (x, classes) not in self._read:
            known = x in self.partitions.known
            self._read[x, classes] = self._chosen(x, classes) if known else self._pick(x, classes)
        return self._read[x, classes]

    def _outer(self, x: int) -> tuple[int, ...]:
        return tuple(d for d in self.program.dims[x] if d < self.partitions.first)

    def _chosen(self, x: int, classes: Classes) -> int:
        """A known value, at the first position of every class."""
        value = np.asarray(self.known[x])
        inner = self.partitions.inner(x)
        flat = value.reshape(*value.shape[: value.ndim - len(inner)], -1)
        where = _places(classes, inner, self.lengths)
        number = self._new((*self._outer(x), self.axes[classes]))
        self.known[number] = _padded(flat[..., where])
        return number

    def _pick(self, x: int, classes: Classes | None) -> int:
        """What was evaluated for other classes, handed out to these, or to all positions."""
        own = self.found[x]
        onto = own.dims if classes is None else (self.axes[classes],)
        if (own, classes) not in self._index:
            of = own.of.reshape([self.lengths[d] for d in own.dims])
            if classes is not None:
                of = _padded(own.of[_places(classes, own.dims, self.lengths)])
            number = self._new(onto)
            self.known[number] = np.ascontiguousarray(of)
            self._index[own, classes] = number
        number = self._new((*self._outer(x), *onto))
        index = self._index[own, classes]
        self.ops.append(Op(PICK, {}, (x, index), (number,), False))
        return number

    def _new(self, dims) -> int:
        self.dims[self._next] = tuple(dims)
        self._next += 1
        return self._next - 1


def _places(classes: Classes, dims, lengths) -> np.ndarray:
    """The first position of every class, flat over some of its axes."""
    shape = [lengths[d] for d in classes.dims]
    at = dict(zip(classes.dims, np.unravel_index(classes.first, shape), strict=True))
    return np.ravel_multi_index([at[d] for d in dims], [lengths[d] for d in dims])


def _bucket(count: int) -> int:
    """A length that other grids are likely to share: eighths of a power of two."""
    step = 1 << max(int(count - 1).bit_length() - 3, 3)
    return -(-count // step) * step


def _padded(values: np.ndarray) -> np.ndarray:
    """Values with their last axis padded to a common length by its last value."""
    extra = _bucket(values.shape[-1]) - values.shape[-1]
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, extra)], "edge")
