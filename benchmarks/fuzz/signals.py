"""Told to stop at any moment: does it end with one line, and is what it leaves whole?

    python -m benchmarks.fuzz.signals --count 60 --json benchmarks/fuzz/signals.json

A process sends a signal to itself before its n-th event of a kind: an import, a file that is opened
(programs and executables of an empty cache among them), or a change of the folder it writes.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzz import figures
from benchmarks.fuzz.writers import SMALL, whole

ROOT = Path(__file__).parents[2]
_CODE = """
import os, runpy, signal, sys
number, event, part, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
def hook(name, args):
    global count
    if name == event and part in str(args[0]):
        count -= 1
        if count == 0:
            os.kill(os.getpid(), number)
sys.argv = ["jaxsim", *sys.argv[5:]]
sys.addaudithook(hook)
runpy.run_module("jaxsim", run_name="__main__")
"""
INTERRUPTED = 130
# What happens, of what, and about how often.
MOMENTS = (
    ("import", "", 1500), ("import", "numpy", 60), ("import", "jax", 400), ("open", "program-", 6),
    ("open", "cache", 20), ("open", "out", 12), ("os.rename", "", 12), ("open", "", 4000),
)  # fmt: skip


def signalled(
    number: int, moment: tuple[str, str, int], argv: list[str], folder: Path
) -> tuple[int, str]:
    """Status and standard error of a run that is told to stop at a moment, in a folder."""
    event, part, count = moment
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-c", _CODE, str(number), event, part, str(count), *argv]
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=400, check=False
    )
    return done.returncode, done.stderr


def faults_of(number: int, status: int, said: str, folder: Path) -> list[str]:
    """What is wrong: only one line is said, and files under final names are whole."""
    faults = []
    # Before the handlers are there the system itself ends the process, without a word.
    if status not in (0, INTERRUPTED, -number):
        faults.append(f"status {status}")
    if "Traceback" in said or "Error" in said or len(said.splitlines()) > 1:
        faults.append(said[-500:])
    out = folder / "out"
    files = [p for p in out.rglob("*") if p.is_file()] if out.exists() else []
    faults += [f"{p.name} is left" for p in files if p.name.startswith(".")]
    faults += [f"{p.name} is cut" for p in files if not p.name.startswith(".") and not whole(p)]
    return faults


def rows(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """The figures after every run, each at a drawn moment in a folder of its own."""
    chosen, wrong, stopped = random.Random(args.seed), [], 0
    for count in range(1, args.count + 1):
        event, part, most = chosen.choice(MOMENTS)
        moment = event, part, 1 + int(most * chosen.random() ** 2)
        number = chosen.choice((signal.SIGINT, signal.SIGTERM))
        with tempfile.TemporaryDirectory(dir=folder) as name:
            status, said = signalled(number, moment, ["plan", *SMALL, "-o", "out"], Path(name))
            stopped += status != 0
            if faults := faults_of(number, status, said, Path(name)):
                wrong.append(f"{signal.Signals(number).name} at {moment}: {faults}")
        yield {
            "name": f"signals, seed {args.seed}",
            "runs": count,
            "stopped": stopped,
            "wrong": wrong,
        }


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=40)
    options.add_argument("--seed", type=int, default=0)
    figures(options, rows)
