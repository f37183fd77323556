"""How many parameters does each kind of attention have?"""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
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
from jaxsim.catalog.recurrent import columns_of


def latent_of(attention: MLA | DirectMLA | SparseMLA | ReusedSparseMLA) -> MLA | DirectMLA:
    """The latent attention itself, within what selects tokens for it."""
    return attention if isinstance(attention, MLA | DirectMLA) else attention.latent


def cached_columns(attention: MLA | DirectMLA | SparseMLA | ReusedSparseMLA) -> Scalar:
    """Numbers of a token that latent attention caches: the latent, and the rotated key."""
    latent = latent_of(attention)
    return latent.kv_rank + latent.rope_dim


class AttentionParams(Record):
    """Parameters of one layer's attention, by how tensor parallelism treats them.

    `by_head` is split over all ranks; `by_kv_head` over at most the number of key/value heads,
    and duplicated beyond; `replicated` is held whole by every rank. Norms and biases, a few
    thousand numbers, are `replicated`. `kv_up` is the part of `by_head` that a latent cache is
    decompressed with, 0 without one: in absorbed decode it multiplies activations unquantised.
    """

    by_head: Scalar
    by_kv_head: Scalar
    replicated: Scalar
    kv_up: Scalar

    @property
    def total(self):
        return self.by_head + self.by_kv_head + self.replicated


@singledispatch
def attention_params(attention: AbstractAttention, hidden: Scalar) -> AttentionParams:
    """Parameters of one layer's attention."""
    raise NotImplementedError(type(attention).__name__)


@attention_params.register
def _(attention: GQA, hidden: Scalar) -> AttentionParams:
    """Query and output: 2·h·d·hidden. Key and value: 2·h_kv·d·hidden."""
    return AttentionParams(
        by_head=2.0 * attention.heads * attention.head_dim * hidden,
        by_kv_head=2.0 * attention.kv_heads * attention.head_dim * hidden,
        replicated=attention.bias_params + 0.0 * hidden,
        kv_up=0.0 * hidden,
    )


@attention_params.register
def _(attention: MLA, hidden: Scalar) -> AttentionParams:
    """q_b: r_q·h·(n + p); kv_b: r_kv·h·(n + v); o: h·v·hidden; down: hidden·(r_q + r_kv + p)."""
    query = attention.heads * (attention.nope_dim + attention.rope_dim)
    kv_up = attention.kv_rank * attention.heads * (attention.nope_dim + attention.v_dim)
    ranks = attention.q_rank + attention.kv_rank
    return AttentionParams(
        by_head=attention.q_rank * query + kv_up + attention.heads * attention.v_dim * hidden,
        by_kv_head=0.0 * hidden,
        replicated=hidden * (ranks + attention.rope_dim) + ranks,
        kv_up=kv_up,
    )


@attention_params.register
def _(attention: SparseMLA, hidden: Scalar) -> AttentionParams:
    """The latent attention's, and the indexer's, which every rank holds whole.

    Indexer: query r_q·h_i·d_i, key hidden·d_i with its norm (weight and bias), and a weight per
    head hidden·h_i. Without a rank of queries, query hidden·h_i·d_i with a norm of its input.
    """
    own = attention.latent
    latent = attention_params(own, hidden)
    inputs = own.q_rank if isinstance(own, MLA) else hidden
    query = inputs * attention.index_heads * attention.index_dim
    query = query + (0.0 if isinstance(own, MLA) else 2.0 * hidden)
    key = attention.index_dim * (hidden + 2.0)
    return AttentionParams(
        by_head=latent.by_head,
        by_kv_head=latent.by_kv_head,
        replicated=latent.replicated + query + key + hidden * attention.index_heads,
        kv_up=latent.kv_up,
    )


@attention_params.register
def _(attention: VariedGQA, hidden: Scalar) -> AttentionParams:
    """As grouped queries, with a gate beside the query, and only what the layer has of its own."""
    into = attention.qk_dim + attention.gate_dim
    columns = attention.qk_dim + attention.own_values * attention.v_dim
    return AttentionParams(
        by_head=attention.heads * (into + attention.v_dim) * hidden,
        by_kv_head=attention.own_cache * attention.kv_heads * columns * hidden,
        replicated=attention.bias_params + 0.0 * hidden,
        kv_up=0.0 * hidden,
    )


