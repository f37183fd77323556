"""How many bytes does a design hold on its fullest GPU, and what are they?"""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.model import AbstractFFN, DenseFFN, LatentMoEFFN, MoEFFN, NoFFN
from jaxsim.catalog.precision import ElementBytes
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.encoder import encoder_weights
from jaxsim.point.forward import LOGIT_BYTES, drafting_share, layers_of
from jaxsim.point.layer_bytes import attention_weight_bytes, kv_bytes_per_gpu, projected_bytes
from jaxsim.point.ranks import Ranks, busiest_share, expert_slots

# Alive at once in one layer: the residual stream, its normed copy, and a projection's input and
# output.
LIVE_HIDDEN_COPIES = 4.0


class Memory(Record):
    """Bytes on the fullest GPU. `over_bytes` is how far past the capacity, 0 where it fits."""

    weights_bytes: Scalar
    kv_bytes: Scalar
    activation_bytes: Scalar
    reserve_bytes: Scalar
    total_bytes: Scalar
    capacity_bytes: Scalar
    over_bytes: Scalar


@singledispatch
def ffn_weight_bytes(
    ffn: AbstractFFN, hidden: Scalar, ranks: Ranks, element: ElementBytes
) -> Scalar:
    """Bytes of one layer's feed-forward weights on one GPU."""
    raise NotImplementedError(type(ffn).__name__)


@ffn_weight_bytes.register
def _(ffn: DenseFFN, hidden: Scalar, ranks: Ranks, element: ElementBytes):
    return ffn.matrices * hidden * ffn.intermediate / ranks.tp * element.ffn


@ffn_weight_bytes.register
def _(ffn: MoEFFN, hidden: Scalar, ranks: Ranks, element: ElementBytes):
    """Routed experts over all of the stage; shared ones over `tp`; the router on every GPU."""
    slots = expert_slots(ffn, ranks)
    routed = slots * ffn.matrices * hidden * ffn.intermediate / ranks.width
    shared = ffn.matrices * hidden * ffn.shared_intermediate / ranks.tp
    return routed * element.experts + shared * element.ffn + ffn.experts * hidden * element.wide


@ffn_weight_bytes.register
def _(ffn: LatentMoEFFN, hidden: Scalar, ranks: Ranks, element: ElementBytes):
    """Experts of the latent; every GPU holds the projections into and out of it."""
    outer = ffn.moe
    inner = ffn_weight_bytes(outer, ffn.latent, ranks, element)
    beside = outer.matrices * outer.shared_intermediate / ranks.tp * element.ffn
    beside = (hidden - ffn.latent) * (beside + outer.experts * element.wide)
    return inner + beside + 2.0 * hidden * ffn.latent * element.ffn


@ffn_weight_bytes.register
def _(ffn: NoFFN, hidden: Scalar, ranks: Ranks, element: ElementBytes):
    return 0.0 * hidden


@singledispatch
def inner_bytes(ffn: AbstractFFN, rows: Scalar, tp: Scalar, element: ElementBytes) -> Scalar:
    """Bytes between the two products of a dense or shared network, for `rows` of a rank.

    The outputs of the first (gate and up) and their product, the input of the second.
    """
    raise NotImplementedError(type(ffn).__name__)


@inner_bytes.register
def _(ffn: DenseFFN, rows: Scalar, tp: Scalar, element: ElementBytes):
    return rows * ffn.matrices * ffn.intermediate / tp * element.wide


@inner_bytes.register
def _(ffn: MoEFFN, rows: Scalar, tp: Scalar, element: ElementBytes):
    return rows * ffn.matrices * ffn.shared_intermediate / tp * element.wide


@inner_bytes.register
def _(ffn: LatentMoEFFN, rows: Scalar, tp: Scalar, element: ElementBytes):
    return inner_bytes(ffn.moe, rows, tp, element)


@inner_bytes.register
def _(ffn: NoFFN, rows: Scalar, tp: Scalar, element: ElementBytes):
    return 0.0 * rows


@singledispatch
def expert_rows_bytes(
    ffn: AbstractFFN, hidden: Scalar, stage_rows: Scalar, ranks: Ranks, element: ElementBytes
) -> Scalar:
    """Bytes of the token copies that one GPU holds for its experts."""
    raise NotImplementedError(type(ffn).__name__)


@expert_rows_bytes.register
def _(ffn: LatentMoEFFN, hidden: Scalar, stage_rows: Scalar, ranks: Ranks, element: ElementBytes):
    return expert_rows_bytes(ffn.moe, ffn.latent, stage_rows, ranks, element)


