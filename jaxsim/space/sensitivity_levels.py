"""How is a program differentiated at a few points without a call for each of its operations?

At a few points NumPy's calls cost more than its arithmetic. Operations of one kind that do not wait
for one another are done together, on rows of one array: thousands of operations become hundreds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxsim.space._program import Op

# Points differentiated together: their rows stay in the cache.
POINTS = 48


Rows = np.ndarray | slice


class Pull(NamedTuple):
    """What a group passes back to one of its arguments: which of its rows, to which slots.

    Rows that go to one slot are summed: `order` brings them together, `starts` says where each
    begins; both are None where no two do. Where nothing came to the slots before, it is `fresh`.
    """

    part: Callable[..., Any]
    rows: Rows
    slots: Rows
    order: np.ndarray | None
    starts: np.ndarray | None
    fresh: bool


class Group(NamedTuple):
    """Operations of one kind, done together: slots of each argument, and where results begin."""

    run: Callable[..., Any]
    inputs: tuple[Rows, ...]
    first: int
    end: int
    pulls: tuple[Pull | None, ...]


@dataclass(frozen=True)
class Levels:
    """A program's operations in groups; every value is a row: inputs, constants, results."""

    size: int
    inputs: int
    constants: np.ndarray
    seeds: tuple[int, ...]
    groups: tuple[Group, ...]


def levels_of(
    ops: Sequence[Op],
    slots: Sequence[tuple[int, ...]],
    inputs: int,
    constants: Sequence[tuple[int, Any]],
    seeds: Sequence[int],
    run: Callable[[Op], Callable[..., Any]],
    pulls: Sequence[tuple[Callable[..., Any] | None, ...]],
) -> Levels:
    """The groups of operations with arguments in `slots`, for the values in `seeds`.

    `pulls` are what each operation passes back to each argument, None where nothing.
    """
    level: dict[int, int] = {}
    grouped: dict[Any, list[int]] = {}
    for i, (op, own) in enumerate(zip(ops, slots, strict=True)):
        depth = 1 + max((level.get(x, 0) for x in own), default=0)
        level[op.outputs[0]] = depth
        grouped.setdefault((depth, _kind(op)), []).append(i)
    wanted = set(seeds)
    for i in reversed(range(len(ops))):
        if ops[i].outputs[0] in wanted:
            wanted.update(x for x, pull in zip(slots[i], pulls[i], strict=True) if pull)
    row = {number: number for number in range(inputs)}
    row |= {number: inputs + i for i, (number, _) in enumerate(constants)}
    groups, size = [], inputs + len(constants)
    for (_, _), members in sorted(grouped.items(), key=lambda item: item[0][0]):
        first = size
        for i in members:
            row[ops[i].outputs[0]] = size
            size += 1
        columns = zip(*(slots[i] for i in members), strict=True)
        places = [np.array([row[x] for x in column]) for column in columns]
        parts = [
            [(k, pulls[i][argument]) for k, i in enumerate(members)
             if pulls[i][argument] and ops[i].outputs[0] in wanted]
            for argument in range(len(places))
        ]  # fmt: skip
        groups.append((run(ops[members[0]]), places, parts, first, size))
    written, done = {row[x] for x in seeds}, []
    for call, places, parts, first, end in reversed(groups):
        own = tuple(
            _pull(part, place, end - first, written)
            for part, place in zip(parts, places, strict=True)
        )
        done.append(Group(call, tuple(_rows(place) for place in places), first, end, own))
    values = np.array([float(value) for _, value in constants])
    return Levels(size, inputs, values, tuple(row[x] for x in seeds), tuple(done[::-1]))


def _kind(op: Op) -> tuple:
    """What makes two operations the same function."""
    return (op.primitive.name, *sorted((name, str(value)) for name, value in op.params.items()))


def _rows(places: np.ndarray) -> Rows:
    """Rows as a slice where they follow one another."""
    first = int(places[0])
    follow = np.array_equal(places, np.arange(first, first + len(places)))
    return slice(first, first + len(places)) if follow else places


def _pull(parts, place: np.ndarray, count: int, written: set[int]) -> Pull | None:
    if not parts:
        return None
    rows = np.array([k for k, _ in parts])
    slots = place[rows]
    order = np.argsort(slots, kind="stable")
    unique, starts = np.unique(slots[order], return_index=True)
    fresh = written.isdisjoint(unique.tolist())
    written.update(unique.tolist())
    every = slice(None) if len(rows) == count else rows
    if len(unique) == len(slots):
        return Pull(parts[0][1], every, _rows(slots), None, None, fresh)
    return Pull(parts[0][1], every, _rows(unique), order, starts, fresh)


def slopes(levels: Levels, leaves: Sequence[np.ndarray], count: int) -> tuple:
    """The outputs, [outputs, points], and their derivatives by the inputs, [inputs, outputs, …]."""
    values = np.empty((len(levels.seeds), count))
    found = np.empty((levels.inputs, len(levels.seeds), count))
    single = [(i, leaf) for i, leaf in enumerate(leaves) if leaf.size == 1]
    which, numbers = (
        [i for i, _ in single],
        np.array([float(leaf.ravel()[0]) for _, leaf in single]),
    )
    for start in range(0, count, POINTS):
        part = slice(start, min(start + POINTS, count))
        known = np.empty((levels.size, part.stop - start))
        known[which] = numbers[:, None]
        for i, leaf in enumerate(leaves):
            if leaf.size > 1:
                known[i] = leaf[part]
        known[levels.inputs : levels.inputs + len(levels.constants)] = levels.constants[:, None]
        values[:, part], found[:, :, part] = _block(levels, known)
    return values, found


def _block(levels: Levels, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for some points: forward, then back."""
    points = known.shape[1]
    taken = []
    with np.errstate(all="ignore"):
        for run, inputs, first, end, _ in levels.groups:
            given = [known[place] for place in inputs]
            known[first:end] = run(*given)
            taken.append([one[:, None] for one in given])
        back = np.zeros((levels.size, len(levels.seeds), points))
        for row, seed in enumerate(levels.seeds):
            back[seed, row] = 1.0
        for (_, _, first, end, pulls), given in zip(
            reversed(levels.groups), reversed(taken), strict=True
        ):
            own, result = back[first:end], known[first:end, None]
            for pull in pulls:
                if pull is None:
                    continue
                if isinstance(pull.rows, slice):
                    part = pull.part(own, given, result)
                else:
                    some = [one[pull.rows] for one in given]
                    part = pull.part(own[pull.rows], some, result[pull.rows])
                if pull.order is not None and pull.starts is not None:
                    part = np.add.reduceat(part[pull.order], pull.starts, axis=0)
                if pull.fresh:
                    back[pull.slots] = part
                else:
                    back[pull.slots] += part
    return known[list(levels.seeds)], back[: levels.inputs]