@attention_params.register
def _(attention: DirectMLA, hidden: Scalar) -> AttentionParams:
    """As a latent with a rank for queries, which here are projected at once."""
    query = attention.heads * (attention.nope_dim + attention.rope_dim)
    kv_up = attention.kv_rank * attention.heads * (attention.nope_dim + attention.v_dim)
    return AttentionParams(
        by_head=hidden * query + kv_up + attention.heads * attention.v_dim * hidden,
        by_kv_head=0.0 * hidden,
        replicated=hidden * (attention.kv_rank + attention.rope_dim) + attention.kv_rank,
        kv_up=kv_up,
    )


@attention_params.register
def _(attention: ReusedSparseMLA, hidden: Scalar) -> AttentionParams:
    return attention_params(attention.latent, hidden)


@attention_params.register
def _(attention: SharedCache, hidden: Scalar) -> AttentionParams:
    """As with a cache of its own, without hidden·(r_kv + p) into it and the norm of r_kv there."""
    own = attention_params(attention.own, hidden)
    absent = hidden * cached_columns(attention.own) + latent_of(attention.own).kv_rank
    return AttentionParams(own.by_head, own.by_kv_head, own.replicated - absent, own.kv_up)


@attention_params.register
def _(attention: GatedMLA, hidden: Scalar) -> AttentionParams:
    """As without the gate, and hidden·h·v for it."""
    own = attention_params(attention.latent, hidden)
    gate = hidden * attention.latent.heads * attention.latent.v_dim
    return AttentionParams(own.by_head + gate, own.by_kv_head, own.replicated, own.kv_up)


@attention_params.register
def _(attention: BlockSparseGQA, hidden: Scalar) -> AttentionParams:
    """The grouped attention's, and the indexer's queries and one key, which every rank holds."""
    own = attention_params(attention.grouped, hidden)
    index = hidden * attention.index_dim * (attention.index_heads + 1.0)
    return AttentionParams(own.by_head, own.by_kv_head, own.replicated + index, own.kv_up)


@attention_params.register
def _(attention: CompressedMQA, hidden: Scalar) -> AttentionParams:
    """Query r·(hidden + h·d); key d·hidden, a compressor twice that; output in g groups of rank o.

    Each group's part of the heads goes to rank o, and all g·o on to the residual stream. The
    compressor (an entry and its weights) and the indexer, which compresses keys of its own, exist
    where the layer compresses. Streams are mixed by 24 numbers of hidden·streams each, two sites.
    """
    wide = attention.heads * attention.head_dim
    compresses = jnp.where(jnp.isinf(attention.ratio), 0.0, 1.0)
    indexed = jnp.where(jnp.asarray(attention.index_heads) > 0.0, 1.0, 0.0)
    overlap = 1.0 + indexed  # entries that an indexer selects from overlap: two of each
    compressor = compresses * 2.0 * overlap * hidden * attention.head_dim
    index = attention.index_heads * (attention.q_rank * attention.index_dim + hidden)
    index = index + indexed * 4.0 * hidden * attention.index_dim
    mixes = attention.streams * (attention.streams + 2.0)
    streams = jnp.where(jnp.asarray(attention.streams) > 1.0, 2.0, 0.0) * mixes
    key = attention.head_dim * hidden + attention.head_dim + attention.q_rank + attention.heads
    return AttentionParams(
        by_head=attention.q_rank * wide
        + attention.out_rank * (wide + attention.out_groups * hidden),
        by_kv_head=0.0 * hidden,
        replicated=attention.q_rank * hidden
        + key
        + compressor
        + index
        + streams * attention.streams * hidden,
        kv_up=0.0 * hidden,
    )


@attention_params.register
def _(attention: AbstractRecurrent, hidden: Scalar) -> AttentionParams:
    """Projections into the state and its gates, the convolution, and the projection out of it."""
    columns = columns_of(attention)
    out = attention.heads * attention.value_dim
    conv = (attention.conv_width - 1.0 > 0.0) * (attention.conv_width + 1.0)
    return AttentionParams(
        by_head=hidden * (columns.by_head + out) + columns.second + columns.vectors,
        by_kv_head=hidden * columns.by_key_head + conv * columns.channels,
        replicated=hidden * columns.replicated,
        kv_up=0.0 * hidden,
    )


@attention_params.register
def _(attention: NoAttention, hidden: Scalar) -> AttentionParams:
    zero = 0.0 * hidden
    return AttentionParams(zero, zero, zero, zero)
