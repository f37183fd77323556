"""What do so many instances of a plan give users whose requests arrive at random?"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from jaxsim.catalog.setup import Setup
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Deployed, Held, InstanceShape
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.measure.outcome import users_of
from jaxsim.traffic.policy.view import Static
from jaxsim.traffic.read.requests import Requests
from jaxsim.traffic.simulate.capacity import lengths_of
from jaxsim.traffic.simulate.fleet import Fleet, fleet_of
from jaxsim.traffic.simulate.records import DECODE, MIXED, PREFILL
from jaxsim.traffic.simulate.run import MOST_INSTANCES, Room, simulate_run
from jaxsim.traffic.simulate.step_times import role_law
from jaxsim.traffic.synthetic.load import load_of

ROLES = {"prefill": PREFILL, "decode": DECODE, "colocated": MIXED}
# Requests of a run, at least and at most; its length in times that a request at its targets stays.
LEAST, MOST = 6000, 60_000
STAYS = 8.0
# Chunks that co-located instances are tried with beside that of their plan.
CHUNKS = (2048, 512)
# A pool that fails with so many times what its capacity asks for never holds.
GROWTH = 4.0
TIGHT = 1.5  # the same where that would be too many to simulate
# What every run has room for: all of them use one program.
INSTANCES, SEQUENCES = 64, 8192
RUNS = 12  # of a sizing, about


@dataclass(frozen=True)
class Shapes:
    """Instances to count: shapes by role, the fleet they make, requests to try them on."""

    shapes: Mapping[int, InstanceShape]
    fleet: Fleet
    requests: Requests
    request: PlanRequest

    def counted(self, counts: Mapping[int, int]) -> tuple[InstanceShape, ...]:
        """So many instances of each shape."""
        return tuple(replace(one, count=counts[role]) for role, one in self.shapes.items())

    @property
    def stay_s(self) -> float:
        """How long the longest request stays that is served at the targets."""
        return self.request.ftl_s + self.request.ttl_s * float(self.requests.osl.max())

    def most(self) -> dict[int, int]:
        """Instances with which a pool that can hold the targets at all surely does."""
        wanted = {role: max(math.ceil(GROWTH * n), 2) for role, n in self.least().items()}
        if sum(wanted.values()) > MOST_INSTANCES:
            wanted = {role: max(math.ceil(TIGHT * n), 2) for role, n in self.least().items()}
        return wanted

    def least(self) -> dict[int, int]:
        """Instances that keep up with the mean load: queues of fewer grow without end."""
        return {role: max(math.ceil(n), 1) for role, n in self.busy.items()}

    @cached_property
    def busy(self) -> dict[int, float]:
        """Instances that the mean load keeps busy, by role."""
        rate = float(self.request.requests_per_s or 0.0)
        lengths = lengths_of(self.requests.isl, self.requests.osl)
        return {r: rate / self.fleet.capacity(r, lengths, self.request.ttl_s) for r in self.shapes}


def drawn(request: PlanRequest, seed: int) -> Requests:
    """Requests that arrive at the rate, their lengths by the shares of the mix."""
    rate = float(request.requests_per_s or 0.0)
    lengths = np.array([(float(s.workload.isl), float(s.workload.osl)) for s in request.mix])
    stay_s = request.ftl_s + request.ttl_s * float(lengths[:, 1].max())
    count = float(np.clip(rate * STAYS * stay_s, LEAST, MOST))
    load = load_of(requests_per_s=rate, duration_s=count / rate, isl=1, osl=1, cv=request.cv)
    requests = load.drawn(seed)
    chosen = np.random.default_rng(seed + 1).choice(
        len(lengths), size=len(requests), p=request.shares
    )
    return replace(
        requests,
        isl=lengths[chosen, 0].astype(np.int32),
        osl=lengths[chosen, 1].astype(np.int32),
    )


def chunked(deployed: Deployed) -> Iterator[Deployed]:
    """Co-located deployments with shorter chunks: prompts come to single ranks, and all wait."""
    for chunk in CHUNKS:
        if all(s.phase == "colocated" and s.chunk > chunk for s in deployed.instances):
            own = tuple(replace(shape, chunk=chunk) for shape in deployed.instances)
            yield replace(deployed, instances=own)


def shapes_of(
    deployed: Deployed, setups: Mapping[int, Setup], request: PlanRequest, requests: Requests
) -> Shapes:
    """The instances of a plan as a fleet, with the limits that `jaxsim deploy` gives the engine."""
    shapes = {ROLES[one.phase]: one for one in deployed.instances}
    mean = replace(
        request.mix[0].workload,
        isl=float(requests.isl.mean()),
        osl=max(float(requests.osl.mean()), 2.0),
    )
    longest = float((requests.isl + requests.osl).max())
    # More than twice what is in the whole system at the targets is never needed in one instance.
    rate = float(request.requests_per_s or 0.0)
    crowd = 2.0 * rate * (request.ftl_s + request.ttl_s * float(requests.osl.max()))
    laws = {
        role: role_law(
            setups[role], mean, Layout(shape.tp, shape.ep, shape.pp), longest,
            chunk=_pass_tokens(shape, longest), most=int(max(min(_places(shape), crowd), 63.0)),
            pooled=role == PREFILL,
        )
        for role, shape in shapes.items()
    }  # fmt: skip
    fleet = fleet_of(laws.get(MIXED), laws.get(PREFILL), laws.get(DECODE))
    return Shapes(shapes, fleet, requests, request)


def _places(shape: InstanceShape) -> float:
    """Sequences of an instance at once; a prefill instance is limited by its memory alone."""
    return math.inf if shape.phase == "prefill" else float(shape.batch)


def _pass_tokens(shape: InstanceShape, longest: float) -> float:
    """Prompt tokens of a pass of a data-parallel rank: every prompt in flight gives a chunk."""
    if shape.phase == "decode":
        return 512.0  # it has no prompts; the table of its passes is not read
    ranks = max(shape.tp, shape.ep) / shape.tp
    prompts = shape.batch / ranks if shape.phase == "prefill" else 1.0
    return max(min(shape.chunk * max(prompts, 1.0), longest), 64.0)


def held(shapes: Shapes, counts: Mapping[int, int], requests: Requests | None = None) -> Held:
    """What so many instances give users: latencies at the percentile, and whether they hold.

    Requests count that arrive after one stay at the targets, and before the last one: the pools are
    neither filling nor running empty.
    """
    request, requests = shapes.request, requests or shapes.requests
    room = Room(INSTANCES, SEQUENCES, len(shapes.requests), RUNS)
    run = simulate_run(requests, shapes.fleet, dict(counts), Static(), room=room)
    users = users_of(run)
    margin_s = min(shapes.stay_s, requests.duration_s / 4.0)
    inside = (users.arrival_s >= margin_s) & (users.arrival_s <= requests.duration_s - margin_s)
    share = float(request.percentile or 0.0) / 100.0
    ttft, tpot = (
        float(np.quantile(values[inside], share, method="higher"))
        for values in (users.ttft_s, users.tpot_s)
    )
    good = (users.ttft_s <= request.ftl_s) & (users.tpot_s <= request.ttl_s)
    instances = shapes.counted(counts)
    return Held(
        instances=instances,
        gpus=sum(one.count * one.gpus_per_instance for one in instances),
        ttft_s=ttft,
        tpot_s=tpot,
        attainment=float(good[inside].mean()),
        holds=ttft <= request.ftl_s and tpot <= request.ttl_s,
    )
