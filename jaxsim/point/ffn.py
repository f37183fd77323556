"""What does one layer's feed-forward network ask of one GPU?  One function for each kind.

With it come the messages between GPUs, which depend on how the network is spread over them, and
the element-wise rest of a layer.
"""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import DenseFFN, MoEFFN
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.items import Item, all_reduce_item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.work import AllGather, AllToAll, GroupedGemm, ReduceScatter, Stream

# Element-wise passes over the residual stream in one layer, with fusion as in current engines:
# two residual-add-and-norm kernels (read two, write two) and two quantise-or-activate kernels.
NORM_PASSES = 8.0
NORM_LAUNCHES = 2.0


@singledispatch
def ffn_items(
    ffn, hidden: Scalar, rows: Scalar, imbalance: Scalar, ranks: Ranks, element: ElementBytes
) -> list[Item]:
    """The feed-forward kernels and messages of one layer."""
    raise NotImplementedError(type(ffn).__name__)


def _dense(name, intermediate, matrices, hidden, rows, ranks, element) -> list[Item]:
    width = intermediate / ranks.tp
    common = ("ffn", "ffn_gemm", rows)
    stored = (element.ffn, element.ffn_input)
    return [
        gemm_item(f"{name}_up", *common, (matrices - 1.0) * width, hidden, *stored),
        gemm_item(f"{name}_down", *common, hidden, width, *stored),
    ]


@ffn_items.register
def _(ffn: DenseFFN, hidden, rows, imbalance, ranks, element):
    return [
        *_dense("ffn", ffn.intermediate, ffn.matrices, hidden, rows, ranks, element),
        all_reduce_item("ffn_all_reduce", rows, hidden, ranks.tp, element),
    ]


def active_experts(experts: Scalar, topk: Scalar, tokens: Scalar) -> Scalar:
    """Expected distinct experts that `tokens` touch: E (1 - (1 - k/E)^tokens), uniform routing."""
    miss = jnp.log1p(-jnp.minimum(topk / experts, 0.999))
    return -experts * jnp.expm1(tokens * miss)


@ffn_items.register
def _(ffn: MoEFFN, hidden, rows, imbalance, ranks, element):
    """Router, shared and routed experts, and how tokens reach them.

    With data-parallel attention (`attention_dp` > 1, so `ep` = `width`), tokens are dispatched to
    the ranks of their experts and combined again; a token that has several experts on a rank
    travels there once. Otherwise every rank has every token, and results are summed.
    """
    stage_rows = rows * ranks.attention_dp
    copies = ranks.ep * -jnp.expm1(ffn.topk * jnp.log1p(-jnp.minimum(1.0 / ranks.ep, 0.999)))
    dispatched = jnp.where(ranks.attention_dp > 1.0, 1.0, 0.0)
    tokens = stage_rows * jnp.where(dispatched > 0.0, copies / ranks.ep, 1.0)
    experts = ffn.experts / ranks.ep
    work = GroupedGemm(
        rows=stage_rows * ffn.topk / ranks.ep * imbalance,
        active_experts=active_experts(ffn.experts, ffn.topk, stage_rows) / ranks.ep,
        hidden=hidden,
        intermediate=ffn.intermediate / ranks.expert_tp,
        matrices=ffn.matrices,
        weight_bytes_per_element=element.experts,
        activation_bytes_per_element=element.experts_input,
        tokens=tokens,
        experts=experts,
        picks=ffn.topk,
        expected_rows=tokens * ffn.topk / experts,
    )
    shared = _dense(
        "shared_experts", ffn.shared_intermediate, ffn.matrices, hidden, rows, ranks, element
    )
    has_shared = jnp.where(jnp.asarray(ffn.shared_intermediate) > 0, 1.0, 0.0)
    own_rows = rows / ranks.tp
    grouped = jnp.where(ranks.tp > 1.0, dispatched, 0.0)
    scattered = rows * hidden * element.wide
    network = [
        Item(
            AllToAll(own_rows * copies * hidden * element.dispatch * imbalance, ranks.ep),
            dispatched,
            "dispatch",
            "network",
            "all_to_all",
        ),
        Item(
            AllToAll(own_rows * copies * hidden * element.wide * imbalance, ranks.ep),
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


def attention_reduce_items(hidden: Scalar, rows: Scalar, ranks: Ranks, element, ffn) -> list[Item]:
    """The sum of attention over `tp`, left scattered where tokens are dispatched next."""
    summed = all_reduce_item("attention_all_reduce", rows, hidden, ranks.tp, element)
    if not isinstance(ffn, MoEFFN):
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
