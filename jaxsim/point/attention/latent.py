"""What does latent attention ask of one GPU?"""

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.attention_parameters import cached_columns
from jaxsim.catalog.model import (
    MLA,
    DirectMLA,
    GatedMLA,
    ReusedSparseMLA,
    SharedCache,
    SparseMLA,
)
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.attention.base import (
    INDEX_BYTES,
    causal_pairs,
    context_items,
    decode_items,
    more_than,
    output_item,
    projection_items,
)
from jaxsim.point.items import ContextTokens, DecodeTokens, Item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.selected import SelectedAttention
from jaxsim.point.work import BatchedGemm, ContextAttention, DecodeAttention


@projection_items.register
def _(
    attention: MLA | DirectMLA, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes
):
    return _projections(attention, cached_columns(attention), hidden, rows, ranks, element)


def _projections(
    attention: MLA | DirectMLA | SparseMLA | ReusedSparseMLA,
    down: Scalar,
    hidden: Scalar,
    rows: Scalar,
    ranks: Ranks,
    element: ElementBytes,
) -> list[Item]:
    """Projections of a layer that caches `down` numbers of a token."""
    if isinstance(attention, SparseMLA | ReusedSparseMLA):
        own = _projections(attention.latent, down, hidden, rows, ranks, element)
        if isinstance(attention, ReusedSparseMLA):
            return own
        return own + _index_projections(attention, hidden, rows, element)
    heads = attention.heads / ranks.tp
    common = ("projections", "attention_gemm", rows)
    stored = (element.attention, element.attention_input)
    query = heads * (attention.nope_dim + attention.rope_dim)
    if isinstance(attention, MLA):
        queries = [
            gemm_item("qkv_down", *common, attention.q_rank + down, hidden, *stored),
            gemm_item("q_up", *common, query, attention.q_rank, *stored),
        ]
    else:
        queries = [gemm_item("qkv_down", *common, query + down, hidden, *stored)]
    return [
        *queries,
        output_item(hidden, rows, heads * attention.v_dim, element),
    ]


def _index_projections(
    attention: SparseMLA, hidden: Scalar, rows: Scalar, element: ElementBytes
) -> list[Item]:
    common = ("projections", "attention_gemm", rows)
    stored = (element.attention, element.attention_input)
    query = attention.index_heads * attention.index_dim
    key = attention.index_dim + attention.index_heads
    own = attention.latent
    inputs = own.q_rank if isinstance(own, MLA) else hidden
    return [
        gemm_item("index_q", *common, query, inputs, *stored),
        gemm_item("index_k", *common, key, hidden, *stored),
    ]


@projection_items.register
def _(
    attention: SparseMLA | ReusedSparseMLA,
    hidden: Scalar,
    rows: Scalar,
    ranks: Ranks,
    element: ElementBytes,
):
    return _projections(attention, cached_columns(attention), hidden, rows, ranks, element)


@projection_items.register
def _(attention: SharedCache, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes):
    return _projections(attention.own, 0.0, hidden, rows, ranks, element)


@projection_items.register
def _(attention: GatedMLA, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes):
    """A gate as wide as what attention returns, from the residual stream."""
    own = attention.latent
    columns = own.heads / ranks.tp * own.v_dim
    stored = (element.attention, element.attention_input)
    return [
        *projection_items(own, hidden, rows, ranks, element),
        gemm_item("output_gate", "projections", "attention_gemm", rows, columns, hidden, *stored),
    ]


def _absorbed(
    attention: MLA | DirectMLA,
    tokens: DecodeTokens,
    context: Scalar,
    ranks: Ranks,
    element: ElementBytes,
) -> list[Item]:
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


def _absorptions(
    attention: MLA | DirectMLA, rows: Scalar, ranks: Ranks, element: ElementBytes
) -> list[Item]:
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
def _(attention: MLA | DirectMLA, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    return _absorbed(attention, tokens, tokens.context, ranks, element)


@decode_items.register
def _(attention: GatedMLA, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    return decode_items(attention.latent, tokens, ranks, element)


@decode_items.register
def _(attention: SharedCache, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    return decode_items(attention.own, tokens, ranks, element)


@decode_items.register
def _(
    attention: SparseMLA | ReusedSparseMLA,
    tokens: DecodeTokens,
    ranks: Ranks,
    element: ElementBytes,
):
    attended = jnp.minimum(tokens.context, attention.index_topk)
    pairs = tokens.queries * attended, tokens.queries * tokens.context
    return _selected(attention, tokens, attended, pairs, ranks, element, "decode")


@context_items.register
def _(attention: MLA | DirectMLA, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
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
def _(attention: GatedMLA, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
    return context_items(attention.latent, tokens, ranks, element)


@context_items.register
def _(attention: SharedCache, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
    return context_items(attention.own, tokens, ranks, element)


@context_items.register
def _(
    attention: SparseMLA | ReusedSparseMLA,
    tokens: ContextTokens,
    ranks: Ranks,
    element: ElementBytes,
):
    """Absorbed over the selected latents; the indexer scores every earlier token."""
    whole = tokens.past + tokens.queries
    attended = causal_pairs(tokens.queries, tokens.past, attention.index_topk)
    pairs = attended, causal_pairs(tokens.queries, tokens.past, whole)
    keys = jnp.minimum(whole, attended)
    return _selected(attention, tokens, keys, pairs, ranks, element, "context")


def _selected(
    attention: SparseMLA | ReusedSparseMLA,
    tokens: DecodeTokens | ContextTokens,
    keys: Scalar,
    pairs: tuple[Scalar, Scalar],
    ranks: Ranks,
    element: ElementBytes,
    phase: str,
) -> list[Item]:
    """Absorbed attention to `pairs[0]` selected latents, of `pairs[1]` that an indexer scores.

    Where another layer's selection is used again, nothing is scored.
    """
    latent = attention.latent
    whole = tokens.context if isinstance(tokens, DecodeTokens) else tokens.past + tokens.queries
    own = attention if isinstance(attention, SparseMLA) else None
    work = SelectedAttention(
        sequences=tokens.sequences,
        queries=tokens.queries,
        entries=whole if own else 0.0,
        scored=pairs[1] if own else 0.0,
        index_heads=own.index_heads if own else 0.0,
        index_dim=own.index_dim if own else 0.0,
        index_bytes_per_element=INDEX_BYTES,
        keys=keys,
        pairs=pairs[0],
        slots=tokens.queries * attention.index_topk,
        heads=latent.heads / ranks.tp,
        kv_heads=1.0,
        qk_dim=latent.kv_rank + latent.rope_dim,
        v_dim=latent.kv_rank,
        kv_dim=latent.kv_rank + latent.rope_dim,
        kv_bytes_per_element=element.kv,
        activation_bytes_per_element=element.wide,
        indexes=1.0 if own else 0.0,
        selects=more_than(whole, attention.index_topk) if own else 0.0,
    )
    into, out = _absorptions(latent, tokens.rows, ranks, element)
    return [into, Item(work, 1.0, f"{phase}_attention", "attention", f"dsa_{phase}"), out]
