"""How many parameters does a model have, and which of them does tensor parallelism split?

Counts are real numbers, so they can be traced, stacked and differentiated. Multi-token-prediction
layers are not part of a model record, and so not counted.
"""

from functools import singledispatch

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.model import GQA, MLA, DenseFFN, Model, MoEFFN, SparseMLA


class AttentionParams(Record):
    """Parameters of one layer's attention, by how tensor parallelism treats them.

    `by_head` is split over all ranks; `by_kv_head` over at most the number of key/value heads,
    and duplicated beyond; `replicated` is held whole by every rank. Norms and biases, a few
    thousand numbers, are `replicated`. `kv_up` is the part of `by_head` that a latent cache is
    decompressed with, 0 without one: in absorbed decode it multiplies activations unquantised.
    """

    by_head: Scalar
    by_kv_head: Scalar
    replicated: Scalar
    kv_up: Scalar

    @property
    def total(self):
        return self.by_head + self.by_kv_head + self.replicated


class FFNParams(Record):
    """Parameters of one layer's feed-forward network.

    `dense` is always active: the network of a dense layer, or the shared experts. A layer has
    `experts` routed experts of `per_expert` parameters, biases included, of which a token uses
    `topk`; all three are 0 in a dense layer, and so is `router`.
    """

    dense: Scalar
    router: Scalar
    per_expert: Scalar
    experts: Scalar
    topk: Scalar

    @property
    def routed(self):
        return self.experts * self.per_expert

    @property
    def total(self):
        return self.dense + self.router + self.routed

    @property
    def active(self):
        return self.dense + self.router + self.topk * self.per_expert


class Parameters(Record):
    """Parameters of a whole model.

    `active` are those that one decoded token is multiplied with: all but the routed experts it
    does not reach and the embedding, of which it reads a single row.
    """

    total: Scalar
    attention: Scalar
    dense_ffn: Scalar
    routed_experts: Scalar
    embed_and_head: Scalar
    active: Scalar


@singledispatch
def attention_params(attention, hidden: Scalar) -> AttentionParams:
    """Parameters of one layer's attention."""
    raise NotImplementedError(type(attention).__name__)


@attention_params.register
def _(attention: GQA, hidden) -> AttentionParams:
    """Query and output: 2·h·d·hidden. Key and value: 2·h_kv·d·hidden."""
    return AttentionParams(
        by_head=2.0 * attention.heads * attention.head_dim * hidden,
        by_kv_head=2.0 * attention.kv_heads * attention.head_dim * hidden,
        replicated=attention.bias_params + 0.0 * hidden,
        kv_up=0.0 * hidden,
    )


@attention_params.register
def _(attention: MLA, hidden) -> AttentionParams:
    """q_b: r_q·h·(n + p); kv_b: r_kv·h·(n + v); o: h·v·hidden; down: hidden·(r_q + r_kv + p)."""
    query = attention.heads * (attention.nope_dim + attention.rope_dim)
    kv_up = attention.kv_rank * attention.heads * (attention.nope_dim + attention.v_dim)
    ranks = attention.q_rank + attention.kv_rank
    return AttentionParams(
        by_head=attention.q_rank * query + kv_up + attention.heads * attention.v_dim * hidden,
        by_kv_head=0.0 * hidden,
        replicated=hidden * (ranks + attention.rope_dim) + ranks,
        kv_up=kv_up,
    )


@attention_params.register
def _(attention: SparseMLA, hidden) -> AttentionParams:
    """The latent attention's, and the indexer's, which every rank holds whole.

    Indexer: query r_q·h_i·d_i, key hidden·d_i with its norm (weight and bias), and a weight per
    head hidden·h_i.
    """
    latent = attention_params(attention.latent, hidden)
    query = attention.latent.q_rank * attention.index_heads * attention.index_dim
    key = attention.index_dim * (hidden + 2.0)
    return AttentionParams(
        by_head=latent.by_head,
        by_kv_head=latent.by_kv_head,
        replicated=latent.replicated + query + key + hidden * attention.index_heads,
        kv_up=latent.kv_up,
    )


@singledispatch
def ffn_params(ffn, hidden: Scalar) -> FFNParams:
    """Parameters of one layer's feed-forward network."""
    raise NotImplementedError(type(ffn).__name__)


@ffn_params.register
def _(ffn: DenseFFN, hidden) -> FFNParams:
    """matrices·hidden·intermediate."""
    zero = 0.0 * hidden
    return FFNParams(
        dense=ffn.matrices * hidden * ffn.intermediate,
        router=zero,
        per_expert=zero,
        experts=zero,
        topk=zero,
    )


@ffn_params.register
def _(ffn: MoEFFN, hidden) -> FFNParams:
    """matrices·hidden·intermediate for an expert, and hidden for its row of the router."""
    return FFNParams(
        dense=ffn.matrices * hidden * ffn.shared_intermediate,
        router=hidden * ffn.experts,
        per_expert=ffn.matrices * hidden * ffn.intermediate + ffn.bias_params / ffn.experts,
        experts=ffn.experts + 0.0 * hidden,
        topk=ffn.topk + 0.0 * hidden,
    )


def norm_params(hidden: Scalar) -> Scalar:
    """The two norms of one layer."""
    return 2.0 * hidden


def embedding_params(model: Model) -> Scalar:
    """The input embedding: vocab·hidden."""
    return model.vocab * model.hidden


def head_params(model: Model) -> Scalar:
    """The output head, 0 where it is the embedding (`tied`)."""
    return (1.0 - model.tied) * model.vocab * model.hidden


def parameters(model: Model) -> Parameters:
    """Parameters of a model, in all and by class."""
    attention = dense = routed = active_ffn = norms = 0.0
    for group in model.groups:
        layer = ffn_params(group.ffn, model.hidden)
        attention += group.layers * attention_params(group.attention, model.hidden).total
        dense += group.layers * (layer.dense + layer.router)
        routed += group.layers * layer.routed
        active_ffn += group.layers * layer.active
        norms += group.layers * norm_params(model.hidden)
    norms += model.hidden
    embed = embedding_params(model)
    head = head_params(model)
    return Parameters(
        total=attention + dense + routed + norms + embed + head,
        attention=attention,
        dense_ffn=dense,
        routed_experts=routed,
        embed_and_head=embed + head,
        active=attention + active_ffn + norms + model.vocab * model.hidden,
    )
