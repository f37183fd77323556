"""What does one layer's attention ask of one GPU?  One function for each kind.

Rows are tokens of one attention rank, which all `tp` GPUs of the rank share.
"""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import GQA, MLA, SparseMLA
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.items import ContextTokens, DecodeTokens, Item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.work import BatchedGemm, ContextAttention, DecodeAttention


def causal_pairs(queries: Scalar, past: Scalar, limit: Scalar) -> Scalar:
    """Unmasked (query, key) pairs: the sum over i = 1 … queries of min(past + i, limit).

    With a = the queries that still see everything, a·past + a(a + 1)/2 + (queries - a)·limit.
    """
    limit = jnp.minimum(limit, past + queries)
    full = jnp.clip(limit - past, 0.0, queries)
    return full * past + 0.5 * full * (full + 1.0) + (queries - full) * limit


def kv_heads_per_rank(attention: GQA, tp: Scalar) -> Scalar:
    """Key/value heads that one GPU holds: duplicated once `tp` exceeds their number."""
    return jnp.maximum(attention.kv_heads / tp, 1.0)


# ---- attention: what all tokens of a pass need --------------------------------------------------


@singledispatch
def projection_items(
    attention, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    """The projections of one layer that every token passes through, new or decoded."""
    raise NotImplementedError(type(attention).__name__)


@projection_items.register
def _(attention: GQA, hidden, rows, ranks, element):
    kv_heads = kv_heads_per_rank(attention, ranks.tp)
    heads = attention.heads / ranks.tp
    common = ("projections", "attention_gemm", rows)
    stored = (element.attention, element.attention_input)
    return [
        gemm_item("qkv", *common, (heads + 2.0 * kv_heads) * attention.head_dim, hidden, *stored),
        gemm_item("attention_out", *common, hidden, heads * attention.head_dim, *stored),
    ]


@projection_items.register
def _(attention: MLA, hidden, rows, ranks, element):
    heads = attention.heads / ranks.tp
    common = ("projections", "attention_gemm", rows)
    stored = (element.attention, element.attention_input)
    down = attention.q_rank + attention.kv_rank + attention.rope_dim
    query = heads * (attention.nope_dim + attention.rope_dim)
    return [
        gemm_item("qkv_down", *common, down, hidden, *stored),
        gemm_item("q_up", *common, query, attention.q_rank, *stored),
        gemm_item("attention_out", *common, hidden, heads * attention.v_dim, *stored),
    ]


@projection_items.register
def _(attention: SparseMLA, hidden, rows, ranks, element):
    common = ("projections", "attention_gemm", rows)
    stored = (element.attention, element.attention_input)
    query = attention.index_heads * attention.index_dim
    key = attention.index_dim + attention.index_heads
    return [
        *projection_items(attention.latent, hidden, rows, ranks, element),
        gemm_item("index_q", *common, query, attention.latent.q_rank, *stored),
        gemm_item("index_k", *common, key, hidden, *stored),
    ]


# ---- attention: tokens that are decoded ----------------------------------------------------------


@singledispatch
def decode_items(
    attention, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    """What one layer's attention adds for decoded tokens."""
    raise NotImplementedError(type(attention).__name__)


@decode_items.register
def _(attention: GQA, tokens, ranks, element):
    seen = jnp.minimum(tokens.context, attention.window_tokens)
    work = DecodeAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        context=seen,
        heads=attention.heads / ranks.tp,
        kv_heads=kv_heads_per_rank(attention, ranks.tp),
        qk_dim=attention.head_dim,
        v_dim=attention.head_dim,
        kv_dim=2.0 * attention.head_dim,
        kv_bytes_per_element=element.kv,
        masked=tokens.context - seen,
    )
    return [Item(work, 1.0, "decode_attention", "attention", "decode")]


def _absorbed(attention: MLA, tokens, context, ranks, element) -> list[Item]:
    heads = attention.heads / ranks.tp
    work = DecodeAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        context=context,
        heads=heads,
        kv_heads=1.0,
        qk_dim=attention.kv_rank + attention.rope_dim,
        v_dim=attention.kv_rank,
        kv_dim=attention.kv_rank + attention.rope_dim,
        kv_bytes_per_element=element.kv,
    )
    into, out = _absorptions(attention, tokens.rows, ranks, element)
    return [into, Item(work, 1.0, "decode_attention", "attention", "decode_latent"), out]


