"""Which rules does a design break: memory, widths, context?  What is not feasible is rejected."""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Flag, Scalar
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
    NoFFN,
    ReusedSparseMLA,
    SharedCache,
    SparseMLA,
    VariedGQA,
)
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.exact_division import divides
from jaxsim.point.footprint import Memory, memory_of
from jaxsim.point.forward import layers_of
from jaxsim.point.ranks import Ranks, expert_slots, ranks_of


class Rules(Record):
    """Each is true where the design obeys it; `valid` is their conjunction."""

    fits_memory: Flag
    heads_divide: Flag
    experts_divide: Flag
    ffn_divides: Flag
    widths_divide: Flag
    within_domain: Flag
    stages_have_layers: Flag

    @property
    def valid(self):
        return (
            self.fits_memory
            & self.heads_divide
            & self.experts_divide
            & self.ffn_divides
            & self.widths_divide
            & self.within_domain
            & self.stages_have_layers
        )


@singledispatch
def heads_divide(attention: AbstractAttention, tp: Scalar) -> Flag:
    """Whether `tp` divides the query heads, and divides or is a multiple of the key/value heads."""
    raise NotImplementedError(type(attention).__name__)


@heads_divide.register
def _(attention: GQA | VariedGQA, tp: Scalar):
    shared = divides(tp, attention.kv_heads) | divides(attention.kv_heads, tp)
    return divides(tp, attention.heads) & shared


@heads_divide.register
def _(attention: MLA | DirectMLA, tp: Scalar):
    return divides(tp, attention.heads)


@heads_divide.register
def _(attention: SparseMLA | ReusedSparseMLA | GatedMLA, tp: Scalar):
    return divides(tp, attention.latent.heads)


@heads_divide.register
def _(attention: SharedCache, tp: Scalar):
    return heads_divide(attention.own, tp)


@heads_divide.register
def _(attention: BlockSparseGQA, tp: Scalar):
    return heads_divide(attention.grouped, tp)


@heads_divide.register
def _(attention: CompressedMQA, tp: Scalar):
    return divides(tp, attention.heads) & divides(tp, attention.out_groups)


@heads_divide.register
def _(attention: AbstractRecurrent, tp: Scalar):
    shared = divides(tp, attention.key_heads) | divides(attention.key_heads, tp)
    return divides(tp, attention.heads) & shared


@heads_divide.register
def _(attention: NoAttention, tp: Scalar):
    return jnp.ones_like(jnp.asarray(tp), dtype=bool)


@singledispatch
def ffn_divides(ffn: AbstractFFN, ranks: Ranks) -> Flag:
    """Whether the widths of a feed-forward network can be cut as the ranks ask."""
    raise NotImplementedError(type(ffn).__name__)


@ffn_divides.register
def _(ffn: DenseFFN, ranks: Ranks):
    return divides(ranks.tp, ffn.intermediate)


@ffn_divides.register
def _(ffn: LatentMoEFFN, ranks: Ranks):
    return ffn_divides(ffn.moe, ranks)


@ffn_divides.register
def _(ffn: NoFFN, ranks: Ranks):
    return jnp.ones_like(ranks.tp, dtype=bool)


@ffn_divides.register
def _(ffn: MoEFFN, ranks: Ranks):
    experts = divides(ranks.width, ffn.intermediate * ranks.ep)  # expert_tp is width / ep
    return experts & divides(ranks.tp, jnp.maximum(ffn.shared_intermediate, ranks.tp))


@singledispatch
def experts_divide(ffn: AbstractFFN, ranks: Ranks, domain_gpus: Scalar) -> Flag:
    """Whether every expert-parallel rank has equally many experts.

    Where tokens are dispatched over whole domains, copies of experts may fill the ranks, up to one
    of each (`expert_slots`): engines then place experts by their load.
    """
    raise NotImplementedError(type(ffn).__name__)


@experts_divide.register
def _(ffn: LatentMoEFFN, ranks: Ranks, domain_gpus: Scalar):
    return experts_divide(ffn.moe, ranks, domain_gpus)


@experts_divide.register
def _(ffn: DenseFFN | NoFFN, ranks: Ranks, domain_gpus: Scalar):
    return jnp.ones_like(ranks.ep, dtype=bool)


@experts_divide.register
def _(ffn: MoEFFN, ranks: Ranks, domain_gpus: Scalar):
    copied = (ranks.attention_dp > 1.0) & (ranks.width >= domain_gpus)
    few = expert_slots(ffn, ranks) <= 2.0 * jnp.asarray(ffn.experts)
    return divides(ranks.ep, ffn.experts) | (copied & few)


def rules_of(scenario: Scenario, ranks: Ranks, memory: Memory) -> Rules:
    """The rules that a design obeys."""
    true, domain = jnp.asarray(True), scenario.hardware.domain_gpus
    heads = experts = widths = true
    for group in scenario.model.groups:
        heads = heads & heads_divide(group.attention, ranks.tp)
        experts = experts & experts_divide(group.ffn, ranks, domain)
        widths = widths & ffn_divides(group.ffn, ranks)
    return Rules(
        fits_memory=memory.total_bytes <= memory.capacity_bytes,
        heads_divide=heads,
        experts_divide=experts,
        ffn_divides=widths,
        widths_divide=divides(jnp.minimum(ranks.tp, ranks.ep), ranks.width),
        within_domain=(ranks.width <= domain) | divides(domain, ranks.width),
        stages_have_layers=ranks.pp <= layers_of(scenario),
    )


def broken_by(scenario: Scenario) -> list[str]:
    """The rules that a design breaks with one request, by name."""
    ranks = ranks_of(scenario.design)
    memory = memory_of(
        scenario, ranks, sequences=1.0, context=scenario.workload.isl, rows=1.0, head_rows=1.0,
        projected=0.0,
    )  # fmt: skip
    rules = rules_of(scenario, ranks, memory)
    return [name for name in rules.__dataclass_fields__ if not bool(getattr(rules, name))]
