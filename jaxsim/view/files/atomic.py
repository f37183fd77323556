"""How is a file written so that it is either whole or not there?"""

import contextlib
import errno
import glob
import os
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsim.catalog.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


LEFT_S = 3600.0
# Why a folder takes no files whatever is tried, as a full disk may later.
NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name in its own folder, then give it its final name.

    `write` is called with the temporary path, which keeps the suffix. If it fails, nothing is left
    under either name, and what the final name held before is still there.
    """
    _regular(path)
    _clear(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with naming(path):
            write(temporary)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~umask())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Generator[None, None, None]:
    """A block whose OSError names a file: "No space left" alone names none."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _clear(path: Path) -> None:
    """Remove what processes that were killed left beside a file, an hour ago or more."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}-????????{glob.escape(path.suffix)}"):
        with contextlib.suppress(OSError):
            if time.time() - left.lstat().st_mtime > LEFT_S:
                left.unlink()


def _regular(path: Path) -> None:
    """An error where a link or a device would be replaced by a file."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise InputError(f"{path}: is no regular file, and would be replaced; give another name.")


def replace_netcdf(path: Path, data: "xr.Dataset | xr.DataTree") -> None:
    """Write a NetCDF file, whole or not at all.

    It is made in memory first: the HDF5 library crashes where a disk is full.
    """
    import io

    content = io.BytesIO()
    data.to_netcdf(content, engine="h5netcdf")
    replace_bytes(path, content.getvalue())


def replace_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a binary file, whole or not at all."""
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def output_file(path: Path, suffixes: Sequence[str]) -> Path:
    """The file, if it has such a suffix and can be written; an error before any work."""
    if path.suffix not in suffixes:
        raise InputError(f"{path}: give a name that ends in {' or '.join(suffixes)}.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first.")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file.")
    _regular(path)
    output_folder(path.parent)
    return path


def output_folder(path: Path) -> Path:
    """The folder, made if it is not there, and proved to be writable before any long work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Where the file system can, without a name: nothing is left of a process that is killed.
        tempfile.TemporaryFile(prefix=".jaxsim-", dir=path).close()
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        raise InputError(
            f"{path}: no file can be made there: {error.strerror}; give another."
        ) from None
    return path


def umask() -> int:
    """The permissions that new files are not given."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
