"""What does one layer's feed-forward network ask of one GPU?  One function for each kind.

With it come the messages between GPUs, which depend on how the network is spread over them, and
the element-wise rest of a layer.
"""

from dataclasses import replace
from functools import singledispatch

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.model import AbstractFFN, DenseFFN, LatentMoEFFN, MoEFFN, NoFFN
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.items import Item, all_reduce_item, gemm_item
from jaxsim.point.ranks import Ranks, expert_slots
from jaxsim.point.routing import active_experts, busiest_load
from jaxsim.point.work import AllGather, AllToAll, GroupedGemm, ReduceScatter, Stream

# Element-wise passes over the residual stream in one layer, with fusion as in current engines:
# two residual-add-and-norm kernels (read two, write two).
NORM_PASSES = 8.0
NORM_LAUNCHES = 2.0
# The activation between an FFN's products: engines fuse it with neither.
ACTIVATION_LAUNCHES = 1.0


class FFNTokens(Record):
    """Tokens that pass through one layer's feed-forward network.

    `rows` are those of the busiest attention rank, `stage_rows` those of all of them. The busiest
    expert rank has `imbalance` times its expected rows; `popularity` is the variance of how often
    experts are chosen.
    """

    rows: Scalar
    stage_rows: Scalar
    imbalance: Scalar = 1.0
    popularity: Scalar = 0.0


