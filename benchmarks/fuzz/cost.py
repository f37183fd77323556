"""Which share of the processor's time of a plan and a search do the checks take?

    python -m benchmarks.fuzz.cost --runs 5 --json benchmarks/fuzz/cost.json

Counted is all that happens within the functions by which files and numbers enter, caches are sealed
and listed, and files are written: more than the checks alone, since reading and writing are in it.
Both figures are of one process, so that other work on the machine changes neither much.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzz import figures

ROOT = Path(__file__).parents[2]
GOAL = 0.02
COMMANDS = {
    "plan": "plan deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 --ftl 5s --ttl 50ms",
    "plan, written": "plan deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 --ftl 5s "
    "--ttl 50ms -o out",
    "search": "search deepseek-r1 --hardware gb200-nvl72 --phase decode --isl 1024..16384:16 "
    "--osl 256..2048:8 --ttl 50ms",
}
_CODE = """
import functools, importlib, json, os, sys, time
CHECKS = {
    "jaxsim.catalog.bounds": ("check", "problem", "whole", "real"),
    "jaxsim.catalog.documents": ("_check", "printable", "given_path", "shown"),
    "jaxsim.space.program.sealed": ("_seal", "_key"),
    "jaxsim.view.cli.cache": ("_not_own",),
    "jaxsim.view.cli.cache_files": ("clean", "remember"),
    "jaxsim.view.cli.process": ("refuse_odd", "open_streams"),
    "jaxsim.view.files.atomic": ("_clear", "_regular", "output_folder", "umask"),
    "jaxsim.space.program.process_memory": ("require", "free_bytes"),
    "os": ("fsync",),
}
spent, inside = {}, False
def timed(name, function):
    @functools.wraps(function)
    def run(*args, **keywords):
        global inside
        if inside:
            return function(*args, **keywords)
        inside, started = True, time.process_time()
        try:
            return function(*args, **keywords)
        finally:
            inside = False
            spent[name] = spent.get(name, 0.0) + time.process_time() - started
    return run
class Finder:
    # A module's functions are replaced as soon as it is there, before others take them from it.
    def find_spec(self, name, path=None, target=None):
        if name not in CHECKS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        sys.meta_path.insert(0, self)
        load = spec.loader.exec_module
        def loaded(module):
            load(module)
            for own in CHECKS[name]:
                setattr(module, own, timed(f"{name}.{own}", getattr(module, own)))
        spec.loader.exec_module = loaded
        return spec
import importlib.util
os.fsync = timed("os.fsync", os.fsync)
sys.meta_path.insert(0, Finder())
from jaxsim.view.cli.main import main
status = main(sys.argv[1:])
total = time.process_time()
print(json.dumps({"total_s": total, "spent_s": spent, "status": status}), file=sys.stderr)
"""


def measured(argv: list[str], cache: Path) -> dict[str, float]:
    """CPU seconds of a process, and those of each check in it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        done = subprocess.run(
            [sys.executable, "-c", _CODE, *argv], cwd=name, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}, check=True,
        )  # fmt: skip
    told = json.loads(done.stderr.splitlines()[-1])
    return {"total": told["total_s"], **told["spent_s"]}


def rows(args: argparse.Namespace, cache: Path) -> Iterator[dict[str, object]]:
    """Each command several times, after one that fills the cache."""
    for name, line in COMMANDS.items():
        runs = [measured(line.split(), cache) for _ in range(args.runs + 1)][1:]
        shares = [(sum(run.values()) - run["total"]) / run["total"] for run in runs]
        most = max(runs[0], key=lambda key: runs[0][key] if key != "total" else 0.0)
        yield {"name": name, "runs": args.runs, "goal": GOAL,
               "cpu_s": round(statistics.median(run["total"] for run in runs), 2),
               "share": round(statistics.median(shares), 4), "highest": round(max(shares), 4),
               "most": most}  # fmt: skip


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=5)
    figures(options, rows)
