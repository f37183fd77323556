"""How far is a long computation?  It says so here, and whoever shows progress hears it.

Nothing is passed down for it: `heard_by` names the listener of this thread, `tell` speaks to it.
Threads of a pool have none: who starts them tells how many have ended.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], object] | None] = ContextVar("listener", default=None)


class Counted(str):
    """What is being done, with how much of it is done; a plain text for those who only show it.

    `total` is None where it is not known; `what` is empty where it is what was told before.

    >>> Counted("predicting", 3, 40, "runs")
    'predicting: 3 of 40 runs'
    """

    what: str
    done: float
    total: float | None
    unit: str

    def __new__(cls, what: str, done: float, total: float | None, unit: str) -> "Counted":
        of = "" if total is None else f" of {total:,.0f}"
        new = super().__new__(cls, f"{what}{': ' if what else ''}{done:,.0f}{of} {unit}")
        new.what, new.done, new.total, new.unit = what, done, total, unit
        return new


@contextmanager
def heard_by(listener: Callable[[str], object] | None) -> Generator[None, None, None]:
    """Let `listener` hear what is being done, and how far it is, while the block runs.

    It is called from the thread of the block, with a text. One that counts also has `what`, `done`,
    `total` (None where it is not known) and `unit`. None hears nothing.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work, told = jaxsim.Workload(isl=1024, osl=128), []
    >>> with jaxsim.heard_by(told.append):
    ...     plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=2, ttl_s=0.03, space=space)
    >>> told[0]
    'evaluating 16 designs of prefill'
    """
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def is_heard() -> bool:
    """Whether anyone listens to this thread."""
    return _listener.get() is not None


def tell(what: str) -> None:
    """Say what is being done, to whoever listens."""
    listener = _listener.get()
    if listener is not None:
        listener(what)
