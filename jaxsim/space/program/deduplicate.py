"""How is a program rewritten to evaluate operations once for each equivalence class of designs?

Classes that save more than gathering their results costs get an axis of their own; the operations
on them are rewritten to that axis.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from jaxsim.space.program.cache import CACHE
from jaxsim.space.program.equivalence import FEWEST_POSITIONS, Classes, Partitions
from jaxsim.space.program.trace import PICK, Literal, Op, Program, numbers, size

# Classes are sought among the positions of the inner axes, of which there are at most so many.
CLASS_POINTS = 1 << 18
# The cost of an operation, in vectorised additions: elementary functions, a gather.
_SLOW: dict[str, float] = dict.fromkeys(
    ("exp", "exp2", "expm1", "log", "log1p", "log2", "pow", "tanh"), 12.0
)
_PICK_COST = 12.0


class Shared(NamedTuple):
    """A rewritten program: `lengths` are those of the axes of classes that were added."""

    program: Program
    left: tuple[int, ...]
    lengths: tuple[int, ...]
    known: dict[int, np.ndarray]


def shared(
    program: Program, known: dict[int, np.ndarray], left: Sequence[int], lengths: tuple[int, ...]
) -> Shared:
    """The program with the operations `left` evaluated once for every equivalence class.

    `known` holds the values evaluated before, as arrays on natural dims; a copy of it gets those
    values at one position of each class, and the class of every position.
    """
    first = len(lengths)
    while first and math.prod(lengths[first - 1 :]) <= CLASS_POINTS:
        first -= 1
    partitions = Partitions(program, known, lengths, first)
    ops = [program.ops[i] for i in left]
    if math.prod(lengths) < FEWEST_POSITIONS:
        return Shared(program, tuple(left), (), known)
    by_op = partitions.of_ops(ops)
    cost, kept = _cost(program, ops, by_op, lengths, first), set()
    # A partition that seems not to pay is given up if the total cost is lower without it.
    while doubtful := {c: w for c, w in cost.worth.items() if w <= 0.0 and c not in kept}:
        worst = min(doubtful, key=lambda c: doubtful[c])
        without = partitions.refusing(worst)
        other = without.of_ops(ops)
        less = _cost(program, ops, other, lengths, first)
        if less.total < cost.total:
            partitions, by_op, cost = without, other, less
        else:
            kept.add(worst)
    if all(classes.full for classes in by_op.values()):
        return Shared(program, tuple(left), (), known)
    return _rewritten(program, ops, by_op, partitions, lengths)


class _Cost(NamedTuple):
    """The cost of all operations, and what each partition seems to save, in additions."""

    total: float
    worth: dict[Classes, float]


def _cost(
    program: Program,
    ops: Sequence[Op],
    by_op: Mapping[int, Classes],
    lengths: Sequence[int],
    first: int,
) -> _Cost:
    worth: defaultdict[Classes, float] = defaultdict(float)
    total, handed = 0.0, set()
    for op in ops:
        own = by_op[op.outputs[0]]
        outer = size([d for d in program.dims[op.outputs[0]] if d < first], lengths)
        one = _SLOW.get(op.primitive.name, 1.0) * outer
        total += one * own.count
        if not own.full:
            worth[own] += one * (size(own.dims, lengths) - own.count)
        for x in numbers(op.inputs) & by_op.keys():
            if not by_op[x].full and by_op[x] is not own:
                handed.add((x, own if not own.full else None))
    made = numbers(program.outputs) & by_op.keys()
    handed.update((x, None) for x in made if not by_op[x].full)
    for x, onto in handed:
        outer = size([d for d in program.dims[x] if d < first], lengths)
        many = size(by_op[x].dims, lengths) if onto is None else onto.count
        worth[by_op[x]] -= _PICK_COST * outer * many
        total += _PICK_COST * outer * many
    return _Cost(total, dict(worth))


def _rewritten(
    program: Program,
    ops: Sequence[Op],
    by_op: Mapping[int, Classes],
    partitions: Partitions,
    lengths: Sequence[int],
) -> Shared:
    """The program with the operations of each partition on an axis of its own."""
    axes: dict[Classes, int] = {}
    for op in ops:
        if not by_op[op.outputs[0]].full:
            axes.setdefault(by_op[op.outputs[0]], len(lengths) + len(axes))
    emit = _Emitter(program, by_op, partitions, axes, lengths)
    for op in ops:
        emit.op(op)
    outputs = tuple(x if isinstance(x, Literal) else emit.read(x, None) for x in program.outputs)
    # The same structure is the same program, and so compiled once.
    key = (program, partitions.first, tuple(op.outputs[0] for op in ops), *emit.signature)
    new = CACHE.get(
        key, lambda: replace(program, ops=tuple(emit.ops), dims=emit.dims, outputs=outputs)
    )
    padded = tuple(_bucket(classes.count) for classes in axes)
    return Shared(new, tuple(range(len(new.ops))), padded, emit.known)


class _Emitter:
    """Rewrites operations, each on the axis of its classes."""

    def __init__(
        self,
        program: Program,
        by_op: Mapping[int, Classes],
        partitions: Partitions,
        axes: Mapping[Classes, int],
        lengths: Sequence[int],
    ):
        self.program, self.by_op, self.partitions = program, by_op, partitions
        self.axes, self.lengths = axes, lengths
        self.dims, self.known = dict(program.dims), dict(partitions.known)
        self.ops: list[Op] = []
        self.signature: list[Hashable] = []
        self._next = program.free
        self._read: dict[Hashable, int] = {}
        self._index: dict[Hashable, int] = {}

    def op(self, op: Op) -> None:
        own = self.by_op[op.outputs[0]]
        classes = own if not own.full else None
        inputs = tuple(x if isinstance(x, Literal) else self.read(x, classes) for x in op.inputs)
        made = op.outputs
        if classes is not None:
            self.dims[made[0]] = (*self._outer(made[0]), self.axes[classes])
        self.signature.append(None if classes is None else self.axes[classes])
        self.ops.append(op._replace(inputs=inputs, outputs=made))

    def read(self, x: int, classes: Classes | None) -> int:
        """The value at the first position of every class, or at all positions."""
        if x in self.by_op:
            own = self.by_op[x]
            if own.full or own is classes:
                return x
        elif classes is None or not self.partitions.inner(x):
            return x
        if (x, classes) not in self._read:
            if classes is not None and x in self.partitions.known:
                self._read[x, classes] = self._chosen(x, classes)
            else:
                self._read[x, classes] = self._pick(x, classes)
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
        """A value of other classes, gathered to these classes, or to all positions."""
        own = self.by_op[x]
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

    def _new(self, dims: tuple[int, ...]) -> int:
        self.dims[self._next] = tuple(dims)
        self._next += 1
        return self._next - 1


def _places(classes: Classes, dims: tuple[int, ...], lengths: Sequence[int]) -> np.ndarray:
    """The first position of every class, flat over some of its axes."""
    shape = [lengths[d] for d in classes.dims]
    at = dict(zip(classes.dims, np.unravel_index(classes.first, shape), strict=True))
    return np.asarray(np.ravel_multi_index([at[d] for d in dims], [lengths[d] for d in dims]))


def _bucket(count: int) -> int:
    """A length that other grids are likely to share: eighths of a power of two."""
    step = 1 << max(int(count - 1).bit_length() - 3, 3)
    return -(-count // step) * step


def _padded(values: np.ndarray) -> np.ndarray:
    """Values with their last axis padded to a common length by its last value."""
    extra = _bucket(values.shape[-1]) - values.shape[-1]
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, extra)], "edge")
