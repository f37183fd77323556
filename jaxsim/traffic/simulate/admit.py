"""Which prompts get tokens of the next step, and which requests are admitted to it?"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.traffic.simulate.leave import take_slot
from jaxsim.traffic.simulate.prefix import evict, hit_tokens, pin, shared_blocks
from jaxsim.traffic.simulate.queue import pop
from jaxsim.traffic.simulate.records import DECODE, GIVEN_UP, Cache, Client, Law, Shape, State
from jaxsim.traffic.simulate.scalars import add_at, at, ceil_div, once, put_at


def nothing_given(budget: jax.Array):
    """What a step's prompts get: budget left, tokens, most of one, pairs, most of one, seconds."""
    zero = jnp.asarray(0.0, jnp.float64)
    return (budget, zero, zero, zero, zero, zero)


def grant(s: State, law: Law, role: jax.Array, attempt: jax.Array, given: tuple[jax.Array, ...]):
    """The attempt's next chunk: no more than is left of it, of a chunk and of the budget."""
    budget, tokens, most, pairs, most_pairs, load_s = given
    rest, past = at(s.attempts.rest, attempt), at(s.attempts.past, attempt)
    size = jnp.minimum(jnp.minimum(rest, at(law.chunk, role).astype(jnp.int32)), budget)
    own = size * (past + 0.5 * size)
    attempts = put_at(s.attempts, attempt, rest=rest - size, past=past + size)
    return replace(s, attempts=attempts), (
        budget - size,
        tokens + size,
        jnp.maximum(most, size * 1.0),
        pairs + own,
        jnp.maximum(most_pairs, own),
        load_s,
    )


def continue_prompts(
    s: State, law: Law, role: jax.Array, instance: jax.Array, given: tuple[jax.Array, ...]
):
    """Prompts that are partly processed go on, in the order in which they were admitted."""

    def more(carry: tuple[jax.Array, State, tuple[jax.Array, ...]]):
        attempt, _, given = carry
        return (attempt >= 0) & (given[0] > 0)

    def one(carry: tuple[jax.Array, State, tuple[jax.Array, ...]]):
        attempt, s, given = carry
        s, given = grant(s, law, role, attempt, given)
        return at(s.attempts.next, attempt), s, given

    head = at(s.instances.pass_head, instance)
    return lax.while_loop(more, one, (head, s, given))[1:]


