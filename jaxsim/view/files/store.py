"""How does a sweep larger than memory become one labelled store?

A Zarr store with a group for each phase, which xarray opens as a DataTree. Its chunks are the
blocks of the sweep, so that several processes write it without locks, and a bitmap says which
blocks are whole: after a kill at any moment, only what is not marked is computed again. Chunks
have checksums (see `store_checks`).
"""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from jaxsim.api.dataset import attributes
from jaxsim.api.spreads import inputs_of, made_by
from jaxsim.catalog.errors import InputError
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.view.files.atomic import output_folder, umask
from jaxsim.view.files.store_checks import SCHEMA, attributes_of, seal_of
from jaxsim.view.files.sweep_config import SweepConfig, run_text

DONE = "blocks_done"


if TYPE_CHECKING:
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.core.array_spec import ArrayConfigParams
    from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata


@dataclass(frozen=True)
class Block:
    """A phase at one input length and a run of output lengths."""

    number: int
    phase: str
    isl: int
    osl: slice


def blocks_of(config: SweepConfig) -> tuple[Block, ...]:
    """Every block of a sweep, in a fixed order. Prefill does not depend on the output length."""
    found: list[Block] = []
    for phase in config.phases:
        step = len(config.osl) if phase == "prefill" else config.block_workloads
        for i in range(len(config.isl)):
            for start in range(0, len(config.osl), step):
                found.append(Block(len(found), phase, i, slice(start, start + step)))
    return tuple(found)


def require_zarr():
    """The package zarr; an error that says how to install it where there is none."""
    try:
        import zarr
    except ImportError:
        raise InputError(
            "jaxsim sweep writes stores with the package 'zarr'; install jaxsim-inference[sweep]."
        ) from None
    return zarr


def evaluate_block(config: SweepConfig, block: Block) -> Designs:
    """The designs of one block."""
    scenario = config.setup.scenario(config.workload)
    isl = config.isl[block.isl : block.isl + 1]
    return evaluate_phase(block.phase, scenario, config.space, isl, config.osl[block.osl])


def create(config: SweepConfig, path: Path) -> None:
    """An empty store for a sweep, whole or not there.

    It is made in a folder of this process alone and then renamed, so that of several processes
    that begin together the first one's is kept, whole.
    """
    zarr = require_zarr()
    output_folder(path.parent)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        root = zarr.open_group(aside, mode="w")
        _fill(root, config)
        root.attrs["sha256"] = seal_of(aside, root.attrs.asdict())
        aside.chmod(0o777 & ~umask())
        aside.rename(path)
    except OSError:
        if not path.exists():
            raise
        # Another process was first; `open_store` checks that it agrees.
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fill(root: "zarr.Group", config: SweepConfig) -> None:
    """The arrays of a store, still without values."""
    blocks = blocks_of(config)
    root.attrs.update(
        schema=SCHEMA,
        **made_by(config.setup),
        sweep=config.digest,
        run=run_text(config.run_options()),
        **inputs_of(config.setup),
    )
    done = root.create_array(
        DONE,
        shape=(len(blocks),),
        chunks=(1,),
        dtype="uint8",
        dimension_names=("block",),
        **_checked(),
    )
    done[:] = 0
    done.attrs["description"] = "1 where a block of the sweep is whole"
    for phase in config.phases:
        first = next(block for block in blocks if block.phase == phase)
        _create_phase(root.create_group(phase), config, evaluate_block(config, first))


def _create_phase(group: "zarr.Group", config: SweepConfig, like: Designs) -> None:
    lengths = {"isl": len(config.isl), "osl": len(config.osl)}
    group.attrs["phase"] = like.phase
    for name, values in like.axes.items():
        whole = {"isl": config.isl, "osl": config.osl}.get(name, values)
        array = np.asarray(whole, dtype=np.float32)
        made = group.create_array(
            name,
            shape=array.shape,
            chunks=array.shape,
            dtype=array.dtype,
            dimension_names=(name,),
            **_checked(),
        )
        made[:] = array
        made.attrs.update(attributes(name))
    for name, (array, dims) in like.outputs.items():
        shape = tuple(int(lengths.get(d) or n) for d, n in zip(dims, array.shape, strict=True))
        block = {"isl": 1, "osl": config.block_workloads}
        chunks = tuple(min(block.get(d, n), n) for d, n in zip(dims, shape, strict=True))
        made = group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=array.dtype,
            dimension_names=dims,
            fill_value=np.nan if array.dtype.kind == "f" else None,
            **_checked(),
        )
        made.attrs.update(attributes(name))


class _Codecs(TypedDict):
    """How chunks are written: compressed, with a checksum, and each of them."""

    compressors: "tuple[ZstdCodec, Crc32cCodec]"
    config: "ArrayConfigParams"


