"""Killed at any write, or on a full disk: is what is left whole?

    python -m benchmarks.fuzz.kills --kills 60 --json benchmarks/fuzz/kills.json

A write point is an event by which Python is about to change a file: opened to be written, renamed,
linked, removed. A child is killed before the n-th of them (SIGKILL), for every n or a seeded draw.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MODEL = ["llama-3.1-8b", "--hardware", "h100", "--isl", "1024", "--osl", "128", "--ttl", "50ms"]
AXES = ["--tp", "1", "--pp", "1", "--batch", "4,8"]
SMALL = [*MODEL, *AXES, "--ftl", "2s", "--chunk", "512", "--prefill-batch", "1"]
SEARCH = ["search", *MODEL, *AXES, "--phase", "decode"]
SWEEP = """\
model: llama-3.1-8b
hardware: h100
workload: {isl: [512, 1024], osl: [64, 128]}
space: {tp: [1], pp: [1], batch: [1, 16], chunk: [512], prefill_batch: [1]}
phases: [decode]
block_workloads: 1
"""
EVENTS = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
SIZES = ("36k", "64k", "128k", "256k", "512k", "1m", "2m", "4m")


def killed_at(run: Callable[[], object], folder: Path, count: int) -> int | None:
    """Run in a child that is killed before its `count`-th write in a folder; None if it ended."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, args: tuple[object, ...]) -> None:
            nonlocal seen
            writes = event == "open" and isinstance(args[1], str) and args[1][:1] in "wax"
            low = event == "open" and args[1] is None and bool(int(str(args[2])) & os.O_ACCMODE)
            if not (writes or low or event in EVENTS) or str(folder) not in str(args[0]):
                return
            seen += 1
            if seen == count:
                os.kill(os.getpid(), signal.SIGKILL)

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.addaudithook(hook)
        try:
            run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return count if os.WIFSIGNALED(status) else None


def digest(folder: Path) -> str:
    """A hash of every file of a folder, with its name."""
    result = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        result.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return result.hexdigest()


def whole(path: Path) -> bool:
    """Whether a file that a plan writes is complete."""
    raw = path.read_bytes()
    if path.suffix == ".json":
        return isinstance(json.loads(raw), dict)
    if path.suffix == ".nc":
        import xarray as xr

        xr.load_dataset(path, engine="h5netcdf")
        return True
    ends = {".png": b"IEND\xaeB`\x82", ".html": b"</html>", ".yaml": b""}
    return raw.rstrip().endswith(ends[path.suffix])


def kill_plans(folder: Path, most: int) -> dict[str, object]:
    """A plan killed at every write point: files under final names are whole, old or new."""
    from jaxsim.view.cli.main import main

    out, points, wrong, left = folder / "out", 0, [], 0
    for count in range(1, most + 1):
        shutil.rmtree(out, ignore_errors=True)
        if killed_at(lambda: main(["plan", *SMALL, "-o", str(out)]), out, count) is None:
            break
        points += 1
        files = [p for p in out.rglob("*") if p.is_file()] if out.exists() else []
        left += sum(path.name.startswith(".") for path in files)
        wrong += [
            f"{count}: {path.name}"
            for path in files
            if not path.name.startswith(".") and not whole(path)
        ]
    return {"name": "plan", "kills": points, "half_written": wrong, "temporary_left": left}


def kill_sweeps(folder: Path, most: int, seed: int) -> dict[str, object]:
    """A sweep killed at drawn write points, twice each, and resumed: equal to the whole one."""
    from jaxsim.view.cli.main import main

    (folder / "space.yaml").write_text(SWEEP)
    run = ["sweep", str(folder / "space.yaml"), "--resume", "-o"]
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(main([*run, str(folder / "whole.zarr")]))
    os.waitpid(child, 0)
    expected = digest(folder / "whole.zarr")
    chosen, kills, wrong = random.Random(seed), 0, []
    part = folder / "part.zarr"
    while kills < most:
        shutil.rmtree(part, ignore_errors=True)
        places = [chosen.randrange(1, 700) for _ in range(2)]
        for count in places:
            done = killed_at(lambda: main([*run, str(part)]), folder, count)
            kills += done is not None
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(main([*run, str(part)]))
        _, status = os.waitpid(child, 0)
        if status or digest(part) != expected:
            wrong.append(f"{places}: status {os.waitstatus_to_exitcode(status)}")
    return {"name": "sweep, resumed", "kills": kills, "not_equal": wrong}


def full_disks(folder: Path) -> dict[str, object]:
    """Every verb that writes, on file systems of several sizes; a skip says why."""
    (folder / "space.yaml").write_text(SWEEP)
    commands = {
        "plan": ["plan", *SMALL, "-o", "out"],
        "plan-json": ["plan", *SMALL, "-o", "out", "--format", "json"],
        "search-nc": [*SEARCH, "-o", "out.nc"],
        "search-csv": [*SEARCH, "-o", "out.csv"],
        "sweep": ["sweep", str(folder / "space.yaml"), "-o", "out.zarr"],
        "best": ["sweep", str(folder / "space.yaml"), "-o", "out.nc", "--best", "1"],
    }
    disk, runs, wrong, full = folder / "disk", 0, [], 0
    disk.mkdir()
    for size in SIZES:
        for name, argv in commands.items():
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
            made = subprocess.run(mount, capture_output=True, text=True, check=False)
            if made.returncode:
                return {"name": "full disk", "skipped": made.stderr.strip()}
            try:
                env = {**os.environ, "PYTHONPATH": os.getcwd()}
                done = subprocess.run(
                    [sys.executable, "-m", "jaxsim", *argv], cwd=disk, env=env, text=True,
                    capture_output=True, check=False, timeout=120,
                )  # fmt: skip
                runs, full = runs + 1, full + (done.returncode == 1)
                said = done.returncode == 1 and "No space left" in done.stderr
                files = [p for p in disk.rglob("*") if p.is_file() and ".zarr" not in str(p)]
                bad = [p.name for p in files if p.suffix in (".json", ".nc") and not whole(p)]
                bad += [p.name for p in files if p.name.startswith(".")]
                if not (said or done.returncode == 0) or bad or "Traceback" in done.stderr:
                    wrong.append(f"{name} at {size}: {done.returncode} {bad} {done.stderr[-200:]}")
                if name.endswith("json"):
                    json.loads(done.stdout)
            finally:
                subprocess.run(["umount", str(disk)], check=True)
    return {"name": "full disk", "runs": runs, "were_full": full, "wrong": wrong}


def main() -> None:
    """Run all three and leave the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=40, help="of sweeps; of plans, every point")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="where the figures go")
    args = parser.parse_args()

    told = []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        for run in (
            lambda: kill_plans(Path(name), 200),
            lambda: kill_sweeps(Path(name), args.kills, args.seed),
            lambda: full_disks(Path(name)),
        ):
            started = time.perf_counter()
            told.append({**run(), "seconds": round(time.perf_counter() - started)})
            print(json.dumps(told[-1]), flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
