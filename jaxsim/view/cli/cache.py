"""Where does the command line keep what it traced and compiled, so that a second run is fast?

Only the command line asks for this, and only before JAX is imported: a process that already has
JAX is not ours to configure.
"""

import atexit
import os
import stat
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SWITCH = "JAXSIM_CACHE"
# Read by `jaxsim.space.program.files`, which cannot be imported here: it starts JAX.
PROGRAMS = "JAXSIM_PROGRAMS"


def cache_folder() -> Path:
    """`jaxsim` in the user's cache folder, where the system has it; in XDG_CACHE_HOME if given."""
    from platformdirs import user_cache_path

    base = os.environ.get("XDG_CACHE_HOME") or ""
    # A relative XDG path is to be ignored, says the XDG base directory specification.
    if os.path.isabs(base):
        return Path(base) / "jaxsim"
    with _without("XDG_CACHE_HOME"):
        return user_cache_path("jaxsim", appauthor=False)


@contextmanager
def _without(name: str) -> Generator[None, None, None]:
    """Leave a variable out of the environment for a while."""
    held = os.environ.pop(name, None)
    try:
        yield
    finally:
        if held is not None:
            os.environ[name] = held


def _not_own(folder: Path) -> str:
    """Why a folder is not this user's alone, so that nothing in it is to be run; empty if it is."""
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "it is a link"
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return "it belongs to another user"
    if stat.S_IMODE(status.st_mode) & 0o022:
        return f"others can write to it; `chmod 700 {folder}` after a look at what is in it"
    if stat.S_IMODE(status.st_mode) & 0o077:
        folder.chmod(0o700)
    return ""


def start_jax() -> None:
    """Import JAX, with its cache; a terminal shows that it takes a second."""
    from importlib import import_module

    from jaxsim.view.cli.progress import working

    use_persistent_cache()
    with working("starting"):
        import_module("jaxsim.catalog.workload")


def use_persistent_cache() -> Path | None:
    """The folder in which JAX will keep what it compiles; None where we do not ask it to.

    Traced programs and compiled blocks are kept there too, whatever cache JAX has.

    Set before JAX is imported, through the environment, which JAX reads once. A cache that the
    user has set up stays as it is; `JAXSIM_CACHE=off` and a folder that cannot be written both
    mean no cache.
    """
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "no", "false"):
        return None
    if "jax" in sys.modules:
        return None
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if reason := _not_own(folder):
            print(f"jaxsim: {folder} is not used as a cache: {reason}.", file=sys.stderr)
            return None
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        print(
            f"jaxsim: {folder} cannot be written ({error.strerror}): nothing is cached. Set "
            f"XDG_CACHE_HOME to a folder of yours, or {SWITCH}=off.",
            file=sys.stderr,
        )
        return None
    os.environ.setdefault(PROGRAMS, str(folder))
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    from jaxsim.view.cli import cache_files

    try:
        cache_files.clean(folder)
    except OSError:
        return None
    atexit.register(cache_files.remember, folder)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
    return folder
