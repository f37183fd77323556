"""Killed at any write: is what is left whole, and does a resumed sweep equal a whole one?

    python -m benchmarks.fuzz.kills --kills 1000 --json benchmarks/fuzz/kills.json

A write point is an event by which Python is about to change a file: opened to be written, renamed,
linked, removed. Every verb that writes is killed (SIGKILL) before each of its write points, in an
empty folder and over the files of a whole run; sweeps before drawn ones, twice each, and are then
resumed. Children are made by fork from a process that has evaluated already, so that a kill takes
as long as the writing; `--processes` kills as many whole processes besides.
"""

import argparse
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.fuzz import figures, signals
from benchmarks.fuzz.writers import COMMANDS, SMALL, SWEEP, SWEPT, put_files, warmed, whole

EVENTS = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
# Of the processor, and of the clock, which runs on while others have the machine.
LONGEST_S, PATIENCE_S = 60, 1800
# More than any run's write points.
NEVER = 10**9


def forked(run: Callable[[], object], folder: Path, count: int = NEVER) -> tuple[int, int]:
    """Run in a child that is killed before its `count`-th write in a folder.

    The exit status, negative where it was killed, and the write points that it came to.
    """
    read, told = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the child does not use JAX
        child = os.fork()
    if child == 0:
        seen, within = 0, os.path.abspath(folder)

        def hook(event: str, args: tuple[object, ...]) -> None:
            nonlocal seen
            writes = event == "open" and isinstance(args[1], str) and args[1][:1] in "wax"
            low = event == "open" and args[1] is None and bool(int(str(args[2])) & os.O_ACCMODE)
            if not (writes or low or event in EVENTS) or not isinstance(args[0], str | os.PathLike):
                return
            if not os.path.abspath(args[0]).startswith(within):
                return
            seen += 1
            if seen == count:
                os.kill(os.getpid(), signal.SIGKILL)

        status = 99
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S))
            signal.alarm(PATIENCE_S)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sys.addaudithook(hook)
            status = int(str(run()))
            os.write(told, b"%d" % seen)
        finally:
            os._exit(status)
    os.close(told)
    _, ended = os.waitpid(child, 0)
    with os.fdopen(read) as file:
        points = int(file.read() or count)
    return os.waitstatus_to_exitcode(ended), points


def digest(folder: Path) -> str:
    """A hash of every file of a folder, with its name."""
    result = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        result.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return result.hexdigest()


def kill_writers(folder: Path) -> Iterator[dict[str, object]]:
    """Every verb killed at every write point: files under final names are whole, old or new."""
    warmed(COMMANDS, folder)
    from jaxsim.view.cli.main import main

    points: dict[str, int] = {}
    kills, wrong = 0, []
    os.chdir(folder)
    for name, argv in COMMANDS.items():
        given = put_files(folder)
        status, count = forked(lambda argv=argv: main(argv), folder)
        if status:
            raise SystemExit(f"{name}: status {status}")
        points[name] = count
        made = {p: p.read_bytes() for p in _files(folder) if p not in given}
        again, _ = forked(lambda argv=argv: main(argv), folder)
        for before in ({}, made) if again == 0 else ({},):  # some want a folder of their own
            for number in range(1, count + 1):
                _put(folder, given | before)
                status, _ = forked(lambda argv=argv: main(argv), folder, number)
                kills += status == -signal.SIGKILL
                where = f"{name} at {number}"
                for path in _files(folder):
                    raw = path.read_bytes()
                    if path in given or path.name.startswith(".") or before.get(path) == raw:
                        continue
                    if not whole(path):
                        wrong.append(f"{where}: {path.name} is cut")
                wrong += [f"{where}: {p.name} is lost" for p in before if not p.is_file()]
                if status not in (-signal.SIGKILL, 0):
                    wrong.append(f"{where}: status {status}")
        yield {"name": "every verb", "points": points, "kills": kills, "wrong": wrong}
        shutil.rmtree(folder / "out", ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def _put(folder: Path, held: dict[Path, bytes]) -> None:
    """A folder with these files and no others."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path not in held:
            path.unlink()
    for path, content in held.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def kill_sweeps(folder: Path, most: int, seed: int) -> Iterator[dict[str, object]]:
    """A sweep killed at drawn write points, twice each, and resumed: equal to the whole one."""
    from jaxsim.view.cli.main import main

    warmed(SWEPT, folder)
    (folder / "space.yaml").write_text(SWEEP)
    run = ["sweep", str(folder / "space.yaml"), "--resume", "-o"]
    _, points = forked(lambda: main([*run, str(folder / "whole.zarr")]), folder)
    expected = digest(folder / "whole.zarr")
    chosen, kills, wrong = random.Random(seed), 0, []
    part = folder / "part.zarr"
    while kills < most:
        shutil.rmtree(part, ignore_errors=True)
        places = [chosen.randrange(1, points) for _ in range(2)]
        for count in places:
            kills += forked(lambda: main([*run, str(part)]), folder, count)[0] == -signal.SIGKILL
        status, _ = forked(lambda: main([*run, str(part)]), folder)
        if status or digest(part) != expected:
            wrong.append(f"{places}: status {status}")
        left = [p.name for p in folder.iterdir() if p.name.startswith(".")]
        wrong += [f"{places}: {name} is left" for name in left]
        yield {"name": f"sweep, resumed, seed {seed}", "points": points, "kills": kills,
               "wrong": wrong}  # fmt: skip


def kill_processes(folder: Path, most: int, seed: int) -> Iterator[dict[str, object]]:
    """Processes killed at drawn moments: what is left is whole, and the next run ends well."""
    chosen, kills, wrong = random.Random(seed), 0, []
    env = {**os.environ, "PYTHONPATH": str(signals.ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    argv = ["plan", *SMALL, "-o", "out"]
    while kills < most:
        event, part, times = chosen.choice(signals.MOMENTS)
        moment = event, part, 1 + int(times * chosen.random() ** 2)
        if chosen.random() < 0.1:
            shutil.rmtree(folder / "cache", ignore_errors=True)
        status, _ = signals.signalled(signal.SIGKILL, moment, argv, folder)
        kills += status == -signal.SIGKILL
        cut = [p.name for p in _files(folder / "out") if p.name[0] != "." and not whole(p)]
        wrong += [f"{moment}: {name} is cut" for name in cut]
        if kills % 10 == 0:
            command = [sys.executable, "-m", "jaxsim", *argv]
            done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
            if done.returncode or done.stderr:
                wrong.append(f"after {moment}: status {done.returncode} {done.stderr[-300:]}")
        yield {"name": f"whole processes, seed {seed}", "kills": kills, "wrong": wrong}


def rows(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """The figures of each part, as they grow."""
    parts: dict[str, Callable[[Path], Iterator[dict[str, object]]]] = {
        "processes": lambda path: kill_processes(path, args.processes, args.seed),
        "verbs": kill_writers,
        "sweeps": lambda path: kill_sweeps(path, args.kills, args.seed),
    }
    for part in args.only or parts:
        (folder / part).mkdir()
        yield from parts[part](folder / part)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=40, help="of sweeps; of verbs, every point")
    options.add_argument("--processes", type=int, default=0, help="whole processes killed besides")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", choices=("processes", "verbs", "sweeps"), action="append")
    figures(options, rows)
