"""Run many cases, in processes that are begun again where one dies or hangs.

python -m benchmarks.fuzz --kind file --cases 600000 --json benchmarks/fuzz/results.json
python -m benchmarks.fuzz --kind file --seed 4711            # one case, shown

The figures are written after every slice of cases, and a run that was stopped goes on where it was.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.fuzz import worker

# Cases between two writings of the figures; a process begins anew after some of them.
SLICE = {"line": 500, "file": 2000, "call": 2000, "store": 50, "env": 10}
ANEW = 50


def main() -> None:
    """Run, say what was found, and leave the figures in a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=(*worker.KINDS, "all"), default="all")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="run and show this one")
    parser.add_argument("--json", help="where the figures go, and those of before are")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        worker.serve(args.kind, Path(args.serve))
        return
    if args.seed is not None:
        _show(args.kind, args.seed)
        return
    for kind in worker.KINDS if args.kind == "all" else (args.kind,):
        print(json.dumps(_run(kind, args.first, args.cases, args.json)))


def _show(kind: str, seed: int) -> None:
    worker.prepare(kind)
    print(worker.case_text(kind, seed))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        os.chdir(name)
        print(worker.run(kind, seed, Path(name)))


def _run(kind: str, first: int, cases: int, file: str | None) -> dict[str, Any]:
    """Figures of one kind of case; what was done before under the same kind and first is kept."""
    rows = _rows(file)
    row = next((r for r in rows if (r["kind"], r["first"]) == (kind, first)), None) or {
        "kind": kind, "first": first, "cases": 0, "seconds": 0, "statuses": {}, "sorts": {},
        "faults": 0, "died": [], "slowest_s": 0.0, "seeds": [],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        child, place, left_out, slices = None, Path(folder) / "place", [], 0
        while row["cases"] < cases:
            start = first + row["cases"]
            stop = min(start + SLICE[kind], first + cases)
            if child is None:
                child, slices = _begun(kind, place), 0
            started = time.perf_counter()
            told = _asked(child, [start, stop, *left_out])
            if told is None:
                left_out.append(int(place.read_bytes()))
                row["died"].append(left_out[-1])
                print(kind, left_out[-1], "the process died", flush=True)
                child = None
                continue
            _add(row, told, stop - start, time.perf_counter() - started)
            if file:
                _keep(file, row)
            slices += 1
            if slices == ANEW:
                child = _ended(child)
        if child is not None:
            _ended(child)
    return row


def _begun(kind: str, place: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.fuzz", "--kind", kind, "--serve", str(place)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ended(child: "subprocess.Popen[str]") -> None:
    child.communicate()


def _asked(child: "subprocess.Popen[str]", numbers: list[int]) -> dict[str, Any] | None:
    """What a process says of a slice; None if it died over it."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        print(*numbers, file=child.stdin, flush=True)
        return json.loads(child.stdout.readline())
    except (BrokenPipeError, ValueError):
        child.wait()
        return None


def _add(row: dict[str, Any], told: dict[str, Any], cases: int, seconds: float) -> None:
    """Count a slice into the figures, and print those at fault."""
    row["cases"] += cases
    row["seconds"] = round(row["seconds"] + seconds, 1)
    for name in ("statuses", "sorts"):
        row[name] = dict(sorted((Counter(row[name]) + Counter(told[name])).items()))
    row["slowest_s"] = max(row["slowest_s"], round(told["slowest_s"], 3))
    for one in told["wrong"]:
        last = one["detail"].strip().splitlines()[-1:]
        print(row["kind"], one["seed"], one["seconds"], one["faults"], last, flush=True)
        if one["faults"]:
            row["faults"] += 1
            row["seeds"].append(one["seed"])


def _rows(file: str | None) -> list[dict[str, Any]]:
    return json.loads(Path(file).read_text()) if file and Path(file).exists() else []


def _keep(file: str, row: dict[str, Any]) -> None:
    """Write the figures, whole or not at all."""
    same = (row["kind"], row["first"])
    rows = [r for r in _rows(file) if (r["kind"], r["first"]) != same]
    aside = Path(f"{file}.new")
    aside.write_text(json.dumps([*rows, row], indent=1) + "\n")
    aside.replace(file)


if __name__ == "__main__":
    main()
