"""What is it doing?  A spinner on a terminal's standard error, and nothing anywhere else."""

import itertools
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME_S = 0.1
PATIENCE_S = 0.4


@contextmanager
def working(what: str) -> Generator[Callable[[str], None], None, None]:
    """Show `what` with a spinner while the block runs, if it takes long enough to be seen.

    Gives a function that changes what is shown.
    """
    stream, shown = sys.stderr, [what]
    if not stream.isatty():
        yield lambda _: None
        return
    done = threading.Event()
    started = time.monotonic()

    def spin() -> None:
        if done.wait(PATIENCE_S):
            return
        encoding = (getattr(stream, "encoding", None) or "").lower()
        frames = FRAMES if encoding.startswith("utf") else "|/-\\"
        for frame in itertools.cycle(frames):
            stream.write(f"\r\033[K{frame} {shown[-1]} ({time.monotonic() - started:.0f} s)")
            stream.flush()
            if done.wait(FRAME_S):
                break
        stream.write("\r\033[K")
        stream.flush()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield shown.append
    finally:
        done.set()
        thread.join()
