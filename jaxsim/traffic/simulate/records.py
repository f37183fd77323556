"""What is the state of a simulation?

*State*: what each request and each instance is doing. *Event*: a request arrives or gives up, a
cache has been sent, or a batch of an instance ends. *Macro-step*: between events the batch of an
instance is constant, so m decode steps take a closed form of m; it ends where a sequence does,
where blocks run out, where the law of step times has a knee, or at the step after an arrival.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import jax
import numpy as np

from jaxsim._record import Record

# Traced within a run; outside, NumPy's, which have what is used of JAX's there.
if TYPE_CHECKING:
    Array: TypeAlias = jax.Array
else:
    Array = jax.Array | np.ndarray | np.generic | float

R = TypeVar("R")


def of_numpy(kind: Callable[..., R], **arrays: object) -> R:
    """A record of NumPy's arrays, and of records of such: what a run starts from."""
    return kind(**arrays)


# Roles of an instance.
MIXED, PREFILL, DECODE = 0, 1, 2
ROLES = 3
# What has become of an attempt to have a request served.
COMING, SERVED, GIVEN_UP, LOST, REFUSED, FAILED = 0, 1, 2, 3, 4, 5
# How requests are routed.
ROUTES = ("round_robin", "least_loaded", "kv_aware")
NEVER = np.inf
NOBODY = np.int32(-1)
FAR = np.int32(2**31 - 1)
GROUP = 32  # slots whose least end is kept
GAP_BINS = 512
GAP_LOW_S, GAP_HIGH_S = 1e-5, 1e3


class Shape(NamedTuple):
    """What fixes the compiled program: sizes of the arrays, and which parts of the model are on."""

    attempts: int
    requests: int
    instances: int
    slots: int
    unique_blocks: int = 0  # 0: no prefix cache
    touches: int = 0
    route: str = "least_loaded"
    patience: bool = False  # clients give up, and may try again
    phases: int = 0  # tokens of a block, where contexts are whole numbers; 0: unknown


class Law(Record):
    """Step times and limits by role (leading axis), base units; see `law.py` for their origin.

    A decode step of n sequences with C tokens of context lasts `decode_s[n, p] + decode_slope[n, p]
    · C` in the piece p between knots of mean context. A pass over T prompt tokens of a rank with A
    pairs of tokens that attend lasts `pass_s(T) + pass_slope(T) · A`. An instance is busy for
    `stretch` of a pass. `budget` tokens fit in a step, `chunk` of one prompt. `mixes` is 1
    where decoding sequences advance in the same step: with n of them on a rank it then takes
    `pass_s(T + n) - pass_s(n)` more, as weights are read once. A step
    yields `gain` tokens of a sequence. Memory holds `blocks` of `block_tokens`; `reserves` is 1
    where a request is only admitted with room for all its tokens.
    """

    knots: Array  # [role, pieces]: mean contexts where a piece starts
    decode_s: Array  # [role, slots, pieces]
    decode_slope: Array
    pass_tokens: Array  # [role, knots]
    pass_s: Array
    pass_slope: Array
    stretch: Array  # [role] from here on
    mixes: Array
    gain: Array
    budget: Array
    chunk: Array
    ranks: Array
    sequences: Array
    blocks: Array
    block_tokens: Array
    reserves: Array


class Links(Record):
    """Sending a prompt's cache: scalars. t = tokens · `token_s` + segments · `segment_s`.

    A segment holds `segment_tokens`. A transfer occupies the link of its sender for `out_frac` of
    its time and that of its receiver for `in_frac`. Streamed (`streamed` 1), it runs behind the
    prompt's passes and only the last of `layers` is sure to remain; else it starts `setup_s` after
    them, and streamed ones end so much later.
    """

    token_s: Array
    segment_s: Array
    segment_tokens: Array
    out_frac: Array
    in_frac: Array
    streamed: Array
    layers: Array
    setup_s: Array


