"""How is a program evaluated and differentiated at a few points without a call for each operation?

At a few points the calls of NumPy cost more than its arithmetic. Operations of one kind that do not
depend on one another are one call, on rows of one array: thousands of operations become hundreds of
calls. Local derivatives depend on values only, so all those of a kind are one call.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxsim.space.gradient.equal_points import Inputs, place
from jaxsim.space.gradient.of_operations import Partial
from jaxsim.space.gradient.paths import UNIT, Paths, Sums, paths_of
from jaxsim.space.program.in_numpy import in_float64
from jaxsim.space.program.trace import Op

Rows = np.ndarray | slice


class Group(NamedTuple):
    """Operations of one kind, done together: rows of each input, and where results begin."""

    run: Callable[..., object]
    inputs: tuple[Rows, ...]
    first: int
    end: int


class Derivatives(NamedTuple):
    """One derivative of all operations of a kind: rows that it reads, and where it goes."""

    of: Callable[..., object]
    reads: tuple[Rows, ...]
    into: Rows


class Handed(NamedTuple):
    """Rows that a table gathers from an earlier one."""

    source: int
    rows: np.ndarray


@dataclass(frozen=True)
class Work:
    """The operations of one table: values, derivatives and sums, and rows gathered from others.

    `derivatives` are written to rows that `paths` sums; of those, `fixed` are the same at all
    points.
    """

    values: tuple[Handed, ...]
    groups: tuple[Group, ...]
    derivatives: tuple[Derivatives, ...]
    weights: tuple[Handed, ...]
    fixed: tuple[Rows, np.ndarray]
    sums: tuple[Handed, ...]


@dataclass(frozen=True)
class Levels:
    """A program's operations in groups; every value is a row: inputs, constants, results.

    Rows have the same numbers in all tables, which hold the values that are theirs, or needed.
    """

    size: int
    inputs: int
    constants: np.ndarray
    seeds: tuple[int, ...]
    tables: tuple[Work, ...]
    paths: Paths
    between: np.ndarray


def levels_of(
    ops: Sequence[Op],
    slots: Sequence[tuple[int, ...]],
    inputs: int,
    constants: Sequence[tuple[int, np.ndarray]],
    seeds: Sequence[int],
    partials: Sequence[tuple[Partial | None, ...]],
    tables: Sequence[Inputs],
    moved: Mapping[int, Inputs],
) -> Levels:
    """The groups of operations with arguments in `slots`, for the values in `seeds`.

    `partials` are the derivatives of each operation, None where nothing moves; `moved` says with
    which inputs each value moves, and so in which of the `tables` it is.
    """
    row = {number: number for number in range(inputs)}
    row |= {number: inputs + i for i, (number, _) in enumerate(constants)}
    size = first = inputs + len(constants)
    home = [place(tables, moved[op.outputs[0]]) for op in ops]
    kinds = [_kind(op) for op in ops]
    groups, at = defaultdict(list), dict.fromkeys(range(size), -1)
    values = [defaultdict(set) for _ in tables]

    def needed(table: int, own: int) -> None:
        if own >= first and at[own] != table:
            values[table][at[own]].add(own)

    for table in range(len(tables)):
        here = [i for i in range(len(ops)) if home[i] == table]
        each = [kinds[i] for i in here], [slots[i] for i in here], [ops[i].outputs[0] for i in here]
        for members in calls_of(*each):
            start, members = size, [here[m] for m in members]
            for i in members:
                row[ops[i].outputs[0]], at[size] = size, table
                size += 1
            columns = [
                [row[x] for x in own] for own in zip(*(slots[i] for i in members), strict=True)
            ]
            for own in (x for column in columns for x in column):
                needed(table, own)
            places = tuple(map(_rows, columns))
            groups[table].append(Group(in_float64(ops[members[0]]), places, start, size))
    for seed in seeds:
        needed(len(tables) - 1, row[seed])
    edges, label_moved = _edges(ops, slots, seeds, partials, moved)
    paths = paths_of(
        edges,
        seeds,
        inputs,
        tables,
        label_moved,
        {op.outputs[0]: own for op, own in zip(ops, home, strict=True)},
    )
    fixed, each = defaultdict(list), defaultdict(list)
    weights = [defaultdict(set) for _ in tables]
    for table, spot, label in _labelled(paths.within):
        i, k = label if isinstance(label, tuple) else (0, 0)
        partial = None if label is UNIT else partials[i][k]
        if partial is None or isinstance(partial.of, float):
            fixed[table].append((spot, 1.0 if partial is None else partial.of))
            continue
        own = (*slots[i], ops[i].outputs[0])
        reads = [row[own[x]] for x in partial.reads]
        source = place(tables, label_moved[label])
        for x in reads:
            needed(source, x)
        each[source, kinds[i], k].append((spot, partial, reads))
        if source != table:
            weights[table][source].add(spot)
    derivatives = defaultdict(list)
    for (table, *_), members in each.items():
        reads = tuple(map(_rows, zip(*(rows for _, _, rows in members), strict=True)))
        into = _rows([spot for spot, _, _ in members])
        derivatives[table].append(Derivatives(members[0][1].of, reads, into))
    between = np.array([0 if label is UNIT else label for label in paths.between.labels], int)
    sums = _handed_sums(paths.within, between, len(tables))
    return Levels(
        size, inputs, np.array([float(value) for _, value in constants]),
        tuple(row[x] for x in seeds),
        tuple(
            Work(
                _handed(values[t]), tuple(groups[t]), tuple(derivatives[t]), _handed(weights[t]),
                (np.array([spot for spot, _ in fixed[t]], int),
                 np.array([x for _, x in fixed[t]])[:, None]),
                _handed(sums[t]),
            )
            for t in range(len(tables))
        ),
        paths, between,
    )  # fmt: skip


def _edges(
    ops: Sequence[Op],
    slots: Sequence[tuple[int, ...]],
    seeds: Sequence[int],
    partials: Sequence[tuple[Partial | None, ...]],
    moved: Mapping[int, frozenset[int]],
) -> tuple[list[tuple[int, int, object]], dict[object, Inputs]]:
    """The uses of values that lead to `seeds`, and the inputs that each derivative moves with."""
    none: Inputs = frozenset()
    wanted, edges, label_moved = set(seeds), [], {}
    for i in reversed(range(len(ops))):
        own = (*slots[i], ops[i].outputs[0])
        if own[-1] not in wanted:
            continue
        for k, (x, partial) in enumerate(zip(slots[i], partials[i], strict=True)):
            if partial is not None:
                wanted.add(x)
                edges.append((own[-1], x, UNIT if partial.of == 1.0 else (i, k)))
                label_moved[i, k] = none.union(*(moved.get(own[x], none) for x in partial.reads))
    return edges, label_moved


def _labelled(sums: Sums) -> Iterator[tuple[int, int, object]]:
    """The table, place and label of every term."""
    for level in sums.levels:
        for spot in range(level.weights, level.weights + len(level.sources)):
            yield level.table, spot, sums.labels[spot]


def _handed_sums(sums: Sums, last: np.ndarray, tables: int) -> list[dict[int, set[int]]]:
    """What each table takes of the sums of others; the last one also takes what is in `last`."""
    at = dict.fromkeys(range(sums.seeds), -1)
    for level in sums.levels:
        at |= dict.fromkeys(range(level.first, level.end), level.table)
    uses = [(level.table, slot) for level in sums.levels for slot in level.sources.tolist()]
    uses += [(tables - 1, slot) for slot in last.tolist()]
    taken: list[dict[int, set[int]]] = [defaultdict(set) for _ in range(tables)]
    for table, slot in uses:
        if at[slot] not in (-1, table):
            taken[table][at[slot]].add(slot)
    return taken


def _handed(rows: Mapping[int, set[int]]) -> tuple[Handed, ...]:
    return tuple(Handed(source, np.array(sorted(own))) for source, own in rows.items())


def calls_of(
    kinds: Sequence[object], slots: Sequence[tuple[int, ...]], outputs: Sequence[int]
) -> list[list[int]]:
    """Which operations are one call, in order.

    Only operations whose inputs are all known may be next. Among their kinds, the kind of the
    operation with the longest path to the end is next, because later operations wait for it; among
    several such kinds, the one with most operations.
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


def _kind(op: Op) -> tuple[Hashable, ...]:
    """What makes two operations the same function."""
    return (op.primitive.name, *sorted((name, str(value)) for name, value in op.params.items()))


def _rows(places: Sequence[int]) -> Rows:
    """Rows as a slice where they follow one another."""
    first = places[0]
    follow = list(places) == list(range(first, first + len(places)))
    return slice(first, first + len(places)) if follow else np.array(places)
