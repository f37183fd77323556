"""Which function of arrays does what an operation of a traced function does on scalars, in JAX?

Each operation is evaluated on only the axes that it depends on; an operand without one of them is
repeated along it.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxsim.space.program.evaluate import evaluate, steps_of
from jaxsim.space.program.inputs import Held
from jaxsim.space.program.trace import PICK, Op, Program

if TYPE_CHECKING:
    from jax.extend.core import Primitive


def run_ops(
    ops: Sequence[Op], values: dict[int, Held], program: Program, lengths: Sequence[int]
) -> None:
    """Evaluate operations of a program, adding every result to `values` on its natural dims."""
    evaluate(steps_of(ops, partial(in_jax, program, lengths), program.free), values)


def in_jax(program: Program, lengths: Sequence[int], op: Op) -> Callable[..., object]:
    """The function of an operation, from its inputs on their natural dims to its outputs'."""
    dims = program.dims[op.outputs[0]]
    own = [program.dims_of(x) for x in op.inputs]
    if op.primitive is PICK:
        return _picked
    if op.scalar:

        def on_arrays(*given: ArrayLike) -> jax.Array | Sequence[jax.Array]:
            pairs = zip(given, own, strict=True)
            return _bind(op, *(spread(jnp.asarray(x), d, dims, lengths) for x, d in pairs))

        return on_arrays
    mapped = partial(_bind, op)
    for d in reversed(dims):  # the first outermost
        mapped = jax.vmap(mapped, in_axes=tuple(0 if d in o else None for o in own))
    return mapped


def spread(value: Held, dims: Sequence[int], onto: Sequence[int], lengths: Sequence[int]) -> Held:
    """The value broadcast from axes `dims` onto axes `onto`; its own shape, if any, stays last."""
    if tuple(dims) == tuple(onto):
        return value
    own = value.shape[len(dims) :]
    shape = tuple(lengths[d] for d in onto) + own
    kept = [onto.index(d) for d in dims] + [len(onto) + i for i in range(len(own))]
    return lax.broadcast_in_dim(value, shape, kept)


def _bind(op: Op, *given: Held) -> jax.Array | Sequence[jax.Array]:
    results = cast("Primitive", op.primitive).bind(*given, **op.params)
    alone = op.primitive.multiple_results and len(op.outputs) == 1
    return results[0] if alone else results


def _picked(x: jax.Array, index: jax.Array | np.ndarray) -> jax.Array:
    # One index into all rows at once: a gather of whole columns would turn the result around.
    rows, width = math.prod(x.shape[:-1]), x.shape[-1]
    at = index.reshape(-1)[None]
    if rows > 1:
        at = at + width * lax.broadcasted_iota(jnp.int32, (rows, 1), 0)
    one = lax.GatherDimensionNumbers(
        offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    gathered = lax.gather(x.reshape(-1), at[..., None], one, (1,), mode="promise_in_bounds")
    return gathered.reshape(*x.shape[:-1], *index.shape)
