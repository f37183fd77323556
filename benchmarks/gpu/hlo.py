"""What does a compiled GPU program do?  Launches, waits and bytes, read from its optimised text.

XLA gives no cost analysis for a device that is not there, but its optimised HLO says everything
that is launched and how often loops run.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "s64": 8, "u64": 8,
          "f64": 8}  # fmt: skip
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
_HEAD = re.compile(r"^(ENTRY )?%([\w.\-]+) \(.*\) -> .* \{$")
_LINE = re.compile(r"^  (ROOT )?%([\w.\-]+) = (\(.*?\)|[\w\[\],{}:()]+?) ([\w\-]+)\((.*)$")
# What runs on the device by itself; other operations are addresses, or inside of a fusion.
_LAUNCHED = frozenset(
    ("fusion", "copy", "sort", "custom-call", "reduce", "scatter", "transpose", "all-reduce",
     "all-gather", "reduce-window", "dynamic-slice", "dynamic-update-slice", "gather", "broadcast",
     "concatenate", "select", "convert", "iota", "pad", "slice")
)  # fmt: skip


class Op(NamedTuple):
    """One operation of a computation."""

    root: bool
    name: str
    shape: str
    kind: str
    operands: tuple[str, ...]
    rest: str


class Counts(NamedTuple):
    """What a program does in one run.

    `launches` of kernels; `conditionals` whose flag the host reads; `dynamic_loops`, whose trip
    count is not known when compiling; `bytes` read and written by kernels, without what fusions
    pass on in registers.
    """

    launches: int
    conditionals: int
    dynamic_loops: int
    bytes: float
    kinds: frozenset[str]


def counts_of(text: str) -> Counts:
    """The counts of an optimised HLO module."""
    computations, entry = _parsed(text)
    launches = conditionals = dynamic = 0
    total = 0.0
    for times, op in _run(computations, entry, 1):
        if op.kind == "while":
            dynamic += _trips(op) is None
        elif op.kind == "conditional":
            conditionals += times
        else:
            launches += times
            total += times * _moved(computations, op)
    kinds = frozenset(op.kind for ops in computations.values() for op in ops)
    return Counts(launches, conditionals, dynamic, total, kinds)


def _parsed(text: str) -> tuple[dict[str, list[Op]], str]:
    computations: dict[str, list[Op]] = {}
    current: list[Op] | None = None
    entry = ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            current = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (result := _LINE.match(line)):
            root, name, shape, kind, rest = result.groups()
            inside = _until_closed(rest)
            operands = tuple(re.findall(r"%([\w.\-]+)", rest[:inside]))
            current.append(Op(bool(root), name, shape, kind, operands, rest[inside:]))
    return computations, entry


def _until_closed(text: str) -> int:
    """Where the parenthesis that is open at the beginning closes."""
    depth = 1
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return i
    return len(text)


def _trips(op: Op) -> int | None:
    result = re.search(r'"known_trip_count":\{"n":"(\d+)"', op.rest)
    return int(result[1]) if result else None


def _run(computations, name: str, times: int) -> Iterator[tuple[int, Op]]:
    """Every launch, loop and conditional below a computation, and how often it happens."""
    for op in computations[name]:
        if op.kind == "while":
            yield times, op
            body = re.search(r"body=%([\w.\-]+)", op.rest)
            assert body is not None
            yield from _run(computations, body[1], times * (_trips(op) or 1))
        elif op.kind == "conditional":
            yield times, op
            branches = re.search(r"true_computation=%([\w.\-]+)", op.rest)
            listed = re.search(r"branch_computations=\{([^}]*)\}", op.rest)
            first = branches[1] if branches else re.findall(r"%([\w.\-]+)", listed[1])[-1]  # pyright: ignore
            yield from _run(computations, first, times)
        elif op.kind == "call":
            called = re.search(r"to_apply=%([\w.\-]+)", op.rest)
            assert called is not None
            yield from _run(computations, called[1], times)
        elif op.kind in _LAUNCHED:
            yield times, op


def _size(shape: str) -> float:
    return sum(
        _BYTES.get(kind, 4) * math.prod(int(n) for n in dims.split(",") if n)
        for kind, dims in _SHAPE.findall(shape)
    )


def _moved(computations, op: Op) -> float:
    """Bytes that one launch reads and writes: of a slice only the slice, of a gather its rows."""
    called = re.search(r"calls=%([\w.\-]+)", op.rest)
    if op.kind != "fusion" or called is None:
        return 2.0 * _size(op.shape)
    inside = {one.name: one for one in computations[called[1]]}
    users: dict[str, list[Op]] = {}
    for one in inside.values():
        for operand in one.operands:
            users.setdefault(operand, []).append(one)
    read = 0.0
    for one in inside.values():
        if one.kind == "parameter":
            own = users.get(one.name, [])
            first = [user.operands[:1] == (one.name,) for user in own]
            if own and all(first) and {u.kind for u in own} <= {"dynamic-slice", "gather"}:
                read += min(_size(one.shape), sum(_size(user.shape) for user in own))
            elif not (own and all(first) and {u.kind for u in own} == {"dynamic-update-slice"}):
                read += _size(one.shape)

    def written(name: str) -> float:
        one = inside[name]
        if one.kind == "tuple":
            return sum(written(x) for x in one.operands)
        if one.kind == "bitcast":
            return written(one.operands[0])
        return _size(
            inside[one.operands[1]].shape if one.kind == "dynamic-update-slice" else one.shape
        )

    return read + written(next(one.name for one in inside.values() if one.root))
