"""What does a model consist of?

Structure is type, number is leaf: how many kinds of layer a model has is structure, how many
layers of a kind is a number. Names live in the catalogue, not here, so models can be stacked.
"""

from jaxsim._record import Record
from jaxsim._scalar import Scalar


class AbstractAttention(Record):
    """How a layer looks back."""


class GQA(AbstractAttention):
    """Grouped-query attention. `window_tokens` is infinite where attention is full."""

    heads: Scalar
    kv_heads: Scalar
    head_dim: Scalar
    window_tokens: Scalar
    bias_params: Scalar  # biases and query/key norms of one layer


class MLA(AbstractAttention):
    """Multi-head latent attention: keys and values live in one low-rank latent per token.

    `q_rank` is the rank of the query's own down-projection.
    """

    heads: Scalar
    q_rank: Scalar
    kv_rank: Scalar
    nope_dim: Scalar
    rope_dim: Scalar
    v_dim: Scalar


class VariedGQA(AbstractAttention):
    """Grouped-query attention whose parts are not all alike.

    Keys are `qk_dim` wide and values `v_dim`. `gate_dim` outputs for each head gate what attention
    returns (0 without a gate). `own_values` is 0 where the keys are the values too, which are then
    projected once and cached twice; `own_cache` is 0 where keys and values are an earlier layer's.
    """

    heads: Scalar
    kv_heads: Scalar
    qk_dim: Scalar
    v_dim: Scalar
    window_tokens: Scalar
    bias_params: Scalar
    gate_dim: Scalar
    own_values: Scalar
    own_cache: Scalar


class DirectMLA(AbstractAttention):
    """Multi-head latent attention whose queries are projected at once, without a rank."""

    heads: Scalar
    kv_rank: Scalar
    nope_dim: Scalar
    rope_dim: Scalar
    v_dim: Scalar


class SparseMLA(AbstractAttention):
    """Latent attention over the `index_topk` tokens that a small indexer selects.

    The indexer's queries come from the latent of the queries, where those have a rank, else from
    the residual stream.
    """

    latent: MLA | DirectMLA
    index_heads: Scalar
    index_dim: Scalar
    index_topk: Scalar


class GatedMLA(AbstractAttention):
    """Latent attention with an output gate as wide as all values."""

    latent: MLA


class ReusedSparseMLA(AbstractAttention):
    """Latent attention over the `index_topk` tokens that an earlier layer's indexer selected."""

    latent: MLA | DirectMLA
    index_topk: Scalar


class SharedCache(AbstractAttention):
    """Latent attention that looks back at an earlier layer's cache.

    `own` is the layer as it would be with a cache of its own: it has neither that projection nor
    that cache, but what up-projects latents, and the keys of its indexer where it has one.
    """

    own: MLA | DirectMLA | SparseMLA | ReusedSparseMLA


class BlockSparseGQA(AbstractAttention):
    """Grouped-query attention over `topk_blocks` blocks of `block_tokens` that an indexer selects.

    The indexer scores earlier tokens with `index_heads` queries against one key of `index_dim`.
    """

    grouped: GQA
    index_heads: Scalar
    index_dim: Scalar
    block_tokens: Scalar
    topk_blocks: Scalar


class CompressedMQA(AbstractAttention):
    """Attention of many heads over one head of entries that each stand for `ratio` tokens.

    An entry of `head_dim` serves as key and value. The latest `window_tokens` are kept uncompressed
    beside them; `ratio` is infinite where there is nothing else. Of the entries `index_topk` are
    selected (infinite: all) by `index_heads` queries of `index_dim` (0 without an indexer).
    Queries have a rank of `q_rank`; what attention returns is projected in `out_groups` groups to
    `out_rank` each, and from there to the residual stream, of which there are `streams`.
    """

    heads: Scalar
    head_dim: Scalar
    q_rank: Scalar
    window_tokens: Scalar
    ratio: Scalar
    index_topk: Scalar
    index_heads: Scalar
    index_dim: Scalar
    out_groups: Scalar
    out_rank: Scalar
    streams: Scalar


def core_of(attention: AbstractAttention) -> AbstractAttention:
    """The attention within what selects, gates or shares its cache."""
    for name in ("own", "latent", "grouped"):
        attention = getattr(attention, name, attention)
    return attention


class AbstractRecurrent(AbstractAttention):
    """Linear attention: a state of fixed size instead of a cache that grows.

    Each of `heads` has a state of `key_dim` x `value_dim`, read and written once a step. Keys and
    queries have `key_heads` heads. A causal convolution of `conv_width` tokens (1: none) runs over
    queries, keys and values first.
    """

    heads: Scalar
    key_heads: Scalar
    key_dim: Scalar
    value_dim: Scalar
    conv_width: Scalar


class GatedDelta(AbstractRecurrent):
    """Gated delta net: one decay and one write strength a head, and an output gate."""


class Mamba2(AbstractRecurrent):
    """Mamba-2: `key_heads` groups share input and output matrices of `key_dim` states."""


class KimiDelta(AbstractRecurrent):
    """Kimi delta attention: a delta net with a decay for each channel, of rank `gate_rank`.

    The output gate is of full rank where `full_gate` is 1, else of `gate_rank` too.
    """

    gate_rank: Scalar
    full_gate: Scalar


class Lightning(AbstractRecurrent):
    """Lightning attention: fixed decays, and an output gate as wide as all values."""


class NoAttention(AbstractAttention):
    """A layer that only has a feed-forward network."""


class AbstractFFN(Record):
    """What a layer does to one token."""


class DenseFFN(AbstractFFN):
    """`matrices` is 3 for a gated feed-forward network (gate, up, down) and 2 for a plain one."""

    intermediate: Scalar
    matrices: Scalar


class MoEFFN(AbstractFFN):
    """`experts` routed experts of width `intermediate`, `topk` a token, and shared experts.

    `shared_intermediate` is the summed width of the shared experts, 0 without any.
    """

    experts: Scalar
    topk: Scalar
    intermediate: Scalar
    shared_intermediate: Scalar
    matrices: Scalar
    bias_params: Scalar  # biases of the router and of one layer's experts


class LatentMoEFFN(AbstractFFN):
    """Routed experts that work on a latent of the residual stream, `latent` wide.

    It is projected down before the experts and up again after them, once for all of them; shared
    experts, the router and the dispatch are as wide as `moe` says, but for the tokens on the wire.
    """

    moe: MoEFFN
    latent: Scalar


class NoFFN(AbstractFFN):
    """A layer that only mixes tokens."""


class LayerGroup(Record):
    """`layers` identical layers."""

    attention: AbstractAttention
    ffn: AbstractFFN
    layers: Scalar


class Encoder(Record):
    """What turns an image into tokens of a prompt: a transformer over its patches, in 16 bits.

    An image of the size that is usual for the model has `patches`, of which `tokens` come out.
    """

    layers: Scalar
    hidden: Scalar
    intermediate: Scalar
    heads: Scalar
    matrices: Scalar
    patches: Scalar
    tokens: Scalar


class Model(Record):
    """A decoder-only language model.

    `tied` is 1 where the embedding and the output head are one matrix, else 0. `encoders` run over
    the images of a prompt first, on the GPUs of prefill; `pooled_encoders` on GPUs of their own,
    for which a prompt waits. A model that is served without images has none.
    """

    hidden: Scalar
    vocab: Scalar
    tied: Scalar
    groups: tuple[LayerGroup, ...]
    encoders: tuple[Encoder, ...] = ()
    pooled_encoders: tuple[Encoder, ...] = ()
