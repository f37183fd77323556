"""Damaged stores and NetCDF files, and what reads them."""

import atexit
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.fuzz.values import changed, torn

SWEEP = """\
model: llama-3.1-8b
hardware: h100
workload: {isl: [512], osl: [64, 128]}
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
    from jaxsim.view.files.store_pending import mend_axes, pending
    from jaxsim.view.files.sweep_config import read_sweep

    config, root = open_store(read_sweep(whole() / "space.yaml"), path, resume=True)
    return len(mend_axes(root, config)) + len(pending(root, config, (1, 1)))


@contextmanager
def damaged(chosen: random.Random) -> Generator[Damaged, None, None]:
    """The store, or the file, with one to three parts changed; afterwards it is as it was."""
    if chosen.random() < 0.3:
        path = whole() / "best.nc"
        with _restored([path]):
            path.write_bytes(torn(path.read_bytes(), chosen))
            yield Damaged("netcdf", path, "bytes", _run_of)
        return
    store = whole() / "all.zarr"
    files, described = _files()
    picked = [
        chosen.choice(described if chosen.random() < 0.5 else files)
        for _ in range(chosen.choice((1, 1, 1, 2, 3)))
    ]
    kinds = (("frontiers", _frontiers), ("run", _run_of), ("resumed", _resumed))
    kind, read = chosen.choice((kinds[0], *kinds))
    with _restored(picked):
        what = "; ".join(_damage(store, path, files, chosen) for path in picked)
        yield Damaged(kind, store, what, read)


@cache
def _files() -> tuple[list[Path], list[Path]]:
    """Every file of the store, and those that describe its arrays."""
    files = sorted(p for p in (whole() / "all.zarr").rglob("*") if p.is_file())
    return files, [p for p in files if p.name == "zarr.json"]


@contextmanager
def _restored(paths: list[Path]) -> Generator[None, None, None]:
    """A block after which files have the content that they had."""
    held = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in held.items():
            if path.is_dir():
                shutil.rmtree(path)
            path.write_bytes(content)


def _damage(store: Path, path: Path, files: list[Path], chosen: random.Random) -> str:
    name, how = path.relative_to(store).as_posix(), chosen.random()
    if not path.is_file():
        return f"{name} is gone"
    if how < 0.15:
        path.unlink()
        return f"{name} removed"
    if how < 0.25:
        other = chosen.choice(files)
        if other.is_file():
            path.write_bytes(other.read_bytes())
        return f"{name} is {other.relative_to(store)}"
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
