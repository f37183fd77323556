"""What is it doing, how fast, and how long still?  A line on a terminal's standard error.

Nothing is written anywhere else. A stage has a name; where it counts, the line has what is done,
the rate and the time left; where it cannot, what it does now (tracing, compiling), and since when.
"""

import itertools
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxsim._progress import Counted, heard_by
from jaxsim.view.text.units import prefixed, seconds

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME_S = 0.1
PATIENCE_S = 0.4
# A rate over less time than this says nothing.
RATE_S = 0.2
# JAX names these events when they end: lowering is followed by compiling.
LOWERED, COMPILED = (
    f"/jax/core/compile/{name}_duration" for name in ("jaxpr_to_mlir_module", "backend_compile")
)


@runtime_checkable
class Stream(Protocol):
    """What a line is shown on."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...

    def fileno(self) -> int: ...


@dataclass
class Shown:
    """What is shown of a run: its stage, since when, and how far it is.

    `first` is when the stage was first counted, and how much was done then: a rate is of what was
    done since, without what was compiled before.
    """

    clock: Callable[[], float] = time.monotonic
    stage: str = ""
    since_s: float = 0.0
    compiling: bool = False
    counted: Counted | None = None
    first: tuple[float, float] = (0.0, 0.0)
    last_s: float = 0.0
    began_s: float = field(init=False)

    def __post_init__(self):
        self.began_s = self.clock()

    def tell(self, what: str) -> None:
        """Another stage begins, or one is further than it was."""
        now = self.clock()
        name = what.what if isinstance(what, Counted) else what
        another = bool(name) and name != self.stage
        if another:
            self.stage, self.since_s, self.counted = name, now, None
        if not isinstance(what, Counted):
            self.counted = None
            return
        before = self.counted
        if before is None or before.unit != what.unit or what.done < before.done:
            self.first = (now, what.done)
        self.counted, self.last_s = what, now

    def event(self, name: str, duration_s: float, **_: object) -> None:
        """JAX has lowered a program, which it compiles next, or has compiled it."""
        del duration_s
        if name in (LOWERED, COMPILED):
            self.compiling = name == LOWERED
            if self.compiling or self.counted is None:
                return
            if self.counted.done <= self.first[1]:  # what comes before all is no part of the rate
                self.first = (self.clock(), self.counted.done)

    def line(self, columns: int) -> str:
        """The stage, what of it is done, the rate and the time left, and how long it has taken.

        Where that is too long, first the time of the whole run goes, then the stage's end.
        """
        now, stage = self.clock(), self.stage
        counts = "" if self.counted is None else f": {self._counts(self.counted, now)}"
        if self.compiling:
            counts += ", compiling"
        own_s, all_s = now - self.since_s, now - self.began_s
        if all_s - own_s >= 1.0:
            line = f"{stage}{counts} ({own_s:.1f} s; {all_s:.0f} s in all)"
            if len(line) <= columns:
                return line
        rest = f"{counts} ({own_s:.1f} s)"
        if len(stage) + len(rest) > columns:
            stage = stage[: max(columns - len(rest) - 1, 0)] + "…"
        return f"{stage}{rest}"[:columns]

    def _counts(self, counted: Counted, now: float) -> str:
        total, unit = counted.total, counted.unit
        text = _amount(counted.done)
        if total is not None:
            text += f" of {_amount(total)}"
        text += f" {unit}"
        spent_s, done = self.last_s - self.first[0], counted.done - self.first[1]
        if spent_s < RATE_S or done <= 0.0:
            return text
        rate = done / spent_s
        text += f", {_rate(rate, unit)}"
        if total is None:
            return text
        left_s = max((total - counted.done) / rate - (now - self.last_s), 0.0)
        return f"{text}, {seconds(round(left_s))} left"


def _amount(value: float) -> str:
    return prefixed(value, "").strip() if value >= 1e6 else f"{value:,.0f}"


def _rate(value: float, unit: str) -> str:
    """`85 runs/s`, `410 M designs/s`; of what takes longer than a second each, `12 runs/min`."""
    if value < 1.0:
        return f"{60.0 * value:.3g} {unit}/min"
    number = prefixed(value, "").strip() if value >= 1e6 else f"{value:,.3g}"
    if 1e3 <= value < 1e6:
        number = f"{value:,.0f}"
    return f"{number} {unit}/s"


def note(line: str) -> None:
    """Print a line that stays on standard error, above what `working` shows there."""
    clear = "\r\033[K" if sys.stderr.isatty() else ""
    print(f"{clear}{line}", file=sys.stderr, flush=True)


@contextmanager
def working(what: str) -> Generator[None, None, None]:
    """Show `what` while the block runs, if it takes long enough to be seen, and what it tells."""
    stream = sys.stderr
    if not stream.isatty():
        yield
        return
    shown, done = Shown(), threading.Event()
    shown.tell(what)
    thread = threading.Thread(target=_show, args=(stream, shown, done), daemon=True)
    thread.start()
    try:
        with heard_by(shown.tell):
            yield
    finally:
        done.set()
        thread.join()


def _show(stream: Stream, shown: Shown, done: threading.Event) -> None:
    """Write the line again and again until it is done; then clear it."""
    if done.wait(PATIENCE_S):
        return
    encoding = (getattr(stream, "encoding", None) or "").lower()
    frames = FRAMES if encoding.startswith("utf") else "|/-\\"
    listening = None
    for frame in itertools.cycle(frames):
        listening = listening or _listen(shown)
        line = shown.line(_columns(stream) - 3)
        stream.write(f"\r\033[K{frame} {line if frames == FRAMES else line.replace('…', '~')}")
        stream.flush()
        if done.wait(FRAME_S):
            break
    stream.write("\r\033[K")
    stream.flush()
    if listening is not None:
        listening()


def _columns(stream: Stream) -> int:
    """How wide the terminal is: a longer line could not be written over."""
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 2)
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def _listen(shown: Shown) -> Callable[[], None] | None:
    """Hear of JAX's compilations, once something else has imported it; gives what ends it."""
    monitoring = sys.modules.get("jax.monitoring")
    register = getattr(monitoring, "register_event_duration_secs_listener", None)
    end = getattr(monitoring, "unregister_event_duration_listener", None)
    if register is None or end is None:
        return None
    register(shown.event)
    return lambda: end(shown.event)
