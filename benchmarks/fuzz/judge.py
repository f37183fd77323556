"""What is wrong with what one case did?"""

import contextlib
import io
import json
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_S = 10.0
_NONSENSE = re.compile(r"(?<![\w.-])[-+]?(nan|inf|infinity)(?![\w-])", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
GOOD = (0, 1, 2, 3)


class Hang(BaseException):
    """The case took longer than it may."""


@dataclass
class Verdict:
    """What a case did, and what is wrong with it."""

    status: int | str
    seconds: float
    faults: list[str] = field(default_factory=list)
    detail: str = ""


@contextlib.contextmanager
def limited(seconds: float) -> Generator[None, None, None]:
    """A block that is interrupted after some seconds of the processor, whatever else runs."""

    def stop(*_: object) -> None:
        raise Hang

    held = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, held)


def judged_line(
    argv: list[str], folder: Path, encoding: str = "utf-8", reports: Path | None = None
) -> Verdict:
    """The verdict on a command line that is run in this process, in `folder`.

    `reports` is a folder for what jaxsim says of its own faults; one is made where none is given.
    """
    if reports is None:
        with tempfile.TemporaryDirectory() as name:
            return judged_line(argv, folder, encoding, Path(name))
    from jaxsim.view.cli import main as cli

    out, err = io.BytesIO(), io.BytesIO()
    streams = (
        io.TextIOWrapper(out, encoding, write_through=True),
        io.TextIOWrapper(err, encoding, "backslashreplace", write_through=True),
    )
    held = sys.stdout, sys.stderr
    before = {p.name for p in folder.iterdir()}
    started = time.perf_counter()
    status: int | str = "none"
    detail = ""
    tempfile.tempdir, kept = str(reports), tempfile.tempdir
    sys.stdout, sys.stderr = streams
    try:
        with limited(LONGEST_S):
            status = cli.main(argv)
    except Hang:
        status, detail = "hang", traceback.format_exc()
    except BaseException:  # whatever leaves the command line is a fault
        status, detail = "traceback", traceback.format_exc()
    finally:
        sys.stdout, sys.stderr = held
        tempfile.tempdir = kept
    for report in reports.glob("jaxsim-error-*"):
        detail += report.read_text(encoding="utf-8")
        report.unlink()
    seconds = time.perf_counter() - started
    told, said = (one.getvalue().decode(encoding, "replace") for one in (out, err))
    result = Verdict(status, seconds, faults_of(argv, status, told, said), detail or said[:2000])
    new = {p.name for p in folder.iterdir()} - before
    left = [n for n in new if n.startswith(".") and not any(n in word for word in argv)]
    if left:
        result.faults.append(f"left behind: {', '.join(left)}")
    return result


def faults_of(argv: list[str], status: int | str, told: str, said: str) -> list[str]:
    """What is wrong, from the status and what was printed."""
    faults = []
    if status not in GOOD:
        faults.append(f"status {status}")
    if "Traceback (most recent" in said + told:
        faults.append("a traceback is shown")
    if status in (1, 2, 3) and not said.strip():
        faults.append("nothing on standard error")
    shown = told.replace("\r", "") + said.replace("\r", "")
    if control := _CONTROL.search(shown):
        faults.append(f"control character {control[0]!r} is shown")
    given = " ".join(argv).lower()
    as_json = ("--format=json" in argv) or (
        "--format" in argv and "json" in argv[argv.index("--format") + 1 :][:1]
    )
    if as_json and status in GOOD and not {"-h", "--help", "--version"} & set(argv):
        faults += _json_faults(told, status)
    elif status == 0 and (odd := _NONSENSE.search(told)) and odd[1].lower() not in given:
        faults.append(f"{odd[0]!r} is shown as an answer")
    return faults


def _json_faults(told: str, status: int | str) -> list[str]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} in JSON")

    try:
        result = json.loads(told, parse_constant=refuse)
    except ValueError as error:
        return [f"not one JSON object: {error}"]
    if status != 0 and not (isinstance(result, dict) and result.get("error")):
        return ["no error in JSON"]
    return []
