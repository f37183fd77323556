"""How are a program's operations evaluated on arrays?

Each on only the axes it depends on: an operand without one of them is repeated along it.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.space.program.trace import PICK, Literal, Op, Program


def spread(value, dims, onto, lengths):
    """The value broadcast from axes `dims` onto axes `onto`; its own shape, if any, stays last."""
    if dims == onto:
        return value
    own = value.shape[len(dims) :]
    shape = tuple(lengths[d] for d in onto) + own
    kept = [onto.index(d) for d in dims] + [len(onto) + i for i in range(len(own))]
    return lax.broadcast_in_dim(value, shape, kept)


def run_ops(ops: Sequence[Op], values: dict[int, Any], program: Program, lengths) -> None:
    """Evaluate operations on natural dims, adding every result to `values`."""
    for op in ops:
        dims = program.dims[op.outputs[0]]
        given = [x.value if isinstance(x, Literal) else values[x] for x in op.inputs]
        own = [program.dims_of(x) for x in op.inputs]
        if op.primitive is PICK:
            values[op.outputs[0]] = _picked(*given)
            continue
        if op.scalar:
            given = [
                spread(jnp.asarray(x), d, dims, lengths) for x, d in zip(given, own, strict=True)
            ]
            results = _bind(op, given)
        else:
            call = _vmapped(op, own, dims)
            results = call(*given)
        for number, result in zip(op.outputs, results, strict=True):
            values[number] = result


def _picked(x, index):
    # One index into all rows at once: a gather of whole columns would turn the result around.
    rows, width = math.prod(x.shape[:-1]), x.shape[-1]
    at = index.reshape(-1)[None]
    if rows > 1:
        at = at + width * lax.broadcasted_iota(jnp.int32, (rows, 1), 0)
    one = lax.GatherDimensionNumbers(
        offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    found = lax.gather(x.reshape(-1), at[..., None], one, (1,), mode="promise_in_bounds")
    return found.reshape(*x.shape[:-1], *index.shape)


def _bind(op: Op, given):
    results = op.primitive.bind(*given, **op.params)
    return results if op.primitive.multiple_results else (results,)


def _vmapped(op: Op, own, dims):
    """The operation mapped over each of `dims`, the first outermost."""

    def call(*given):
        return tuple(_bind(op, given))

    for d in reversed(dims):
        call = jax.vmap(call, in_axes=tuple(0 if d in o else None for o in own))
    return call
