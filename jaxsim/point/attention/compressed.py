"""What does attention over compressed tokens ask of one GPU?  (DeepSeek-V4.)"""

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import CompressedMQA
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.attention.base import (
    causal_pairs,
    context_items,
    decode_items,
    projection_items,
)
from jaxsim.point.items import ContextTokens, DecodeTokens, Item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.work import BatchedGemm, ContextAttention, DecodeAttention, Stream

# Instead of infinity, whose product with a gradient of 0 is no number.
_MOST = 1e9
# Compressors give an entry and its weight. Entries that are selected from overlap, two of each.
_ENTRY, _OVERLAP = 2.0, 2.0
# Two sites a layer mix the streams before it and after it: in all, the streams are read three times
# and written once, and the layer's own input and output written and read.
_STREAM_PASSES, _OWN_PASSES, _STREAM_LAUNCHES = 8.0, 4.0, 4.0
# Norm and rotation read and write all queries, their inverse and quantisation all results; so are
# the queries of an indexer. Kernels beside the products: norm of the latent, of queries and of the
# entry, compression, and two on results; an indexer has its queries', its compression and top-k.
_QUERY_PASSES, _INDEX_PASSES, _SMALL_KERNELS, _INDEX_KERNELS = 4.0, 2.0, 6.0, 3.0


def _ratio(attention: CompressedMQA) -> Scalar:
    return jnp.minimum(attention.ratio, _MOST)


def _present(number: Scalar) -> Scalar:
    """1 where there is any, else 0: what is absent costs no launch."""
    return jnp.where(jnp.asarray(number) > 0.0, 1.0, 0.0)


def entry_columns(attention: CompressedMQA) -> Scalar:
    """Columns that give one token's key and value, and its part of compressed entries."""
    compresses = jnp.where(jnp.isinf(attention.ratio), 0.0, 1.0)
    indexed = _present(attention.index_heads)
    overlap = 1.0 + (_OVERLAP - 1.0) * indexed
    own = attention.head_dim * (1.0 + compresses * _ENTRY * overlap)
    return own + indexed * _ENTRY * _OVERLAP * attention.index_dim + attention.index_heads


@projection_items.register
def _(attention: CompressedMQA, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes):
    common = ("projections", "attention_gemm", rows)
    stored = (element.attention, element.attention_input)
    out = (element.attention_out, element.attention_out_input)
    heads, groups = attention.heads / ranks.tp, attention.out_groups / ranks.tp
    grouped = BatchedGemm(
        rows,
        groups * attention.out_rank,
        heads * attention.head_dim / groups,
        element.attention_out,
        element.wide,
        groups,
    )
    query = attention.index_heads * attention.index_dim
    index = gemm_item("index_q", *common, query, attention.q_rank, *stored)
    indexed = _present(attention.index_heads)
    rotated = _QUERY_PASSES * heads * attention.head_dim + _INDEX_PASSES * indexed * query
    rotation = Stream(rows * rotated * element.wide, _SMALL_KERNELS + _INDEX_KERNELS * indexed)
    streams = rows * hidden * element.wide
    mixed = Stream(streams * (_STREAM_PASSES * attention.streams + _OWN_PASSES), _STREAM_LAUNCHES)
    return [
        gemm_item(
            "qkv_down", *common, attention.q_rank + entry_columns(attention), hidden, *stored
        ),
        gemm_item("q_up", *common, heads * attention.head_dim, attention.q_rank, *stored),
        index.times(indexed),
        Item(rotation, 1.0, "rotation", "elementwise", "stream"),
        Item(grouped, 1.0, "attention_out_groups", "projections", "absorb_gemm"),
        gemm_item(
            "attention_out",
            "projections",
            "attention_out_gemm",
            rows,
            hidden,
            groups * attention.out_rank,
            *out,
        ),
        Item(
            mixed,
            _present(jnp.asarray(attention.streams) - 1.0),
            "hyper_connections",
            "elementwise",
            "stream",
        ),
    ]


@decode_items.register
def _(attention: CompressedMQA, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    entries = tokens.context / _ratio(attention)
    selected = jnp.minimum(entries, attention.index_topk)
    index = DecodeAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        context=jnp.maximum(entries, 1.0),
        heads=jnp.maximum(attention.index_heads, 1.0),
        kv_heads=1.0,
        qk_dim=jnp.maximum(attention.index_dim, 1.0),
        v_dim=0.0,
        kv_dim=jnp.maximum(attention.index_dim, 1.0),
        kv_bytes_per_element=element.kv,
    )
    work = DecodeAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        context=selected + jnp.minimum(tokens.context, attention.window_tokens),
        heads=attention.heads / ranks.tp,
        kv_heads=1.0,
        qk_dim=attention.head_dim,
        v_dim=attention.head_dim,
        kv_dim=attention.head_dim,
        kv_bytes_per_element=element.kv,
    )
    return [
        Item(index, _present(attention.index_heads), "indexer", "attention", "decode"),
        Item(work, 1.0, "decode_attention", "attention", "decode_latent"),
    ]


@context_items.register
def _(attention: CompressedMQA, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
    """Entries before a token are a `ratio`-th of the tokens before it."""
    ratio = _ratio(attention)
    whole = tokens.past + tokens.queries
    most = jnp.minimum(jnp.minimum(attention.index_topk, _MOST) * ratio, whole)
    index = ContextAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        past=tokens.past / ratio,
        pairs=causal_pairs(tokens.queries, tokens.past, whole) / ratio,
        heads=jnp.maximum(attention.index_heads, 1.0),
        kv_heads=1.0,
        qk_dim=jnp.maximum(attention.index_dim, 1.0),
        v_dim=0.0,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.kv,
    )
    window = causal_pairs(tokens.queries, tokens.past, attention.window_tokens)
    work = ContextAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        past=jnp.minimum(tokens.past, most) / ratio
        + jnp.minimum(tokens.past, attention.window_tokens),
        pairs=causal_pairs(tokens.queries, tokens.past, most) / ratio + window,
        heads=attention.heads / ranks.tp,
        kv_heads=1.0,
        qk_dim=attention.head_dim,
        v_dim=attention.head_dim,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.wide,
    )
    return [
        Item(index, _present(attention.index_heads), "indexer", "attention", "context"),
        Item(work, 1.0, "context_attention", "attention", "context_latent"),
    ]