def admit(
    s: State,
    law: Law,
    client: Client,
    shape: Shape,
    role: jax.Array,
    instance: jax.Array,
    given: tuple[jax.Array, ...],
    free: jax.Array,
    short: jax.Array,
):
    """Requests from the queue join, first come first served."""
    size, gain = at(law.block_tokens, role), at(law.gain, role)
    reserves = at(law.reserves, role) > 0.5
    places = at(law.sequences, role).astype(jnp.int32)
    caches = role != DECODE

    def blocks_of(s: State, attempt: jax.Array):
        context = at(s.attempts.size, attempt) * 1.0
        moving = jnp.where(at(s.attempts.need, attempt) == 0, gain, 0.0)
        all_of = context + gain * at(s.attempts.left, attempt)
        return ceil_div(jnp.where(reserves, all_of, context + moving), size)

    def shared_of(s: State, attempt: jax.Array) -> jax.Array:
        """What running requests hold for this one as well."""
        if not shape.unique_blocks:
            return jnp.int32(0)
        shared = shared_blocks(s, attempt, instance)
        return jnp.where((at(s.attempts.need, attempt) > 0) & caches, shared, 0)

    def able(carry: tuple[State, tuple[jax.Array, ...], jax.Array]):
        s, given, free = carry
        attempt = at(s.instances.head, instance)
        gone = at(s.attempts.status, attempt) == GIVEN_UP
        one = s.instances
        room = at(one.decoding, instance) + at(one.prompts, instance) < places
        fits = room & (given[0] > 0) & (~short)
        fits &= blocks_of(s, attempt) - shared_of(s, attempt) <= free
        return (attempt >= 0) & (gone | fits)

    def join(carry: tuple[State, tuple[jax.Array, ...], jax.Array]):
        s, given, free = carry
        s, attempt = pop(s, instance)
        gone = at(s.attempts.status, attempt) == GIVEN_UP
        need = at(s.attempts.need, attempt)
        instances = add_at(s.instances, instance, work=-need, assigned=-jnp.where(gone, 1, 0))
        blocks = jnp.where(gone, 0, blocks_of(s, attempt))
        s = replace(s, instances=instances)
        after = free - blocks + jnp.where(gone, 0, shared_of(s, attempt))

        def decode(carry: tuple[State, tuple[jax.Array, ...]]):
            s, given = carry
            s = replace(s, attempts=put_at(s.attempts, attempt, blocks=blocks))
            return take_slot(s, law, shape, attempt, instance), (given[0] - 1, *given[1:])

        def process(carry: tuple[State, tuple[jax.Array, ...]]):
            s, given = carry
            attempts = put_at(
                s.attempts,
                attempt,
                scheduled_s=jnp.minimum(at(s.attempts.scheduled_s, attempt), s.now_s),
                blocks=blocks,
            )
            s = replace(s, attempts=attempts)
            if shape.unique_blocks:

                def look(carry: tuple[State, tuple[jax.Array, ...]]):
                    return use_cache(*carry, law, client, role, instance, attempt, free, after)

                s, given = once(caches, look, (s, given))
            s = append_pass(s, instance, attempt, blocks)
            return grant(s, law, role, attempt, given)

        s, given = once((~gone) & (need == 0), decode, (s, given))
        s, given = once((~gone) & (need > 0), process, (s, given))
        return s, given, after

    return lax.while_loop(able, join, (s, given, free))


def use_cache(
    s: State,
    given: tuple[jax.Array, ...],
    law: Law,
    client: Client,
    role: jax.Array,
    instance: jax.Array,
    attempt: jax.Array,
    free: jax.Array,
    after: jax.Array,
):
    """What of a prompt is held already need not be processed; its blocks are in use.

    `free` blocks of memory are left for the cache before it begins, and then those of `after`.
    """
    size = at(law.block_tokens, role)

    def fitting(cache: Cache, free: jax.Array) -> Cache:
        room = jnp.floor(jnp.maximum(free, 0) * size / client.prefix_tokens)
        return evict(cache, instance, room.astype(jnp.int32), client.host_blocks.astype(jnp.int32))

    s = replace(s, cache=fitting(s.cache, free))
    hbm, both = hit_tokens(s, client, attempt, instance)
    both = both.astype(jnp.int32)
    first = at(s.attempts.preempted, attempt) == 0
    attempts = put_at(
        s.attempts,
        attempt,
        rest=at(s.attempts.need, attempt) - both,
        past=both,
        hit=jnp.where(first, both, at(s.attempts.hit, attempt)),
    )
    s = pin(replace(s, attempts=attempts), client, attempt, instance, size)
    load_s = given[5] + (both - hbm) * client.load_token_s
    return replace(s, cache=fitting(s.cache, after)), (*given[:5], load_s)


def append_pass(s: State, instance: jax.Array, attempt: jax.Array, blocks: jax.Array) -> State:
    """The attempt is the last of the prompts in passes."""
    tail = at(s.instances.pass_tail, instance)
    empty = tail < 0
    dummy = s.attempts.next.shape[0] - 1
    attempts = put_at(s.attempts, jnp.where(empty, dummy, tail), next=attempt)
    attempts = put_at(attempts, attempt, next=-1)
    head = jnp.where(empty, attempt, at(s.instances.pass_head, instance))
    one = put_at(s.instances, instance, pass_head=head, pass_tail=attempt)
    one = add_at(one, instance, prompts=1, prompt_blocks=blocks)
    return replace(s, attempts=attempts, instances=one)
