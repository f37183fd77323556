"""What happens to requests at a fleet whose pools a policy may change?

The event loop runs from one decision to the next; between them the policy sees the state, and
instances are opened, or closed to drain. Failures are changes of the same kind.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import numpy as np

from jaxsim._progress import Counted, is_heard, tell
from jaxsim.catalog.errors import InputError
from jaxsim.space.program.bits import in_precision
from jaxsim.traffic.policy.view import Policy
from jaxsim.traffic.read.requests import Requests
from jaxsim.traffic.simulate.compiled import Looping
from jaxsim.traffic.simulate.faults import RESUMES, Fault, die, revive, schedule
from jaxsim.traffic.simulate.fleet import Fleet
from jaxsim.traffic.simulate.initial import Start, bucket, initial, wide_bucket
from jaxsim.traffic.simulate.records import NEVER, ROUTES, Client, Shape, State, of_numpy
from jaxsim.traffic.simulate.watch import Watch

MOST_INSTANCES = 256
WIDE_SLOTS = 8192  # beyond, and where each is looked at, tables are no longer than needed
MOST_PHASES = 64  # tokens of a block; of larger ones every sequence is looked at
MANY_REQUESTS = 262144  # beyond, arrays are no longer than they need be
LOOKED = 1000  # requests after which a run looks how long it will take
TOLD_REQUESTS, TOLD_TIMES = 5000, 40  # a run tells how far it is no more often


@dataclass(frozen=True)
class Service:
    """How requests are served beside the pools: routing, clients, prefix caches.

    `hit_frac` of every prompt is held already, wherever it goes (a system prompt that all share).
    After `faults`, requests are served from the start (`resume` is "restart"), go on once their
    context has been computed anew ("recompute"), or once a copy of their cache was fetched ("kv").
    `host_tokens` of host memory per instance hold blocks that left HBM, read back at
    `host_token_s` a token.
    """

    route: str = "least_loaded"
    cached: bool = False
    patience_s: float = NEVER
    backoff_s: float = 1.0
    retries: int = 0
    host_tokens: float = 0.0
    host_token_s: float = 0.0
    overlap_weight: float = 1.0
    hit_frac: float = 0.0
    faults: tuple[Fault, ...] = ()
    resume: str = "restart"


class Room(NamedTuple):
    """How many instances, sequences of each and requests a program can hold.

    `runs` will use it, of about as many requests each.
    """

    instances: int = 1
    sequences: int = 1
    requests: int = 1
    runs: int = 1


ANY_ROOM = Room()


@dataclass(frozen=True)
class Change:
    """A decision that changed the pools: when, to which counts, and why."""

    time_s: float
    counts: dict[int, int]
    reason: str


@dataclass
class Run:
    """A finished simulation: every attempt, every instance, the pools over time, the decisions."""

    requests: Requests
    fleet: Fleet
    policy: str
    state: State
    shape: Shape
    spans: list[tuple[int, int, float, float]]  # instance, role, from, to: paid for
    changes: list[Change]
    series: dict[str, np.ndarray]
    count: int = 0
    end_s: float = 0.0
    faults: tuple[Fault, ...] = ()


def simulate_run(
    requests: Requests,
    fleet: Fleet,
    counts: dict[int, int],
    policy: Policy,
    *,
    limits: dict[int, tuple[int, int]] | None = None,
    service: Service | None = None,
    targets_s: tuple[float, float] = (NEVER, NEVER),
    room: Room = ANY_ROOM,
    told: str = "",
) -> Run:
    """Serve the requests: `counts` instances by role at first, then what the policy decides.

    `limits` bound each role (by default what there is at first); `targets_s` are those of FTL and
    TTL. Under the name `told`, if it has one, it tells how many requests have arrived. The compiled
    program has at least the given room: runs with the same use one program.
    """
    service = service or Service()
    limits = limits or {role: (count, count) for role, count in counts.items()}
    _check(fleet, counts, limits, service)
    roles = np.repeat(list(limits), [high for _, high in limits.values()])
    shape = _shape(requests, len(roles), fleet, service, room)
    opened = np.zeros(len(roles), bool)
    for role, count in counts.items():
        opened[np.flatnonzero(roles == role)[:count]] = True
    gain = float(fleet.law.gain[0])
    start = Start(roles, opened, np.where(opened, 0.0, NEVER))
    client = _client(requests, fleet, service)
    watch = Watch(requests, fleet, roles, opened, limits, policy, *targets_s)
    with in_precision(True):
        state = initial(requests, start, gain, shape, service.hit_frac)
        law = jax.tree.map(np.asarray, _as_long(fleet, shape))
        links = jax.tree.map(np.float64, fleet.links)
        loop = Looping((state, law, links, client), shape, len(requests), room.runs)
        stop = policy.interval_s
        to_come = schedule(service.faults)
        dead: dict[int, list[int]] = {}
        pauses = _pauses(requests, bool(told) and is_heard())
        arrived = 0
        while True:
            if told:
                tell(Counted(told, arrived, len(requests), "requests"))
            event_s = min(stop, to_come[0][0]) if to_come else stop
            next_s = min(event_s, pauses[0]) if pauses else event_s
            state = replace(state, stop_s=np.float64(next_s))
            state = loop(state, law, links, client)
            arrived = int(np.asarray(state.arriving))
            over = _ended(state, len(requests)) and not to_come
            if over or not np.isfinite(next_s):
                break
            pauses = [pause for pause in pauses if pause > next_s]
            if next_s < event_s:
                continue
            if next_s < stop or (to_come and to_come[0][0] == stop):
                _, fault, back = to_come.pop(0)
                if back:
                    ready_s = next_s + fleet.startup_s
                    state = revive(state, dead.pop(id(fault)), ready_s)
                else:
                    state, dead[id(fault)] = die(state, fault, gain, service.resume)
                    _refuse_empty(state, fault, requests)
                continue
            state = watch.decide(state, stop)
            stop += policy.interval_s
        state = jax.tree.map(np.asarray, state)
    end = float(np.max(state.instances.last_s))
    changes = [Change(t, c, r) for t, c, r in watch.changes]
    return Run(
        requests, fleet, policy.name, state, shape, watch.spans(end), changes,
        watch.series(), len(requests), end, service.faults,
    )  # fmt: skip


def _pauses(requests: Requests, told: bool) -> list[float]:
    """When a run pauses, which changes no result.

    Early on to see how long it takes; a long one also to tell how far it is.
    """
    size = len(requests)
    places = {LOOKED << k for k in range(size.bit_length()) if LOOKED << k < size}
    if told and size >= TOLD_REQUESTS:
        step = max(TOLD_REQUESTS, size // TOLD_TIMES)
        places.update(range(step, size, step))
    return [float(requests.arrival_s[i]) for i in sorted(places)]


def _refuse_empty(state: State, fault: Fault, requests: Requests) -> None:
    """An InputError where a fault leaves a pool without an instance while requests still come."""
    one, last_s = state.instances, float(requests.arrival_s[-1])
    there = np.asarray(one.open) & (np.asarray(one.role) == fault.role)
    if not there.any() and fault.time_s < last_s <= fault.time_s + fault.repair_s:
        raise InputError(
            f"at {fault.time_s:g} s the last open instance of a pool dies, and none is back before "
            f"the last request arrives at {last_s:g} s: give the pool more instances, or the fault "
            "fewer, or a shorter repair."
        )


def _ended(state: State, count: int) -> bool:
    """Whether nothing will ever happen again."""
    arriving = int(np.asarray(state.arriving))
    arrival = np.asarray(state.attempts.arrival_s)
    coming = arriving < count and np.isfinite(arrival[arriving])
    retrying = int(np.asarray(state.retrying)) < int(np.asarray(state.retries_end))
    busy = np.isfinite(np.asarray(state.instances.until_s)).any()
    sending = np.isfinite(np.asarray(state.instances.send_s)).any()
    return not (coming or retrying or busy or sending)


def _shape(requests: Requests, instances: int, fleet: Fleet, service: Service, room: Room) -> Shape:
    size = max(len(requests), room.requests)
    count = wide_bucket(size, 16384, 4) if size <= MANY_REQUESTS else bucket(size)
    patient = not np.isfinite(service.patience_s)
    blocks = requests.blocks
    cached = service.cached and blocks is not None
    instances = max(instances, room.instances)
    slots = max(int(np.max(fleet.law.sequences)), room.sequences)
    gain, size_of = np.asarray(fleet.law.gain), np.unique(fleet.law.block_tokens)
    whole = bool((gain == np.round(gain)).all()) and len(size_of) == 1 and size_of[0] % 1 == 0
    phases = int(size_of[0]) if whole and size_of[0] <= MOST_PHASES else 0
    return Shape(
        attempts=count * (2 if service.faults else 1 + (0 if patient else service.retries)),
        requests=count,
        instances=min(wide_bucket(instances, 8, 8), MOST_INSTANCES),
        slots=wide_bucket(slots, 128, 8) if phases and slots <= WIDE_SLOTS else bucket(slots),
        unique_blocks=bucket(int(blocks.ids.max()) + 1, 1024) if cached and blocks else 0,
        touches=bucket(len(blocks.ids), 1024) if cached and blocks else 0,
        route=service.route,
        patience=not patient or bool(service.faults),
        phases=phases,
    )


def _as_long(fleet: Fleet, shape: Shape):
    """The law with its tables as long as the slots of the compiled program."""
    law, size = fleet.law, shape.slots + 1

    def padded(table: np.ndarray):
        short = size - table.shape[1]
        return np.concatenate([table, np.repeat(table[:, -1:], short, axis=1)], axis=1)

    return replace(
        law,
        decode_s=padded(np.asarray(law.decode_s)),
        decode_slope=padded(np.asarray(law.decode_slope)),
    )


def _client(requests: Requests, fleet: Fleet, service: Service) -> Client:
    tokens = 512.0 if requests.blocks is None else float(requests.blocks.tokens)
    think = requests.think_s
    if requests.closed_users:  # a user waits for the front end too
        think += fleet.fixed_s + fleet.token_s * float(requests.isl.mean())
    return of_numpy(
        Client,
        users=np.int32(requests.closed_users),
        think_s=np.float64(think),
        patience_s=np.float64(service.patience_s),
        backoff_s=np.float64(service.backoff_s),
        retries=np.int32(service.retries),
        load_token_s=np.float64(service.host_token_s),
        host_blocks=np.float64(np.floor(service.host_tokens / tokens)),
        prefix_tokens=np.float64(tokens),
        overlap_weight=np.float64(service.overlap_weight),
    )


def _check(
    fleet: Fleet, counts: dict[int, int], limits: dict[int, tuple[int, int]], service: Service
) -> None:
    if set(counts) != set(fleet.roles) or set(limits) != set(fleet.roles):
        raise InputError("the pools and their bounds have other roles than the fleet.")
    for role, (low, high) in limits.items():
        if not 1 <= low <= counts[role] <= high:
            raise InputError(
                f"a pool of {counts[role]} instances with bounds {low} to {high}: write 1 <= least "
                "<= first <= most."
            )
    if sum(high for _, high in limits.values()) > MOST_INSTANCES:
        raise InputError(f"more than {MOST_INSTANCES} instances: use larger ones, or fewer.")
    if service.faults and (np.isfinite(service.patience_s) or service.retries):
        raise InputError("faults and clients that give up are not simulated together.")
    if service.resume not in RESUMES:
        raise InputError(f"resume {service.resume!r}: it is one of {', '.join(RESUMES)}.")
    for fault in service.faults:
        if fault.role not in fleet.roles:
            raise InputError("a fault is of a role that the fleet does not have.")
    if service.route not in ROUTES:
        raise InputError(f"routing {service.route!r}: it is one of {', '.join(ROUTES)}.")
