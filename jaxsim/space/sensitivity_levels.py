"""How is a program evaluated and differentiated at a few points without a call for each operation?

At a few points NumPy's calls cost more than its arithmetic. Operations of one kind that do not wait
for one another are done together, on rows of one array: thousands of operations become hundreds.
Their derivatives wait for nothing but values, and are found for all operations of a kind at once.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxsim.space._program import Op
from jaxsim.space._room import room
from jaxsim.space.sensitivity_partials import Partial
from jaxsim.space.sensitivity_paths import UNIT, Paths, paths_of, summed

# Points differentiated together: calls come seldom, and rows stay in the last cache.
POINTS = 288

Rows = np.ndarray | slice


class Group(NamedTuple):
    """Operations of one kind, done together: rows of each input, and where results begin."""

    run: Callable[..., Any]
    inputs: tuple[Rows, ...]
    first: int
    end: int


class Derivatives(NamedTuple):
    """One derivative of all operations of a kind: rows that it reads, and where it goes."""

    of: Callable[..., Any]
    reads: tuple[Rows, ...]
    into: Rows


@dataclass(frozen=True)
class Levels:
    """A program's operations in groups; every value is a row: inputs, constants, results.

    `derivatives` go to rows of what `paths` sums; of those, `fixed` are the same everywhere.
    """

    size: int
    inputs: int
    constants: np.ndarray
    seeds: tuple[int, ...]
    groups: tuple[Group, ...]
    derivatives: tuple[Derivatives, ...]
    fixed: tuple[Rows, np.ndarray]
    paths: Paths
    between: np.ndarray


def levels_of(
    ops: Sequence[Op],
    slots: Sequence[tuple[int, ...]],
    inputs: int,
    constants: Sequence[tuple[int, Any]],
    seeds: Sequence[int],
    run: Callable[[Op], Callable[..., Any]],
    partials: Sequence[tuple[Partial | None, ...]],
) -> Levels:
    """The groups of operations with arguments in `slots`, for the values in `seeds`.

    `partials` are the derivatives of each operation, None where nothing moves.
    """
    row = {number: number for number in range(inputs)}
    row |= {number: inputs + i for i, (number, _) in enumerate(constants)}
    kinds = [_kind(op) for op in ops]
    groups, size = [], inputs + len(constants)
    for members in together(kinds, slots, [op.outputs[0] for op in ops]):
        first = size
        for i in members:
            row[ops[i].outputs[0]] = size
            size += 1
        columns = zip(*(slots[i] for i in members), strict=True)
        places = tuple(_rows([row[x] for x in column]) for column in columns)
        groups.append(Group(run(ops[members[0]]), places, first, size))
    wanted, edges = set(seeds), []
    for i in reversed(range(len(ops))):
        if ops[i].outputs[0] in wanted:
            for k, (x, partial) in enumerate(zip(slots[i], partials[i], strict=True)):
                if partial is not None:
                    wanted.add(x)
                    edges.append((ops[i].outputs[0], x, UNIT if partial.of == 1.0 else (i, k)))
    paths = paths_of(edges, seeds, inputs)
    fixed, each = [], defaultdict(list)
    for place, label in enumerate(paths.within.labels):
        if label is UNIT:
            fixed.append((place, 1.0))
            continue
        i, k = label
        partial = partials[i][k]
        if isinstance(partial.of, float):
            fixed.append((place, partial.of))
        else:
            own = (*slots[i], ops[i].outputs[0])
            each[kinds[i], k].append((place, partial, [row[own[x]] for x in partial.reads]))
    derivatives = []
    for members in each.values():
        reads = zip(*(rows for _, _, rows in members), strict=True)
        into = _rows([place for place, _, _ in members])
        derivatives.append(Derivatives(members[0][1].of, tuple(map(_rows, reads)), into))
    return Levels(
        size, inputs, np.array([float(value) for _, value in constants]),
        tuple(row[x] for x in seeds), tuple(groups), tuple(derivatives),
        (np.array([place for place, _ in fixed], int), np.array([x for _, x in fixed])[:, None]),
        paths,
        np.array([0 if label is UNIT else label for label in paths.between.labels], int),
    )  # fmt: skip


def together(
    kinds: Sequence[Any], slots: Sequence[tuple[int, ...]], outputs: Sequence[int]
) -> list[list[int]]:
    """Which operations are done together, in order.

    Of the kinds that have operations waiting for nothing, the one with the operation furthest from
    the end, as others come to those that wait; of several such kinds, the one with most operations.
    """
    maker = {made: i for i, made in enumerate(outputs)}
    needs = [{maker[x] for x in own if x in maker} for own in slots]
    users: dict[int, list[int]] = defaultdict(list)
    height = [0] * len(kinds)
    for i in reversed(range(len(kinds))):
        height[i] = 1 + max((height[user] for user in users[i]), default=0)
        for x in needs[i]:
            users[x].append(i)
    missing, ready, order = [len(own) for own in needs], defaultdict(list), []
    for i in range(len(kinds)):
        if not missing[i]:
            ready[kinds[i]].append(i)
    while ready:
        kind = max(ready, key=lambda k: (max(height[i] for i in ready[k]), len(ready[k])))
        members = ready.pop(kind)
        order.append(members)
        for user in (user for i in members for user in users[i]):
            missing[user] -= 1
            if not missing[user]:
                ready[kinds[user]].append(user)
    return order


def _kind(op: Op) -> tuple:
    """What makes two operations the same function."""
    return (op.primitive.name, *sorted((name, str(value)) for name, value in op.params.items()))


def _rows(places: Sequence[int]) -> Rows:
    """Rows as a slice where they follow one another."""
    first = places[0]
    follow = list(places) == list(range(first, first + len(places)))
    return slice(first, first + len(places)) if follow else np.array(places)


def slopes(levels: Levels, leaves: Sequence[np.ndarray], count: int) -> tuple:
    """The outputs, [outputs, points], and their derivatives, [inputs, outputs, points].

    The inputs are those of `levels.paths`; others have no influence.
    """
    values = np.empty((len(levels.seeds), count))
    found = np.empty((len(levels.paths.inputs), len(levels.seeds), count))
    which = [i for i, leaf in enumerate(leaves) if leaf.size == 1]
    numbers = np.array([float(leaves[i].ravel()[0]) for i in which])
    for start in range(0, count, POINTS):
        part = slice(start, min(start + POINTS, count))
        known = room("known", levels.size, part.stop - start)
        known[which] = numbers[:, None]
        for i, leaf in enumerate(leaves):
            if leaf.size > 1:
                known[i] = leaf[part]
        known[levels.inputs : levels.inputs + len(levels.constants)] = levels.constants[:, None]
        with np.errstate(all="ignore"):
            _forward(levels, known)
            _back(levels, known, found[:, :, part])
        values[:, part] = known[list(levels.seeds)]
    return values, found


def _forward(levels: Levels, known: np.ndarray) -> None:
    """The values of all operations at some points, in their rows."""
    for run, inputs, first, end in levels.groups:
        given = _read(known, inputs)
        if isinstance(run, np.ufunc):
            run(*given, out=known[first:end])
        else:
            known[first:end] = run(*given)


def _read(known: np.ndarray, rows: Sequence[Rows]) -> list[np.ndarray]:
    """Rows of known values, to be used before others are read."""
    points, given = known.shape[1], []
    for k, own in enumerate(rows):
        if isinstance(own, slice):
            given.append(known[own])
        else:
            given.append(known.take(own, 0, room(f"given {k}", len(own), points), "clip"))
    return given


def _back(levels: Levels, known: np.ndarray, found: np.ndarray) -> None:
    """The derivatives by inputs that have an influence, into [inputs, outputs, points]."""
    points, rows, paths = known.shape[1], len(levels.seeds), levels.paths
    weights = room("weights", len(paths.within.labels), points)
    weights[levels.fixed[0]] = levels.fixed[1]
    for of, reads, into in levels.derivatives:
        weights[into] = of(*_read(known, reads))
    within = room("within", paths.within.size, points)
    within[0] = 1.0
    summed(paths.within, within, weights)
    weights = room("weights", len(paths.between.labels), points)
    within.take(levels.between, 0, weights, "clip")
    between = room("between", paths.between.size, rows, points)
    between[:rows] = np.eye(rows)[:, :, None]
    summed(paths.between, between, weights[:, None])
    slots = np.array([slot for _, slot in paths.inputs], int)
    if found.flags.c_contiguous:
        between.take(slots, 0, found, "clip")
    else:
        found[:] = between.take(slots, 0)
