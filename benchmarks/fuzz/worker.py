"""Which cases does a process run, and what does it say of each?"""

import faulthandler
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks.fuzz import lines
from benchmarks.fuzz.calls import call_of
from benchmarks.fuzz.documents import Document, document_of
from benchmarks.fuzz.judge import Hang, Verdict, judged_line, limited
from benchmarks.fuzz.stores import damaged, whole
from benchmarks.fuzz.surroundings import judged_surrounding, surrounding_of

KINDS = ("line", "file", "call", "store", "env")
MOST_BYTES = 12 * 2**30
SLOW_S = 5.0
# A case that no signal of the processor's time ends is ended with its process.
PATIENCE_S = 3000.0


@cache
def flags() -> dict[str, list[str]]:
    """The options of every verb."""
    from jaxsim.view.cli.config import verbs_of
    from jaxsim.view.cli.main import build_parser

    return {
        verb: sorted(o for a in parser._actions for o in a.option_strings)
        for verb, parser in verbs_of(build_parser()).items()
    }


def run(kind: str, seed: int, folder: Path, reports: Path | None = None) -> tuple[str, Verdict]:
    """Of which sort a case is, and the verdict on it, run in a folder."""
    chosen = random.Random(f"{kind} {seed}")
    if kind == "line":
        argv = lines.line_of(chosen, flags())
        lines.put_files(folder)
        encoding = chosen.choice(("utf-8", "utf-8", "ascii", "latin-1"))
        sort = argv[0] if argv[0] in lines.BASES else "none"
        return sort, judged_line(argv, folder, encoding, reports)
    if kind == "env":
        return "env", judged_surrounding(*surrounding_of(chosen), folder)
    if kind == "call":
        call = call_of(chosen)
        return call.what.partition(" ")[0], judged_reader(call.what, call.make)
    if kind == "store":
        with damaged(chosen) as store:
            return store.kind, judged_reader(store.what, lambda: store.read(store.path))
    document = document_of(chosen)
    return document.kind, judged_file(document, folder)


def judged_file(document: Document, folder: Path) -> Verdict:
    """Whether a reader answers with finite numbers or says what is wrong, as bad input."""
    path = folder / document.name
    path.write_bytes(document.content)
    return judged_reader(document.kind, lambda: document.read(path))


def judged_reader(what: str, read: Callable[[], object]) -> Verdict:
    """The same of anything that is read, or called."""
    from jaxsim.catalog.errors import InputError

    started, faults, detail = time.perf_counter(), [], ""
    status: int | str = "none"
    unseen: list[str] = []  # what Python itself would print of an error that nobody catches
    held, sys.unraisablehook = sys.unraisablehook, lambda one: unseen.append(str(one.exc_value))
    try:
        with limited(10.0):
            json.dumps(read(), allow_nan=False)
        status = 0
    except InputError as error:
        status, detail = 2, str(error)
        if len(detail) > 20_000:
            faults.append(f"a message of {len(detail)} characters")
    except Hang:
        status, detail = "hang", traceback.format_exc()
    except BaseException as error:  # whatever leaves a reader is a fault
        status, detail = "traceback", traceback.format_exc()
        if isinstance(error, TypeError) and re.search("keyword|positional", str(error)):
            status = 2  # as Python says of every function
    finally:
        sys.unraisablehook = held
    faults += [f"shown: {one}" for one in unseen]
    if status not in (0, 2):
        faults.append(f"status {status} of {what}")
    return Verdict(status, time.perf_counter() - started, faults, detail)


def case_text(kind: str, seed: int) -> str:
    """What a case is, to be looked at."""
    chosen = random.Random(f"{kind} {seed}")
    if kind == "line":
        return repr(lines.line_of(chosen, flags()))
    if kind == "env":
        return repr(surrounding_of(chosen))
    if kind == "call":
        return call_of(chosen).what
    if kind == "store":
        with damaged(chosen) as store:
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
        lines.put_files(Path(name))
        for verb in ("plan", "search", "estimate"):
            judged_line([verb, *lines.BASES[verb][1]], Path(name))
        judged_line(["plan", *lines.BASES["plan"][1], "-o", "out"], Path(name))
        os.chdir(home)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))


def serve(kind: str, place: Path) -> None:
    """Run what standard input asks for, "FIRST STOP [SEED TO LEAVE OUT …]" a line, until it ends.

    Each is answered by a line of JSON with what was seen; `place` holds the seed that is being run.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    prepare(kind)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as name,
        tempfile.TemporaryDirectory(dir="/dev/shm") as reports,
    ):
        os.chdir(name)
        for asked in sys.stdin:
            first, stop, *left_out = map(int, asked.split())
            seeds = [seed for seed in range(first, stop) if seed not in left_out]
            print(json.dumps(_slice(kind, seeds, Path(name), Path(reports), place)), file=answers)
            answers.flush()
        os.chdir("/")


def _slice(
    kind: str, seeds: list[int], folder: Path, reports: Path, place: Path
) -> dict[str, object]:
    """What a run of cases did: how many ended how, the slowest, and those at fault."""
    statuses: Counter[str] = Counter()
    sorts: Counter[str] = Counter()
    slowest, wrong = 0.0, []
    with place.open("wb", buffering=0) as at:
        for seed in seeds:
            at.seek(0)
            at.write(b"%20d" % seed)
            faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
            sort, result = run(kind, seed, folder, reports)
            if result.status == "hang":  # something new may have been compiled: once more
                _, result = run(kind, seed, folder, reports)
            faulthandler.cancel_dump_traceback_later()
            _empty(folder)
            statuses[str(result.status)] += 1
            sorts[sort] += 1
            slowest = max(slowest, result.seconds)
            if result.faults or result.seconds > SLOW_S:
                row = {"seed": seed, "seconds": round(result.seconds, 3)}
                wrong.append(row | {"faults": result.faults, "detail": result.detail[-3000:]})
    return {"cases": len(seeds), "statuses": statuses, "sorts": sorts, "slowest_s": slowest,
            "wrong": wrong}  # fmt: skip


def _empty(folder: Path) -> None:
    """Remove all but what every line finds there: making a folder anew takes longer than a case."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif entry.name not in lines.files():
            os.unlink(entry.path)
