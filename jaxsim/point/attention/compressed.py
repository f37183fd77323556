"""What does attention over compressed tokens ask of one GPU?  (DeepSeek-V4.)"""

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import CompressedMQA
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.attention.base import (
    INDEX_BYTES,
    causal_pairs,
    context_items,
    decode_items,
    more_than,
    projection_items,
)
from jaxsim.point.items import ContextTokens, DecodeTokens, Item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.selected import SelectedAttention
from jaxsim.point.work import BatchedGemm, Stream

# Instead of infinity, whose product with a gradient of 0 is no number.
_MOST = 1e9
# Compressors give an entry and its weight. Entries that are selected from overlap, two of each.
_ENTRY, _OVERLAP = 2.0, 2.0
# Two sites a layer mix the streams before it and after it: in all, the streams are read three times
# and written once, and the layer's own input and output written and read.
_STREAM_PASSES, _OWN_PASSES, _SITES = 8.0, 4.0, 2.0
# At each site the mixing is projected, balanced and done before the layer, and done after it.
HYPER_LAUNCHES = 4.0


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
    streams = rows * hidden * element.wide
    mixed = Stream(
        streams * (_STREAM_PASSES * attention.streams + _OWN_PASSES), _SITES * HYPER_LAUNCHES
    )
    return [
        gemm_item(
            "qkv_down", *common, attention.q_rank + entry_columns(attention), hidden, *stored
        ),
        gemm_item("q_up", *common, heads * attention.head_dim, attention.q_rank, *stored),
        index.times(_present(attention.index_heads)),
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
            "hyper",
        ),
    ]


@decode_items.register
def _(attention: CompressedMQA, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    entries = tokens.context / _ratio(attention)
    attended = jnp.minimum(entries, attention.index_topk)
    attended = attended + jnp.minimum(tokens.context, attention.window_tokens)
    pairs = tokens.queries * attended, tokens.queries * entries
    work = _selected(attention, tokens, entries, attended, pairs, ranks, element)
    return [Item(work, 1.0, "decode_attention", "attention", "compressed_decode")]


@context_items.register
def _(attention: CompressedMQA, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
    """Entries before a token are a `ratio`-th of the tokens before it."""
    ratio = _ratio(attention)
    whole = tokens.past + tokens.queries
    most = jnp.minimum(jnp.minimum(attention.index_topk, _MOST) * ratio, whole)
    window = causal_pairs(tokens.queries, tokens.past, attention.window_tokens)
    attended = causal_pairs(tokens.queries, tokens.past, most) / ratio + window
    keys = jnp.minimum(whole / ratio + jnp.minimum(whole, attention.window_tokens), attended)
    pairs = attended, causal_pairs(tokens.queries, tokens.past, whole) / ratio
    work = _selected(attention, tokens, whole / ratio, keys, pairs, ranks, element)
    return [Item(work, 1.0, "context_attention", "attention", "compressed_context")]


def _selected(
    attention: CompressedMQA,
    tokens: DecodeTokens | ContextTokens,
    entries: Scalar,
    keys: Scalar,
    pairs: tuple[Scalar, Scalar],
    ranks: Ranks,
    element: ElementBytes,
) -> SelectedAttention:
    """Attention to `pairs[0]` entries and tokens of the window, of `pairs[1]` that are scored.

    Layers without an indexer attend to all entries and score none.
    """
    indexed = _present(attention.index_heads)
    topk = jnp.minimum(attention.index_topk, _MOST)
    return SelectedAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        entries=indexed * entries,
        scored=indexed * pairs[1],
        index_heads=attention.index_heads,
        index_dim=attention.index_dim,
        index_bytes_per_element=INDEX_BYTES,
        keys=keys,
        pairs=pairs[0],
        slots=indexed * tokens.queries * (topk + attention.window_tokens),
        heads=attention.heads / ranks.tp,
        kv_heads=1.0,
        qk_dim=attention.head_dim,
        v_dim=attention.head_dim,
        kv_dim=attention.head_dim,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.wide,
        indexes=indexed,
        selects=indexed * more_than(entries, attention.index_topk),
    )