@singledispatch
def ffn_items(
    ffn: AbstractFFN, hidden: Scalar, tokens: FFNTokens, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    """The feed-forward kernels and messages of one layer."""
    raise NotImplementedError(type(ffn).__name__)


def _dense(
    name: str,
    intermediate: Scalar,
    matrices: Scalar,
    hidden: Scalar,
    rows: Scalar,
    ranks: Ranks,
    element: ElementBytes,
) -> list[Item]:
    """Two products, and between them a kernel that reads gate and up and writes their product."""
    width = intermediate / ranks.tp
    common = ("ffn", "ffn_gemm", rows)
    stored = (element.ffn, element.ffn_input)
    activation = Stream(matrices * rows * width * element.wide, ACTIVATION_LAUNCHES)
    return [
        gemm_item(f"{name}_up", *common, (matrices - 1.0) * width, hidden, *stored),
        Item(activation, 1.0, f"{name}_activation", "elementwise", "stream"),
        gemm_item(f"{name}_down", *common, hidden, width, *stored),
    ]


@ffn_items.register
def _(ffn: DenseFFN, hidden: Scalar, tokens: FFNTokens, ranks: Ranks, element: ElementBytes):
    return [
        *_dense("ffn", ffn.intermediate, ffn.matrices, hidden, tokens.rows, ranks, element),
        all_reduce_item("ffn_all_reduce", tokens.rows, hidden, ranks.tp, element),
    ]


@ffn_items.register
def _(
    ffn: NoFFN, hidden: Scalar, tokens: FFNTokens, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    return []


@ffn_items.register
def _(ffn: LatentMoEFFN, hidden: Scalar, tokens: FFNTokens, ranks: Ranks, element: ElementBytes):
    """As experts of the residual stream, but for what they and the wire see: a latent of it.

    Every GPU projects the tokens it has down, and their summed results up again.
    """
    own_rows = tokens.rows / ranks.tp * jnp.where(ranks.attention_dp > 1.0, 1.0, ranks.tp)
    common = ("ffn", "ffn_gemm", own_rows)
    stored = (element.ffn, element.ffn_input)
    return [
        gemm_item("latent_down", *common, ffn.latent, hidden, *stored),
        *_routed(ffn.moe, hidden, ffn.latent, tokens, ranks, element),
        gemm_item("latent_up", *common, hidden, ffn.latent, *stored),
    ]


@ffn_items.register
def _(ffn: MoEFFN, hidden: Scalar, tokens: FFNTokens, ranks: Ranks, element: ElementBytes):
    return _routed(ffn, hidden, hidden, tokens, ranks, element)


def _routed(
    ffn: MoEFFN,
    hidden: Scalar,
    expert_hidden: Scalar,
    tokens: FFNTokens,
    ranks: Ranks,
    element: ElementBytes,
) -> list[Item]:
    """Router, shared and routed experts of the busiest rank, and how tokens reach them.

    With data-parallel attention (`attention_dp` > 1, so `ep` = `width`), tokens are dispatched to
    the ranks of their experts and combined again; a token that has several experts on a rank
    travels there once. Otherwise every rank has every token, and results are summed.
    """
    copies = ranks.ep * -jnp.expm1(ffn.topk * jnp.log1p(-jnp.minimum(1.0 / ranks.ep, 0.999)))
    dispatched = jnp.where(ranks.attention_dp > 1.0, 1.0, 0.0)
    slots = expert_slots(ffn, ranks)
    rows, imbalance = tokens.rows, tokens.imbalance
    touched = active_experts(slots, ffn.topk, tokens.stage_rows, tokens.popularity)
    held = replace(ffn, experts=slots)
    routed, distinct = busiest_load(held, tokens.stage_rows, touched, ranks, tokens.popularity)
    reaching = tokens.stage_rows * jnp.where(dispatched > 0.0, copies / ranks.ep, 1.0)
    experts = slots / ranks.ep
    work = GroupedGemm(
        rows=routed * imbalance,
        active_experts=distinct,
        hidden=expert_hidden,
        intermediate=ffn.intermediate / ranks.expert_tp,
        matrices=ffn.matrices,
        weight_bytes_per_element=element.experts,
        activation_bytes_per_element=element.experts_input,
        tokens=reaching,
        experts=experts,
        picks=ffn.topk,
        expected_rows=reaching * ffn.topk / experts,
    )
    shared = _dense(
        "shared_experts", ffn.shared_intermediate, ffn.matrices, hidden, rows, ranks, element
    )
    has_shared = jnp.where(jnp.asarray(ffn.shared_intermediate) > 0, 1.0, 0.0)
    own_rows = rows / ranks.tp
    grouped = jnp.where(ranks.tp > 1.0, dispatched, 0.0)
    once = own_rows * imbalance
    sent = once * copies
    scattered = rows * hidden * element.wide
    network = [
        Item(
            _to_experts(sent, once, expert_hidden * element.dispatch, ranks.ep, ffn.topk),
            dispatched,
            "dispatch",
            "network",
            "all_to_all",
        ),
        Item(
            _to_experts(sent, once, expert_hidden * element.wide, ranks.ep, ffn.topk),
            dispatched,
            "combine",
            "network",
            "all_to_all",
        ),
        Item(AllGather(scattered, ranks.tp), grouped, "ffn_all_gather", "network", "all_gather"),
        all_reduce_item("ffn_all_reduce", rows, hidden, ranks.width, element).times(
            1.0 - dispatched
        ),
    ]
    return [
        gemm_item(
            "router",
            "experts",
            "router_gemm",
            rows,
            ffn.experts,
            hidden,
            element.wide,
            element.wide,
        ),
        *(item.times(has_shared) for item in shared),
        Item(work, 1.0, "experts", "experts", "experts"),
        *network,
    ]


def _to_experts(
    sent: Scalar, tokens: Scalar, each_bytes: Scalar, ranks: Scalar, picks: Scalar
) -> AllToAll:
    """`tokens` of `each_bytes` to the ranks of their experts, or back: `sent` copies in all."""
    return AllToAll(sent * each_bytes, ranks, sent, tokens * each_bytes, picks)


def attention_reduce_items(
    hidden: Scalar, rows: Scalar, ranks: Ranks, element: ElementBytes, ffn: AbstractFFN
) -> list[Item]:
    """The sum of attention over `tp`, left scattered where tokens are dispatched next."""
    summed = all_reduce_item("attention_all_reduce", rows, hidden, ranks.tp, element)
    if not isinstance(ffn, MoEFFN | LatentMoEFFN):
        return [summed]
    dispatched = jnp.where(ranks.attention_dp > 1.0, 1.0, 0.0)
    scatter = ReduceScatter(rows * hidden * element.wide, ranks.tp)
    return [
        summed.times(1.0 - dispatched),
        Item(scatter, dispatched, "attention_reduce_scatter", "network", "reduce_scatter"),
    ]


def norm_item(hidden: Scalar, rows: Scalar, element: ElementBytes) -> Item:
    """Norms, residual additions and quantisation of one layer."""
    work = Stream(NORM_PASSES * rows * hidden * element.wide, NORM_LAUNCHES)
    return Item(work, 1.0, "norms", "elementwise", "stream")
