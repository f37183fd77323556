"""Which modules of a checkpoint stand for each class of tensor, and what else are they called?

Quantisation configs name modules, layer by layer. Checkpoints and their configs spell one module
in several ways: fused or not, by the names of one family or another. Here a module is all its
spellings, without the wrapper of a multimodal model before them, and the weights it holds.
"""

import math
from dataclasses import dataclass

from jaxsim._scalar import Scalar
from jaxsim.catalog._architectures import Layer
from jaxsim.catalog.model import (
    GQA,
    MLA,
    AbstractAttention,
    AbstractFFN,
    AbstractRecurrent,
    BlockSparseGQA,
    CompressedMQA,
    DenseFFN,
    DirectMLA,
    GatedMLA,
    LatentMoEFFN,
    MoEFFN,
    NoAttention,
    ReusedSparseMLA,
    SharedCache,
    SparseMLA,
    VariedGQA,
)

_ATTENTION = ("self_attn", "attn", "attention", "linear_attn", "mixer", "mamba")
_FFN = ("mlp", "ffn", "feed_forward", "block_sparse_moe", "mixer", "moe")
_SHARED = ("shared_experts", "shared_expert", "shared_mlp", "share_expert")
_UP = ("gate_proj", "up_proj", "gate_up_proj", "w1", "w3", "fc1")
_DOWN = ("down_proj", "w2", "fc2")


@dataclass(frozen=True)
class Module:
    """A matrix of a checkpoint: its spellings, its class of tensor and its elements."""

    spellings: tuple[str, ...]
    tensor: str
    elements: Scalar


# Spellings, class of tensor and elements of a matrix.
Part = tuple[tuple[str, ...], str, Scalar]


def _named(layer: int, parents: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        ".".join(part for part in (f"layers.{layer}", parent, name) if part)
        for parent in parents
        for name in names
    )


def _attention_parts(attention: AbstractAttention, hidden: float) -> list[Part]:
    """Matrices of one layer's attention: their names, class and elements."""
    if isinstance(attention, NoAttention):
        return []
    if isinstance(attention, SharedCache):
        every = _attention_parts(attention.own, hidden)
        return [part for part in every if part[0] != ("kv_a_proj_with_mqa",)]
    if isinstance(attention, SparseMLA | ReusedSparseMLA | GatedMLA):
        parts = _attention_parts(attention.latent, hidden)
        if isinstance(attention, GatedMLA):
            wide = attention.latent.heads * attention.latent.v_dim
            parts.append((("g_proj",), "attention", hidden * wide))
        if isinstance(attention, SparseMLA):
            wide = attention.index_heads * attention.index_dim
            inputs = attention.latent.q_rank if isinstance(attention.latent, MLA) else hidden
            parts.append((("indexer.wq_b",), "attention", inputs * wide))
            parts.append((("indexer.wk",), "attention", hidden * attention.index_dim))
        return parts
    if isinstance(attention, MLA | DirectMLA):
        a = attention
        query = a.heads * (a.nope_dim + a.rope_dim)
        up = a.heads * (a.nope_dim + a.v_dim) * a.kv_rank
        parts: list[Part] = [
            (("kv_a_proj_with_mqa",), "attention", hidden * (a.kv_rank + a.rope_dim)),
            (("kv_b_proj",), "attention", up),
            (("o_proj",), "attention_out", hidden * a.heads * a.v_dim),
        ]
        if isinstance(a, MLA):
            parts.append((("q_a_proj",), "attention", hidden * a.q_rank))
            parts.append((("q_b_proj",), "attention", query * a.q_rank))
        else:
            parts.append((("q_proj",), "attention", query * hidden))
        return parts
    if isinstance(attention, AbstractRecurrent):
        a = attention
        wide, keys = a.heads * a.value_dim, a.key_heads * a.key_dim
        return [
            (("in_proj_qkv", "in_proj_qkvz", "in_proj", "q_proj", "qkv_proj"), "attention",
             hidden * (2.0 * keys + wide)),
            (("in_proj_z", "in_proj_qkvz", "in_proj", "g_proj"), "attention", hidden * wide),
            (("out_proj", "o_proj"), "attention_out", hidden * wide),
        ]  # fmt: skip
    if isinstance(attention, CompressedMQA):
        a = attention
        return [
            (("wq_a", "wq_b", "q_a_proj", "q_b_proj"), "attention",
             a.q_rank * (hidden + a.heads * a.head_dim)),
            (("wkv", "kv_proj"), "attention", hidden * a.head_dim),
            (("wo_a", "wo_b", "o_a_proj", "o_b_proj"), "attention_out",
             a.out_rank * (a.heads * a.head_dim + a.out_groups * hidden)),
        ]  # fmt: skip
    grouped = attention.grouped if isinstance(attention, BlockSparseGQA) else attention
    if isinstance(grouped, GQA):
        keys = values = grouped.head_dim
    elif isinstance(grouped, VariedGQA):
        keys, values = grouped.qk_dim, grouped.v_dim
    else:
        raise TypeError(f"{type(attention).__name__} has no names of matrices")
    return [
        (("q_proj", "qkv_proj"), "attention", hidden * grouped.heads * keys),
        (("k_proj", "qkv_proj"), "attention", hidden * grouped.kv_heads * keys),
        (("v_proj", "qkv_proj"), "attention", hidden * grouped.kv_heads * values),
        (("o_proj", "dense"), "attention_out", hidden * grouped.heads * values),
    ]


def _ffn_modules(layer: int, ffn: AbstractFFN, hidden: float, beside: bool) -> list[Module]:
    """Matrices of one layer's feed-forward network.

    With a dense network `beside` the experts (Gemma 4), experts are no part of what is called
    `mlp`, and the network is.
    """
    if isinstance(ffn, LatentMoEFFN):
        return _ffn_modules(layer, ffn.moe, float(ffn.latent), beside)
    if isinstance(ffn, DenseFFN):
        each = hidden * ffn.intermediate
        return [
            Module(_named(layer, _FFN, _UP), "ffn", (ffn.matrices - 1.0) * each),
            Module(_named(layer, _FFN, _DOWN), "ffn", each),
        ]
    if not isinstance(ffn, MoEFFN):
        return []
    modules = []
    around = ("", "moe") if beside else _FFN
    shared = ("mlp",) if beside else tuple(f"{ffn}.{name}" for ffn in _FFN for name in _SHARED)
    experts = tuple(f"{parent}.experts".strip(".") for parent in around)
    one = tuple(f"{parent}.0" for parent in experts)
    for names, count in ((_UP, ffn.matrices - 1.0), (_DOWN, 1.0)):
        spelled = (*_named(layer, one, names), *_named(layer, experts, ("", *names)))
        modules.append(Module(spelled, "experts", count * ffn.experts * hidden * ffn.intermediate))
        if ffn.shared_intermediate > 0:
            each = hidden * ffn.shared_intermediate
            modules.append(Module(_named(layer, shared, names), "ffn", count * each))
    return modules


def modules_of(layers: list[Layer], hidden: float, vocab: float, family: str) -> list[Module]:
    """Every matrix of a model, from its layers as an architecture's reader gives them."""
    modules = []
    for layer in layers:
        for names, tensor, elements in _attention_parts(layer.attention, hidden):
            spelled = _named(layer.attention_index, _ATTENTION, names)
            modules.append(Module(spelled, tensor, float(elements)))
        modules += _ffn_modules(layer.ffn_index, layer.ffn, hidden, family.startswith("gemma4"))
    modules.append(Module(("lm_head", "head", "output"), "head", vocab * hidden))
    return [module for module in modules if math.isfinite(module.elements)]
