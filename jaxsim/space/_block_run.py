"""How is one block of a grid run, in whichever thread?"""

import contextlib
import importlib
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax

from jaxsim.space._nest import Nest, walk


def context_of_caller() -> Callable[[], contextlib.AbstractContextManager]:
    """The precision of the calling thread, to be entered in others."""
    wide = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def context():
        if bool(jax.config.jax_enable_x64) == wide:  # type: ignore[attr-defined]
            yield
        else:
            home = (
                jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
            )
            scope: Any = home.enable_x64
            with scope(wide):
                yield

    return context


@lru_cache(maxsize=256)
def run_before(nest: Nest, reducer, wide: bool) -> list[bool]:
    """Something in it if blocks like these have been run before."""
    del nest, reducer, wide
    return []


@partial(jax.jit, static_argnums=(0, 1))
def run_block(nest: Nest, reducer, part, true):
    """What `reducer` keeps of a block, from what is known before it: `part`, of `nest.given`."""
    known = dict(zip(nest.given, part, strict=True))
    body = partial(reducer, nest, true)
    return walk(nest, known, body, reducer.like(), reducer.start(nest), true)
