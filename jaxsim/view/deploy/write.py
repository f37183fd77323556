"""How do the files of a deployment come into a folder, checked, whole or not at all?"""

import contextlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from jaxsim._version import __version__
from jaxsim.catalog.documents import read_json
from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.registry import software_of
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.files.atomic import output_folder, replace_bytes, replace_text

STAMP = "deploy.json"
SCHEMA = "jaxsim.deploy/1"


def stamp(order: Order, settings: Settings, names: list[str], notes: list[str]) -> str:
    """What was deployed where, from which plan."""
    software, version = software_of(settings)
    described = {
        "schema": SCHEMA,
        "jaxsim_version": __version__,
        "plan": order.digest,
        "target": settings.target,
        "kind": order.kind,
        "engine": software,
        "engine_version": version,
        "checkpoint": settings.checkpoint,
        "formats": order.formats,
        "connector": settings.connector if order.kind == "disaggregated" else None,
        "gpus": order.gpus,
        "concurrency": order.concurrency,
        "files": sorted(names),
        "notes": notes,
    }
    return json.dumps(described, indent=2) + "\n"


def check_folder(folder: Path, digest: str, target: str) -> None:
    """Refuse a folder with files that another plan left, or that are not ours."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder with -o.")
    held = sorted(path.name for path in folder.iterdir())
    if not held:
        return
    try:
        left_by = read_json(folder / STAMP)
        if not isinstance(left_by, dict):
            raise ValueError
        plan, kind = left_by["plan"], left_by["target"]
    except (ValueError, KeyError):
        raise InputError(
            f"{folder}: holds other files ({', '.join(held[:3])}, …); give an empty or new folder."
        ) from None
    if plan != digest or kind != target:
        raise InputError(
            f"{folder}: holds the deployment of another plan or target ({kind}); give another "
            "folder, or remove it."
        )


def check_scripts(files: Mapping[str, str | bytes]) -> None:
    """Have bash read every script without running it."""
    for name, text in files.items():
        if name.endswith((".sh", ".sbatch")) and isinstance(text, str):
            read = subprocess.run(
                ["bash", "-n"], input=text, capture_output=True, text=True, check=False
            )
            if read.returncode:
                raise ValueError(f"{name}: bash does not read it: {read.stderr.strip()}")


def write_files(
    folder: Path,
    order: Order,
    settings: Settings,
    files: Mapping[str, str | bytes],
    notes: list[str],
) -> list[Path]:
    """Write all files, or none; the stamp comes last, so that a folder with one is complete."""
    check_folder(folder, order.digest, settings.target)
    check_scripts(files)
    new, complete = not folder.exists(), (folder / STAMP).exists()
    output_folder(folder)
    written: list[Path] = []
    try:
        for name, text in {**files, STAMP: stamp(order, settings, list(files), notes)}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(path)
            replace_text(path, text) if isinstance(text, str) else replace_bytes(path, text)
            if name.endswith(".sh"):
                path.chmod(path.stat().st_mode | 0o111)
    except BaseException:
        if not complete:
            _remove(written, folder, new)
        raise
    return written


def _remove(written: list[Path], folder: Path, new: bool) -> None:
    """Take away what was written before a failure, and folders that were made for it."""
    for path in written:
        path.unlink(missing_ok=True)
    made = {path.parent for path in written} - {folder}
    for path in [*sorted(made, reverse=True), *([folder] if new else [])]:
        with contextlib.suppress(OSError):
            path.rmdir()
