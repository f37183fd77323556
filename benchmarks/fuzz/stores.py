"""Damaged stores and NetCDF files, and what reads them."""

import atexit
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.fuzz.values import changed, torn

SWEEP = """\
model: llama-3.1-8b
hardware: h100
workload: {isl: [512, 1024], osl: [64, 128]}
space: {tp: [1], pp: [1], batch: [1, 16], chunk: [512], prefill_batch: [1]}
block_workloads: 1
"""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Damaged:
    """A store or file in which something was changed, and the function that reads it."""

    kind: str
    path: Path
    what: str
    read: Callable[[Path], object]


@cache
def whole() -> Path:
    """A folder with a small store and its file of best designs, made once by a process apart."""
    folder = Path(tempfile.mkdtemp(prefix="jaxsim-fuzz-", dir="/dev/shm"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "space.yaml").write_text(SWEEP)
    for more in (["-o", "all.zarr"], ["-o", "best.nc", "--best", "1"]):
        command = [sys.executable, "-m", "jaxsim", "sweep", str(folder / "space.yaml"), *more]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env=env)
    return folder


def _frontiers(path: Path) -> object:
    """What is read of a store, which is what was written or an error."""
    found = _table(path)
    if found != _expected():
        raise AssertionError(f"{found} is not {_expected()}")
    return found


@cache
def _expected() -> dict[str, float]:
    return _table(whole() / "all.zarr")


def _table(path: Path) -> dict[str, float]:
    from jaxsim.view.files.store_frontiers import frontiers_of

    table = frontiers_of(path, 2.0, (0.02, 0.05), "mean")
    return {str(name): float(values.sum()) for name, values in table.data_vars.items()}


def _run_of(path: Path) -> object:
    from jaxsim.view.cli.config import read_config

    return read_config(path)


def _resumed(path: Path) -> object:
    from jaxsim.view.files.store import open_store
    from jaxsim.view.files.store_pending import pending
    from jaxsim.view.files.sweep_config import read_sweep

    config, root = open_store(read_sweep(whole() / "space.yaml"), path, resume=True)
    return len(pending(root, config, (1, 1)))


def damaged(chosen: random.Random, folder: Path) -> Damaged:
    """A copy of the store, or of the file, with one to three parts changed."""
    if chosen.random() < 0.3:
        path = folder / "best.nc"
        path.write_bytes(torn((whole() / "best.nc").read_bytes(), chosen))
        return Damaged("netcdf", path, "bytes", _run_of)
    path = folder / "all.zarr"
    shutil.copytree(whole() / "all.zarr", path)
    said = [_damage(path, chosen) for _ in range(chosen.choice((1, 1, 1, 2, 3)))]
    kind, read = chosen.choice(
        (
            ("frontiers", _frontiers),
            ("frontiers", _frontiers),
            ("run", _run_of),
            ("resumed", _resumed),
        )
    )
    return Damaged(kind, path, "; ".join(said), read)


def _damage(store: Path, chosen: random.Random) -> str:
    files = sorted(p for p in store.rglob("*") if p.is_file())
    if not files:
        return "nothing is left"
    described = [p for p in files if p.name == "zarr.json"]
    path = chosen.choice(described if described and chosen.random() < 0.5 else files)
    name, how = path.relative_to(store).as_posix(), chosen.random()
    if how < 0.15:
        path.unlink()
        return f"{name} removed"
    if how < 0.25:
        other = chosen.choice(files)
        if other.exists():
            path.write_bytes(other.read_bytes())
        return f"{name} is {other.name}"
    if how < 0.3:
        path.unlink()
        path.mkdir()
        return f"{name} is a folder"
    if how < 0.6 and path.name == "zarr.json":
        try:
            made = changed(json.loads(path.read_text()), chosen, chosen.choice((1, 2)))
            path.write_bytes(json.dumps(made).encode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            path.write_text("[" * 5000)
        return f"{name}: values"
    path.write_bytes(torn(path.read_bytes(), chosen))
    return f"{name}: bytes"
