"""Are the bits of an answer the same whatever the cores, caches, hash seed, locale and order?

    python -m benchmarks.fuzz.same --json benchmarks/fuzz/same.json

Each command runs as a process of its own in every surrounding. What it prints, without the times
it took and the device that it ran on, and every file that it writes must be as in the first.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzz import figures
from benchmarks.fuzz.flips import MANY
from benchmarks.fuzz.kills import digest
from benchmarks.fuzz.writers import MODEL, SEARCH, SMALL, SWEEP

ROOT = Path(__file__).parents[2]
# The case of which one core once gave 832 other values than two: co-located, of many workloads.
COLOCATED = ["search", *MODEL, "--phase", "colocated", "--ftl", "2s", *MANY, "--chunk", "512,1024"]
COMMANDS = {
    "plan": ["plan", *SMALL, "--format", "json", "-o", "out"],
    "search": [*SEARCH, *MANY, "--format", "json", "-o", "out.nc"],
    "search, co-located": [*COLOCATED, "--format", "json", "-o", "out.nc"],
    "sweep": ["sweep", "space.yaml", "-o", "out.zarr", "--format", "json"],
}
ONE = {0}
# Environment, cores (all where None), whether the cache is empty, and commands that come before.
SURROUNDINGS: dict[str, tuple[dict[str, str], set[int] | None, bool, list[str]]] = {
    "empty cache": ({}, None, True, []),
    "full cache": ({}, None, False, []),
    "no cache": ({"JAXSIM_CACHE": "off"}, None, True, []),
    "one core": ({}, ONE, False, []),
    "one core, empty cache": ({}, ONE, True, []),
    "hash seed 1": ({"PYTHONHASHSEED": "1"}, None, False, []),
    "hash seed 4711": ({"PYTHONHASHSEED": "4711"}, None, True, []),
    "German": ({"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}, None, False, []),
    "C, ASCII": ({"LC_ALL": "C", "PYTHONUTF8": "0"}, None, False, []),
    "one thread": ({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}, None, False, []),
    "after others": ({}, None, False, ["search", "plan"]),
}
_CODE = """
import os, sys, json
from jaxsim.view.cli.main import main
lines = json.loads(sys.argv[1])
held = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for line in lines[:-1]:
    main(line)
sys.stdout.flush()
os.dup2(held, 1)
sys.exit(main(lines[-1]))
"""
# What may differ: times, and the device, whose name says how many cores it has.
_OWN = re.compile(r'"(elapsed_s|points_per_s|points_per_second)": [-+.\de]+|"device": "[^"]*"')


def bits(name: str, surrounding: str, folder: Path) -> dict[str, str]:
    """Hashes of what a command prints and writes in a surrounding."""
    env, cores, empty, before = SURROUNDINGS[surrounding]
    cache = folder / ("empty" if empty else "full")
    where = folder / "run"
    where.mkdir()
    (where / "space.yaml").write_text(SWEEP)
    lines = [[w for w in COMMANDS[b] if w not in ("-o", "out", "out.nc")] for b in before]
    lines.append(COMMANDS[name])
    done = subprocess.run(
        [sys.executable, "-c", _CODE, json.dumps(lines)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache), **env},
        cwd=where, capture_output=True, text=True, check=True,
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    for made in where.rglob("plan.json"):
        made.write_text(_OWN.sub("", made.read_text()))
    for made in where.rglob("report.html"):
        made.unlink()  # which says how long it took
    result = {
        "printed": hashlib.sha256(_OWN.sub("", done.stdout).encode()).hexdigest(),
        "files": digest(where),
    }
    subprocess.run(["rm", "-rf", str(where), str(folder / "empty")], check=True)
    return result


def rows(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """Where each command gave other bits than in the first surrounding."""
    for name in args.only or COMMANDS:
        found = {one: bits(name, one, folder) for one in SURROUNDINGS}
        first = next(iter(found.values()))
        other = [f"{where}: {key}" for where, own in found.items() for key in own
                 if own[key] != first[key]]  # fmt: skip
        yield {"name": name, "surroundings": list(found), "other": other}


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--only", choices=COMMANDS, action="append")
    figures(options, rows)
