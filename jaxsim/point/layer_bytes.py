"""What does one layer's attention hold on one GPU: weights, caches, states?"""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.attention_parameters import attention_params, cached_columns
from jaxsim.catalog.model import (
    GQA,
    MLA,
    AbstractAttention,
    AbstractRecurrent,
    BlockSparseGQA,
    CompressedMQA,
    DirectMLA,
    GatedMLA,
    NoAttention,
    ReusedSparseMLA,
    SharedCache,
    SparseMLA,
    VariedGQA,
)
from jaxsim.catalog.precision import ElementBytes
from jaxsim.catalog.recurrent import STATE_BYTES, state_elements
from jaxsim.point.attention.base import kv_heads_per_rank
from jaxsim.point.attention.recurrent import on_rank


@singledispatch
def attention_weight_bytes(
    attention: AbstractAttention, hidden: Scalar, tp: Scalar, element: ElementBytes
) -> Scalar:
    """Bytes of one layer's attention weights on one GPU, its share of heads and what is copied."""
    raise NotImplementedError(type(attention).__name__)


@attention_weight_bytes.register
def _(attention: GQA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    heads = attention.heads / tp
    into = heads + 2.0 * kv_heads_per_rank(attention, tp)
    columns = into * element.attention + heads * element.attention_out
    return columns * attention.head_dim * hidden + attention.bias_params * element.wide


@attention_weight_bytes.register
def _(attention: MLA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    heads = attention.heads / tp
    down = hidden * (attention.q_rank + attention.kv_rank + attention.rope_dim)
    up = heads * (
        attention.q_rank * (attention.nope_dim + attention.rope_dim)
        + attention.kv_rank * (attention.nope_dim + attention.v_dim)
    )
    out = heads * attention.v_dim * hidden
    return (down + up) * element.attention + out * element.attention_out


@attention_weight_bytes.register
def _(attention: SparseMLA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    own = attention.latent
    inputs = own.q_rank if isinstance(own, MLA) else hidden
    query = inputs * attention.index_heads * attention.index_dim
    key = hidden * (attention.index_dim + attention.index_heads)
    return attention_weight_bytes(own, hidden, tp, element) + (query + key) * element.attention


@attention_weight_bytes.register
def _(attention: VariedGQA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    heads = attention.heads / tp
    columns = attention.qk_dim + attention.own_values * attention.v_dim
    into = heads * (attention.qk_dim + attention.gate_dim)
    into = into + attention.own_cache * kv_heads_per_rank(attention, tp) * columns
    out = heads * attention.v_dim * element.attention_out
    return (into * element.attention + out) * hidden + attention.bias_params * element.wide


@attention_weight_bytes.register
def _(attention: DirectMLA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    heads = attention.heads / tp
    into = hidden * (
        attention.kv_rank + attention.rope_dim + heads * (attention.nope_dim + attention.rope_dim)
    )
    up = heads * attention.kv_rank * (attention.nope_dim + attention.v_dim)
    out = heads * attention.v_dim * hidden
    return (into + up) * element.attention + out * element.attention_out


@attention_weight_bytes.register
def _(attention: GatedMLA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    own = attention.latent
    gate = hidden * own.heads / tp * own.v_dim * element.attention
    return attention_weight_bytes(own, hidden, tp, element) + gate


@attention_weight_bytes.register
def _(attention: ReusedSparseMLA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    return attention_weight_bytes(attention.latent, hidden, tp, element)


@attention_weight_bytes.register
def _(attention: SharedCache, hidden: Scalar, tp: Scalar, element: ElementBytes):
    own = attention_weight_bytes(attention.own, hidden, tp, element)
    return own - hidden * cached_columns(attention.own) * element.attention


@attention_weight_bytes.register
def _(attention: BlockSparseGQA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    index = hidden * attention.index_dim * (attention.index_heads + 1.0)
    grouped = attention_weight_bytes(attention.grouped, hidden, tp, element)
    return grouped + index * element.attention


@attention_weight_bytes.register
def _(attention: CompressedMQA, hidden: Scalar, tp: Scalar, element: ElementBytes):
    count = attention_params(attention, hidden)
    wide = attention.heads * attention.head_dim + attention.out_groups * hidden
    out = attention.out_rank * wide
    into = (count.by_head - out) / tp + count.replicated
    return into * element.attention + out / tp * element.attention_out


@attention_weight_bytes.register
def _(attention: AbstractRecurrent, hidden: Scalar, tp: Scalar, element: ElementBytes):
    own = on_rank(attention, tp)
    into = hidden * (own.by_head + own.by_key_head + own.replicated) + own.second
    out = hidden * attention.heads / tp * attention.value_dim
    small = own.vectors + own.channels * attention.conv_width
    return into * element.attention + out * element.attention_out + small * element.wide


@attention_weight_bytes.register
def _(attention: NoAttention, hidden: Scalar, tp: Scalar, element: ElementBytes):
    return 0.0 * hidden


@singledispatch
def kv_bytes_per_gpu(
    attention: AbstractAttention, context: Scalar, tp: Scalar, element: ElementBytes
) -> Scalar:
    """Bytes of one layer's cache on one GPU, for one sequence of `context` tokens."""
    raise NotImplementedError(type(attention).__name__)


@kv_bytes_per_gpu.register
def _(attention: GQA, context: Scalar, tp: Scalar, element: ElementBytes):
    held = jnp.minimum(context, attention.window_tokens)
    return 2.0 * kv_heads_per_rank(attention, tp) * attention.head_dim * element.kv * held


@kv_bytes_per_gpu.register
def _(attention: MLA | DirectMLA, context: Scalar, tp: Scalar, element: ElementBytes):
    return (attention.kv_rank + attention.rope_dim) * element.kv * context


@kv_bytes_per_gpu.register
def _(attention: SparseMLA, context: Scalar, tp: Scalar, element: ElementBytes):
    latent = kv_bytes_per_gpu(attention.latent, context, tp, element)
    return latent + attention.index_dim * element.kv * context


@kv_bytes_per_gpu.register
def _(attention: SharedCache, context: Scalar, tp: Scalar, element: ElementBytes):
    """The keys of its own indexer, where it has one."""
    own = attention.own
    index_dim = own.index_dim if isinstance(own, SparseMLA) else 0.0
    return index_dim * element.kv * context


@singledispatch
def projected_bytes(
    attention: AbstractAttention, tokens: Scalar, tp: Scalar, element: ElementBytes
) -> Scalar:
    """Bytes of the up-projected keys and values of one layer for `tokens`; 0 without a latent."""
    raise NotImplementedError(type(attention).__name__)


@projected_bytes.register
def _(attention: MLA | DirectMLA, tokens: Scalar, tp: Scalar, element: ElementBytes):
    heads = attention.heads / tp
    wide = attention.nope_dim + attention.rope_dim + attention.v_dim
    return tokens * heads * wide * element.wide


@projected_bytes.register
def _(attention: SharedCache, tokens: Scalar, tp: Scalar, element: ElementBytes):
    return projected_bytes(attention.own, tokens, tp, element)


@projected_bytes.register
def _(attention: GatedMLA, tokens: Scalar, tp: Scalar, element: ElementBytes):
    return projected_bytes(attention.latent, tokens, tp, element)


@projected_bytes.register(AbstractAttention)
def _(attention: AbstractAttention, tokens: Scalar, tp: Scalar, element: ElementBytes):
    return jnp.zeros_like(jnp.asarray(tokens))


@kv_bytes_per_gpu.register
def _(attention: VariedGQA, context: Scalar, tp: Scalar, element: ElementBytes):
    held = jnp.minimum(context, attention.window_tokens)
    wide = attention.qk_dim + attention.v_dim
    own = attention.own_cache * kv_heads_per_rank(attention, tp) * wide
    return own * element.kv * held


@kv_bytes_per_gpu.register
def _(attention: GatedMLA, context: Scalar, tp: Scalar, element: ElementBytes):
    return kv_bytes_per_gpu(attention.latent, context, tp, element)


@kv_bytes_per_gpu.register
def _(attention: ReusedSparseMLA, context: Scalar, tp: Scalar, element: ElementBytes):
    return kv_bytes_per_gpu(attention.latent, context, tp, element)


@kv_bytes_per_gpu.register
def _(attention: BlockSparseGQA, context: Scalar, tp: Scalar, element: ElementBytes):
    grouped = kv_bytes_per_gpu(attention.grouped, context, tp, element)
    return grouped + attention.index_dim * element.kv * context


@kv_bytes_per_gpu.register
def _(attention: CompressedMQA, context: Scalar, tp: Scalar, element: ElementBytes):
    """Entries and their index keys, of which every GPU has all, and the window."""
    entries = context / attention.ratio
    window = jnp.minimum(context, attention.window_tokens)
    wide = attention.head_dim * (entries + window) + attention.index_dim * entries
    return wide * element.kv


@kv_bytes_per_gpu.register
def _(attention: AbstractRecurrent, context: Scalar, tp: Scalar, element: ElementBytes):
    """The state and what the convolution keeps, whatever the context."""
    kept = on_rank(attention, tp).channels * (attention.conv_width - 1.0) * element.wide
    return state_elements(attention) / tp * STATE_BYTES + kept + 0.0 * context


@kv_bytes_per_gpu.register
def _(attention: NoAttention, context: Scalar, tp: Scalar, element: ElementBytes):
    return 0.0 * context
