"""How does a process know that a file of the cache is its user's own, and whole?

A file is a line that names the format, a line with the HMAC-SHA256 of what follows, and that. The
key is 32 random bytes in a file of the cache's folder that its user alone can read. A file that
another made, that was cut short, or in which one bit has changed is not used.
"""

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from pathlib import Path

_HEAD = b"jaxsim cache 1\n"
_KEY_FILE, _KEY_BYTES = "key", 32
_HEX = 2 * hashlib.sha256().digest_size


def write(path: Path, content: bytes) -> None:
    """Write content with its seal, whole or not at all. Raises OSError where that is impossible."""
    key = _key(path.parent, make=True)
    if key is None:
        raise PermissionError(f"{path.parent / _KEY_FILE} is not this user's alone")
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_HEAD + _seal(key, content) + b"\n" + content)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def read(path: Path) -> bytes | None:
    """The content of a file that this user sealed; None of any other."""
    try:
        key, raw = _key(path.parent, make=False), path.read_bytes()
    except OSError:
        return None
    first, last = len(_HEAD), len(_HEAD) + _HEX
    if key is None or not raw.startswith(_HEAD) or raw[last : last + 1] != b"\n":
        return None
    content = raw[last + 1 :]
    return content if hmac.compare_digest(raw[first:last], _seal(key, content)) else None


def _seal(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).hexdigest().encode()


def _key(folder: Path, make: bool) -> bytes | None:
    """The key of a folder, made where there is none; None if it is not this user's alone."""
    path = folder / _KEY_FILE
    if make and not path.exists():
        handle, name = tempfile.mkstemp(dir=folder)  # readable by its user alone
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            os.link(name, path)  # of several processes, the first makes it
        except FileExistsError:
            pass
        finally:
            Path(name).unlink(missing_ok=True)
    if not path.exists():
        return None
    status = path.lstat()
    own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if not (stat.S_ISREG(status.st_mode) and own) or stat.S_IMODE(status.st_mode) & 0o077:
        return None
    key = path.read_bytes()
    return key if len(key) == _KEY_BYTES else None
