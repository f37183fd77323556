"""Run many cases, in processes that are begun again where one dies or hangs.

python -m benchmarks.fuzz --kind line --cases 100000 --json benchmarks/fuzz/results.json
python -m benchmarks.fuzz --kind file --seed 4711            # one case, shown
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

from benchmarks.fuzz import worker

PATIENCE_S = 120.0


def main() -> None:
    """Run, say what was found, and leave the figures in a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=(*worker.KINDS, "all"), default="all")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, help="run and show this one")
    parser.add_argument("--json", help="where the figures go")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        first, stop, step = map(int, args.serve.split(","))
        worker.serve(args.kind, first, stop, step, args.json)
        return
    if args.seed is not None:
        _show(args.kind, args.seed)
        return
    kinds = worker.KINDS if args.kind == "all" else (args.kind,)
    told = [_run(kind, args.first, args.cases, args.workers) for kind in kinds]
    if args.json:
        path = Path(args.json)
        held = json.loads(path.read_text()) if path.exists() else []
        path.write_text(json.dumps([*held, *told], indent=1) + "\n")


def _show(kind: str, seed: int) -> None:
    worker.prepare(kind)
    print(worker.case_text(kind, seed))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        os.chdir(name)
        print(worker.run(kind, seed, Path(name)))


def _run(kind: str, first: int, cases: int, workers: int) -> dict[str, object]:
    """Figures of one kind of case."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / f"{i}.jsonl" for i in range(workers)]
        nexts = [first + i for i in range(workers)]
        running: list[subprocess.Popen[bytes] | None] = [None] * workers
        died: list[int] = []
        while True:
            for i in range(workers):
                child = running[i]
                if child is None and nexts[i] < first + cases:
                    spec = f"{nexts[i]},{first + cases},{workers}"
                    command = [sys.executable, "-m", "benchmarks.fuzz", "--kind", kind]
                    logs[i].touch()
                    running[i] = subprocess.Popen([*command, "--serve", spec, "--json", logs[i]])
                elif child is not None and child.poll() is not None:
                    if child.returncode:
                        died.append(_last(logs[i], nexts[i]))
                        nexts[i] = died[-1] + workers
                    else:
                        nexts[i] = first + cases
                    running[i] = None
                elif child is not None and time.time() - logs[i].stat().st_mtime > PATIENCE_S:
                    child.kill()
            if all(one is None for one in running) and all(n >= first + cases for n in nexts):
                break
            time.sleep(0.5)
        rows = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    rows = [row for row in rows if "seed" in row]
    wrong = [row for row in rows if row.get("faults")]
    statuses = Counter(str(row["status"]) for row in rows)
    for row in wrong:
        print(kind, row["seed"], row["faults"], row["detail"].strip().splitlines()[-1:])
    for seed in died:
        print(kind, seed, "the process died")
    told: dict[str, object] = {
        "kind": kind, "first": first, "cases": len(rows),
        "seconds": round(time.perf_counter() - started),
        "statuses": dict(sorted(statuses.items())), "faults": len(wrong), "died": died,
        "slowest_s": max((row["seconds"] for row in rows), default=0.0),
        "seeds": [row["seed"] for row in wrong],
    }  # fmt: skip
    print(json.dumps(told))
    return told


def _last(log: Path, start: int) -> int:
    begun = [json.loads(line) for line in log.read_text().splitlines() if "begin" in line]
    return begun[-1]["begin"] if begun else start


if __name__ == "__main__":
    main()
