"""What does grouped-query attention ask of one GPU?"""

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import GQA, BlockSparseGQA, VariedGQA
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.attention.base import (
    causal_pairs,
    context_items,
    decode_items,
    kv_heads_per_rank,
    more_than,
    output_item,
    projection_items,
)
from jaxsim.point.items import ContextTokens, DecodeTokens, Item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.selected import SelectedAttention
from jaxsim.point.work import ContextAttention, DecodeAttention


@projection_items.register
def _(attention: GQA, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes):
    kv_heads = kv_heads_per_rank(attention, ranks.tp)
    heads = attention.heads / ranks.tp
    common = ("projections", "attention_gemm", rows)
    stored = (element.attention, element.attention_input)
    return [
        gemm_item("qkv", *common, (heads + 2.0 * kv_heads) * attention.head_dim, hidden, *stored),
        output_item(hidden, rows, heads * attention.head_dim, element),
    ]


@decode_items.register
def _(attention: GQA, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    return _decode(attention, attention.head_dim, attention.head_dim, tokens, ranks, element)


@context_items.register
def _(attention: GQA, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
    return _context(attention, attention.head_dim, attention.head_dim, tokens, ranks, element)


def _decode(
    attention: GQA | VariedGQA, qk_dim: Scalar, v_dim: Scalar, tokens: DecodeTokens, ranks: Ranks,
    element: ElementBytes,
) -> list[Item]:  # fmt: skip
    """Attention of new tokens to a cache, of min(context, window) tokens each."""
    seen = jnp.minimum(tokens.context, attention.window_tokens)
    work = DecodeAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        context=seen,
        heads=attention.heads / ranks.tp,
        kv_heads=kv_heads_per_rank(attention, ranks.tp),
        qk_dim=qk_dim,
        v_dim=v_dim,
        kv_dim=qk_dim + v_dim,
        kv_bytes_per_element=element.kv,
        masked=tokens.context - seen,
    )
    return [Item(work, 1.0, "decode_attention", "attention", "decode")]


def _context(
    attention: GQA | VariedGQA, qk_dim: Scalar, v_dim: Scalar, tokens: ContextTokens, ranks: Ranks,
    element: ElementBytes,
) -> list[Item]:  # fmt: skip
    """Causal attention of a chunk to itself and to what precedes it within the window."""
    work = ContextAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        past=jnp.minimum(tokens.past, attention.window_tokens),
        pairs=causal_pairs(tokens.queries, tokens.past, attention.window_tokens),
        heads=attention.heads / ranks.tp,
        kv_heads=kv_heads_per_rank(attention, ranks.tp),
        qk_dim=qk_dim,
        v_dim=v_dim,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.wide,
    )
    return [Item(work, 1.0, "context_attention", "attention", "context")]


@projection_items.register
def _(attention: VariedGQA, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes):
    """A gate is projected with the queries; another layer's keys and values are not at all."""
    heads = attention.heads / ranks.tp
    columns = attention.qk_dim + attention.own_values * attention.v_dim
    outputs = heads * (attention.qk_dim + attention.gate_dim)
    outputs = outputs + attention.own_cache * kv_heads_per_rank(attention, ranks.tp) * columns
    stored = (element.attention, element.attention_input)
    return [
        gemm_item("qkv", "projections", "attention_gemm", rows, outputs, hidden, *stored),
        output_item(hidden, rows, heads * attention.v_dim, element),
    ]


@decode_items.register
def _(attention: VariedGQA, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    return _decode(attention, attention.qk_dim, attention.v_dim, tokens, ranks, element)


@context_items.register
def _(attention: VariedGQA, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
    return _context(attention, attention.qk_dim, attention.v_dim, tokens, ranks, element)


# ---- blocks that an indexer selects --------------------------------------------------------------


def index_heads_per_rank(attention: BlockSparseGQA, tp: Scalar):
    """Heads of the indexer on one GPU: at least one, since each key/value head has its own."""
    return jnp.maximum(attention.index_heads / tp, 1.0)


@projection_items.register
def _(attention: BlockSparseGQA, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes):
    columns = (index_heads_per_rank(attention, ranks.tp) + 1.0) * attention.index_dim
    stored = (element.attention, element.attention_input)
    return [
        *projection_items(attention.grouped, hidden, rows, ranks, element),
        gemm_item("index_qk", "projections", "attention_gemm", rows, columns, hidden, *stored),
    ]


@decode_items.register
def _(attention: BlockSparseGQA, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    """Scores for every earlier token, then attention over the selected blocks."""
    keys = jnp.minimum(tokens.context, attention.block_tokens * attention.topk_blocks)
    pairs = tokens.queries * keys, tokens.queries * tokens.context
    work = _selected(attention, tokens, tokens.context, keys, pairs, ranks, element)
    return [Item(work, 1.0, "decode_attention", "attention", "msa_decode")]


@context_items.register
def _(attention: BlockSparseGQA, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
    whole = tokens.past + tokens.queries
    most = attention.block_tokens * attention.topk_blocks
    attended = causal_pairs(tokens.queries, tokens.past, most)
    pairs = attended, causal_pairs(tokens.queries, tokens.past, whole)
    keys = jnp.minimum(whole, attended)
    work = _selected(attention, tokens, whole, keys, pairs, ranks, element)
    return [Item(work, 1.0, "context_attention", "attention", "msa_context")]


def _selected(
    attention: BlockSparseGQA,
    tokens: DecodeTokens | ContextTokens,
    whole: Scalar,
    keys: Scalar,
    pairs: tuple[Scalar, Scalar],
    ranks: Ranks,
    element: ElementBytes,
) -> SelectedAttention:
    """Attention to `pairs[0]` tokens of selected blocks, of `pairs[1]` that an indexer scores."""
    own = attention.grouped
    return SelectedAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        entries=whole,
        scored=pairs[1],
        index_heads=index_heads_per_rank(attention, ranks.tp),
        index_dim=attention.index_dim,
        index_bytes_per_element=element.wide,
        keys=keys,
        pairs=pairs[0],
        slots=tokens.queries * attention.block_tokens * attention.topk_blocks,
        heads=own.heads / ranks.tp,
        kv_heads=kv_heads_per_rank(own, ranks.tp),
        qk_dim=own.head_dim,
        v_dim=own.head_dim,
        kv_dim=2.0 * own.head_dim,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.wide,
        indexes=1.0,
        selects=more_than(whole, attention.block_tokens * attention.topk_blocks),
    )
