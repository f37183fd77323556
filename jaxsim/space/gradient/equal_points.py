"""At which points does an operation have the same inputs, and so the same result?

A value depends on some inputs only. Where these have few combinations among the points, it is
evaluated once for each combination. A table has one column for each combination of some inputs (an
equivalence class of points); the last table has one column for each point.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxsim.space.program.equivalence import classes_of, codes_of, combined

# The cost of the calls for one table, in numbers that operations would evaluate meanwhile.
CALLS = 80_000

Inputs = frozenset[int]


class Table(NamedTuple):
    """Columns for combinations: the first point of each, and the column of every point."""

    first: np.ndarray
    of: np.ndarray


def moved_by(inputs: Inputs, ops: Iterable[tuple[tuple[int, ...], int]]) -> dict[int, Inputs]:
    """The inputs, among some, that each value depends on."""
    moving = {x: frozenset((x,)) for x in inputs}
    none = frozenset()
    for given, made in ops:
        moving[made] = none.union(*(moving.get(x, none) for x in given))
    return moving


def place(tables: Sequence[Inputs], inputs: Inputs) -> int:
    """The first table that has a column for every combination of some inputs."""
    return next(i for i, own in enumerate(tables) if own >= inputs)


def chosen(
    values: Mapping[int, np.ndarray], uses: Counter[Inputs]
) -> tuple[tuple[Inputs, ...], list[Table]]:
    """The tables that save most, and their columns; `uses` counts values by inputs.

    Added one by one as long as that saves more than its calls cost. A later table has more columns.
    """
    every = frozenset(values)
    count = len(next(iter(values.values()))) if values else 1
    if count * uses.total() < 2 * CALLS:
        return (every,), [_all(count)]
    codes = {x: codes_of(own) for x, own in values.items()}
    tables = {
        own: table for own in uses if len((table := _of(codes, own, count)).first) * 2 < count
    }
    width = {own: len(table.first) for own, table in tables.items()} | {every: count}

    def cost(names: tuple[Inputs, ...]) -> int:
        work = sum(n * width[names[place(names, own)]] for own, n in uses.items())
        return work + CALLS * len(names)

    names = (every,)
    while more := [own for own in tables if own not in names]:
        options = [tuple(sorted((*names, x), key=lambda own: width[own])) for x in more]
        best = min(options, key=cost)
        if cost(best) >= cost(names):
            break
        names = best
    return names, [*(tables[own] for own in names[:-1]), _all(count)]


def _all(count: int) -> Table:
    return Table(np.arange(count), np.arange(count))


def _of(codes: Mapping[int, np.ndarray], inputs: Inputs, count: int) -> Table:
    """The combinations of some inputs, as they occur."""
    each = [codes[x] for x in inputs]
    counts = [int(code.max()) + 1 for code in each]
    return Table(*classes_of(combined(each, counts, count)))
