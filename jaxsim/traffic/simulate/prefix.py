"""Which prefix blocks does an instance hold, and which does it evict?

Least recently used blocks are moved from HBM to host memory, and evicted from host memory. The log
of touches is in that order, so two positions in it tell where a block is (the stack property of
LRU): in HBM after the first, in host memory after the second.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.traffic.simulate.records import Cache, Client, State
from jaxsim.traffic.simulate.scalars import at, cell, put_at, set_at, set_cell


def held(cache: Cache, request: jax.Array, instance: jax.Array):
    """How many leading blocks of a request are in HBM, and how many in HBM or host memory."""
    first, end = at(cache.start, request), at(cache.start, request + 1)

    def run(tail: jax.Array):
        def there(place: jax.Array):
            block = at(cache.ids, jnp.minimum(place, cache.ids.shape[0] - 1))
            touched = cell(cache.last, instance, block)
            return (place < end) & (touched > tail)

        return lax.while_loop(there, lambda place: place + 1, first) - first

    return run(at(cache.hbm_tail, instance)), run(at(cache.host_tail, instance))


def hit_tokens(s: State, client: Client, attempt: jax.Array, instance: jax.Array):
    """Prompt tokens found, in HBM and in all; at least one token is always computed."""
    request = at(s.attempts.origin, attempt)
    hbm, both = held(s.cache, request, instance)
    most = at(s.attempts.isl, attempt) - 1
    return (
        jnp.minimum(hbm * client.prefix_tokens, most),
        jnp.minimum(both * client.prefix_tokens, most),
    )


def touch(cache: Cache, request: jax.Array, instance: jax.Array) -> Cache:
    """All blocks of a request are held, its first ones most recently used."""
    first, end = at(cache.start, request), at(cache.start, request + 1)

    def one(carry: tuple[jax.Array, Cache]):
        place, cache = carry
        block = at(cache.ids, place)
        before = cell(cache.last, instance, block)
        stamp = at(cache.stamp, instance)
        return place - 1, replace(
            cache,
            last=set_cell(cache.last, instance, block, stamp),
            log=set_cell(cache.log, instance, stamp, block),
            stamp=set_at(cache.stamp, instance, stamp + 1),
            hbm_count=set_at(
                cache.hbm_count,
                instance,
                at(cache.hbm_count, instance) + (before <= at(cache.hbm_tail, instance)),
            ),
            host_count=set_at(
                cache.host_count,
                instance,
                at(cache.host_count, instance) + (before <= at(cache.host_tail, instance)),
            ),
        )

    return lax.while_loop(lambda c: c[0] >= first, one, (end - 1, cache))[1]


def evict(
    cache: Cache, instance: jax.Array, hbm_blocks: jax.Array, host_blocks: jax.Array
) -> Cache:
    """The least recently used blocks beyond the room leave."""

    def shrink(cache: Cache, tail: str, count: str, room: jax.Array) -> Cache:
        def over(cache: Cache):
            return at(getattr(cache, count), instance) > room

        def drop(cache: Cache):
            place = at(getattr(cache, tail), instance) + 1
            block = cell(cache.log, instance, place)
            newest = cell(cache.last, instance, block) == place
            return put_at(
                cache,
                instance,
                **{tail: place, count: at(getattr(cache, count), instance) - newest},
            )

        return lax.while_loop(over, drop, cache)

    cache = shrink(cache, "hbm_tail", "hbm_count", hbm_blocks)
    return shrink(cache, "host_tail", "host_count", hbm_blocks + host_blocks)
