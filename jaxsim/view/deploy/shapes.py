"""Which shapes can an engine express, and which is nearest to one that it cannot?

The rules on widths are in `catalog/shapes.py`; here stand those on the transfer between pools.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.shapes import has_windows, model_why_not, why_not
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.settings import Settings


def pool_why_not(rules: str, pool: Pool, moe: bool) -> str:
    """Why an engine cannot run a pool's instances on its nodes; empty if it can."""
    return why_not(rules, pool.tp, pool.ep, pool.pp, moe, pool.role, pool.gpus_per_node)


def transfer_why_not(engine: str, connector: str, order: Order) -> str:
    """Why a connector cannot move the cache between the two pools; empty if it can."""
    if order.kind != "disaggregated":
        return ""
    prefill, decode = order.pool("prefill"), order.pool("decode")
    small, large = sorted((prefill.tp, decode.tp))
    if large % small:
        return (
            f"{connector} copies heads between TP widths of which one divides the other, "
            f"not {prefill.tp} and {decode.tp}"
        )
    if engine == "vllm" and prefill.pp > 1 and connector == "nixl" and has_windows(order.model):
        return "vLLM's NIXL connector has no pipeline stages for models with sliding windows"
    if engine == "sglang" and decode.pp not in (1, prefill.pp):
        return (
            f"SGLang needs as many stages to decode as to prefill ({prefill.pp}), or 1; "
            f"not {decode.pp}"
        )
    return ""


def nearest_shape(
    engine: str, pool: Pool, moe: bool, fits: Callable[[Pool], bool] = lambda pool: True
) -> Pool | None:
    """The expressible shape with as many GPUs whose widths differ least, by factors of two."""
    sizes = [n for n in range(1, pool.gpus + 1) if pool.gpus % n == 0]

    def distance(other: Pool) -> tuple[float, int]:
        pairs = ((pool.tp, other.tp), (pool.ep, other.ep), (pool.pp, other.pp))
        return sum(abs(math.log2(a / b)) for a, b in pairs), -other.tp

    shapes = []
    for tp, ep, pp in itertools.product(sizes, sizes if moe else [1], sizes):
        other = replace(pool, tp=tp, ep=ep, pp=pp)
        whole = other.gpus == pool.gpus and other.width % tp == 0 and other.width % ep == 0
        if whole and not pool_why_not(engine, other, moe) and fits(other):
            shapes.append(other)
    return min(shapes, key=distance, default=None)


def check_shapes(engine: str, connector: str, order: Order) -> None:
    """An error for the first pool that the engine cannot express, with the nearest it can."""
    if reason := model_why_not(engine, order.model.is_moe, {}):
        raise InputError(f"{order.model.name}: {reason}; deploy it with another --target.")
    for pool in order.pools:
        reason = pool_why_not(engine, pool, order.model.is_moe)
        if reason:
            raise InputError(
                _refused(engine, pool, reason, nearest_shape(engine, pool, order.model.is_moe))
            )
    if reason := transfer_why_not(engine, connector, order):
        raise InputError(_refused(engine, *_other_pair(engine, connector, order, reason)))


def check_drafts(order: Order, settings: Settings) -> None:
    """An error where nothing drafts the tokens that the plan speculates on."""
    if not order.draft_tokens:
        if settings.drafter:
            raise InputError("--drafter: the plan does not speculate; plan with --draft-tokens N.")
        return
    if settings.target in ("neuron", "distserve"):
        raise InputError(
            f"The plan drafts {order.draft_tokens} tokens a step, which {settings.target} cannot; "
            "plan without --draft-tokens."
        )
    if not order.model.mtp_layers and not settings.drafter:
        raise InputError(
            f"The plan drafts {order.draft_tokens} tokens a step, and {order.model.name} has no "
            "layers that draft (MTP): name a model that does with --drafter, such as an EAGLE-3 "
            "head trained for it, or plan without --draft-tokens."
        )


def _other_pair(engine: str, connector: str, order: Order, reason: str):
    """The pool to change so that the cache can be moved: decode if it can be, or prefill."""
    for role in ("decode", "prefill"):
        own = order.pool(role)

        def fits(other: Pool, own: Pool = own) -> bool:
            pools = tuple(other if pool is own else pool for pool in order.pools)
            return not transfer_why_not(engine, connector, replace(order, pools=pools))

        near = nearest_shape(engine, own, order.model.is_moe, fits)
        if near is not None:
            return own, reason, near
    return order.pool("decode"), reason, None


def _refused(target: str, pool: Pool, reason: str, near: Pool | None) -> str:
    widths = near and (f"--tp {near.tp}", f"--ep {near.ep}", f"--pp {near.pp}")
    hint = (
        f" Nearest with as many GPUs: {', '.join(widths)}." if widths else " No shape of that size."
    )
    return (
        f"{pool.named()}: {reason}.{hint} `jaxsim plan … --deployable {target}` searches only what "
        "can be deployed."
    )
