"""Is a store of a sweep whole, and is it as it was written?

Every chunk ends in its CRC32C, and every chunk is written, also one of zeros. The root's attributes
hold a SHA-256 over all that describes the arrays. What is missing or changed is named.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from jaxsim.catalog.documents import read_json
from jaxsim.catalog.errors import InputError

SCHEMA = "jaxsim.sweep/2"
_SEAL, _META = "sha256", "zarr.json"
# At the end of every chunk.
_CRC_BYTES = 4
# How a Zstandard frame begins, and the length of its shortest header.
_ZSTD, _FRAME_BYTES = b"\x28\xb5\x2f\xfd", 6
# Of a chunk or two, which are named in an error.
_NAMED = 2

T = TypeVar("T")


def seal_of(path: Path, attributes: Mapping[str, object]) -> str:
    """A SHA-256 over the root's attributes and the description of every group and array."""
    digest = hashlib.sha256()
    kept = {key: value for key, value in attributes.items() if key != _SEAL}
    digest.update(json.dumps(kept, sort_keys=True).encode())
    for file in sorted(path.glob(f"*/**/{_META}")):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def consolidated_of(path: Path) -> dict[str, object]:
    """What the root says of every group and array, so that xarray opens a store by one file."""
    files = sorted(path.glob(f"*/**/{_META}"))
    own = {file.parent.relative_to(path).as_posix(): read_json(file) for file in files}
    return {"kind": "inline", "must_understand": False, "metadata": own}


def consolidate(path: Path) -> None:
    """Have the root of a new store say what its groups and arrays are."""
    root = read_json(path / _META)
    assert isinstance(root, dict)
    text = json.dumps({**root, "consolidated_metadata": consolidated_of(path)}, indent=2)
    (path / _META).write_text(text, encoding="utf-8")


def attributes_of(path: Path) -> dict[str, object]:
    """The root's attributes of a store that is described as it was made; an error if it is not."""
    other = InputError(f"{path} is not a store of `jaxsim sweep`; choose another name.")
    if not path.is_dir() or not (path / _META).is_file():
        raise other
    root = read_json(path / _META)
    held = root.get("attributes") if isinstance(root, dict) else None
    if not isinstance(root, dict) or not isinstance(held, dict):
        raise other
    if held.get("schema") != SCHEMA:
        by = held.get("jaxsim_version")
        raise InputError(
            f"{path}: its schema is not {SCHEMA}, which this version of jaxsim reads; it was "
            f"written by jaxsim {by}. Make it anew."
            if "sweep" in held
            else str(other)
        )
    form = {key: value for key, value in root.items() if key != "attributes"}
    whole = form.get("zarr_format") == 3 and form.get("node_type") == "group"
    # Stores of before say nothing at the root.
    whole &= form.get("consolidated_metadata") in (None, consolidated_of(path))
    if not whole or held.get(_SEAL) != seal_of(path, held):
        raise InputError(
            f"{path}: what describes its arrays is damaged or was changed; make it anew."
        )
    return held


def chunk_names(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[str]:
    """The names of an array's chunks within its folder."""
    counts = (range(-(-n // own)) for n, own in zip(shape, chunks, strict=True))
    for place in itertools.product(*counts):
        yield "/".join(("c", *map(str, place)))


def refuse_missing(path: Path) -> None:
    """An error if a chunk of any array of a store is not there."""
    missing: list[str] = []
    for file in sorted(path.glob(f"*/**/{_META}")):
        described = read_json(file)
        if not isinstance(described, dict) or described.get("node_type") != "array":
            continue
        shape = tuple(described["shape"])
        chunks = tuple(described["chunk_grid"]["configuration"]["chunk_shape"])
        held = {p.relative_to(file.parent).as_posix() for p in file.parent.rglob("*")}
        own = file.parent.relative_to(path).as_posix()
        missing += [f"{own}/{name}" for name in chunk_names(shape, chunks) if name not in held]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} chunks are missing, such as "
            f"{', '.join(missing[:_NAMED])}; `jaxsim sweep … --resume` computes them again."
        )


def is_as_written(file: Path, held_bytes: int) -> bool:
    """Whether a chunk has its CRC32C, and values of so many bytes.

    Without Zarr, and without decompressing it, which takes ten times as long.
    """
    import google_crc32c

    try:
        raw = file.read_bytes()
    except OSError:
        return False
    packed, checksum = raw[:-_CRC_BYTES], raw[-_CRC_BYTES:]
    same = google_crc32c.value(packed).to_bytes(_CRC_BYTES, "little") == checksum
    return same and _unpacked_bytes(packed) == held_bytes


def _unpacked_bytes(frame: bytes) -> int | None:
    """How many bytes a Zstandard frame holds, as its header says (RFC 8878, 3.1.1.1)."""
    if len(frame) < _FRAME_BYTES or not frame.startswith(_ZSTD):
        return None
    flags = frame[len(_ZSTD)]
    one_segment = bool(flags & 0x20)
    first = len(_ZSTD) + 1 + (not one_segment) + (0, 1, 2, 4)[flags & 3]
    size = (1 if one_segment else 0, 2, 4, 8)[flags >> 6]
    if not size:
        return None
    return int.from_bytes(frame[first : first + size], "little") + (256 if size == 2 else 0)


def intact(path: Path, read: Callable[[], T]) -> T:
    """What is read from a store's chunks; an error that names the store where one is damaged."""
    try:
        return read()
    except (MemoryError, InputError):
        raise
    except Exception as error:  # of Zarr and its codecs, whatever they make of a damaged chunk
        raise InputError(
            f"{path}: a chunk is damaged or cannot be read: {error}. `jaxsim sweep … --resume` "
            "computes damaged blocks again; if it says the same, remove the store and make it anew."
        ) from None
