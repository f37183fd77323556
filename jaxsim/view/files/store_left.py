"""Who removes what killed processes left in a store, and beside it?

Every process that fills a store holds a lock on it, which ends with the process, however that ends.
Who is alone at the beginning or at the end removes what is half-written: then nobody writes.
"""

import contextlib
import glob
import os
import platform
import shutil
import time
from collections.abc import Generator
from pathlib import Path

from jaxsim.view.files.atomic import LEFT_S


@contextlib.contextmanager
def filling(path: Path) -> Generator[None, None, None]:
    """A block in which this process is one of those that fill a store.

    Before the block, who is not alone removes only what is an hour old or more; so does everyone
    where there are no locks, as on some file systems of a network. Of several processes the last to
    end is alone, and removes the rest.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _clear_partial(path, _alone(descriptor))
        _share(descriptor)
        yield
        if _alone(descriptor):
            _clear_partial(path, alone=True)
    finally:
        os.close(descriptor)


def _alone(descriptor: int) -> bool:
    """Whether no other process fills the store; from then on others wait until this one shares."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _share(descriptor: int) -> None:
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_SH)


def _clear_partial(path: Path, alone: bool) -> None:
    """Remove chunks that Zarr had not renamed when a process was killed."""
    for left in path.glob("*/**/*.partial"):
        with contextlib.suppress(OSError):
            if alone or time.time() - left.lstat().st_mtime > LEFT_S:
                left.unlink()


def aside_of(path: Path) -> str:
    """How the names begin of the folders in which processes of this machine make a store."""
    return f".{path.name}-{platform.node()}-"


def clear_aside(path: Path) -> None:
    """Remove what processes of this machine that are no more left beside a store."""
    for folder in path.parent.glob(f"{glob.escape(aside_of(path))}*"):
        number = folder.name.removeprefix(aside_of(path)).partition("-")[0]
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, OSError):
            continue  # not ours to judge, or of another user
