"""Which prefix blocks does an instance hold, which do requests share, and which does it evict?

Blocks of running requests are held once, however many requests begin with them, and stay. When the
last of these leaves, its blocks are the most recently used of a cache in the memory that is free.
Least recently used blocks are moved from HBM to host memory, and evicted from host memory. The log
of releases is in that order, so two positions in it tell where a block is (the stack property of
LRU): in HBM after the first, in host memory after the second.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.traffic.simulate.records import Cache, Client, Shape, State
from jaxsim.traffic.simulate.scalars import add_at, at, cell, once, put_at, set_cell


def held(cache: Cache, request: jax.Array, instance: jax.Array):
    """How many leading blocks of a request are in HBM, and how many in HBM or host memory."""
    first, end = at(cache.start, request), at(cache.start, request + 1)

    def run(tail: jax.Array):
        def there(place: jax.Array):
            block = at(cache.ids, jnp.minimum(place, cache.ids.shape[0] - 1))
            touched, users = cell(cache.last, instance, block), cell(cache.users, instance, block)
            return (place < end) & ((touched > tail) | (users > 0))

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


def _own(
    s: State, client: Client, attempt: jax.Array, place: jax.Array, block: jax.Array
) -> jax.Array:
    """Blocks of the engine's memory that a prefix block of a request takes; the last is short."""
    before = (place - at(s.cache.start, at(s.attempts.origin, attempt))) * client.prefix_tokens
    tokens = jnp.minimum(client.prefix_tokens, at(s.attempts.isl, attempt) - before)
    return jnp.floor(jnp.maximum(tokens, 0.0) / block).astype(jnp.int32)


def _places(s: State, attempt: jax.Array) -> tuple[jax.Array, jax.Array]:
    request = at(s.attempts.origin, attempt)
    return at(s.cache.start, request), at(s.cache.start, request + 1)


def shared_blocks(s: State, attempt: jax.Array, instance: jax.Array) -> jax.Array:
    """Blocks of the engine's memory that running requests hold for this one as well."""
    first, end = _places(s, attempt)

    def there(carry: tuple[jax.Array, jax.Array]):
        place = carry[0]
        number = at(s.cache.ids, jnp.minimum(place, s.cache.ids.shape[0] - 1))
        return (place < end) & (cell(s.cache.users, instance, number) > 0)

    def count(carry: tuple[jax.Array, jax.Array]):
        place, blocks = carry
        number = at(s.cache.ids, place)
        return place + 1, blocks + cell(s.cache.sizes, instance, number)

    return lax.while_loop(there, count, (first, jnp.int32(0)))[1]


def pin(
    s: State, client: Client, attempt: jax.Array, instance: jax.Array, block: jax.Array
) -> State:
    """The blocks of a request that begins are in use: no cache may evict them."""
    first, end = _places(s, attempt)

    def one(carry: tuple[jax.Array, Cache]):
        place, cache = carry
        number = at(cache.ids, place)
        users, before = cell(cache.users, instance, number), cell(cache.last, instance, number)
        own = jnp.where(
            users > 0,
            cell(cache.sizes, instance, number),
            _own(s, client, attempt, place, block),
        )
        counts = add_at(
            cache,
            instance,
            shared=jnp.where(users > 0, own, 0),
            hbm_count=-jnp.where(before > at(cache.hbm_tail, instance), 1, 0),
            host_count=-jnp.where(before > at(cache.host_tail, instance), 1, 0),
        )
        return place + 1, replace(
            counts,
            users=set_cell(cache.users, instance, number, users + 1),
            sizes=set_cell(cache.sizes, instance, number, own),
            last=set_cell(cache.last, instance, number, 0),
        )

    return replace(s, cache=lax.while_loop(lambda c: c[0] < end, one, (first, s.cache))[1])


def release(s: State, attempt: jax.Array, instance: jax.Array) -> State:
    """A request no longer uses its blocks; what nobody uses is cached, its first ones longest."""
    first, end = _places(s, attempt)

    def one(carry: tuple[jax.Array, Cache]):
        place, cache = carry
        number = at(cache.ids, place)
        left = cell(cache.users, instance, number) - 1
        own = cell(cache.sizes, instance, number)
        stamp, free = at(cache.stamp, instance), left == 0
        counts = add_at(
            cache,
            instance,
            shared=-jnp.where(free, 0, own),
            stamp=jnp.where(free, 1, 0),
            hbm_count=jnp.where(free, 1, 0),
            host_count=jnp.where(free, 1, 0),
        )
        return place - 1, replace(
            counts,
            users=set_cell(cache.users, instance, number, left),
            last=set_cell(cache.last, instance, number, jnp.where(free, stamp, 0)),
            log=set_cell(cache.log, instance, stamp % cache.log.shape[1], number),
        )

    return replace(s, cache=lax.while_loop(lambda c: c[0] >= first, one, (end - 1, s.cache))[1])


def freed(
    s: State, shape: Shape, attempt: jax.Array, instance: jax.Array, flag: jax.Array
) -> State:
    """The prefix blocks of an attempt are no longer in its use, where the flag says so."""
    if not shape.unique_blocks:
        return s
    return once(flag, lambda s: release(s, attempt, instance), s)


def evict(
    cache: Cache, instance: jax.Array, hbm_blocks: jax.Array, host_blocks: jax.Array
) -> Cache:
    """The least recently used blocks beyond the room leave, and those beyond what the log holds.

    Between two calls, at most the blocks of all requests are written to the log.
    """
    size = cache.log.shape[1]
    most = size - cache.ids.shape[0] - 1

    def shrink(cache: Cache, tail: str, count: str, room: jax.Array) -> Cache:
        def over(cache: Cache):
            written = at(cache.stamp, instance) - at(getattr(cache, tail), instance)
            return (at(getattr(cache, count), instance) > room) | (written > most)

        def drop(cache: Cache):
            place = at(getattr(cache, tail), instance) + 1
            block = cell(cache.log, instance, place % size)
            newest = cell(cache.last, instance, block) == place
            return put_at(
                cache,
                instance,
                **{tail: place, count: at(getattr(cache, count), instance) - newest},
            )

        return lax.while_loop(over, drop, cache)

    cache = shrink(cache, "hbm_tail", "hbm_count", hbm_blocks)
    return shrink(cache, "host_tail", "host_count", hbm_blocks + host_blocks)
