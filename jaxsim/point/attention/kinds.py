"""What does any kind of attention ask of one GPU?  All kinds at hand."""

from jaxsim.point.attention import compressed, grouped, latent, recurrent
from jaxsim.point.attention.base import (
    causal_pairs,
    context_items,
    decode_items,
    kv_heads_per_rank,
    projection_items,
)

KINDS = (grouped, latent, compressed, recurrent)

__all__ = [
    "KINDS",
    "causal_pairs",
    "context_items",
    "decode_items",
    "kv_heads_per_rank",
    "projection_items",
]
