"""How does a process get the compiled event loop: from an earlier one, or by compiling it once?"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import jax
import numpy as np

from jaxsim.space.grid import executables
from jaxsim.space.program.cache import cached
from jaxsim.traffic.simulate.loop import OPTIONS, as_one, run_until
from jaxsim.traffic.simulate.records import Client, Law, Links, Shape, State

# Requests that arrive in the run which an executable is tried on before it is kept.
TRIAL = 256


# The event loop of one shape: the state once every event before `stop_s` has happened.
Loop: TypeAlias = Callable[[State, Law, Links, Client], State]


@cached
def loop_of(shape: Shape, types: tuple[tuple[str, tuple[int, ...]], ...]) -> list[Loop]:
    """Where the loop of a shape and of types of its arguments is held, once there is one."""
    del shape, types
    return []


def run_compiled(s: State, law: Law, links: Links, client: Client, shape: Shape) -> State:
    """`run_until`, by an executable that is kept between processes where programs are."""
    arguments = (s, law, links, client)
    types = tuple((str(x.dtype), x.shape) for x in jax.tree.leaves(arguments))
    held = loop_of(shape, types)
    if not held:
        held.append(_found(arguments, shape))
    return held[0](*arguments)


def _found(arguments: tuple[State, Law, Links, Client], shape: Shape) -> Loop:
    path = executables.path_for("loop", [list(shape)], arguments)
    if path is None:
        return partial(run_until, shape=shape)
    kept = executables.read(path)
    if kept is not None:
        return kept  # type: ignore[return-value]

    def loop(s: State, law: Law, links: Links, client: Client) -> State:
        return as_one(s, law, links, client, shape)

    # A name that no other has keeps it out of JAX's own cache, from which none can be written.
    loop.__name__ = loop.__qualname__ = f"{path.stem.replace('-', '_')}_{uuid.uuid4().hex}"
    compiled = jax.jit(loop, donate_argnums=0, compiler_options=OPTIONS).lower(*arguments).compile()
    content = executables.content_of(compiled)
    state, *rest = jax.tree.map(np.asarray, arguments)
    times = state.attempts.arrival_s[: shape.requests]
    trial = (replace(state, stop_s=np.float64(times[min(TRIAL, len(times) - 1)])), *rest)
    executables.write(path, content, trial, jax.block_until_ready(compiled(*trial)))
    return compiled  # type: ignore[return-value]
