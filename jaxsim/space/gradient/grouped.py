"""What are the outputs and derivatives of operations in groups, at many points?

Tables are evaluated in order, by `levels`: values, local derivatives, and sums of their products
within regions. Sums between regions follow; every point has its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxsim.space.gradient.equal_points import Table
from jaxsim.space.gradient.levels import Levels, Rows
from jaxsim.space.gradient.paths import Paths, summed
from jaxsim.space.gradient.scratch import room

# Points differentiated together: calls come seldom, and rows stay in the last cache.
POINTS = 288


class Arrays(NamedTuple):
    """What is known of a table: values, derivatives, sums within regions."""

    known: np.ndarray
    weights: np.ndarray
    within: np.ndarray


def slopes(
    levels: Levels, tables: Sequence[Table], leaves: Sequence[np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The outputs, [outputs, points], and their derivatives, [inputs, outputs, points].

    The inputs are those of `levels.paths`; others have no influence.
    """
    values = np.empty((len(levels.seeds), count))
    derivatives = np.empty((len(levels.paths.inputs), len(levels.seeds), count))
    last, done = len(tables) - 1, []
    which = [i for i, leaf in enumerate(leaves) if leaf.size == 1]
    numbers = np.array([leaves[i].ravel()[0] for i in which])[:, None]
    inputs = which, numbers, [(i, leaf) for i, leaf in enumerate(leaves) if leaf.size > 1]
    with np.errstate(all="ignore"):
        for t, table in enumerate(tables[:-1]):
            done.append(_worked(levels, t, inputs, table.first, tables, done))
        for start in range(0, count, POINTS):
            part = slice(start, min(start + POINTS, count))
            own = _worked(levels, last, inputs, tables[-1].first[part], tables, done)
            _back(levels.paths, levels.between, own.within, derivatives[:, :, part])
            values[:, part] = own.known[list(levels.seeds)]
    return values, derivatives


def _worked(
    levels: Levels,
    t: int,
    leaves: tuple[list[int], np.ndarray, list[tuple[int, np.ndarray]]],
    at: np.ndarray,
    tables: Sequence[Table],
    done: Sequence[Arrays],
) -> Arrays:
    """Values, derivatives and sums of a table, of which each column is like a point in `at`.

    `leaves` are the inputs that are the same at all points, their values, and the others.
    """
    work, within = levels.tables[t], levels.paths.within
    shapes = levels.size, len(within.labels), within.size
    own = Arrays(*(room(f"{name} {t}", size, len(at))
                   for name, size in zip(Arrays._fields, shapes, strict=True)))  # fmt: skip
    which, numbers, varied = leaves
    own.known[which] = numbers
    for i, leaf in varied:
        own.known[i] = leaf[at]
    own.known[levels.inputs : levels.inputs + len(levels.constants)] = levels.constants[:, None]
    columns = [table.of[at] for table in tables[:t]]
    for source, rows in work.values:
        own.known[rows] = done[source].known.take(rows, 0).take(columns[source], 1)
    for run, inputs, first, end in work.groups:
        given = _read(own.known, inputs)
        if isinstance(run, np.ufunc):
            run(*given, out=own.known[first:end])
        else:
            own.known[first:end] = run(*given)
    own.weights[work.fixed[0]] = work.fixed[1]
    for of, reads, into in work.derivatives:
        own.weights[into] = of(*_read(own.known, reads))
    for source, rows in work.weights:
        own.weights[rows] = done[source].weights.take(rows, 0).take(columns[source], 1)
    own.within[0] = 1.0
    for source, rows in work.sums:
        own.within[rows] = done[source].within.take(rows, 0).take(columns[source], 1)
    summed(within, own.within, own.weights, t)
    return own


def _read(known: np.ndarray, rows: Sequence[Rows]) -> list[np.ndarray]:
    """Rows of known values, to be used before others are read."""
    points, given = known.shape[1], []
    for k, own in enumerate(rows):
        if isinstance(own, slice):
            given.append(known[own])
        else:
            given.append(known.take(own, 0, room(f"given {k}", len(own), points), "clip"))
    return given


def _back(paths: Paths, uses: np.ndarray, within: np.ndarray, derivatives: np.ndarray) -> None:
    """The derivatives by inputs that have an influence, into [inputs, outputs, points]."""
    points, rows = within.shape[1], derivatives.shape[1]
    weights = room("between weights", len(paths.between.labels), points)
    within.take(uses, 0, weights, "clip")
    between = room("between", paths.between.size, rows, points)
    between[:rows] = np.eye(rows)[:, :, None]
    summed(paths.between, between, weights[:, None])
    slots = np.array([slot for _, slot in paths.inputs], int)
    if derivatives.flags.c_contiguous:
        between.take(slots, 0, derivatives, "clip")
    else:
        derivatives[:] = between.take(slots, 0)
