"""How does a process get the compiled event loop: from an earlier one, or by compiling it once?

There are two forms with the same results, bit for bit. One is compiled in half of the time and runs
a request in four times as long: it serves until the rest of a run, or so many runs, would take
longer with it than the other takes to compile.
"""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import jax
import numpy as np

from jaxsim.space.grid import executables
from jaxsim.space.program.cache import cached
from jaxsim.traffic.simulate.loop import OPTIONS, QUICKLY, as_one, run_quickly, run_until
from jaxsim.traffic.simulate.records import Client, Law, Links, Shape, State

# Requests that arrive in the run which an executable is tried on before it is kept.
TRIAL = 256
# From so many requests on the optimised form is compiled at once; it pays for itself anyway.
MANY_REQUESTS = 150_000
# What of a run's time the optimised form saves, and what that must exceed: seconds of compiling it.
SAVED_FRAC, COMPILE_S = 0.75, 5.0


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


class Looping:
    """The loop of one run: in the quickly compiled form as long as that is the quicker way."""

    def __init__(self, arguments: Arguments, shape: Shape, requests: int, runs: int = 1):
        self.shape, self.requests = shape, requests
        types = tuple((str(x.dtype), x.shape) for x in jax.tree.leaves(arguments))
        self.forms, self.spent_s, self.arrived = forms_of(shape, types), 0.0, 0
        with self.forms.lock:
            self.forms.requests += runs * requests
            many = self.forms.requests >= MANY_REQUESTS
            self.kind, self.loop = _form(self.forms, arguments, shape, many)
        self.arguments = None if self.kind == "loop" else arguments

    def __call__(self, s: State, law: Law, links: Links, client: Client) -> State:
        """The state once every event before `stop_s` has happened."""
        if self.arguments is not None and self.arrived:
            left_s = self.spent_s * (self.requests - self.arrived) / self.arrived
            if SAVED_FRAC * left_s > COMPILE_S:
                with self.forms.lock:
                    self.kind, self.loop = _form(self.forms, self.arguments, self.shape, True)
                self.arguments = None
        began_s = time.monotonic()
        s = jax.block_until_ready(self.loop(s, law, links, client))
        self.spent_s += time.monotonic() - began_s
        self.arrived = int(np.asarray(s.arriving))
        return s


def _form(forms: Forms, arguments: Arguments, shape: Shape, many: bool) -> tuple[str, Loop]:
    """The optimised form if it is there or pays for itself, else the other."""
    made = forms.by_kind
    if "loop" not in made and (kept := _kept("loop", arguments, shape)):
        made["loop"] = kept
    kind = "loop" if many or "loop" in made else "quick-loop"
    if kind not in made:
        kept = None if kind == "loop" else _kept(kind, arguments, shape)
        made[kind] = kept or _compiled(kind, arguments, shape)
    return kind, made[kind]


def _kept(kind: str, arguments: Arguments, shape: Shape) -> Loop | None:
    path = executables.path_for(kind, [list(shape)], arguments)
    return None if path is None else executables.read(path)  # type: ignore[return-value]


def _compiled(kind: str, arguments: Arguments, shape: Shape) -> Loop:
    """A form that is compiled here, and kept where programs are."""
    path = executables.path_for(kind, [list(shape)], arguments)
    if path is None:
        form = run_until if kind == "loop" else run_quickly
        return form.lower(*arguments, shape=shape).compile()  # type: ignore[return-value]

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
