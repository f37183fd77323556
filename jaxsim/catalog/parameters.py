"""How many parameters does a model have, and which of them does tensor parallelism split?

Counts are real numbers, so they can be traced, stacked and differentiated. Multi-token-prediction
layers are not part of a model record, and so not counted.
"""

from functools import singledispatch

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.attention_parameters import AttentionParams, attention_params
from jaxsim.catalog.model import AbstractFFN, DenseFFN, LatentMoEFFN, Model, MoEFFN, NoFFN

__all__ = [
    "AttentionParams",
    "FFNParams",
    "Parameters",
    "attention_params",
    "embedding_params",
    "ffn_params",
    "head_params",
    "norm_params",
    "parameters",
]


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
def ffn_params(ffn: AbstractFFN, hidden: Scalar) -> FFNParams:
    """Parameters of one layer's feed-forward network."""
    raise NotImplementedError(type(ffn).__name__)


@ffn_params.register
def _(ffn: DenseFFN, hidden: Scalar) -> FFNParams:
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
def _(ffn: MoEFFN, hidden: Scalar) -> FFNParams:
    """matrices·hidden·intermediate for an expert, and hidden for its row of the router."""
    return FFNParams(
        dense=ffn.matrices * hidden * ffn.shared_intermediate,
        router=hidden * ffn.experts,
        per_expert=ffn.matrices * hidden * ffn.intermediate + ffn.bias_params / ffn.experts,
        experts=ffn.experts + 0.0 * hidden,
        topk=ffn.topk + 0.0 * hidden,
    )


@ffn_params.register
def _(ffn: LatentMoEFFN, hidden: Scalar) -> FFNParams:
    """Experts of the latent, and the projections into and out of it; the rest as without."""
    outer, inner = ffn_params(ffn.moe, hidden), ffn_params(ffn.moe, ffn.latent + 0.0 * hidden)
    return FFNParams(
        dense=outer.dense + 2.0 * hidden * ffn.latent,
        router=outer.router,
        per_expert=inner.per_expert,
        experts=inner.experts,
        topk=inner.topk,
    )


@ffn_params.register
def _(ffn: NoFFN, hidden: Scalar) -> FFNParams:
    zero = 0.0 * hidden
    return FFNParams(zero, zero, zero, zero, zero)


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
