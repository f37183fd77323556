"""What does an instance do between the end of one step and that of the next?

Prompts that were processed have their first token; sequences that ended leave; then a batch is
formed: every decoding sequence (the latest ones are preempted where blocks run out), the prompts
that are partly processed, and requests from the queue, as far as tokens, places and blocks allow.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.traffic.simulate.admit import admit, continue_prompts, nothing_given
from jaxsim.traffic.simulate.leave import end_passes, end_sequences, free_slot
from jaxsim.traffic.simulate.queue import decode_step_s, elapsed_s, pass_s, push_front
from jaxsim.traffic.simulate.records import (
    GAP_BINS,
    GAP_HIGH_S,
    GAP_LOW_S,
    NEVER,
    Client,
    Law,
    Links,
    Shape,
    State,
)
from jaxsim.traffic.simulate.scalars import (
    add_at,
    at,
    ceil_div,
    put_at,
    row,
    set_at,
    whole_blocks,
)


def boundary(
    s: State, law: Law, links: Links, client: Client, shape: Shape, instance: jax.Array
) -> State:
    """A step or macro-step of an instance ends, and its next one begins."""
    s = advance(s, law, instance)
    s = end_passes(s, law, links, client, shape, instance)
    s = end_sequences(s, law, client, shape, instance)
    return form(s, law, client, shape, instance)


def gap_bin(gap_s: jax.Array):
    """The bin of a gap between tokens: equal steps of its logarithm."""
    share = jnp.log(jnp.maximum(gap_s, GAP_LOW_S) / GAP_LOW_S) / jnp.log(GAP_HIGH_S / GAP_LOW_S)
    return jnp.clip((share * GAP_BINS).astype(jnp.int32), 0, GAP_BINS - 1)


def advance(s: State, law: Law, instance: jax.Array) -> State:
    """What the steps under way have done: sequences are longer, time was spent."""
    one = s.instances
    count, steps = at(one.decoding, instance), at(one.advance, instance)
    gain = at(law.gain, at(one.role, instance))
    tokens = gain * count * steps
    spent_s = s.now_s - at(one.since_s, instance)
    spent_s = jnp.where(at(one.steps, instance) > 0, spent_s, 0.0)
    passing_s = at(one.passing_s, instance)
    pause_s = at(one.pause_s, instance)
    each_s = spent_s / jnp.maximum(steps, 1)
    paused = (count > 0) & (steps == 0)
    first, rest = gap_bin(each_s + pause_s), gap_bin(each_s)
    moved = steps > 0
    gaps = set_at(s.gaps, first, at(s.gaps, first) + jnp.where(moved, gain * count, 0.0))
    gaps = set_at(gaps, rest, at(gaps, rest) + jnp.where(moved, tokens - gain * count, 0.0))
    one = add_at(
        one,
        instance,
        step=steps,
        context=tokens,
        tokens=tokens,
        prefill_busy_s=passing_s,
        decode_busy_s=spent_s - passing_s,
        stalled_token_s=count * passing_s,
    )
    one = put_at(
        one,
        instance,
        pause_s=jnp.where(paused, pause_s + spent_s, jnp.where(moved, 0.0, pause_s)),
        passing_s=0.0,
        steps=0,
        advance=0,
        last_s=s.now_s,
    )
    return replace(s, instances=one, gaps=gaps)


def blocks_decoding(s: State, law: Law, shape: Shape, instance: jax.Array):
    r"""Blocks of the decoding sequences once their next step is done.

    Of n whole contexts $x$, with $c_r$ of them $\equiv r$ modulo a block of b tokens,
    $\sum \lceil x / b \rceil = (\sum x + n(b-1) - \sum_r c_r\,((r + b - 1) \bmod b)) / b$.
    """
    one = s.instances
    role = at(one.role, instance)
    gain, size = at(law.gain, role), at(law.block_tokens, role)
    if shape.phases:
        count = at(one.decoding, instance)
        ahead = (gain * (at(one.step, instance) + 1.0)).astype(jnp.int32) + shape.phases - 1
        rest = (lax.iota(jnp.int32, shape.phases) + ahead) % shape.phases
        over = jnp.sum(row(s.slots.phase, instance) * rest)
        tokens = at(one.context, instance) + (gain + shape.phases - 1.0) * count
        needed = jnp.round((tokens - over) / shape.phases).astype(jnp.int32)
        reserves = at(law.reserves, role) > 0.5
        return jnp.where(reserves, at(one.reserved, instance), needed)
    after = row(s.slots.base, instance) + gain * (at(one.step, instance) + 1.0)
    needed = whole_blocks(after, size)
    reserved = row(s.slots.reserved, instance) * jnp.where(at(law.reserves, role) > 0.5, 1.0, 0.0)
    taken = lax.iota(jnp.int32, needed.shape[0]) < at(one.decoding, instance)
    return jnp.sum(jnp.where(taken, jnp.maximum(needed, reserved), 0.0)).astype(jnp.int32)


def preempt(s: State, law: Law, shape: Shape, instance: jax.Array, free: jax.Array):
    """The latest sequences go back to the queue until the others' next step finds blocks."""
    role = at(s.instances.role, instance)
    gain, size = at(law.gain, role), at(law.block_tokens, role)

    def short(carry: tuple[State, jax.Array, jax.Array]):
        s, free, _ = carry
        return (free < 0) & (at(s.instances.decoding, instance) > 0)

    def drop(carry: tuple[State, jax.Array, jax.Array]):
        s, free, _ = carry
        one = s.instances
        stamps = row(s.slots.stamp, instance)
        place = lax.iota(jnp.int64, stamps.shape[0])
        taken = place < at(one.decoding, instance)
        key = jnp.max(jnp.where(taken, stamps.astype(jnp.int64) * stamps.shape[0] + place, -1))
        latest = (key % stamps.shape[0]).astype(jnp.int32)
        step = at(one.step, instance)
        before = at(s.cache.shared, instance)
        s, gone = free_slot(s, law, shape, instance, latest)
        still = before - at(s.cache.shared, instance)  # that others use as well
        attempt, context, left = gone.attempt, gone.base + gain * step, gone.end - step
        reserved = jnp.where(at(law.reserves, role) > 0.5, gone.reserved, 0)
        blocks = jnp.maximum(ceil_div(context + gain, size), reserved)
        longer = ceil_div(context, 1.0) + 1
        attempts = put_at(
            s.attempts, attempt, size=longer, need=longer, rest=longer, past=0, left=left - 1
        )
        attempts = add_at(attempts, attempt, preempted=1)
        s = replace(s, attempts=attempts, instances=add_at(s.instances, instance, work=longer))
        return push_front(s, attempt, instance), free + blocks - still, jnp.asarray(True)

    return lax.while_loop(short, drop, (s, free, jnp.asarray(False)))


