"""What is the best design of every workload in a grid small enough for NumPy?

Compiling a search takes seconds whatever the grid. Below some hundred thousand points NumPy has
evaluated all of it, and chosen, by then.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import jax.numpy as jnp
import numpy as np

from jaxsim.space.grid.best import Best, Reading, objective_of
from jaxsim.space.program.inputs import Axis, axis_values, lengths_of
from jaxsim.space.program.interpret import interpreted

Pair = tuple[np.ndarray, np.ndarray]
Names = tuple[str, ...]

# Points that NumPy evaluates in a fifth of a second.
SMALL_POINTS = 1 << 19


def is_small(axes: Sequence[Axis]) -> bool:
    """Whether NumPy evaluates the grid sooner than a search is compiled."""
    return math.prod(lengths_of(axis_values(axes))) <= SMALL_POINTS


def small_best(
    fn: Callable[..., object],
    point: object,
    axes: Sequence[Axis],
    group_axes: Sequence[str] = (),
    *,
    objective: Reading,
    valid: Reading | None = None,
    maximise: bool = True,
    count: int = 1,
) -> Best:
    """As `stream_best`: the same designs, evaluated in NumPy and all kept until the choice."""
    wanted = objective_of(fn, objective, valid, maximise)
    evaluated, own_dims = interpreted(wanted, point, axes)
    (value, ok), dims = cast(Pair, evaluated), cast(tuple[Names, Names], own_dims)
    names, lengths = [name for name, _, _ in axes], lengths_of(axis_values(axes))
    reduced = [d for d, name in enumerate(names) if name not in group_axes]
    order = [*(names.index(name) for name in group_axes), *reduced]

    def full(array: np.ndarray, own: Names) -> np.ndarray:
        place = tuple(slice(None) if name in own else None for name in names)
        whole = np.broadcast_to(np.asarray(array)[place], lengths)
        return whole.transpose(order).reshape(-1, math.prod(lengths[d] for d in reduced))

    value, ok = full(value, dims[0]), full(ok, dims[1])
    value = np.where(ok & (value > -np.inf), value, -np.inf)
    if count == 1:
        where = value.argmax(axis=-1)[:, None]
    else:
        # Of equal designs the first; where there are fewer than `count`, the rest is empty.
        where = np.argsort(-value, axis=-1, kind="stable")[:, :count]
        where = np.pad(where, [(0, 0), (0, count - where.shape[1])])
    best = np.take_along_axis(value, where, -1)
    best[:, value.shape[1] :] = -np.inf
    shape = tuple(lengths[names.index(name)] for name in group_axes)
    shape += (count,) if count > 1 else ()
    exists = np.asarray((best > -np.inf).reshape(shape))
    best = np.where(exists, wanted.sign * best.reshape(shape), np.nan).astype(
        jnp.result_type(float)
    )
    where = np.where(exists, where.reshape(shape), 0)
    places = np.unravel_index(where, [lengths[d] for d in reduced])
    index = {names[d]: np.asarray(at, np.int32) for d, at in zip(reduced, places, strict=True)}
    return Best(best, exists, index, math.prod(lengths))
