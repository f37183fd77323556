"""What do the images of prompts ask of one GPU?"""

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import Encoder
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.items import Item, gemm_item
from jaxsim.point.ranks import Ranks
from jaxsim.point.work import ContextAttention, SendRecv


def encoder_items(scenario: Scenario, ranks: Ranks, prompts: Scalar) -> list[Item]:
    """The encoders' kernels for the images of `prompts` of one rank; nothing without encoders."""
    return _items_of(scenario.model.encoders, scenario, ranks.tp, prompts)


def pooled_items(scenario: Scenario) -> list[Item]:
    """The kernels for the images of one prompt on a GPU of its own, and sending what comes out.

    An instance is one GPU with the whole encoder. It sends a row of the residual stream for each
    token of an image to the GPUs of prefill.
    """
    items = _items_of(scenario.model.pooled_encoders, scenario, jnp.asarray(1.0), jnp.asarray(1.0))
    for encoder in scenario.model.pooled_encoders:
        rows = scenario.workload.images * encoder.tokens
        sent = SendRecv(rows * scenario.model.hidden * scenario.element.wide)
        items.append(Item(sent, 1.0, "encoder_send", "network", "send_recv"))
    return items


def _items_of(
    encoders: tuple[Encoder, ...], scenario: Scenario, tp: Scalar, prompts: Scalar
) -> list[Item]:
    """Kernels of `encoders` over the images of prompts.

    Every patch attends to all patches of its image. Heads and widths are split over `tp`, and what
    comes out, each token of several patches, is projected to the width of the residual stream.
    """
    images, wide = scenario.workload.images, scenario.element.wide
    items: list[Item] = []
    for encoder in encoders:
        rows = prompts * images * encoder.patches
        inner = encoder.intermediate / tp
        common = ("projections", "router_gemm", rows)
        head = encoder.hidden / encoder.heads
        attention = ContextAttention(
            sequences=prompts * images,
            queries=encoder.patches,
            past=0.0,
            pairs=encoder.patches * encoder.patches,
            heads=encoder.heads / tp,
            kv_heads=encoder.heads / tp,
            qk_dim=head,
            v_dim=head,
            kv_bytes_per_element=wide,
            activation_bytes_per_element=wide,
        )
        layer = [
            gemm_item(
                "encoder_qkv", *common, 3.0 * encoder.hidden / tp, encoder.hidden, wide, wide
            ),
            Item(attention, 1.0, "encoder_attention", "attention", "context"),
            gemm_item("encoder_out", *common, encoder.hidden, encoder.hidden / tp, wide, wide),
            gemm_item(
                "encoder_up", *common, (encoder.matrices - 1.0) * inner, encoder.hidden, wide, wide
            ),
            gemm_item("encoder_down", *common, encoder.hidden, inner, wide, wide),
        ]
        items += [item.times(encoder.layers) for item in layer]
        merged = encoder.hidden * encoder.patches / encoder.tokens
        tokens = prompts * images * encoder.tokens
        project = ("projections", "router_gemm", tokens)
        items.append(
            gemm_item("encoder_projector", *project, scenario.model.hidden, merged, wide, wide)
        )
    return items


def encoder_weights(scenario: Scenario) -> Scalar:
    """Parameters of the encoders: 4 hidden² for attention, and the network, a layer.

    Those of the GPUs of prefill, and those of GPUs of their own; a model has one or the other.
    """
    total = 0.0
    for encoder in (*scenario.model.encoders, *scenario.model.pooled_encoders):
        attention = 4.0 * encoder.hidden * encoder.hidden
        network = encoder.matrices * encoder.hidden * encoder.intermediate
        merged = encoder.hidden * encoder.patches / encoder.tokens
        total = total + encoder.layers * (attention + network) + merged * scenario.model.hidden
    return total