def form(s: State, law: Law, client: Client, shape: Shape, instance: jax.Array) -> State:
    """The next batch, and how long it lasts."""
    role = at(s.instances.role, instance)
    total = at(law.blocks, role).astype(jnp.int32)
    one = s.instances
    free = (
        total
        - at(one.prompt_blocks, instance)
        - at(one.held_blocks, instance)
        - blocks_decoding(s, law, shape, instance)
        + at(s.cache.shared, instance)
    )
    s, free, short = preempt(s, law, shape, instance, free)
    budget = (at(law.budget, role)).astype(jnp.int32) - at(s.instances.decoding, instance)
    given = nothing_given(budget)
    s, given = continue_prompts(s, law, role, instance, given)
    s, given, free = admit(s, law, client, shape, role, instance, given, free, short)
    return start(s, law, role, instance, given, free, short)


def start(
    s: State,
    law: Law,
    role: jax.Array,
    instance: jax.Array,
    given: tuple[jax.Array, ...],
    free: jax.Array,
    short: jax.Array,
) -> State:
    """The step or macro-step begins; an instance with nothing to do idles."""
    one = s.instances
    _, tokens, most, pairs, most_pairs, load_s = given
    count = at(one.decoding, instance)
    step = at(one.step, instance)
    ranks, stretch = at(law.ranks, role), at(law.stretch, role)
    passing = tokens > 0.0
    decodes = count > 0
    # In one step with decoded tokens, a pass takes what its own tokens add: weights are read once.
    decoded = jnp.where(at(law.mixes, role) > 0.5, count / ranks, 0.0)
    size, own = jnp.maximum(tokens / ranks, most), jnp.maximum(pairs / ranks, most_pairs)
    shared_s = jnp.where(decoded > 0.0, pass_s(law, role, decoded, jnp.zeros_like(own)), 0.0)
    whole_s = pass_s(law, role, size + decoded, own) - shared_s
    first_s, more_s, knee = decode_step_s(law, role, count, at(one.context, instance))
    mixes = at(law.mixes, role) > 0.5
    passing_s = jnp.where(passing, stretch * whole_s + load_s, 0.0)
    first_s = jnp.where(decodes & (mixes | ~passing), first_s, 0.0)
    # A macro-step ends where a sequence does, at a knee, and before blocks can run out.
    soonest = jnp.min(row(s.slots.soonest, instance)) - step
    spare = jnp.floor(free / jnp.maximum(count, 1))
    safe = jnp.floor(at(law.block_tokens, role) * spare / at(law.gain, role)) + 1.0
    steps = jnp.minimum(jnp.minimum(soonest * 1.0, knee), jnp.maximum(safe, 1.0))
    # Where one was preempted, none was admitted: the next step may admit.
    steps = jnp.where(passing | short, 1.0, jnp.maximum(steps, 1.0)).astype(jnp.int32)
    advance = jnp.where(decodes & (mixes | ~passing), steps, 0)
    busy = passing | decodes
    lasts_s = jnp.where(passing, passing_s + first_s, elapsed_s(steps, first_s, more_s))
    one = put_at(
        one,
        instance,
        until_s=jnp.where(busy, s.now_s + lasts_s, NEVER),
        since_s=s.now_s,
        steps=jnp.where(busy, steps, 0),
        advance=advance,
        first_s=first_s,
        more_s=more_s,
        passing_s=passing_s,
        extra_s=jnp.where(passing, (1.0 - stretch) * whole_s, 0.0),
    )
    return replace(s, instances=one)
