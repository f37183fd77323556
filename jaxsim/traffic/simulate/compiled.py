"""How does a process get the compiled event loop: from an earlier one, or by compiling it once?

There are two forms with the same results, bit for bit. One is compiled in half of the time and runs
a request in four times as long: it serves until so many requests have been simulated, or are about
to be, that the other pays for itself.
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import jax
import numpy as np

from jaxsim.space.grid import executables
from jaxsim.space.program.cache import cached
from jaxsim.traffic.simulate.loop import OPTIONS, QUICKLY, as_one, run_quickly, run_until
from jaxsim.traffic.simulate.records import Client, Law, Links, Shape, State

# Requests that arrive in the run which an executable is tried on before it is kept.
TRIAL = 256
# From so many requests on the optimised form is compiled: 3 s more, and 0.02 s less a thousand.
MANY_REQUESTS = 150_000


# The event loop of one shape: the state once every event before `stop_s` has happened.
Loop: TypeAlias = Callable[[State, Law, Links, Client], State]
Arguments: TypeAlias = tuple[State, Law, Links, Client]


@dataclass
class Forms:
    """The forms of a loop that this process has, and the requests of the runs it was asked for."""

    requests: int = 0
    by_kind: dict[str, Loop] = field(default_factory=dict[str, Loop])
    lock: threading.Lock = field(default_factory=threading.Lock)


@cached
def forms_of(shape: Shape, types: tuple[tuple[str, tuple[int, ...]], ...]) -> Forms:
    """What there is of the loop of a shape and of types of its arguments."""
    del shape, types
    return Forms()


def loop_for(s: State, law: Law, links: Links, client: Client, shape: Shape, requests: int) -> Loop:
    """The loop for a run, or several, of so many requests; kept between processes if programs are.

    The arguments tell the types of those that the loop will be called with; none is used up.
    """
    arguments = (s, law, links, client)
    types = tuple((str(x.dtype), x.shape) for x in jax.tree.leaves(arguments))
    forms = forms_of(shape, types)
    with forms.lock:
        forms.requests += requests
        return _form(forms, arguments, shape)


def _form(forms: Forms, arguments: Arguments, shape: Shape) -> Loop:
    """The optimised form if it is there or pays for itself, else the other."""
    made = forms.by_kind
    if "loop" not in made and (kept := _kept("loop", arguments, shape)):
        made["loop"] = kept
    many = forms.requests >= MANY_REQUESTS
    kind = "loop" if many or "loop" in made else "quick-loop"
    if kind not in made:
        kept = None if kind == "loop" else _kept(kind, arguments, shape)
        made[kind] = kept or _compiled(kind, arguments, shape)
    return made[kind]


def _kept(kind: str, arguments: Arguments, shape: Shape) -> Loop | None:
    path = executables.path_for(kind, [list(shape)], arguments)
    return None if path is None else executables.read(path)  # type: ignore[return-value]


def _compiled(kind: str, arguments: Arguments, shape: Shape) -> Loop:
    """A form that is compiled here, and kept where programs are."""
    path = executables.path_for(kind, [list(shape)], arguments)
    if path is None:
        return partial(run_until if kind == "loop" else run_quickly, shape=shape)

    def loop(s: State, law: Law, links: Links, client: Client) -> State:
        return as_one(s, law, links, client, shape)

    # A name that no other has keeps it out of JAX's own cache, from which none can be written.
    loop.__name__ = loop.__qualname__ = f"{path.stem.replace('-', '_')}_{uuid.uuid4().hex}"
    options = OPTIONS if kind == "loop" else QUICKLY
    compiled = jax.jit(loop, donate_argnums=0, compiler_options=options).lower(*arguments).compile()
    content = executables.content_of(compiled)
    state, *rest = jax.tree.map(np.asarray, arguments)
    times = state.attempts.arrival_s[: shape.requests]
    trial = (replace(state, stop_s=np.float64(times[min(TRIAL, len(times) - 1)])), *rest)
    executables.write(path, content, trial, jax.block_until_ready(compiled(*trial)))
    return compiled  # type: ignore[return-value]
