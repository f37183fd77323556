"""How does one event read and write single entries of arrays, in place?

Inside a loop that is compiled as one function, a 0-or-1 `while` is an `if` that copies nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

Tree = TypeVar("Tree")


def at(values: jax.Array, index: jax.Array) -> jax.Array:
    """One entry; the index lies within."""
    entry = lax.dynamic_slice(values, (index,), (1,), allow_negative_indices=False)
    return lax.reshape(entry, ())


def row(values: jax.Array, index: jax.Array) -> jax.Array:
    """One row of a table, or one table of several."""
    rest = values.shape[1:]
    start = (index, *(np.int32(0) for _ in rest))
    entry = lax.dynamic_slice(values, start, (1, *rest), allow_negative_indices=False)
    return lax.reshape(entry, rest)


def cell(values: jax.Array, index: jax.Array, column: jax.Array) -> jax.Array:
    """One cell of a table."""
    start = (jnp.asarray(index, jnp.int32), jnp.asarray(column, jnp.int32))
    entry = lax.dynamic_slice(values, start, (1, 1), allow_negative_indices=False)
    return lax.reshape(entry, ())


def inner_cell(
    values: jax.Array, first: jax.Array, second: jax.Array, third: jax.Array
) -> jax.Array:
    """One number of an array of three dimensions."""
    start = (first, second, third)
    entry = lax.dynamic_slice(values, start, (1, 1, 1), allow_negative_indices=False)
    return lax.reshape(entry, ())


def cells(values: jax.Array, index: jax.Array, column: jax.Array, count: int) -> jax.Array:
    """Some cells of one row of a table, from a column on."""
    start = (jnp.asarray(index, jnp.int32), jnp.asarray(column, jnp.int32))
    entries = lax.dynamic_slice(values, start, (1, count), allow_negative_indices=False)
    return lax.reshape(entries, (count,))


def set_at(values: jax.Array, index: jax.Array, value: ArrayLike) -> jax.Array:
    """The same with one entry replaced."""
    new = lax.reshape(lax.convert_element_type(value, values.dtype), (1,))
    return lax.dynamic_update_slice(values, new, (index,), allow_negative_indices=False)


def set_cell(values: jax.Array, index: jax.Array, column: jax.Array, value: ArrayLike) -> jax.Array:
    """The same table with one cell replaced."""
    new = lax.reshape(lax.convert_element_type(value, values.dtype), (1, 1))
    start = (jnp.asarray(index, jnp.int32), jnp.asarray(column, jnp.int32))
    return lax.dynamic_update_slice(values, new, start, allow_negative_indices=False)


def after(index: jax.Array, value: jax.Array):
    """The index (0 or more, or -1), known only once `value` is: what is written there comes later.

    XLA copies an array that is read and written in an order that it cannot tell.
    """
    return jnp.maximum(index, jnp.minimum(value, -1))


def put_at(record: Tree, index: jax.Array, **values: ArrayLike) -> Tree:
    """The record with entry `index` of the named arrays replaced."""
    return replace(
        record,  # type: ignore[type-var]
        **{name: set_at(getattr(record, name), index, value) for name, value in values.items()},
    )


def add_at(record: Tree, index: jax.Array, **values: ArrayLike) -> Tree:
    """The record with values added to entry `index` of the named arrays."""
    return put_at(
        record,
        index,
        **{name: at(getattr(record, name), index) + value for name, value in values.items()},
    )


def once(flag: jax.Array, function: Callable[[Tree], Tree], tree: Tree) -> Tree:
    """`function(tree)` where the flag is true, else the tree."""
    return lax.while_loop(
        lambda c: c[0], lambda c: (jnp.asarray(False), function(c[1])), (flag, tree)
    )[1]


def first_smallest(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The smallest of whole numbers of 32 bits, and the first place where it stands."""
    size = values.shape[0]
    place = lax.iota(jnp.int64, size)
    key = jnp.min(values.astype(jnp.int64) * size + place)
    return (key // size).astype(jnp.int32), (key % size).astype(jnp.int32)


def earliest(times: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The earliest of a few times, and the first place where it stands."""
    least = jnp.min(times)
    place = lax.iota(jnp.int32, times.shape[0])
    where = jnp.min(jnp.where(times == least, place, jnp.int32(times.shape[0] - 1)))
    return least, where


# Contexts are multiples of the tokens of a step, which may be no whole number: what exceeds a whole
# number by this share of a block is rounding.
ROUNDING = 1e-9


def whole_blocks(values: jax.Array, size: ArrayLike):
    """How many blocks of `size` hold `values` tokens."""
    return jnp.ceil(values / size - ROUNDING)


def ceil_div(values: jax.Array, size: ArrayLike):
    """The same as a whole number of 32 bits."""
    return whole_blocks(values, size).astype(jnp.int32)
