"""What is the state before anything has happened?"""

from dataclasses import dataclass

import numpy as np

from jaxsim.traffic.read.requests import Requests
from jaxsim.traffic.simulate.records import (
    COMING,
    DECODE,
    FAR,
    GAP_BINS,
    GROUP,
    NEVER,
    Attempts,
    Cache,
    Instances,
    Shape,
    Slots,
    State,
    of_numpy,
)


@dataclass(frozen=True)
class Start:
    """The instances at time 0: the role of each, which are open, and when they are ready."""

    role: np.ndarray
    open: np.ndarray
    ready_s: np.ndarray


def bucket(count: int, least: int = 64) -> int:
    """The next size of which programs are compiled: powers of two, and one between each pair."""
    size = least
    while size < count:
        size = size * 3 // 2 if size & (size - 1) == 0 else size // 3 * 4
    return size


def wide_bucket(count: int, least: int, factor: int) -> int:
    """The next of few sizes: few programs are compiled, and places not used cost little."""
    size = least
    while size < count:
        size *= factor
    return size


def steps_after_first(osl: np.ndarray, gain: float) -> np.ndarray:
    """Decode steps that a request takes after its first token."""
    return np.ceil((osl - 1) / gain).astype(np.int32)


def initial(
    requests: Requests, start: Start, gain: float, shape: Shape, hit_frac: float = 0.0
) -> State:
    """The state at time 0. Arrays are longer than needed, so that few programs are compiled."""
    count, size = len(requests), shape.attempts + 1
    dtype = np.int32

    def padded(values: np.ndarray, empty: float, kind: type) -> np.ndarray:
        array = np.full(size, empty, kind)
        array[:count] = values
        return array

    isl = padded(requests.isl, 1, dtype)
    held = np.floor(hit_frac * isl).astype(dtype)  # less than all of it: one token is computed
    left = padded(steps_after_first(requests.osl, gain), 0, dtype)
    arrival = padded(requests.arrival_s, NEVER, np.float64)
    if requests.closed_users:
        arrival[min(requests.closed_users, count) :] = NEVER
    never = np.full(size, NEVER)
    zeros = np.zeros(size, dtype)
    attempts = of_numpy(
        Attempts,
        arrival_s=arrival,
        isl=isl,
        osl=padded(requests.osl, 1, dtype),
        size=isl.copy(),
        need=isl.copy(),
        rest=isl - held,
        past=held,
        left=left,
        steps_left=left.copy(),
        blocks=zeros.copy(),
        next=np.full(size, -1, dtype),
        origin=np.minimum(np.arange(size, dtype=dtype), count - 1),
        tries=zeros.copy(),
        status=np.full(size, COMING, dtype),
        scheduled_s=never.copy(),
        first_s=never.copy(),
        passed_s=never.copy(),
        sent_s=never.copy(),
        joined_s=never.copy(),
        finished_s=never.copy(),
        prefiller=np.full(size, -1, dtype),
        decoder=np.full(size, -1, dtype),
        preempted=zeros.copy(),
        hit=zeros.copy(),
    )
    return of_numpy(
        State,
        now_s=np.float64(0.0),
        attempts=attempts,
        instances=_instances(start, shape.instances),
        slots=_slots(shape),
        cache=_cache(requests, shape),
        gaps=np.zeros(GAP_BINS),
        arriving=dtype(0),
        retrying=dtype(shape.requests),
        retries_end=dtype(shape.requests),
        deadline=dtype(0),
        retry_deadline=dtype(shape.requests),
        served=dtype(0),
        turn=dtype(0),
        events=np.int64(0),
        stop_s=np.float64(NEVER),
    )


def _instances(start: Start, size: int) -> Instances:
    count = len(start.role)
    whole = {
        name: np.zeros(size, np.int32)
        for name in (
            "steps", "advance", "step", "decoding", "prompts", "prompt_blocks", "held_blocks",
            "waiting", "assigned", "reserved", "work", "stamp",
        )
    }  # fmt: skip
    nobody = {
        name: np.full(size, -1, np.int32)
        for name in ("head", "tail", "pass_head", "pass_tail", "send_head", "send_tail")
    }
    times = {
        name: np.zeros(size)
        for name in (
            "since_s", "first_s", "more_s", "passing_s", "extra_s", "context", "link_out_s",
            "link_in_s", "pause_s", "prefill_busy_s", "decode_busy_s", "out_busy_s", "in_busy_s",
            "tokens", "stalled_token_s", "last_s",
        )
    }  # fmt: skip
    role = np.full(size, DECODE, np.int32)
    role[:count] = start.role
    opened = np.zeros(size, bool)
    opened[:count] = start.open
    ready = np.full(size, NEVER)
    ready[:count] = start.ready_s
    return of_numpy(
        Instances,
        role=role,
        open=opened,
        ready_s=ready,
        until_s=np.full(size, NEVER),
        send_s=np.full(size, NEVER),
        **whole,
        **nobody,
        **times,
    )


def _slots(sizes: Shape) -> Slots:
    shape = (sizes.instances, sizes.slots)
    return of_numpy(
        Slots,
        attempt=np.full(shape, -1, np.int32),
        end=np.full(shape, FAR, np.int32),
        base=np.zeros(shape),
        stamp=np.zeros(shape, np.int32),
        reserved=np.zeros(shape, np.int32),
        soonest=np.full((sizes.instances, sizes.slots // GROUP), FAR, np.int32),
        phase=np.zeros((sizes.instances, max(sizes.phases, 1)), np.int32),
    )


def _cache(requests: Requests, shape: Shape) -> Cache:
    size, unique, touches = shape.instances, max(shape.unique_blocks, 1), max(shape.touches, 1)
    tries = -(-shape.attempts // shape.requests)
    blocks = requests.blocks if shape.unique_blocks else None
    ids = np.zeros(touches, np.int32)
    start = np.zeros(shape.requests + 1, np.int32)
    if blocks is not None:
        ids[: len(blocks.ids)] = blocks.ids
        start[: len(blocks.start)] = blocks.start
        start[len(blocks.start) :] = blocks.start[-1]
    return of_numpy(
        Cache,
        users=np.zeros((size, unique), np.int32),
        sizes=np.zeros((size, unique), np.int32),
        shared=np.zeros(size, np.int32),
        last=np.zeros((size, unique), np.int32),
        log=np.zeros((size, touches * (tries + 1) + 1), np.int32),
        stamp=np.ones(size, np.int32),
        hbm_tail=np.zeros(size, np.int32),
        hbm_count=np.zeros(size, np.int32),
        host_tail=np.zeros(size, np.int32),
        host_count=np.zeros(size, np.int32),
        ids=ids,
        start=start,
    )
