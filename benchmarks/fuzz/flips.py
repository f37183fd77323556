"""A cache file in which one byte is another: is it never used?

    python -m benchmarks.fuzz.flips --json benchmarks/fuzz/flips.json

A small search and a small plan fill a cache. Of the smallest executable, the smallest program, the
list of what JAX keeps and the key, every byte is changed, and the reader must find nothing; of what
JAX keeps, the files must be removed. For a sample of them the plan is made again, and must print
what it printed.
"""

import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.fuzz import figures
from benchmarks.fuzz.writers import SEARCH, SMALL

# Enough designs that a block is compiled.
BATCHES = ",".join(map(str, range(1, 129)))
MANY = ["--isl", "1024..2048:64", "--osl", "64..512:64", "--tp", "1,2", "--batch", BATCHES]
RUNS = (["plan", *SMALL], [*SEARCH, *MANY])


def command(argv: list[str], cache: Path) -> tuple[int, str, str]:
    """Status, what was printed without times, and what was complained of."""
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-m", "jaxsim", *argv], env=env, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    return (
        done.returncode,
        re.sub(r"in \d[\d.,]* m?s( \([^)]*/s\))?", "in …", done.stdout),
        done.stderr,
    )


def every_byte(path: Path, read: Callable[[Path], object], chosen: random.Random) -> list[int]:
    """Where a byte may be changed, one after another, and something is still read."""
    raw, used = path.read_bytes(), []
    with path.open("r+b", buffering=0) as file:
        for place in range(len(raw)):
            for value, there in (
                (raw[place] ^ chosen.randrange(1, 256), True),
                (raw[place], False),
            ):
                file.seek(place)
                file.write(bytes([value]))
                if there and read(path) is not None:
                    used.append(place)
    return used


def changed_files(folder: Path, chosen: random.Random) -> Iterator[dict[str, object]]:
    """Every byte of one file of each kind."""
    from jaxsim.space.program import sealed
    from jaxsim.view.cli import cache_files

    kept = sorted(folder.glob("*-cache"), key=lambda p: p.stat().st_size)
    known = json.loads(sealed.read(folder / cache_files.LIST) or b"{}")
    first = {
        kind: min(folder.glob(pattern), key=lambda p: p.stat().st_size, default=None)
        for kind, pattern in (("executable", "*.bin"), ("program", "program-*.json"))
    }
    program = first["program"]

    def by_key(_: Path) -> object:
        return None if program is None else sealed.read(program)

    def by_list(path: Path) -> object:
        """What JAX keeps is used if its hash is the one that is listed."""
        same = hashlib.sha256(path.read_bytes()).hexdigest() == known.get(path.name)
        return path if same else None

    whole: list[tuple[str, Path | None, Callable[[Path], object]]] = [
        ("executable", first["executable"], sealed.read),
        ("program", program, sealed.read),
        ("list of JAX's files", folder / cache_files.LIST, sealed.read),
        ("key", folder / "key", by_key),
        ("executable of JAX", kept[0] if kept else None, by_list),
    ]
    for name, path, read in whole:
        if path is None or not path.exists():
            yield {"name": name, "skipped": "there is none"}
            continue
        used = every_byte(path, read, chosen)
        assert read(path) is not None, name
        yield {"name": name, "bytes": path.stat().st_size, "used_though_changed": used}


def answers(cache: Path, count: int, chosen: random.Random) -> Iterator[dict[str, object]]:
    """The same answers from a cache with a byte changed in a file drawn each time, one by one."""
    folder, wrong = cache / "jaxsim", []
    expected = [command(argv, cache) for argv in RUNS]
    for k in range(count):
        path = chosen.choice(sorted(p for p in folder.iterdir() if p.is_file()))
        raw = bytearray(path.read_bytes())
        place = chosen.randrange(len(raw)) if chosen.random() < 0.7 else chosen.randrange(80)
        raw[place % len(raw)] ^= chosen.randrange(1, 256)
        path.write_bytes(raw)
        which = k % len(RUNS)
        found = command(RUNS[which], cache)
        if found != expected[which]:
            wrong.append(f"{path.name} at {place}: {found[0]} {found[2][-200:]}")
        yield {"name": "answers", "changes": k + 1, "wrong": wrong}


def rows(args: argparse.Namespace, cache: Path) -> Iterator[dict[str, object]]:
    """Fill a cache and change it: the figures of each file, then of answers."""
    chosen = random.Random(args.seed)
    for argv in RUNS:
        status, _, said = command(argv, cache)
        if status:
            raise SystemExit(said)
    if not args.only_answers:
        yield from changed_files(cache / "jaxsim", chosen)
    yield from answers(cache, args.answers, chosen)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--answers", type=int, default=20, help="runs from a changed cache")
    options.add_argument("--only-answers", action="store_true", help="no file byte by byte")
    options.add_argument("--seed", type=int, default=0)
    figures(options, rows)