def _checked() -> _Codecs:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    return {
        "compressors": (ZstdCodec(level=0), Crc32cCodec()),
        "config": {"write_empty_chunks": True},
    }


def open_store(config: SweepConfig, path: Path, resume: bool) -> "zarr.Group":
    """The store of this sweep, made if it is not there; an error if it holds something else."""
    zarr = require_zarr()
    if not path.exists():
        create(config, path)
    elif not resume:
        raise InputError(f"{path} exists; continue it with --resume, or choose another name.")
    if attributes_of(path)["sweep"] != config.digest:
        raise InputError(
            f"{path} holds another sweep: of other options, other numbers behind their names, or "
            "another version of jaxsim; choose another name for this one."
        )
    return zarr.open_group(path, mode="r+")


def _group(root: "zarr.Group", name: str) -> "zarr.Group":
    found = root[name]
    if not isinstance(found, require_zarr().Group):
        raise InputError(f"{root.store}: {name} is not a group; choose another store.")
    return found


def _array(root: "zarr.Group", name: str) -> "zarr.Array[ArrayV3Metadata]":
    found = root[name]
    if not isinstance(found, require_zarr().Array):
        raise InputError(f"{root.store}: {name} is not an array; choose another store.")
    return found


def write_block(root: "zarr.Group", block: Block, designs: Designs) -> None:
    """Write a block's region, then mark it whole."""
    group = _group(root, block.phase)
    for name, (array, dims) in designs.outputs.items():
        if not _writes(block, dims):
            continue
        region = tuple(
            slice(block.isl, block.isl + 1)
            if d == "isl"
            else block.osl
            if d == "osl"
            else slice(None)
            for d in dims
        )
        _array(group, name)[region if region else ...] = array
    _array(root, DONE)[block.number] = 1


def _writes(block: Block, dims: Sequence[str]) -> bool:
    """Whether a block writes an array: of what does not depend on a length, the first one does."""
    return ("osl" in dims or block.osl.start == 0) and ("isl" in dims or block.isl == 0)


def pending(root: "zarr.Group", config: SweepConfig, shard: tuple[int, int]) -> list[Block]:
    """The blocks of shard (i, n) that are not whole yet; shards are counted from 1.

    Whole are those that are marked and whose chunks are all there.
    """
    i, n = shard
    path = Path(str(getattr(root.store, "root", "")))
    own = [block for block in blocks_of(config) if block.number % n == i - 1]
    marked = {block.number for block in own if _is_marked(root, block)}
    arrays = {
        phase: [
            (name, dims, array.shape, array.chunks)
            for name, array in _group(root, phase).arrays()
            if (dims := _dims(array)) != (name,)
        ]
        for phase in {block.phase for block in own if block.number in marked}
    }

    def there(block: Block) -> bool:
        return all(
            (path / block.phase / name / place).is_file()
            for name, dims, shape, chunks in arrays[block.phase]
            if _writes(block, dims)
            for place in _chunks_of(block, dims, shape, chunks)
        )

    return [block for block in own if block.number not in marked or not there(block)]


def _dims(array: "zarr.Array[ArrayV2Metadata] | zarr.Array[ArrayV3Metadata]") -> tuple[str, ...]:
    return tuple(map(str, getattr(array.metadata, "dimension_names", None) or ()))


def _is_marked(root: "zarr.Group", block: Block) -> bool:
    try:
        return bool(np.asarray(_array(root, DONE)[block.number]))
    except (InputError, MemoryError):
        raise
    except Exception:  # the mark itself was being written when the process was killed
        return False


def _chunks_of(
    block: Block, dims: Sequence[str], shape: tuple[int, ...], chunks: tuple[int, ...]
) -> Iterator[str]:
    """The names of the chunks of an array that a block fills."""
    ends = {"isl": (block.isl, block.isl + 1), "osl": (block.osl.start, block.osl.stop)}
    spans = [(*ends.get(d, (0, n)), n) for d, n in zip(dims, shape, strict=True)]
    counts = [
        range(first // own, -(-min(last, n) // own))
        for (first, last, n), own in zip(spans, chunks, strict=True)
    ]
    return ("/".join(("c", *map(str, place))) for place in itertools.product(*counts))


def run_blocks(
    root: "zarr.Group",
    config: SweepConfig,
    blocks: list[Block],
    ended: Callable[[Block, int], None],
) -> Iterator[int]:
    """Evaluate and write blocks one by one, yielding the grid points of each."""
    for block in blocks:
        designs = evaluate_block(config, block)
        write_block(root, block, designs)
        ended(block, designs.size)
        yield designs.size
