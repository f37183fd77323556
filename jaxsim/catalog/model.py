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


class SparseMLA(AbstractAttention):
    """Latent attention over the `index_topk` tokens that a small indexer selects."""

    latent: MLA
    index_heads: Scalar
    index_dim: Scalar
    index_topk: Scalar


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


class LayerGroup(Record):
    """`layers` identical layers."""

    attention: AbstractAttention
    ffn: AbstractFFN
    layers: Scalar


class Model(Record):
    """A decoder-only language model.

    `tied` is 1 where the embedding and the output head are one matrix, else 0.
    """

    hidden: Scalar
    vocab: Scalar
    tied: Scalar
    groups: tuple[LayerGroup, ...]
