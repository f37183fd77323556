"""Which of the files that JAX keeps in the cache are as it wrote them?

JAX reads what it compiled without asking who wrote it. A sealed list has the hash of each of its
files: before JAX starts, those that are not in it, or were changed, are removed, and so are the
oldest where all take too much room.
"""

import hashlib
import json
import os
from pathlib import Path

from jaxsim.space.program import sealed

LIST = "jax-files.list"
SIZE_SWITCH = "JAXSIM_CACHE_MB"
MOST_MB = 512.0


def most_bytes() -> float:
    """The room that the cache may take: `JAXSIM_CACHE_MB`, or 512 MB."""
    try:
        given = float(os.environ.get(SIZE_SWITCH, MOST_MB))
    except ValueError:
        given = MOST_MB
    return 1e6 * (given if 0.0 <= given < 1e9 else MOST_MB)


def _kept_by_jax(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*-cache") if path.is_file() and not path.is_symlink()]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _listed(folder: Path) -> dict[str, str]:
    content = sealed.read(folder / LIST)
    return {} if content is None else dict(json.loads(content))


def clean(folder: Path) -> None:
    """Remove what JAX did not write in a run of this user's, and the oldest beyond the room."""
    known = _listed(folder)
    for path in _kept_by_jax(folder):
        if known.get(path.name) != _sha256(path):
            _remove(path)
    for path in folder.glob("*-atime"):
        if not path.with_name(path.name.removesuffix("-atime") + "-cache").exists():
            path.unlink(missing_ok=True)
    files = [p for p in folder.iterdir() if p.is_file() and p.suffix != ".list" and p.name != "key"]
    held = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in files), key=lambda x: x[0])
    over = sum(size for _, size, _ in held) - most_bytes()
    for _, size, path in held:
        if over <= 0.0:
            break
        _remove(path)
        over -= size


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(path.name.removesuffix("-cache") + "-atime").unlink(missing_ok=True)


def remember(folder: Path) -> None:
    """Seal the list of what JAX keeps there now; silent where that is impossible."""
    try:
        known = _listed(folder)
        digests = {p.name: known.get(p.name) or _sha256(p) for p in _kept_by_jax(folder)}
        if digests != known:
            sealed.write(folder / LIST, json.dumps(digests).encode())
    except OSError:
        return
