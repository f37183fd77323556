"""How long does a message between GPUs take?"""

from functools import singledispatch

import equinox as eqx
import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.fits import CollectiveFit
from jaxsim.catalog.hardware import Fabric, Hardware
from jaxsim.point.smooth import larger_4
from jaxsim.point.work import (
    AbstractMessage,
    AllGather,
    AllReduce,
    AllToAll,
    ReduceScatter,
    SendRecv,
)


class Wire(eqx.Module):
    """What one GPU puts on each fabric: bytes, and how many GPUs (or domains) take part there."""

    inside_bytes: Scalar
    inside_ranks: Scalar
    across_bytes: Scalar
    across_ranks: Scalar


def _peers(ranks: Scalar, domain: Scalar) -> tuple[Scalar, Scalar]:
    """Ranks inside one scale-up domain, and domains that they take up."""
    inside = jnp.clip(ranks, 1.0, jnp.maximum(domain, 1.0))
    return inside, jnp.maximum(ranks / inside, 1.0)


@singledispatch
def wire(message: AbstractMessage, domain_gpus: Scalar) -> Wire:
    """What a message puts on the fabrics, one GPU's share, hierarchical beyond one domain."""
    raise NotImplementedError(type(message).__name__)


@wire.register
def _(message: AllReduce, domain_gpus):
    """Reduce-scatter inside, all-reduce of one part across, all-gather inside."""
    inside, across = _peers(message.ranks, domain_gpus)
    part = message.data_bytes / inside
    return Wire(2.0 * (inside - 1.0) * part, inside, 2.0 * (across - 1.0) / across * part, across)


@wire.register(AllGather)
@wire.register(ReduceScatter)
def _(message, domain_gpus):
    """One part passes between domains for each GPU; inside, every part passes once."""
    inside, across = _peers(message.ranks, domain_gpus)
    part = message.data_bytes / inside
    return Wire((inside - 1.0) * part, inside, (across - 1.0) / across * part, across)


@wire.register
def _(message: AllToAll, domain_gpus):
    """Straight to the receiver: an equal part to each rank, none to itself."""
    inside, across = _peers(message.ranks, domain_gpus)
    ranks = inside * across
    part = message.data_bytes / ranks
    return Wire((inside - 1.0) * part, inside, (ranks - inside) * part, across)


@wire.register
def _(message: SendRecv, domain_gpus):
    """To a neighbour: inside a domain where all `ranks` of the instance fit into one."""
    outside = jnp.where(jnp.asarray(message.ranks) > domain_gpus, 1.0, 0.0)
    return Wire(
        message.data_bytes * (1.0 - outside),
        2.0 - outside,
        message.data_bytes * outside,
        1.0 + outside,
    )


def _leg_s(
    data_bytes: Scalar,
    ranks: Scalar,
    hops: Scalar,
    link_frac: Scalar,
    fit: CollectiveFit,
    fabric: Fabric,
) -> Scalar:
    """Seconds on one fabric: hops · latency · log2(ranks) + ‖bytes / rate, knee‖_4."""
    latency_s = hops * fabric.latency_s * jnp.log2(ranks)
    transfer_s = data_bytes / (link_frac * fabric.bytes_per_s)
    knee_s = fit.knee_s * ((1.0 + data_bytes / fit.knee_bytes) ** fit.knee_power - 1.0)
    return latency_s + larger_4(transfer_s, knee_s)


def message_s(message: AbstractMessage, fit: CollectiveFit, hardware: Hardware) -> Scalar:
    r"""Seconds that a message takes, from the first GPU's start to the last one's end.

    $$ t = t_0 + \sum_{f} h_f \, l_f \log_2 n_f
         + \left\| \frac{B_f}{\eta_f W_f},
           \; t_k\left((1 + B_f / B_k)^{a} - 1\right) \right\|_4 $$

    over the scale-up and scale-out fabrics $f$, each with the bytes $B_f$ that one GPU sends on it.
    With one rank it is 0. Assumes that the two fabrics are used one after the other, and that links
    are not shared with another message.
    """
    parts = wire(message, hardware.domain_gpus)
    inside_s = _leg_s(
        parts.inside_bytes, parts.inside_ranks, fit.hops, fit.link_frac, fit, hardware.scaleup
    )
    across_s = _leg_s(
        parts.across_bytes,
        parts.across_ranks,
        fit.across_hops,
        fit.across_frac,
        fit,
        hardware.scaleout,
    )
    # One rank has nobody to talk to. Between 1 and 2, which only a search visits, a ramp.
    present = jnp.clip(parts.inside_ranks * parts.across_ranks - 1.0, 0.0, 1.0)
    return present * fit.launch_s + inside_s + across_s
