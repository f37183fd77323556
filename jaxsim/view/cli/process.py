"""What does a run owe the process it is in?  Streams of any encoding, signals, and a clean end."""

import codecs
import gc
import io
import itertools
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

from jaxsim._version import __version__
from jaxsim.catalog.documents import printable, quoted
from jaxsim.catalog.errors import InputError

# Set to 1, an internal error shows its traceback.
DEBUG = "JAXSIM_DEBUG"
OUT_OF_MEMORY = "out of memory; restrict an axis, for example --batch or --chunk."

# What matplotlib says of a backend that it has not.
_BACKEND = "is not a valid value for backend"

# The status of a run that was stopped, as in `main`, which may be what is being imported.
_INTERRUPTED = 130
# Where files are written whole or not at all.
_WRITERS = ("files/atomic.py", "files/store.py", "program/sealed.py")

_interrupted = False


def was_interrupted() -> bool:
    """Whether this process was told to stop: a library may have made another error of it."""
    return _interrupted


def command() -> int:
    """`jaxsim` as a process of its own: one verb, and the exit status.

    At the exit, garbage is not looked for among what is left, which takes up to half a second.
    """
    collect_seldom()
    # Stopped by a scheduler is stopped by the user: nothing half-written, and no traceback.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        from jaxsim.view.cli.main import INTERRUPTED, main

        status = main()
    finally:
        gc.freeze()
    if status == INTERRUPTED:
        # Threads of a library may still be at work, which ends an interpreter badly.
        sys.stdout.flush()
        os._exit(status)
    return status


def collect_seldom() -> None:
    """Let the collector look for garbage less often: nearly all that a run makes stays."""
    gc.set_threshold(200_000, 50, 100)


def _stop(number: int, frame: FrameType | None) -> None:
    global _interrupted
    _interrupted = True
    for again in (signal.SIGTERM, signal.SIGINT):
        signal.signal(again, signal.SIG_IGN)
    if _importing(frame):
        # A module that is left half-imported complains by itself, or takes the error for its own.
        os.write(2, b"jaxsim: interrupted.\n")
        if "--format=json" in sys.argv or ("--format", "json") in itertools.pairwise(sys.argv):
            os.write(1, b'{"error": "interrupted."}\n')
        os._exit(_INTERRUPTED)
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported, and no file is being written meanwhile."""
    found = False
    while frame is not None:
        name = frame.f_code.co_filename
        found |= name.startswith("<frozen importlib")
        if name.endswith(_WRITERS):
            return False
        frame = frame.f_back
    return found


def open_streams() -> None:
    """Have both streams open, and spell out what their encodings lack.

    In the way of JSON, which is then still valid.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        raise InputError("standard output is closed; send it somewhere.")
    codecs.register_error("jaxsim", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="jaxsim")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    given = error.object[error.start : error.end]
    halves = given.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{halves[i : i + 4]}" for i in range(0, len(halves), 4)), error.end


def give_up_output() -> None:
    """Let what is left to be printed go nowhere: Python would try once more as it exits."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return


def refuse_odd(arguments: Sequence[str]) -> None:
    """Refuse what no option and no name of a file needs, before anything repeats it."""
    for before, argument in itertools.pairwise(["", *arguments]):
        if printable(argument) != argument or any(mark in argument for mark in "\r\n\t"):
            of = f"{before}: " if before.startswith("--") and printable(before) == before else ""
            raise InputError(f"{of}{quoted(argument)}: an argument has a control character.")
        # Argparse loses the second, and an empty one would be taken for none: for the default.
        if argument.startswith("--") and argument.endswith(("=", "=--")):
            raise InputError(f"{quoted(argument)}: a value is needed.")
        if before.startswith("--") and not argument:
            raise InputError(f"{quoted(before)}: a value is needed, and not an empty one.")


def os_message(error: OSError) -> str:
    """What the system refused, and for which file."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}."


def of_the_machine(error: Exception) -> str:
    """What to say of an error of JAX that is about the machine; empty of any other."""
    text = str(error)
    if "RESOURCE_EXHAUSTED" in text:
        return OUT_OF_MEMORY
    wanted = os.environ.get("JAX_PLATFORMS", "")
    if wanted and ("nable to initialize backend" in text or "nknown backend" in text):
        return (
            f"JAX_PLATFORMS={printable(wanted)}: JAX has no such device here; unset it, or set it "
            "to cpu."
        )
    for name, value in os.environ.items():
        # JAX and matplotlib name the variable, or the flag that it sets, in what they say of it.
        own = name.startswith("JAX_") and name.lower() in text.lower()
        if isinstance(error, ValueError) and (own or (name == "MPLBACKEND" and _BACKEND in text)):
            return f"{name}={quoted(value)}: this value is not known; unset it."
    return ""


def internal(error: Exception, arguments: Sequence[str]) -> str:
    """What to say of a fault of jaxsim's own, which is written to a file that can be sent."""
    import platform
    import tempfile

    first = next(iter(str(error).splitlines()), "")
    said = f"internal error: {type(error).__name__}: {first}"
    if os.environ.get(DEBUG) == "1":
        traceback.print_exc()
    try:
        handle, name = tempfile.mkstemp(prefix="jaxsim-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"jaxsim {__version__}, Python {platform.python_version()}\n")
            file.write(f"arguments: {list(arguments)!r}\n\n")
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"{said}. {DEBUG}=1 shows where."
    return f"{said}. Please send {name}, which says where; {DEBUG}=1 shows it here."
