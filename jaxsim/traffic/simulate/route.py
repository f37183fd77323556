"""To which instance does a request go?"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.traffic.simulate.prefix import hit_tokens
from jaxsim.traffic.simulate.queue import enqueue, notice, steps_until
from jaxsim.traffic.simulate.records import (
    DECODE,
    LOST,
    NEVER,
    REFUSED,
    Client,
    Law,
    Shape,
    State,
)
from jaxsim.traffic.simulate.scalars import add_at, at, earliest, once, put_at, set_at


def first_least(cost: jax.Array, eligible: jax.Array):
    """The first place of the least cost among those eligible."""
    return earliest(jnp.where(eligible, cost, jnp.inf))[1]


def next_in_turn(turn: jax.Array, eligible: jax.Array):
    """The first eligible place at or after `turn`, going round."""
    size = eligible.shape[0]
    place = lax.iota(jnp.int32, size)
    return first_least(((place - turn) % size).astype(jnp.float64), eligible)


def chosen(s: State, law: Law, client: Client, shape: Shape, attempt: jax.Array, takes: jax.Array):
    """The instance for an attempt among those whose role `takes` it; -1 where there is none.

    Open and ready ones come first; where none is ready, the one that will be first.
    """
    one = s.instances
    open_ones = takes & one.open
    ready = open_ones & (one.ready_s <= s.now_s)
    if shape.route == "round_robin":
        best = next_in_turn(s.turn, ready)
    elif shape.route == "kv_aware":
        best = first_least(_cost(s, law, client, shape, attempt), ready)
    else:
        best = first_least(one.assigned.astype(jnp.float64), ready)
    starting = first_least(one.ready_s, open_ones)
    instance = jnp.where(jnp.any(ready), best, starting)
    return jnp.where(jnp.any(open_ones), instance, -1)


def _cost(s: State, law: Law, client: Client, shape: Shape, attempt: jax.Array) -> jax.Array:
    """Prompt tokens to compute, weighed, and context that decodes, by instance."""
    one = s.instances
    own = at(s.attempts.isl, attempt) * 1.0
    ahead = one.work * 1.0

    if shape.unique_blocks:

        def found(i: jax.Array, hits: jax.Array):
            return set_at(hits, i, hit_tokens(s, client, attempt, i)[1] * 1.0)

        own = own - lax.fori_loop(0, shape.instances, found, jnp.zeros(shape.instances))
    return client.overlap_weight * (own + ahead) + context_now(s, law)


def context_now(s: State, law: Law):
    """Context of the decoding sequences of every instance, steps that have ended counted."""
    one = s.instances
    under_way = steps_until(s.now_s - one.since_s, one.first_s, one.more_s) - 1
    done = jnp.where(one.passing_s > 0.0, 0, jnp.clip(under_way, 0, one.advance))
    return one.context + law.gain[one.role] * one.decoding * done


def refused(s: State, law: Law, attempt: jax.Array):
    """Whether no instance could ever hold the request."""
    tokens = at(s.attempts.isl, attempt) + at(s.attempts.osl, attempt) + 1.0
    used = s.instances.role
    room = law.blocks[used] * law.block_tokens[used]
    return ~jnp.all(tokens <= room - law.block_tokens[used])


def arrive(s: State, law: Law, client: Client, shape: Shape, attempt: jax.Array) -> State:
    """An attempt arrives: it is routed to a queue, is refused, or finds no eligible instance."""
    instance = chosen(s, law, client, shape, attempt, s.instances.role != DECODE)
    large = refused(s, law, attempt)
    bad = large | (instance < 0)
    s = replace(
        s,
        attempts=put_at(
            s.attempts,
            attempt,
            status=jnp.where(
                large, REFUSED, jnp.where(instance < 0, LOST, at(s.attempts.status, attempt))
            ),
            finished_s=jnp.where(bad, s.now_s, NEVER),
        ),
    )

    def join(s: State) -> State:
        s = assign(s, attempt, instance)
        s = replace(s, attempts=put_at(s.attempts, attempt, prefiller=instance))
        return notice(enqueue(s, attempt, instance), law, instance)

    return once(~bad, join, s)


def assign(s: State, attempt: jax.Array, instance: jax.Array) -> State:
    """The instance has one more attempt to serve; the next turn is of the instance after it."""
    instances = add_at(s.instances, instance, assigned=1, work=at(s.attempts.need, attempt))
    turn = (instance + 1) % instances.role.shape[0]
    return replace(s, instances=instances, turn=turn.astype(jnp.int32))
