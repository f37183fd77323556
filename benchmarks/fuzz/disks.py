"""On a full disk: is the answer still told, and is nothing half-written?

    python -m benchmarks.fuzz.disks --json benchmarks/fuzz/disks.json

Every verb that writes runs on file systems of 4 kB to 4 MB. It must end well, or with status 1 and
a message that says there is no space and names the file; every file under its final name is whole,
none is left under another, an answer is on standard output all the same, and JSON is one object.
"""

import argparse
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzz import figures
from benchmarks.fuzz.kills import forked
from benchmarks.fuzz.writers import COMMANDS, SWEPT, put_files, warmed, whole

SIZES = ("4k", "8k", "16k", "36k", "64k", "128k", "256k", "512k", "1m", "2m", "4m")
# What these print is where they wrote: without that they have nothing to say.
NO_ANSWER = ("best", "calibrate", "deploy", "import", "sweep")


def full_disks(folder: Path) -> Iterator[dict[str, object]]:
    """Every verb on every size; the figures after each size. A skip says why."""
    given = {path.name: str(path) for path in put_files(folder)}
    runs, full, wrong = 0, 0, []
    disk = folder / "disk"
    disk.mkdir()
    for size in SIZES:
        for name, words in (COMMANDS | SWEPT).items():
            argv = [given.get(word, word) for word in words]
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
            made = subprocess.run(mount, capture_output=True, text=True, check=False)
            if made.returncode:
                yield {"name": "full disks", "skipped": made.stderr.strip()}
                return
            try:
                status, told, said = _run(argv, disk)
                faults = _faults(name, argv, status, told, said)
                for path in disk.rglob("*"):
                    parts = path.relative_to(disk).parts
                    if any(part.startswith(".") for part in parts):
                        faults.append(f"{path.name} is left")
                    elif path.is_file() and ".zarr" not in parts[0] and not whole(path):
                        faults.append(f"{path.name} is cut")
            finally:
                subprocess.run(["umount", str(disk)], check=True)
            runs, full = runs + 1, full + (status == 1)
            if faults:
                wrong.append(f"{name} at {size}: status {status}: {'; '.join(faults)}: {said}")
                print(wrong[-1], flush=True)
        yield {"name": "full disks", "sizes": SIZES[: SIZES.index(size) + 1],
               "verbs": [*COMMANDS, *SWEPT], "runs": runs, "were_full": full,
               "wrong": wrong}  # fmt: skip


def _run(argv: list[str], disk: Path) -> tuple[int, str, str]:
    """Status, standard output and standard error of a verb in a child that stands on the disk."""
    from jaxsim.view.cli.main import main

    streams = [disk.parent / "stdout", disk.parent / "stderr"]

    def run() -> int:
        for number, path in enumerate(streams, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(disk)
        return main(argv)

    status, _ = forked(run, disk)
    told, said = (path.read_text(encoding="utf-8") for path in streams)
    return status, told, said


def _faults(name: str, argv: list[str], status: int, told: str, said: str) -> list[str]:
    faults = []
    if status == 1 and not ("No space left" in said and ("out" in said or "deployed" in said)):
        faults.append("not said, or of no file")
    if status not in (0, 1):
        faults.append("another status")
    if "Traceback" in said or "nternal error" in said:
        faults.append("a fault of its own")
    if name not in NO_ANSWER and not told.strip():
        faults.append("the answer is lost")
    if argv[-1] == "json":
        try:
            json.loads(told)
        except ValueError as error:
            faults.append(f"not one object: {error}")
    return faults


def rows(_: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """The figures, of verbs that have evaluated before."""
    warmed(COMMANDS | SWEPT, folder)
    (folder / "here").mkdir()
    yield from full_disks(folder / "here")


if __name__ == "__main__":
    figures(argparse.ArgumentParser(), rows)