@expert_rows_bytes.register
def _(
    ffn: DenseFFN | NoFFN, hidden: Scalar, stage_rows: Scalar, ranks: Ranks, element: ElementBytes
):
    return jnp.asarray(0.0)


@expert_rows_bytes.register
def _(ffn: MoEFFN, hidden: Scalar, stage_rows: Scalar, ranks: Ranks, element: ElementBytes):
    rows = stage_rows * ffn.topk / ranks.ep
    wide = hidden + ffn.matrices * ffn.intermediate / ranks.expert_tp
    return rows * wide * element.wide


def weights_bytes_of(scenario: Scenario, ranks: Ranks) -> Scalar:
    """Bytes of weights on the fullest GPU: the busiest stage's layers, embedding and head.

    With one stage both are on it, with more the first has one and the last the other; a tied
    matrix is held once. With speculation there is a layer more, and a projection into it of what
    the last layer and the embedding give: 2 hidden².
    """
    model, element = scenario.model, scenario.element
    layers = sum(
        (
            group.layers
            * (
                attention_weight_bytes(group.attention, model.hidden, ranks.tp, element)
                + ffn_weight_bytes(group.ffn, model.hidden, ranks, element)
            )
            for group in model.groups
        ),
        start=jnp.asarray(0.0),
    )
    own = 1.0 - model.tied  # the embedding, which lookups keep in 16 bits, where it is not the head
    either = jnp.maximum(element.head, own * element.wide)
    tables = jnp.where(ranks.pp > 1.0, either, element.head + own * element.wide)
    table_bytes = tables * model.vocab * model.hidden / ranks.tp
    share = busiest_share(layers_of(scenario), ranks.pp) + drafting_share(scenario)
    joined = jnp.minimum(scenario.workload.draft_tokens, 1.0) * 2.0 * model.hidden * model.hidden
    held = layers * share + table_bytes + joined * element.wide / ranks.tp
    if not model.encoders:
        return held
    return held + encoder_weights(scenario) * element.wide / ranks.tp


def memory_of(
    scenario: Scenario,
    ranks: Ranks,
    *,
    sequences: Scalar,
    context: Scalar,
    rows: Scalar,
    head_rows: Scalar,
    projected: Scalar,
) -> Memory:
    """Memory of the fullest GPU, with the caches of `sequences` at `context` and a pass of `rows`.

    `projected` tokens have up-projected keys and values: of one layer while it runs, or of all
    layers of the stage where they are kept from chunk to chunk.
    """
    model, element, chip = scenario.model, scenario.element, scenario.hardware.chip
    share = busiest_share(layers_of(scenario), ranks.pp)
    drafting = drafting_share(scenario)
    cache = sum(
        (
            group.layers * kv_bytes_per_gpu(group.attention, context, ranks.tp, element)
            for group in model.groups
        ),
        start=jnp.asarray(0.0),
    )
    kept, one_layer = jnp.asarray(0.0), jnp.asarray(0.0)
    for group in model.groups:
        layer_bytes = projected_bytes(group.attention, projected, ranks.tp, element)
        kept = kept + scenario.options.keep_up_projected * group.layers * share * layer_bytes
        one_layer = jnp.maximum(one_layer, layer_bytes)
    up_projected = jnp.maximum(kept, one_layer)
    stage_rows = rows * ranks.attention_dp
    networks = jnp.asarray(0.0)  # of the layer that holds most: one runs at a time
    for group in model.groups:
        routed = expert_rows_bytes(group.ffn, model.hidden, stage_rows, ranks, element)
        networks = jnp.maximum(networks, routed + inner_bytes(group.ffn, rows, ranks.tp, element))
    weights_bytes = weights_bytes_of(scenario, ranks)
    kv_bytes = sequences * cache * (share + drafting)
    activation_bytes = (
        LIVE_HIDDEN_COPIES * rows * model.hidden * element.wide
        + networks
        + head_rows * model.vocab / ranks.tp * LOGIT_BYTES
        + up_projected
    )
    reserve_bytes = scenario.engine.reserve_frac * chip.hbm_bytes
    total = weights_bytes + kv_bytes + activation_bytes + reserve_bytes
    return Memory(
        weights_bytes=weights_bytes,
        kv_bytes=kv_bytes,
        activation_bytes=activation_bytes,
        reserve_bytes=reserve_bytes,
        total_bytes=total,
        capacity_bytes=jnp.asarray(chip.hbm_bytes),
        over_bytes=jnp.maximum(total - chip.hbm_bytes, 0.0),
    )
