"""What does one layer's attention ask of one GPU?  What is common to all kinds.

Rows are tokens of one attention rank, which all `tp` GPUs of the rank share.
"""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import GQA, AbstractAttention, NoAttention, VariedGQA
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.items import ContextTokens, DecodeTokens, Item, gemm_item
from jaxsim.point.ranks import Ranks


def causal_pairs(queries: Scalar, past: Scalar, limit: Scalar) -> Scalar:
    """Unmasked (query, key) pairs: the sum over i = 1 … queries of min(past + i, limit).

    With a = the queries that still see everything, a·past + a(a + 1)/2 + (queries - a)·limit.
    """
    limit = jnp.minimum(limit, past + queries)
    full = jnp.clip(limit - past, 0.0, queries)
    return full * past + 0.5 * full * (full + 1.0) + (queries - full) * limit


# Bytes of one number that an indexer reads: DeepSeek's score in 8 bits whatever the cache's format.
# (MiniMax's do in 16: measured, a cache of 8 bits does not make them faster.)
INDEX_BYTES = 1.0


def more_than(tokens: Scalar, topk: Scalar) -> Scalar:
    """1 where there are more tokens than are selected of them, else 0."""
    return jnp.where(tokens > topk, 1.0, 0.0)


def kv_heads_per_rank(attention: GQA | VariedGQA, tp: Scalar) -> Scalar:
    """Key/value heads that one GPU holds: duplicated once `tp` exceeds their number."""
    return jnp.maximum(attention.kv_heads / tp, 1.0)


@singledispatch
def projection_items(
    attention: AbstractAttention, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    """The projections of one layer that every token passes through, new or decoded."""
    raise NotImplementedError(type(attention).__name__)


@singledispatch
def decode_items(
    attention: AbstractAttention, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    """What one layer's attention adds for decoded tokens."""
    raise NotImplementedError(type(attention).__name__)


@singledispatch
def context_items(
    attention: AbstractAttention, tokens: ContextTokens, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    """What one layer's attention adds for a chunk of a prompt."""
    raise NotImplementedError(type(attention).__name__)


def output_item(hidden: Scalar, rows: Scalar, inputs: Scalar, element: ElementBytes) -> Item:
    """The projection out of attention, which has a format of its own."""
    stored = (element.attention_out, element.attention_out_input)
    return gemm_item(
        "attention_out", "projections", "attention_out_gemm", rows, hidden, inputs, *stored
    )


@projection_items.register
@decode_items.register
@context_items.register
def _(attention: NoAttention, *rest: object) -> list[Item]:
    return []
