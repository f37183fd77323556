"""What does a layer with a state ask of one GPU?"""

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import AbstractRecurrent, GatedDelta, KimiDelta, Lightning, Mamba2
from jaxsim.catalog.precision import ElementBytes
from jaxsim.catalog.recurrent import STATE_BYTES, STATE_FLOP, Columns, columns_of
from jaxsim.point.attention.base import (
    context_items,
    decode_items,
    output_item,
    projection_items,
)
from jaxsim.point.items import ContextTokens, DecodeTokens, Item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.work import Convolution, StateScan, StateStep

# Which fit times a kind. Mamba-2 and lightning attention were not measured by themselves.
FAMILY: dict[type, str] = {
    GatedDelta: "delta",
    KimiDelta: "kda",
    Mamba2: "delta",
    Lightning: "delta",
}
# Tokens that a scan takes together; products within a chunk of so many (q·k and its use on values,
# and for delta nets k·k and the solution with it).
SCAN_TOKENS: dict[type, float] = {
    GatedDelta: 64.0,
    KimiDelta: 64.0,
    Mamba2: 128.0,
    Lightning: 256.0,
}
SCAN_PRODUCTS: dict[type, float] = {GatedDelta: 2.0, KimiDelta: 2.0, Mamba2: 1.0, Lightning: 1.0}


def on_rank(attention: AbstractRecurrent, tp: Scalar) -> Columns:
    """The columns that one GPU has: heads over `tp`, key heads over as many as there are."""
    columns = columns_of(attention)
    keys = jnp.minimum(attention.key_heads, tp)
    key_channels = columns.by_key_head
    return Columns(
        by_head=columns.by_head / tp,
        by_key_head=columns.by_key_head / keys,
        replicated=columns.replicated,
        channels=(columns.channels - key_channels) / tp + key_channels / keys,
        second=columns.second / tp,
        vectors=columns.vectors / tp,
    )


@projection_items.register
def _(
    attention: AbstractRecurrent, hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes
):
    """Everything that goes into the state and its gates in one product, and the product out."""
    own = on_rank(attention, ranks.tp)
    common = ("projections", "attention_gemm", rows)
    stored = (element.attention, element.attention_input)
    outputs = own.by_head + own.by_key_head + own.replicated
    items = [gemm_item("state_in", *common, outputs, hidden, *stored)]
    if isinstance(attention, KimiDelta):
        rank = attention.gate_rank
        items.append(gemm_item("state_gates", *common, own.second / rank, rank, *stored))
    inputs = attention.heads / ranks.tp * attention.value_dim
    return [*items, output_item(hidden, rows, inputs, element)]


def _convolution(
    attention: AbstractRecurrent,
    tokens: DecodeTokens | ContextTokens,
    ranks: Ranks,
    element: ElementBytes,
) -> list[Item]:
    if isinstance(attention, Lightning):
        return []
    work = Convolution(
        sequences=tokens.sequences,
        queries=tokens.queries,
        channels=on_rank(attention, ranks.tp).channels,
        kept=attention.conv_width - 1.0,
        activation_bytes_per_element=element.wide,
    )
    return [Item(work, 1.0, "convolution", "attention", "convolution")]


def _shape(
    attention: AbstractRecurrent,
    tokens: DecodeTokens | ContextTokens,
    ranks: Ranks,
    element: ElementBytes,
) -> dict[str, Scalar]:
    return {
        "sequences": tokens.sequences,
        "queries": tokens.queries,
        "heads": attention.heads / ranks.tp,
        "key_dim": attention.key_dim,
        "value_dim": attention.value_dim,
        "flop_per_state": STATE_FLOP[type(attention)],
        "state_bytes_per_element": STATE_BYTES,
        "activation_bytes_per_element": element.wide,
    }


@decode_items.register
def _(attention: AbstractRecurrent, tokens: DecodeTokens, ranks: Ranks, element: ElementBytes):
    """The state is read and written once a step, and once more for each draft."""
    work = StateStep(**_shape(attention, tokens, ranks, element))
    role = f"{FAMILY[type(attention)]}_step"
    return [
        *_convolution(attention, tokens, ranks, element),
        Item(work, 1.0, "state_step", "attention", role),
    ]


@context_items.register
def _(attention: AbstractRecurrent, tokens: ContextTokens, ranks: Ranks, element: ElementBytes):
    """Chunks of a prompt one after another, the products within one side by side."""
    kind = type(attention)
    work = StateScan(
        **_shape(attention, tokens, ranks, element),
        chunk=SCAN_TOKENS[kind],
        products=SCAN_PRODUCTS[kind],
    )
    return [
        *_convolution(attention, tokens, ranks, element),
        Item(work, 1.0, "state_scan", "attention", f"{FAMILY[kind]}_scan"),
    ]
