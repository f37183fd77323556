"""How does a sweep larger than memory become one labelled store?

A Zarr store with a group for each phase, which xarray opens as a DataTree. Its chunks are the
blocks of the sweep, so that several processes write it without locks, and a bitmap says which
blocks are whole: after a kill at any moment, only what is not marked is computed again. Chunks
have checksums (see `store_checks`).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from jaxsim.api.dataset import attributes
from jaxsim.api.spreads import inputs_of, made_by
from jaxsim.catalog.errors import InputError
from jaxsim.space.designs import Designs, evaluate_phase, needed_bytes
from jaxsim.space.program.process_memory import free_bytes, require
from jaxsim.view.files.atomic import output_folder, umask
from jaxsim.view.files.run_text import run_text
from jaxsim.view.files.store_checks import SCHEMA, attributes_of, consolidate, seal_of
from jaxsim.view.files.store_left import aside_of, clear_aside
from jaxsim.view.files.sweep_config import SweepConfig

DONE = "blocks_done"


if TYPE_CHECKING:
    from types import EllipsisType

    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.core.array_spec import ArrayConfigParams
    from zarr.core.metadata import ArrayV3Metadata


@dataclass(frozen=True)
class Block:
    """A phase at one input length and a run of output lengths."""

    number: int
    phase: str
    isl: int
    osl: slice


def blocks_of(config: SweepConfig) -> tuple[Block, ...]:
    """Every block of a sweep, in a fixed order. Prefill does not depend on the output length."""
    blocks: list[Block] = []
    for phase in config.phases:
        step = len(config.osl) if phase == "prefill" else config.block_workloads
        for i in range(len(config.isl)):
            for start in range(0, len(config.osl), step):
                blocks.append(Block(len(blocks), phase, i, slice(start, start + step)))
    return tuple(blocks)


def require_zarr():
    """The package zarr; an error that says how to install what is missing of it and beside it."""
    try:
        import zarr

        import_module("google_crc32c")  # with which `store_checks` compares chunks
    except ImportError as error:
        raise InputError(
            f"jaxsim sweep writes stores with the package {error.name!r}; install "
            "jaxsim-inference[sweep]."
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
    aside = Path(tempfile.mkdtemp(prefix=f"{aside_of(path)}{os.getpid()}-", dir=path.parent))
    try:
        root = zarr.open_group(aside, mode="w")
        _fill(root, config)
        root.attrs["sha256"] = seal_of(aside, root.attrs.asdict())
        consolidate(aside)
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
        block_workloads=config.block_workloads,
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


def axes_of(config: SweepConfig, like: Designs) -> dict[str, np.ndarray]:
    """The values of every axis of a phase, of which `like` is a block."""
    whole = {"isl": config.isl, "osl": config.osl}
    return {
        name: np.asarray(whole.get(name, values), dtype=np.float32)
        for name, values in like.axes.items()
    }


def _create_phase(group: "zarr.Group", config: SweepConfig, like: Designs) -> None:
    lengths = {"isl": len(config.isl), "osl": len(config.osl)}
    group.attrs["phase"] = like.phase
    for name, array in axes_of(config, like).items():
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


def fitting(config: SweepConfig) -> SweepConfig:
    """The same sweep, in blocks that fit the memory that may be used; an error if none does."""
    scenario = config.setup.scenario(config.workload)
    while True:
        lengths = config.isl[:1], config.osl[: config.block_workloads]
        needed = max(
            needed_bytes(phase, scenario, config.space, *lengths) for phase in config.phases
        )
        smaller = config.block_workloads // 2
        if needed <= free_bytes() or not smaller:
            require(needed, "A block of one workload" if not smaller else "A block")
            return config
        config = replace(config, block_workloads=smaller)


def open_store(config: SweepConfig, path: Path, resume: bool) -> "tuple[SweepConfig, zarr.Group]":
    """The sweep in the blocks of its store, and that; an error if it holds something else.

    A store that is not there is made.
    """
    zarr = require_zarr()
    if not path.exists():
        create(fitting(config), path)
    elif not resume:
        raise InputError(f"{path} exists; continue it with --resume, or choose another name.")
    clear_aside(path)
    held = attributes_of(path)
    if held["sweep"] != config.digest:
        raise InputError(
            f"{path} holds another sweep: of other options, other numbers behind their names, or "
            "another version of jaxsim; choose another name for this one."
        )
    blocks = held["block_workloads"]
    assert isinstance(blocks, int)
    return replace(config, block_workloads=blocks), zarr.open_group(path, mode="r+")


def group_of(root: "zarr.Group", name: str) -> "zarr.Group":
    """A phase's group of a store."""
    group = root[name]
    if not isinstance(group, require_zarr().Group):
        raise InputError(f"{root.store}: {name} is not a group; choose another store.")
    return group


def array_of(root: "zarr.Group", name: str) -> "zarr.Array[ArrayV3Metadata]":
    """An array of a group."""
    array = root[name]
    if not isinstance(array, require_zarr().Array):
        raise InputError(f"{root.store}: {name} is not an array; choose another store.")
    return array


def write_block(root: "zarr.Group", block: Block, designs: Designs) -> None:
    """Write a block's region, then mark it whole."""
    group = group_of(root, block.phase)
    for name, (array, dims) in designs.outputs.items():
        if not writes(block, dims):
            continue
        array_of(group, name)[region_of(block, dims)] = array
    array_of(root, DONE)[block.number] = 1


def region_of(block: Block, dims: Sequence[str]) -> "tuple[slice | EllipsisType, ...]":
    """Where a block is in an array."""
    own = {"isl": slice(block.isl, block.isl + 1), "osl": block.osl}
    return tuple(own.get(d, slice(None)) for d in dims) or (...,)


def writes(block: Block, dims: Sequence[str]) -> bool:
    """Whether a block writes an array: of what does not depend on a length, the first one does."""
    return ("osl" in dims or block.osl.start == 0) and ("isl" in dims or block.isl == 0)


def run_blocks(root: "zarr.Group", config: SweepConfig, blocks: list[Block]) -> Iterator[int]:
    """Evaluate and write blocks one by one, yielding the grid points of each."""
    for block in blocks:
        designs = evaluate_block(config, block)
        write_block(root, block, designs)
        yield designs.size
