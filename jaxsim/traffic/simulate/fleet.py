"""Which instances may serve, and how many requests can one of them serve?"""

from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np

from jaxsim.traffic.simulate.capacity import Lengths, requests_per_s
from jaxsim.traffic.simulate.links import links_of
from jaxsim.traffic.simulate.records import DECODE, MIXED, PREFILL, Law, Links
from jaxsim.traffic.simulate.step_times import RoleLaw, joined


@dataclass(frozen=True)
class Fleet:
    """Instances by role: their laws, GPUs of one, the links between pools, and front-end time.

    `usd_per_gpu_s` and `power_w` are of a GPU, which takes `idle_frac` of its power where its
    instance is paid for and does nothing; `startup_s` is from a decision to the first request
    that an instance takes, `convert_s` the same where GPUs of another role's instance are reused.
    """

    law: Law
    links: Links
    gpus: dict[int, float]
    fixed_s: float
    token_s: float
    usd_per_gpu_s: float = 0.0
    power_w: float = 0.0
    idle_frac: float = 1.0
    startup_s: float = 120.0
    convert_s: float = 30.0

    @property
    def roles(self) -> tuple[int, ...]:
        """The roles that have instances."""
        return tuple(self.gpus)

    def capacity(self, role: int, lengths: Lengths, ttl_s: float = np.inf) -> float:
        """Requests/s of one busy instance at these lengths, its steps within a target."""
        return requests_per_s(self.law, role, lengths, ttl_s)


class FleetOptions(TypedDict, total=False):
    """What `fleet_of` may be told of a fleet beside its laws."""

    usd_per_gpu_s: float
    power_w: float
    idle_frac: float
    startup_s: float
    convert_s: float


def fleet_of(
    mixed: RoleLaw | None,
    prefill: RoleLaw | None,
    decode: RoleLaw | None,
    links: Links | None = None,
    **rest: Unpack[FleetOptions],
) -> Fleet:
    """One fleet: either mixed instances, or prefill and decode ones. `rest` goes to `Fleet`.

    `links` are between the pools, where they are not those that `links_of` makes by itself.
    """
    if mixed is not None:
        one = mixed
        gpus = {MIXED: mixed.gpus}
        links = links or links_of(mixed, mixed)
        law = joined((mixed.law, mixed.law, mixed.law))
    else:
        assert prefill is not None
        assert decode is not None
        one = prefill
        gpus = {PREFILL: prefill.gpus, DECODE: decode.gpus}
        links = links or links_of(prefill, decode)
        law = joined((prefill.law, prefill.law, decode.law))
    return Fleet(law, links, gpus, one.fixed_s, one.token_s, **rest)
