"""What happens next?  The events of a simulation, one after another, until a time.

On a CPU the whole loop is compiled as one function (`xla_cpu_small_call`), which a loop of a few
hundred small operations needs: about four times faster than one operation after another.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.typing import ArrayLike

from jaxsim.traffic.simulate.batch import boundary
from jaxsim.traffic.simulate.queue import notice
from jaxsim.traffic.simulate.records import (
    COMING,
    GIVEN_UP,
    NEVER,
    Client,
    Law,
    Links,
    Shape,
    State,
)
from jaxsim.traffic.simulate.route import arrive
from jaxsim.traffic.simulate.scalars import at, earliest, once, put_at
from jaxsim.traffic.simulate.send import received


def times_s(s: State, client: Client, shape: Shape):
    """When the next event of each kind is: arrival, second try, giving up (two), cache, step."""
    arrivals = s.attempts.arrival_s
    last = shape.attempts

    def when(pointer: jax.Array, end: ArrayLike, delay_s: ArrayLike = 0.0):
        there = pointer < end
        return jnp.where(there, at(arrivals, jnp.where(there, pointer, last)) + delay_s, NEVER)

    times = [when(s.arriving, shape.requests)]
    if shape.patience:
        times += [
            when(s.retrying, s.retries_end),
            when(s.deadline, s.arriving, client.patience_s),
            when(s.retry_deadline, s.retrying, client.patience_s),
        ]
    else:
        times += [jnp.asarray(NEVER, jnp.float64)] * 3
    return [*times, jnp.min(s.instances.send_s), jnp.min(s.instances.until_s)]


def give_up(s: State, law: Law, client: Client, shape: Shape, attempt: jax.Array) -> State:
    """A client that has seen no token leaves, and may come back."""
    unseen = (at(s.attempts.first_s, attempt) == NEVER) & (at(s.attempts.status, attempt) == COMING)

    def leave(s: State) -> State:
        attempts = put_at(s.attempts, attempt, status=GIVEN_UP, finished_s=s.now_s)
        tries = at(attempts.tries, attempt)
        again = (tries < client.retries) & (s.retries_end < shape.attempts)
        place = jnp.where(again, s.retries_end, shape.attempts)
        isl = at(attempts.isl, attempt)
        attempts = put_at(
            attempts,
            place,
            arrival_s=s.now_s + client.backoff_s,
            isl=isl,
            osl=at(attempts.osl, attempt),
            size=isl,
            need=isl,
            rest=isl,
            left=at(attempts.steps_left, attempt),
            steps_left=at(attempts.steps_left, attempt),
            origin=at(attempts.origin, attempt),
            tries=tries + 1,
        )
        s = replace(s, attempts=attempts, retries_end=s.retries_end + again.astype(jnp.int32))
        # Those behind it may be admitted after the step under way.
        return notice(s, law, at(s.attempts.prefiller, attempt))

    return once(unseen, leave, s)


def event(s: State, law: Law, links: Links, client: Client, shape: Shape) -> State:
    """The next event; of several at one time, arrivals first and ends of steps last."""
    times = times_s(s, client, shape)
    now, kind = earliest(jnp.stack(times))
    s = replace(s, now_s=now, events=s.events + 1)
    attempt = s.arriving
    s = replace(s, arriving=s.arriving + (kind == 0))
    if shape.patience:
        attempt = jnp.where(kind == 1, s.retrying, attempt)
        s = replace(s, retrying=s.retrying + (kind == 1))
        leaver = jnp.where(kind == 2, s.deadline, s.retry_deadline)
        s = replace(
            s,
            deadline=s.deadline + (kind == 2),
            retry_deadline=s.retry_deadline + (kind == 3),
        )
        gives_up = (kind == 2) | (kind == 3)
        s = once(gives_up, lambda s: give_up(s, law, client, shape, leaver), s)
    s = once(kind <= 1, lambda s: arrive(s, law, client, shape, attempt), s)
    s = once(kind == 4, lambda s: received(s, law, shape, earliest(s.instances.send_s)[1]), s)

    def end_step(s: State) -> State:
        instance = earliest(s.instances.until_s)[1]
        return boundary(s, law, links, client, shape, instance)

    return once(kind == 5, end_step, s)


def _until(s: State, law: Law, links: Links, client: Client, shape: Shape) -> State:
    def going(s: State):
        return jnp.min(jnp.stack(times_s(s, client, shape))) < s.stop_s

    return lax.while_loop(going, lambda s: event(s, law, links, client, shape), s)


# XLA's rewriter for libraries makes fusions of long rows too, which this form does not know.
# Without fusion every read of an array is done once, before the write that follows it; a fused read
# is repeated, and XLA then copies the array.
# The lowest level of optimisation, without passes over loops, compiles in two thirds of the time;
# the code is as fast: its loops are short.
OPTIONS = {
    "xla_disable_hlo_passes": "fusion,dot-library-rewriter",
    "xla_backend_optimization_level": 1,
    "xla_llvm_disable_expensive_passes": True,
}
# Not optimised by LLVM at all: compiled in half of that time, four times as slow, the same results.
QUICKLY = {**OPTIONS, "xla_backend_optimization_level": 0}


def as_one(s: State, law: Law, links: Links, client: Client, shape: Shape) -> State:
    """What `run_until` compiles."""
    whole = jax.jit(partial(_until, shape=shape))
    ended: State = whole(s, law, links, client)
    return set_xla_metadata(ended, xla_cpu_small_call="true", inlineable="false")  # type: ignore


def _run_until(s: State, law: Law, links: Links, client: Client, shape: Shape) -> State:
    """The state once every event before `stop_s` has happened."""
    return as_one(s, law, links, client, shape)


_jit = partial(jax.jit, static_argnames="shape", donate_argnums=0)
run_until = _jit(_run_until, compiler_options=OPTIONS)
run_quickly = _jit(_run_until, compiler_options=QUICKLY)
