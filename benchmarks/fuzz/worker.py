"""Which cases does a process run, and what does it say of each?"""

import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks.fuzz.documents import Document, document_of
from benchmarks.fuzz.judge import Hang, Verdict, judged_line, limited
from benchmarks.fuzz.lines import BASES, line_of
from benchmarks.fuzz.stores import damaged, whole
from benchmarks.fuzz.surroundings import judged_surrounding, surrounding_of

KINDS = ("line", "file", "store", "env")
MOST_BYTES = 12 * 2**30


@cache
def flags() -> dict[str, list[str]]:
    """The options of every verb."""
    from jaxsim.view.cli.config import verbs_of
    from jaxsim.view.cli.main import build_parser

    return {
        verb: sorted(o for a in parser._actions for o in a.option_strings)
        for verb, parser in verbs_of(build_parser()).items()
    }


def run(kind: str, seed: int, folder: Path) -> Verdict:
    """The verdict on one case, run in a folder of its own."""
    chosen = random.Random(f"{kind} {seed}")
    if kind == "line":
        argv = line_of(chosen, flags())
        encoding = chosen.choice(("utf-8", "utf-8", "ascii", "latin-1"))
        return judged_line(argv, folder, encoding)
    if kind == "env":
        return judged_surrounding(*surrounding_of(chosen), folder)
    if kind == "store":
        found = damaged(chosen, folder)
        return judged_reader(f"{found.kind}: {found.what}", found.path, found.read)
    return judged_file(document_of(chosen), folder)


def judged_file(document: Document, folder: Path) -> Verdict:
    """Whether a reader answers with finite numbers or says what is wrong, as bad input."""
    path = folder / document.name
    path.write_bytes(document.content)
    return judged_reader(document.kind, path, document.read)


def judged_reader(kind: str, path: Path, read: Callable[[Path], object]) -> Verdict:
    """The same of a file or store that lies there."""
    from jaxsim.catalog.errors import InputError

    started, faults, detail = time.perf_counter(), [], ""
    status: int | str = "none"
    unseen: list[str] = []  # what Python itself would print of an error that nobody catches
    held, sys.unraisablehook = sys.unraisablehook, lambda one: unseen.append(str(one.exc_value))
    try:
        with limited(10.0):
            json.dumps(read(path), allow_nan=False)
        status = 0
    except InputError as error:
        status, detail = 2, str(error)
        if len(detail) > 20_000:
            faults.append(f"a message of {len(detail)} characters")
    except Hang:
        status, detail = "hang", traceback.format_exc()
    except BaseException:  # whatever leaves a reader is a fault
        status, detail = "traceback", traceback.format_exc()
    finally:
        sys.unraisablehook = held
    faults += [f"shown: {one}" for one in unseen]
    if status not in (0, 2):
        faults.append(f"status {status} of {kind}")
    return Verdict(status, time.perf_counter() - started, faults, detail)


def case_text(kind: str, seed: int) -> str:
    """What a case is, to be looked at."""
    chosen = random.Random(f"{kind} {seed}")
    if kind == "line":
        return repr(line_of(chosen, flags()))
    if kind == "env":
        return repr(surrounding_of(chosen))
    if kind == "store":
        with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
            store = damaged(chosen, Path(name))
            return f"{store.kind}: {store.what}"
    made = document_of(chosen)
    return f"{made.kind} {made.name}: {made.content[:2000]!r}"


def prepare(kind: str = "line") -> None:
    """Import and compile first, so that no case waits for it; bound memory."""
    if kind == "env":  # every case is a process
        return
    if kind == "store":
        whole()
    from jaxsim.view.cli import main as cli

    cli.build_parser = cache(cli.build_parser)  # pyright: ignore[reportAttributeAccessIssue]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        home = os.getcwd()
        os.chdir(name)
        for verb in ("plan", "search", "estimate"):
            judged_line([verb, *BASES[verb][1]], Path(name))
        judged_line(["plan", *BASES["plan"][1], "-o", "out"], Path(name))
        os.chdir(home)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))


def serve(kind: str, first: int, stop: int, step: int, log: str) -> None:
    """Run every `step`-th case and write a line of JSON for each that is at fault or slow."""
    prepare(kind)
    home = os.getcwd()
    with Path(log).open("a", encoding="utf-8") as out:
        for seed in range(first, stop, step):
            with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
                print(json.dumps({"begin": seed}), file=out, flush=True)
                os.chdir(name)
                result = run(kind, seed, Path(name))
                if result.status == "hang":  # something new may have been compiled: once more
                    result = run(kind, seed, Path(name))
                os.chdir(home)
            told = {"seed": seed, "status": result.status, "seconds": round(result.seconds, 3)}
            if result.faults or result.seconds > 5.0:
                told |= {"faults": result.faults, "detail": result.detail[-3000:]}
            print(json.dumps(told), file=out, flush=True)
