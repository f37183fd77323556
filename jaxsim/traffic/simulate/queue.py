"""How does a request join the queue of an instance, and when does the instance see it?"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from jaxsim.traffic.simulate.records import NEVER, NOBODY, Instances, Law, State
from jaxsim.traffic.simulate.scalars import after, at, inner_cell, once, put_at, row


def enqueue(s: State, attempt: jax.Array, instance: jax.Array) -> State:
    """The attempt joins the end of the instance's queue, and wakes an idle instance."""
    nobody = s.attempts.next.shape[0] - 1
    tail = at(s.instances.tail, instance)
    empty = at(s.instances.head, instance) < 0
    attempts = put_at(s.attempts, jnp.where(empty, nobody, tail), next=attempt)
    attempts = put_at(attempts, attempt, next=NOBODY)
    instances = put_at(
        s.instances,
        instance,
        head=jnp.where(empty, attempt, at(s.instances.head, instance)),
        tail=attempt,
        waiting=at(s.instances.waiting, instance) + 1,
    )
    return replace(s, attempts=attempts, instances=instances)


def push_front(s: State, attempt: jax.Array, instance: jax.Array) -> State:
    """The attempt joins the front of the queue."""
    head = at(s.instances.head, instance)
    empty = head < 0
    attempts = put_at(s.attempts, attempt, next=head)
    instances = put_at(
        s.instances,
        instance,
        head=attempt,
        tail=jnp.where(empty, attempt, at(s.instances.tail, instance)),
        waiting=at(s.instances.waiting, instance) + 1,
    )
    return replace(s, attempts=attempts, instances=instances)


def pop(s: State, instance: jax.Array):
    """The queue without its first attempt, and that attempt."""
    head = at(s.instances.head, instance)
    behind = at(s.attempts.next, head)
    instances = put_at(
        s.instances,
        instance,
        head=behind,
        tail=jnp.where(behind < 0, NOBODY, at(s.instances.tail, instance)),
        waiting=at(s.instances.waiting, instance) - 1,
    )
    return replace(s, instances=instances), after(head, behind)


def elapsed_s(steps: jax.Array, first_s: jax.Array, more_s: jax.Array):
    r"""Time of m steps that grow evenly: $m\,a + b\,m(m - 1)/2$."""
    count = steps * 1.0
    return count * first_s + 0.5 * more_s * count * (count - 1.0)


def steps_until(span_s: jax.Array, first_s: jax.Array, more_s: jax.Array):
    """The fewest steps, at least one, that last as long as a span."""
    linear = first_s - 0.5 * more_s
    root = 2.0 * span_s / (linear + jnp.sqrt(jnp.maximum(linear**2 + 2.0 * more_s * span_s, 0.0)))
    guess = jnp.maximum(jnp.ceil(root), 1.0)
    # The root is exact within rounding: one step too many or too few is put right.
    guess = guess + jnp.where(elapsed_s(guess, first_s, more_s) < span_s, 1.0, 0.0)
    fewer = (guess > 1.0) & (elapsed_s(guess - 1.0, first_s, more_s) >= span_s)
    return (guess - jnp.where(fewer, 1.0, 0.0)).astype(jnp.int32)


def notice(s: State, law: Law, instance: jax.Array) -> State:
    """The instance looks at its queue: now if it idles, else after the step that is under way."""
    one: Instances = s.instances
    role = at(one.role, instance)
    idle = at(one.until_s, instance) == NEVER
    awake = jnp.maximum(s.now_s, at(one.ready_s, instance))
    full = at(one.decoding, instance) + at(one.prompts, instance) >= at(law.sequences, role)
    cut = (~idle) & (at(one.steps, instance) > 1) & (~full)

    def start(s: State) -> State:
        return replace(
            s,
            instances=put_at(
                s.instances, instance, until_s=awake, since_s=awake, steps=0, advance=0
            ),
        )

    def shorten(s: State) -> State:
        one = s.instances
        first_s, more_s = at(one.first_s, instance), at(one.more_s, instance)
        since_s = at(one.since_s, instance)
        steps = steps_until(s.now_s - since_s, first_s, more_s)
        shorter = steps < at(one.steps, instance)
        steps = jnp.minimum(steps, at(one.steps, instance))
        until = jnp.where(
            shorter, since_s + elapsed_s(steps, first_s, more_s), at(one.until_s, instance)
        )
        return replace(
            s, instances=put_at(one, instance, until_s=until, steps=steps, advance=steps)
        )

    return once(cut, shorten, once(idle, start, s))


def decode_step_s(law: Law, role: jax.Array, count: jax.Array, context: jax.Array):
    """Time of the next decode step, what each later one has more, and steps to the next knee."""
    knots = row(law.knots, role)
    mean = context / jnp.maximum(count, 1)
    piece = jnp.maximum(jnp.sum(knots <= mean).astype(jnp.int32) - 1, 0)
    base = inner_cell(law.decode_s, role, count, piece)
    slope = inner_cell(law.decode_slope, role, count, piece)
    gain = at(law.gain, role)
    more = slope * gain * count
    last = piece + 1 >= knots.shape[0]
    knee = at(knots, jnp.minimum(piece + 1, knots.shape[0] - 1))
    steps = jnp.ceil((knee - mean) / gain)
    return base + slope * context, more, jnp.where(last, 1e9, jnp.maximum(steps, 1.0))


def pass_s(law: Law, role: jax.Array, tokens: jax.Array, pairs: jax.Array):
    """Time of a pass over prompt tokens of a rank, by linear interpolation between its knots."""
    knots = row(law.pass_tokens, role)
    size = knots.shape[0]
    low = jnp.clip(jnp.sum(knots <= tokens).astype(jnp.int32) - 1, 0, size - 2)
    left, right = at(knots, low), at(knots, low + 1)
    share = (tokens - left) / (right - left)

    def between(values: jax.Array):
        ladder = row(values, role)
        return at(ladder, low) + share * (at(ladder, low + 1) - at(ladder, low))

    return between(law.pass_s) + between(law.pass_slope) * pairs
