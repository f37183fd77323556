"""When is a prompt's cache where it is decoded, and how busy are the links?

A prompt's cache is sent over the link of its prefill instance and that of its decode instance, in
the order in which prompts finish. Each link sends one cache after another, at its own rate.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from jaxsim.traffic.simulate.prefix import freed
from jaxsim.traffic.simulate.queue import enqueue, notice
from jaxsim.traffic.simulate.records import (
    DECODE,
    LOST,
    NEVER,
    NOBODY,
    Law,
    Links,
    Shape,
    State,
)
from jaxsim.traffic.simulate.route import first_least
from jaxsim.traffic.simulate.scalars import add_at, after, at, ceil_div, once, put_at


def transfer_s(links: Links, tokens: jax.Array):
    """Time of sending the cache of a prompt over free links."""
    segments = ceil_div(tokens, links.segment_tokens)
    return tokens * links.token_s + segments * links.segment_s


def send(
    s: State, links: Links, attempt: jax.Array, source: jax.Array, passed_s: jax.Array
) -> State:
    """The cache of a prompt whose last pass ends at `passed_s` is booked on both links."""
    one = s.instances
    able = (one.role == DECODE) & one.open
    ready = able & (one.ready_s <= s.now_s)
    least = first_least(one.assigned.astype(jnp.float64), ready)
    target = jnp.where(jnp.any(ready), least, first_least(one.ready_s, able))
    nobody = ~jnp.any(able)
    seconds = transfer_s(links, at(s.attempts.size, attempt))
    streamed = links.streamed > 0.5
    earliest_s = jnp.where(streamed, at(s.attempts.scheduled_s, attempt), passed_s + links.setup_s)
    free_s = jnp.maximum(at(one.link_out_s, source), at(one.link_in_s, target))
    start_s = jnp.maximum(earliest_s, free_s)
    last_s = jnp.where(streamed, passed_s + seconds / links.layers + links.setup_s, passed_s)
    end_s = jnp.maximum(start_s + seconds, last_s)
    tail = at(one.send_tail, source)
    empty = at(one.send_head, source) < 0
    dummy = s.attempts.next.shape[0] - 1
    before_s = jnp.where(empty, 0.0, at(s.attempts.sent_s, jnp.where(empty, dummy, tail)))
    end_s = jnp.maximum(end_s, before_s)  # a sender's transfers arrive in their order

    def book(s: State) -> State:
        attempts = put_at(s.attempts, jnp.where(empty, dummy, tail), next=attempt)
        attempts = put_at(
            attempts, attempt, next=NOBODY, sent_s=end_s, decoder=target, need=0, past=0
        )
        one = put_at(
            s.instances,
            source,
            send_head=jnp.where(empty, attempt, at(s.instances.send_head, source)),
            send_tail=attempt,
            send_s=jnp.where(empty, end_s, at(s.instances.send_s, source)),
            link_out_s=start_s + seconds * links.out_frac,
        )
        one = add_at(one, source, out_busy_s=seconds * links.out_frac)
        one = put_at(one, target, link_in_s=start_s + seconds * links.in_frac)
        one = add_at(one, target, in_busy_s=seconds * links.in_frac, assigned=1)
        return replace(s, attempts=attempts, instances=one)

    def lose(s: State) -> State:
        one = add_at(s.instances, source, held_blocks=-at(s.attempts.blocks, attempt))
        return replace(
            s,
            instances=one,
            attempts=put_at(s.attempts, attempt, status=LOST, finished_s=s.now_s),
        )

    return once(nobody, lose, once(~nobody, book, s))


def received(s: State, law: Law, shape: Shape, source: jax.Array) -> State:
    """The first cache under way from an instance has arrived: decode may start, memory is free."""
    attempt = at(s.instances.send_head, source)
    behind = at(s.attempts.next, attempt)
    attempt = after(attempt, behind)
    empty = behind < 0
    dummy = s.attempts.next.shape[0] - 1
    one = put_at(
        s.instances,
        source,
        send_head=behind,
        send_tail=jnp.where(empty, NOBODY, at(s.instances.send_tail, source)),
        send_s=jnp.where(empty, NEVER, at(s.attempts.sent_s, jnp.where(empty, dummy, behind))),
        held_blocks=at(s.instances.held_blocks, source) - at(s.attempts.blocks, attempt),
    )
    target = at(s.attempts.decoder, attempt)
    s = replace(s, instances=one)
    s = freed(s, shape, attempt, source, jnp.asarray(True))
    s = notice(enqueue(s, attempt, target), law, target)
    waits = at(s.instances.head, source) >= 0
    return once(waits, lambda s: notice(s, law, source), s)
