"""How is one block of a grid run?"""

from functools import lru_cache, partial

import jax

from jaxsim.space._nest import Nest, walk


@lru_cache(maxsize=256)
def run_before(nest: Nest, reducer, bits64: bool) -> list[bool]:
    """Something in it if blocks like these have been run before, in this precision."""
    del nest, reducer, bits64
    return []


@partial(jax.jit, static_argnums=(0, 1))
def run_block(nest: Nest, reducer, part, true):
    """What `reducer` keeps of a block, from what is known before it: `part`, of `nest.given`."""
    known = dict(zip(nest.given, part, strict=True))
    body = partial(reducer, nest, true)
    return walk(nest, known, body, reducer.like(), reducer.start(nest), true)
