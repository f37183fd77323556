"""How long does a message between GPUs take?"""

from functools import singledispatch

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.fits import CollectiveFit
from jaxsim.catalog.hardware import Hardware
from jaxsim.point.smooth import smaller
from jaxsim.point.work import (
    AbstractMessage,
    AllGather,
    AllReduce,
    AllToAll,
    ReduceScatter,
    SendRecv,
)


class Wire(Record):
    """What one GPU puts on each fabric, and how many GPUs (or domains) take part there.

    `direct_bytes` cross domains where every copy travels by itself, if that differs from
    `across_bytes`, of which each goes once and is copied on arrival; 0 where it does not differ.
    `eager_bytes` is what the protocol without set-up sends inside a domain, where that differs, and
    `pieces` how many the other one handles, to either fabric, where a message is of many.
    `own_bytes` pass through each GPU's own memory, where ranks do not only send. `at_once` is 1
    where both fabrics carry a message at the same time, 0 where one after the other.
    """

    eager_bytes: Scalar
    inside_bytes: Scalar
    inside_ranks: Scalar
    across_bytes: Scalar
    across_ranks: Scalar
    pieces: Scalar = 0.0
    own_bytes: Scalar = 0.0
    direct_bytes: Scalar = 0.0
    at_once: Scalar = 0.0


def _peers(ranks: Scalar, domain: Scalar) -> tuple[Scalar, Scalar]:
    """Ranks inside one scale-up domain, and domains that they take up."""
    inside = jnp.clip(ranks, 1.0, jnp.maximum(domain, 1.0))
    return inside, jnp.maximum(ranks / inside, 1.0)


@singledispatch
def wire(message: AbstractMessage, domain_gpus: Scalar) -> Wire:
    """What a message puts on the fabrics, one GPU's share, hierarchical beyond one domain."""
    raise NotImplementedError(type(message).__name__)


@wire.register
def _(message: AllReduce, domain_gpus: Scalar):
    """Reduce-scatter inside, all-reduce of one part across, all-gather inside.

    A small message goes whole to every other rank instead: one step, more bytes.
    """
    inside, across = _peers(message.ranks, domain_gpus)
    part = message.data_bytes / inside
    return Wire(
        (inside - 1.0) * message.data_bytes,
        2.0 * (inside - 1.0) * part,
        inside,
        2.0 * (across - 1.0) / across * part,
        across,
    )


@wire.register(AllGather)
@wire.register(ReduceScatter)
def _(message: AllGather | ReduceScatter, domain_gpus: Scalar):
    """One part passes between domains for each GPU; inside, every part passes once."""
    inside, across = _peers(message.ranks, domain_gpus)
    part = message.data_bytes / inside
    inside_bytes = (inside - 1.0) * part
    across_bytes = (across - 1.0) / across * part
    own = message.data_bytes
    return Wire(inside_bytes, inside_bytes, inside, across_bytes, across, own_bytes=own)


@wire.register
def _(message: AllToAll, domain_gpus: Scalar):
    """Straight to the receiver: an equal part to each rank, none to itself.

    Beyond a domain, either each of k picks of a token travels by itself, B k (1 - n/R) of them
    leaving (DeepEP's low-latency kernels), or a token goes to each of D domains once,
    B D (1 - (1 - 1/D)^k) (1 - 1/D), and is copied to its ranks there (its normal kernels). Inside,
    what arrives is passed on while more arrives.
    """
    inside, across = _peers(message.ranks, domain_gpus)
    inside_bytes = (inside - 1.0) * message.data_bytes / inside
    ranks = inside * across
    pieces = (ranks - 1.0) * message.pieces / ranks
    beyond = 1.0 - 1.0 / across  # of the domains
    reached = across * -jnp.expm1(message.picks * jnp.log(jnp.maximum(beyond, 1e-9)))
    known = jnp.asarray(message.token_bytes) > 0.0
    once = jnp.where(known, message.token_bytes * reached, message.data_bytes) * beyond
    direct = jnp.where(known, message.token_bytes * message.picks, message.data_bytes) * beyond
    return Wire(
        inside_bytes, inside_bytes, inside, once, across, pieces, direct_bytes=direct, at_once=1.0
    )


@wire.register
def _(message: SendRecv, domain_gpus: Scalar):
    """To a neighbour: inside a domain where all `ranks` of the instance fit into one."""
    outside = jnp.where(jnp.asarray(message.ranks) > domain_gpus, 1.0, 0.0)
    inside_bytes = message.data_bytes * (1.0 - outside)
    across_bytes = message.data_bytes * outside
    return Wire(inside_bytes, inside_bytes, 2.0 - outside, across_bytes, 1.0 + outside)


def message_s(message: AbstractMessage, fit: CollectiveFit, hardware: Hardware) -> Scalar:
    r"""Seconds that a message takes, from the first GPU's start to the last one's end.

    $$ t = t_0 + l \, (h \log_2 n + h_r (n - 1)) + \min_p\left(\frac{B_e}{\eta_e W},
           \; t_s + m t_m + \frac{B + o D}{\eta W}\right)
         + t'_0 + h' l' \log_2 n' + \min\left(\frac{B'_d}{\eta' W'},
           \; t_s + \frac{B'}{\eta' W'}\right) $$

    Inside the scale-up domain ($n$ ranks, $W$ per second) the faster of two protocols, one of which
    handles each of $m$ pieces in $t_m$ and all $D$ of a ring's data in $o$ passes, then over the
    scale-out fabric (primed, $n'$ domains), each copy by itself ($B'_d$) or once to each domain
    ($B'$, with the set-up) where the two differ. The second line counts beyond the first where both
    fabrics work at once. With one rank it is 0. Assumes that links are not shared with another
    message.
    """
    parts = wire(message, hardware.domain_gpus)
    inside, across = hardware.scaleup, hardware.scaleout
    eager_s = parts.eager_bytes / (fit.eager_frac * inside.bytes_per_s)
    bulk_bytes = parts.inside_bytes + fit.own_passes * parts.own_bytes
    bulk_s = fit.setup_s + bulk_bytes / (fit.link_frac * inside.bytes_per_s)
    bulk_s = bulk_s + fit.piece_s * parts.pieces
    hops = fit.hops * jnp.log2(parts.inside_ranks) + fit.ring_hops * (parts.inside_ranks - 1.0)
    inside_s = hops * inside.latency_s
    inside_s = inside_s + smaller(eager_s, bulk_s, fit.switch_power)
    across_rate = fit.across_frac * across.bytes_per_s
    once_s = parts.across_bytes / across_rate
    direct_s = parts.direct_bytes / across_rate
    differ = jnp.asarray(parts.direct_bytes) > 0.0
    sent_s = jnp.where(differ, jnp.minimum(direct_s, fit.across_setup_s + once_s), once_s)
    leaves = jnp.clip(parts.across_ranks - 1.0, 0.0, 1.0)  # a ramp, as below
    across_s = leaves * fit.across_launch_s
    across_s = across_s + fit.across_hops * across.latency_s * jnp.log2(parts.across_ranks) + sent_s
    across_s = across_s - parts.at_once * jnp.minimum(across_s, inside_s)
    # One rank has nobody to talk to. Between 1 and 2, which only a search visits, a ramp.
    present = jnp.clip(parts.inside_ranks * parts.across_ranks - 1.0, 0.0, 1.0)
    return present * fit.launch_s + inside_s + across_s
