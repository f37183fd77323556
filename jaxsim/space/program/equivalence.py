"""For which designs does an operation have the same inputs, and so the same result?

Positions with equal inputs are an equivalence class. Attention, for example, depends on the
sequences and heads of a rank, and thousands of designs have only a few hundred pairs of these. The
operation is evaluated once for each class, and its result is gathered where an operation has more
classes. Classes are found from the numbers of the grid, not from the physics.
"""

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxsim.space.program.trace import Op, Program, numbers, size

# Classes get an axis of their own if they are at most this share of the positions.
_MOST_CLASSES = 1 / 2
FEWEST_POSITIONS = 256
# Codes up to this are numbered through a table of all codes, larger ones by sorting.
_LONGEST_TABLE = 1 << 26


def _none() -> np.ndarray:
    return np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class Classes:
    """A partition of the positions on the axes `dims`: `of` is the class of each, flat.

    `first` is a position (flat) of each class. Both are empty if all positions differ.
    """

    dims: tuple[int, ...]
    count: int
    of: np.ndarray = field(default_factory=_none)
    first: np.ndarray = field(default_factory=_none)

    @property
    def full(self) -> bool:
        """Whether every position is a class of its own."""
        return not self.of.size


class Partitions:
    """The equivalence classes of values and operations, each found once."""

    def __init__(
        self, program: Program, known: Mapping[int, np.ndarray], lengths: Sequence[int], first: int
    ):
        self.program, self.known, self.lengths, self.first = program, known, lengths, first
        self.made: dict[int, Classes] = {}
        self._values: dict[int, Classes] = {}
        self._joins: dict[tuple[Classes, ...], Classes] = {}
        self._same: dict[Hashable, Classes] = {}

    def inner(self, number: int) -> tuple[int, ...]:
        """The axes of a value that classes are sought on."""
        return tuple(d for d in self.program.dims[number] if d >= self.first)

    def full(self, dims: tuple[int, ...]) -> Classes:
        return self._same.setdefault(dims, Classes(dims, size(dims, self.lengths)))

    def refusing(self, classes: Classes) -> "Partitions":
        """The same without one partition: its operations are evaluated at every position."""
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
            if many >= FEWEST_POSITIONS and len(rows) <= 64:
                each = [codes_of(row) for row in rows]
                counts = [int(code.max()) + 1 for code in each]
                classes = self._of_codes(dims, combined(each, counts, many))
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
            if not op.scalar or (made is not None and made.full and made.dims):
                return self.full(dims)
            if part.dims:
                parts.append(part)
        if not parts:
            return self.full(dims)
        joined = self._join(tuple(sorted(set(parts), key=id)))
        return joined if not joined.full else self.full(dims)

    def _join(self, parts: tuple[Classes, ...]) -> Classes:
        """The coarsest partition that is at least as fine as each of the parts."""
        if len(parts) == 1:
            return parts[0]
        if parts not in self._joins:
            dims = tuple(sorted({d for part in parts for d in part.dims}))
            many = size(dims, self.lengths)
            if any(part.full and part.dims == dims for part in parts):
                self._joins[parts] = self.full(dims)
            else:
                codes = [_spread(part, dims, self.lengths) for part in parts]
                code = combined(codes, [part.count for part in parts], many)
                self._joins[parts] = self._of_codes(dims, code)
        return self._joins[parts]

    def _of_codes(self, dims: tuple[int, ...], code: np.ndarray) -> Classes:
        # Numbered in order of their first position, so that the same classes are the same array.
        first, own = classes_of(code)
        if first.size > _MOST_CLASSES * code.size:
            return self.full(dims)
        return self._same.setdefault((dims, own.tobytes()), Classes(dims, first.size, own, first))


def codes_of(values: np.ndarray) -> np.ndarray:
    """A code for each value: the same for equal ones. By their bits: 0 and -0 differ."""
    bits = values.view(f"u{values.itemsize}") if values.dtype.kind == "f" else values
    return np.unique(bits, return_inverse=True)[1]


def combined(codes: Sequence[np.ndarray], counts: Sequence[int], size: int) -> np.ndarray:
    """A code for each of `size` positions: the same where all `codes`, below `counts`, are.

    >>> combined([np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])], [2, 2], 4).tolist()
    [0, 1, 2, 2]
    """
    joined = np.zeros(size, np.int64)
    for code, count in zip(codes, counts, strict=True):
        joined = classes_of(joined * count + code)[1].astype(np.int64)
    return joined


def classes_of(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first position of each class, in order of it, and the class of each position.

    Codes are whole numbers from 0 on. A table of codes holds the first position of each, which
    costs a few reads a position where sorting them costs tens.

    >>> classes_of(np.array([7, 2, 7, 0]))
    (array([0, 1, 3]), array([0, 1, 0, 2], dtype=int32))
    """
    place = np.arange(code.size, dtype=np.int32)
    if int(code.max(initial=0)) < _LONGEST_TABLE:
        table = np.empty(int(code.max(initial=0)) + 1, np.int32)
        # Of positions of one code the last written stays: the first, in reverse order.
        table[code[::-1]] = place[::-1]
        leader = table[code]
    else:
        _, first, own = np.unique(code, return_index=True, return_inverse=True)
        leader = first[own]
    leads = leader == place
    return np.flatnonzero(leads), (np.cumsum(leads, dtype=np.int32) - 1)[leader]


def _spread(part: Classes, dims: tuple[int, ...], lengths: Sequence[int]) -> np.ndarray:
    """The class of each position on more axes, flat."""
    of = np.arange(part.count) if part.full else part.of
    shape = [lengths[d] if d in part.dims else 1 for d in dims]
    return np.broadcast_to(of.reshape(shape), [lengths[d] for d in dims]).reshape(-1)
