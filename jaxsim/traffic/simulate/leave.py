"""What happens when a prompt is processed, and when a request ends?"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxsim.traffic.simulate.prefix import freed
from jaxsim.traffic.simulate.records import (
    FAR,
    GIVEN_UP,
    GROUP,
    LOST,
    MIXED,
    PREFILL,
    SERVED,
    Client,
    Law,
    Links,
    Shape,
    Slots,
    State,
)
from jaxsim.traffic.simulate.scalars import (
    add_at,
    after,
    at,
    cell,
    cells,
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


def soonest(slots: Slots, instance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first step at which a sequence ends, and its slot (the first of several)."""
    end, group = first_smallest(row(slots.soonest, instance))
    first = group * GROUP
    ends = cells(slots.end, instance, first, GROUP)
    place = lax.iota(jnp.int32, GROUP)
    return end, first + jnp.min(jnp.where(ends == end, place, GROUP - 1))


def _regrouped(slots: Slots, instance: jax.Array, place: jax.Array) -> Slots:
    """The same once the slot's end has changed."""
    group = place // GROUP
    least = jnp.min(cells(slots.end, instance, group * GROUP, GROUP))
    return replace(slots, soonest=set_cell(slots.soonest, instance, group, least))


def _counted(
    slots: Slots, shape: Shape, instance: jax.Array, base: jax.Array, change: int
) -> Slots:
    """The same with one sequence more, or less, of its base modulo a block."""
    if not shape.phases:
        return slots
    phase = base.astype(jnp.int32) % shape.phases
    count = cell(slots.phase, instance, phase) + change
    return replace(slots, phase=set_cell(slots.phase, instance, phase, count))


def take_slot(s: State, law: Law, shape: Shape, attempt: jax.Array, instance: jax.Array) -> State:
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
    slots = _counted(_regrouped(slots, instance, place), shape, instance, values["base"], 1)
    instances = add_at(
        one, instance, decoding=1, context=size, stamp=1, reserved=values["reserved"]
    )
    joined = jnp.minimum(at(s.attempts.joined_s, attempt), s.now_s)
    return replace(
        s,
        slots=slots,
        instances=instances,
        attempts=put_at(s.attempts, attempt, joined_s=joined),
    )


class Sequence(NamedTuple):
    """What a slot held."""

    attempt: jax.Array
    end: jax.Array
    base: jax.Array
    reserved: jax.Array


def free_slot(
    s: State, law: Law, shape: Shape, instance: jax.Array, place: jax.Array
) -> tuple[State, Sequence]:
    """Remove the sequence of a slot, and return it; the last one moves to its slot."""
    one = s.instances
    gain = at(law.gain, at(one.role, instance))
    last = at(one.decoding, instance) - 1
    gone = Sequence(*(cell(getattr(s.slots, n), instance, place) for n in Sequence._fields))
    for value in gone:  # read before any of it is overwritten: XLA copies no table
        place = after(place, value.astype(jnp.int32))
    base, reserved = gone.base, gone.reserved
    context = base + gain * at(one.step, instance)

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
    slots = _regrouped(_regrouped(slots, instance, place), instance, last)
    slots = _counted(slots, shape, instance, base, -1)
    left = at(one.context, instance) - context
    instances = put_at(one, instance, decoding=last, context=jnp.where(last == 0, 0.0, left))
    instances = add_at(instances, instance, reserved=-reserved)
    s = replace(s, slots=slots, instances=instances)
    mixed = at(instances.role, instance) == MIXED  # what a decode instance receives is its own
    return freed(s, shape, gone.attempt, instance, mixed), gone


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
        s = once(decodes, lambda s: take_slot(s, law, shape, attempt, instance), s)
        s = once(sent, lambda s: send(s, links, attempt, instance, passed_s), s)
        lost = at(s.attempts.status, attempt) == LOST
        return freed(s, shape, attempt, instance, gone | ended | lost)

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
        s, gone = free_slot(s, law, shape, instance, place)
        s = finish(s, client, shape, gone.attempt, instance, s.now_s)
        return (*soonest(s.slots, instance), s)

    end, place = soonest(s.slots, instance)
    return lax.while_loop(over, one, (end, place, s))[2]