def _absorptions(attention: MLA, rows, ranks, element) -> list[Item]:
    """Queries into the latent space, and results out of it: one product a head."""
    heads = attention.heads / ranks.tp
    return [
        Item(
            BatchedGemm(rows, heads * outputs, inputs, element.wide, element.wide, heads),
            1.0,
            name,
            "projections",
            "absorb_gemm",
        )
        for name, outputs, inputs in (
            ("absorb_k", attention.kv_rank, attention.nope_dim),
            ("absorb_v", attention.v_dim, attention.kv_rank),
        )
    ]


@decode_items.register
def _(attention: MLA, tokens, ranks, element):
    return _absorbed(attention, tokens, tokens.context, ranks, element)


@decode_items.register
def _(attention: SparseMLA, tokens, ranks, element):
    selected = jnp.minimum(tokens.context, attention.index_topk)
    index = DecodeAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        context=tokens.context,
        heads=attention.index_heads,
        kv_heads=1.0,
        qk_dim=attention.index_dim,
        v_dim=0.0,
        kv_dim=attention.index_dim,
        kv_bytes_per_element=element.kv,
    )
    return [
        Item(index, 1.0, "indexer", "attention", "decode"),
        *_absorbed(attention.latent, tokens, selected, ranks, element),
    ]


# ---- attention: tokens of a prompt ---------------------------------------------------------------


@singledispatch
def context_items(
    attention, tokens: ContextTokens, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    """What one layer's attention adds for a chunk of a prompt."""
    raise NotImplementedError(type(attention).__name__)


@context_items.register
def _(attention: GQA, tokens, ranks, element):
    work = ContextAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        past=jnp.minimum(tokens.past, attention.window_tokens),
        pairs=causal_pairs(tokens.queries, tokens.past, attention.window_tokens),
        heads=attention.heads / ranks.tp,
        kv_heads=kv_heads_per_rank(attention, ranks.tp),
        qk_dim=attention.head_dim,
        v_dim=attention.head_dim,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.wide,
    )
    return [Item(work, 1.0, "context_attention", "attention", "context")]


@context_items.register
def _(attention: MLA, tokens, ranks, element):
    """Decompressed: latents of this chunk, and of earlier ones unless kept, are up-projected."""
    heads = attention.heads / ranks.tp
    work = ContextAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        past=tokens.past,
        pairs=causal_pairs(tokens.queries, tokens.past, tokens.past + tokens.queries),
        heads=heads,
        kv_heads=heads,
        qk_dim=attention.nope_dim + attention.rope_dim,
        v_dim=attention.v_dim,
        kv_bytes_per_element=element.wide,
        activation_bytes_per_element=element.wide,
    )
    rows = tokens.sequences * (tokens.queries + tokens.projected)
    outputs = heads * (attention.nope_dim + attention.v_dim)
    stored = (element.attention, element.attention_input)
    up = gemm_item(
        "kv_up", "projections", "attention_gemm", rows, outputs, attention.kv_rank, *stored
    )
    return [up, Item(work, 1.0, "context_attention", "attention", "context_latent")]


@context_items.register
def _(attention: SparseMLA, tokens, ranks, element):
    """Absorbed over the selected latents; the indexer scores every earlier token."""
    latent = attention.latent
    index = ContextAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        past=tokens.past,
        pairs=causal_pairs(tokens.queries, tokens.past, tokens.past + tokens.queries),
        heads=attention.index_heads,
        kv_heads=1.0,
        qk_dim=attention.index_dim,
        v_dim=0.0,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.kv,
    )
    work = ContextAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        past=jnp.minimum(tokens.past, attention.index_topk),
        pairs=causal_pairs(tokens.queries, tokens.past, attention.index_topk),
        heads=latent.heads / ranks.tp,
        kv_heads=1.0,
        qk_dim=latent.kv_rank + latent.rope_dim,
        v_dim=latent.kv_rank,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.wide,
    )
    into, out = _absorptions(latent, tokens.rows, ranks, element)
    return [
        Item(index, 1.0, "indexer", "attention", "context"),
        into,
        Item(work, 1.0, "context_attention", "attention", "context_latent"),
        out,
    ]
