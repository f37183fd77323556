"""Which GPU holds which part of a stage?"""

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.model import MoEFFN
from jaxsim.point.exact_division import ceil_div


class Ranks(Record):
    """The widths that follow from a deployment.

    A stage is `width` GPUs: `attention_dp` groups of `tp`, and `ep` groups of `expert_tp`.
    """

    width: Scalar
    tp: Scalar
    ep: Scalar
    pp: Scalar
    attention_dp: Scalar
    expert_tp: Scalar

    @property
    def gpus(self):
        return self.width * self.pp


def ranks_of(design: Deployment) -> Ranks:
    """The widths of a stage: max(tp, ep) GPUs, and how attention and experts divide them."""
    width = jnp.maximum(design.tp, design.ep)
    return Ranks(
        width=width,
        tp=jnp.asarray(design.tp),
        ep=jnp.asarray(design.ep),
        pp=jnp.asarray(design.pp),
        attention_dp=width / design.tp,
        expert_tp=width / design.ep,
    )


def rank_requests(batch: Scalar, ranks: Ranks, stages: Scalar = 1.0) -> Scalar:
    """Requests of the busiest attention rank, at least one: ⌈batch / (attention_dp · stages)⌉.

    As ⌈batch · tp / (width · stages)⌉, a quotient of whole numbers.
    """
    share = ranks.width * stages
    return ceil_div(jnp.maximum(batch * ranks.tp, share), share)


def expert_slots(ffn: MoEFFN, ranks: Ranks) -> Scalar:
    """Experts that the ranks hold together: ⌈E / R⌉ · R, of which those beyond E are copies."""
    return ceil_div(ffn.experts, ranks.ep) * ranks.ep


def busiest_share(layers: Scalar, pp: Scalar) -> Scalar:
    """The fraction of all layers that the busiest stage holds: ceil(layers / pp) / layers."""
    return ceil_div(layers, pp) / layers