class Client(Record):
    """What clients do: scalars.

    A request of a closed loop follows `think_s` after the end of another, of `users`. Where no
    token has come for `patience_s`, a client gives up, and tries again `backoff_s` later, at most
    `retries` times. `load_token_s` is what a prompt token costs that is read back from host memory,
    `host_blocks` how many prefix blocks that holds per instance, `prefix_tokens` tokens of such a
    block, and `overlap_weight` what a prompt token to compute weighs against one of context in
    KV-aware routing.
    """

    users: Array
    think_s: Array
    patience_s: Array
    backoff_s: Array
    retries: Array
    load_token_s: Array
    host_blocks: Array
    prefix_tokens: Array
    overlap_weight: Array


class Attempts(Record):
    """Every attempt to have a request served, the requests' first ones in the order of arrival.

    The last row is a dummy: writes that must change nothing go there. `size` is the context once
    its prompt is processed, `need` what of it was given to passes, `rest` what of that is not yet
    processed, `past` what precedes it, `left` how many decode steps follow (`steps_left` of a first
    try), `next` the attempt
    behind it in a list.
    """

    arrival_s: Array
    isl: Array
    osl: Array
    size: Array
    need: Array
    rest: Array
    past: Array
    left: Array
    steps_left: Array
    blocks: Array
    next: Array
    origin: Array
    tries: Array
    status: Array
    scheduled_s: Array
    first_s: Array
    passed_s: Array
    sent_s: Array
    joined_s: Array
    finished_s: Array
    prefiller: Array
    decoder: Array
    preempted: Array
    hit: Array


class Instances(Record):
    """What each instance is doing. Lists are of attempts: waiting, in passes, being sent.

    `until_s` is when its step or macro-step ends, never where it idles; `steps` and `advance` are
    the steps under way and those by which its sequences advance, `first_s` and `more_s` the time of
    the first of them and what each has more than the one before.
    """

    role: Array
    open: Array
    ready_s: Array
    until_s: Array
    since_s: Array
    steps: Array
    advance: Array
    first_s: Array
    more_s: Array
    passing_s: Array
    extra_s: Array
    step: Array
    decoding: Array
    context: Array
    prompts: Array
    prompt_blocks: Array
    held_blocks: Array
    waiting: Array
    head: Array
    tail: Array
    pass_head: Array
    pass_tail: Array
    send_head: Array
    send_tail: Array
    send_s: Array
    link_out_s: Array
    link_in_s: Array
    assigned: Array
    reserved: Array
    work: Array
    stamp: Array
    pause_s: Array
    # Sums since the start.
    prefill_busy_s: Array
    decode_busy_s: Array
    out_busy_s: Array
    in_busy_s: Array
    tokens: Array
    stalled_token_s: Array
    last_s: Array


class Slots(Record):
    """Decoding sequences by instance: [instance, slot], the first `decoding` of them taken.

    A sequence ends at step `end`; its context is `base + gain · step`. `soonest` is the least end
    of each `GROUP` of slots, `phase` how many sequences have a base of 0, 1, … modulo a block.
    """

    attempt: Array
    end: Array
    base: Array
    stamp: Array
    reserved: Array
    soonest: Array  # [instance, group]
    phase: Array  # [instance, tokens of a block]


class Cache(Record):
    """Prefix blocks held by each instance; those in no use are a log: the least recent leave first.

    `users[i, b]` running requests use block b. `last[i, b]` is when the last of them left, in
    releases of the instance, 0 while there is one; the block is in HBM if later than `hbm_tail`, in
    host memory if later than `host_tail`. `shared` are blocks of the engine's memory that running
    requests would hold more without sharing.
    """

    users: Array
    sizes: Array  # blocks of the engine's memory that a block in use takes
    shared: Array
    last: Array
    log: Array
    stamp: Array
    hbm_tail: Array
    hbm_count: Array
    host_tail: Array
    host_count: Array
    ids: Array  # of all requests, one after another
    start: Array  # [requests + 1]


class State(Record):
    """All of it."""

    now_s: Array
    attempts: Attempts
    instances: Instances
    slots: Slots
    cache: Cache
    gaps: Array  # how many tokens came after a gap of this length
    arriving: Array  # the next request to arrive, and the next second try
    retrying: Array
    retries_end: Array
    deadline: Array
    retry_deadline: Array
    served: Array
    turn: Array
    events: Array
    stop_s: Array
