"""Many shards of one sweep, started at once, killed and started again: one store, bit for bit?

    python -m benchmarks.fuzz.shards --rounds 5 --json benchmarks/fuzz/shards.json

Each round starts a process for every shard at the same moment, kills some at moments of their own
(SIGKILL), and starts all again with --resume until every one ends well. The store must then equal,
file for file, the one that a single process made. What a block holds is computed once, before the
processes are forked, so that what is tried is the claim of the store, its writing and its cleaning.
"""

import argparse
import os
import random
import shutil
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzz import figures
from benchmarks.fuzz.kills import digest
from benchmarks.fuzz.writers import warmed

SHARDS = 64
SWEEP = """\
model: llama-3.1-8b
hardware: h100
workload: {isl: [512, 768, 1024, 1536, 2048, 3072, 4096, 6144],
           osl: [32, 64, 96, 128, 192, 256, 384, 512]}
space: {tp: [1], pp: [1], batch: [1, 16], chunk: [512], prefill_batch: [1]}
phases: [decode]
block_workloads: 1
"""


def started(argv: list[str], log: Path) -> int:
    """A process of its own that runs a verb; its number. What it imports is imported already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the child does not use JAX
        child = os.fork()
    if child:
        return child
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        from jaxsim.view.cli.main import main

        status = main(argv)
    except BaseException:
        status = 99
    os._exit(status)


def ended(children: list[int]) -> list[int]:
    """The exit statuses of processes, negative of those that were killed."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def kill(children: list[int], chosen: random.Random, longest_s: float) -> None:
    """Kill about a third at moments up to `longest_s` from now."""
    moments = sorted((chosen.uniform(0.0, longest_s), child) for child in children)
    doomed = [pair for pair in moments if chosen.random() < 1 / 3]
    begun = time.perf_counter()
    for moment, child in doomed:
        time.sleep(max(0.0, begun + moment - time.perf_counter()))
        os.kill(child, signal.SIGKILL)  # one that has ended waits to be asked how, and stays


def rounds(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """The figures after every round: which of them were not equal, and why."""
    shards = args.shards
    config, log = folder / "space.yaml", folder / "log"
    warmed({"sweep": ["sweep", config.name, "-o", "warm.zarr"]}, folder, SWEEP)
    (status,) = ended([started(["sweep", str(config), "-o", str(folder / "whole.zarr")], log)])
    if status:
        raise SystemExit(log.read_text())
    expected = digest(folder / "whole.zarr")
    chosen, kills, starts, wrong = random.Random(args.seed), 0, 0, []
    longest_s = 8.0
    for number in range(args.rounds):
        store = folder / "shared.zarr"
        shutil.rmtree(store, ignore_errors=True)
        log.unlink(missing_ok=True)
        for attempt in range(4):
            lines = [
                ["sweep", str(config), "-o", str(store), "--resume", "--shard", f"{k}/{shards}"]
                for k in range(1, shards + 1)
            ]
            began = time.perf_counter()
            children = [started(line, log) for line in lines]
            starts += shards
            if attempt < 2:
                kill(children, chosen, longest_s)
            statuses = ended(children)
            kills += statuses.count(-signal.SIGKILL)
            bad = sorted({s for s in statuses if s not in (0, -signal.SIGKILL)})
            if bad:
                wrong.append(f"round {number}, start {attempt}: {bad}: {log.read_text()[-500:]}")
            if not any(statuses):
                longest_s = time.perf_counter() - began
                break
        if digest(store) != expected:
            wrong.append(f"round {number}: the store is another")
        left = [p.name for p in folder.iterdir() if p.name.startswith(".")]
        if left:
            wrong.append(f"round {number}: left behind: {', '.join(left)}")
            for name in left:
                shutil.rmtree(folder / name, ignore_errors=True)
        yield {"name": f"{shards} shards, seed {args.seed}", "rounds": number + 1, "shards": shards,
               "starts": starts, "kills": kills, "wrong": wrong}  # fmt: skip


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--shards", type=int, default=SHARDS)
    options.add_argument("--seed", type=int, default=0)
    figures(options, rounds)
