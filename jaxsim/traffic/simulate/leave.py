"""What happens when a prompt is processed, and when a request ends?"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxsim.traffic.simulate.records import (
    FAR,
    GIVEN_UP,
    PREFILL,
    SERVED,
    Client,
    Law,
    Links,
    Shape,
    State,
)
from jaxsim.traffic.simulate.scalars import (
    add_at,
    after,
    at,
    cell,
    first_smallest,
    once,
    put_at,
    row,
    set_cell,
)
from jaxsim.traffic.simulate.send import send


def finish(
    s: State,
    client: Client,
    shape: Shape,
    attempt: jax.Array,
    instance: jax.Array,
    time_s: jax.Array,
) -> State:
    """A request has its last token; in a closed loop its user sends the next one."""
    dummy = s.attempts.next.shape[0] - 1
    attempts = put_at(s.attempts, attempt, finished_s=time_s, status=SERVED)
    following = client.users + s.served
    more = (client.users > 0) & (following < shape.requests)
    place = jnp.where(more, following, dummy).astype(jnp.int32)
    attempts = put_at(attempts, place, arrival_s=time_s + client.think_s)
    instances = add_at(s.instances, instance, assigned=-1)
    return replace(s, attempts=attempts, instances=instances, served=s.served + 1)


def take_slot(s: State, law: Law, attempt: jax.Array, instance: jax.Array) -> State:
    """The attempt decodes from the next step on."""
    one = s.instances
    gain = at(law.gain, at(one.role, instance))
    place, step = at(one.decoding, instance), at(one.step, instance)
    size = at(s.attempts.size, attempt)
    stamp = at(one.stamp, instance)
    values = {
        "attempt": attempt,
        "end": step + at(s.attempts.left, attempt),
        "base": size - gain * step,
        "stamp": stamp,
        "reserved": at(s.attempts.blocks, attempt),
    }
    slots = replace(
        s.slots,
        **{n: set_cell(getattr(s.slots, n), instance, place, v) for n, v in values.items()},
    )
    instances = add_at(one, instance, decoding=1, context=size, stamp=1)
    joined = jnp.minimum(at(s.attempts.joined_s, attempt), s.now_s)
    return replace(
        s,
        slots=slots,
        instances=instances,
        attempts=put_at(s.attempts, attempt, joined_s=joined),
    )


def free_slot(s: State, law: Law, instance: jax.Array, place: jax.Array) -> State:
    """The sequence in a slot is gone; the last one takes its place."""
    one = s.instances
    gain = at(law.gain, at(one.role, instance))
    last = at(one.decoding, instance) - 1
    context = cell(s.slots.base, instance, place) + gain * at(one.step, instance)

    def moved(values: jax.Array, empty: ArrayLike):
        kept = cell(values, instance, last)
        return set_cell(set_cell(values, instance, place, kept), instance, last, empty)

    slots = replace(
        s.slots,
        attempt=moved(s.slots.attempt, -1),
        end=moved(s.slots.end, FAR),
        base=moved(s.slots.base, 0.0),
        stamp=moved(s.slots.stamp, 0),
        reserved=moved(s.slots.reserved, 0),
    )
    left = at(one.context, instance) - context
    instances = put_at(one, instance, decoding=last, context=jnp.where(last == 0, 0.0, left))
    return replace(s, slots=slots, instances=instances)


def end_passes(
    s: State, law: Law, links: Links, client: Client, shape: Shape, instance: jax.Array
) -> State:
    """Prompts whose last pass has ended have their first token: they decode, are sent or end."""
    one = s.instances
    role = at(one.role, instance)
    passed_s = s.now_s + at(one.extra_s, instance)
    first = at(one.pass_head, instance)
    s = replace(s, instances=put_at(one, instance, pass_head=-1, pass_tail=-1))

    def keep(s: State, attempt: jax.Array) -> State:
        tail = at(s.instances.pass_tail, instance)
        dummy = s.attempts.next.shape[0] - 1
        attempts = put_at(s.attempts, jnp.where(tail < 0, dummy, tail), next=attempt)
        attempts = put_at(attempts, attempt, next=-1)
        head = jnp.where(tail < 0, attempt, at(s.instances.pass_head, instance))
        return replace(
            s,
            attempts=attempts,
            instances=put_at(s.instances, instance, pass_head=head, pass_tail=attempt),
        )

    def leave(s: State, attempt: jax.Array) -> State:
        gone = at(s.attempts.status, attempt) == GIVEN_UP
        more = at(s.attempts.left, attempt) > 0
        sent = (~gone) & more & (role == PREFILL)
        blocks = at(s.attempts.blocks, attempt)
        first_s = jnp.minimum(at(s.attempts.first_s, attempt), passed_s)
        ended = (~gone) & (~more)
        s = replace(
            s,
            attempts=put_at(
                s.attempts,
                attempt,
                first_s=jnp.where(gone, at(s.attempts.first_s, attempt), first_s),
                passed_s=passed_s,
            ),
            instances=add_at(
                s.instances,
                instance,
                prompts=-1,
                prompt_blocks=-blocks,
                held_blocks=jnp.where(sent, blocks, 0),
                assigned=-jnp.where(gone | sent, 1, 0),
                tokens=jnp.where(gone, 0.0, 1.0),
            ),
        )
        s = once(ended, lambda s: finish(s, client, shape, attempt, instance, passed_s), s)
        decodes = (~gone) & more & (role != PREFILL)
        s = once(decodes, lambda s: take_slot(s, law, attempt, instance), s)
        return once(sent, lambda s: send(s, links, attempt, instance, passed_s), s)

    def each(carry: tuple[jax.Array, State]):
        attempt, s = carry
        behind = at(s.attempts.next, attempt)
        attempt = after(attempt, behind)
        done = at(s.attempts.rest, attempt) == 0
        s = once(~done, lambda s: keep(s, attempt), s)
        return behind, once(done, lambda s: leave(s, attempt), s)

    return lax.while_loop(lambda c: c[0] >= 0, each, (first, s))[1]


def end_sequences(s: State, law: Law, client: Client, shape: Shape, instance: jax.Array) -> State:
    """Sequences that have their last token leave."""
    step = at(s.instances.step, instance)

    def over(carry: tuple[jax.Array, jax.Array, State]):
        return carry[0] <= step

    def one(carry: tuple[jax.Array, jax.Array, State]):
        _, place, s = carry
        attempt = cell(s.slots.attempt, instance, place)
        s = free_slot(s, law, instance, place)
        s = finish(s, client, shape, attempt, instance, s.now_s)
        end, place = first_smallest(row(s.slots.end, instance))
        return end, place, s

    end, place = first_smallest(row(s.slots.end, instance))
    return lax.while_loop(over, one, (end, place, s))[2]
