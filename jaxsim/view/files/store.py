"""How does a sweep larger than memory become one labelled store?

A Zarr store with a group for each phase, which xarray opens as a DataTree. Its chunks are the
blocks of the sweep, so that several processes write it without locks, and a bitmap says which
blocks are whole: after a kill at any moment, only what is not marked is computed again.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsim._version import __version__
from jaxsim.api.dataset import attributes
from jaxsim.api.spreads import inputs_of
from jaxsim.catalog.errors import InputError
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.view.files.atomic import output_folder, umask
from jaxsim.view.files.sweep_config import SweepConfig, run_text

DONE = "blocks_done"


if TYPE_CHECKING:
    import zarr
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
    found: list[Block] = []
    for phase in config.phases:
        step = len(config.osl) if phase == "prefill" else config.block_workloads
        for i in range(len(config.isl)):
            for start in range(0, len(config.osl), step):
                found.append(Block(len(found), phase, i, slice(start, start + step)))
    return tuple(found)


def _zarr():
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
    zarr = _zarr()
    output_folder(path.parent)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        _fill(zarr.open_group(aside, mode="w"), config)
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
        jaxsim_version=__version__,
        sweep=config.digest,
        run=run_text(config.run_options()),
        **inputs_of(config.setup),
    )
    done = root.create_array(
        DONE, shape=(len(blocks),), chunks=(1,), dtype="uint8", dimension_names=("block",)
    )
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
            name, shape=array.shape, dtype=array.dtype, dimension_names=(name,)
        )
        made[:] = array
        made.attrs.update(attributes(name))
    for name, (array, dims) in like.outputs.items():
        shape = tuple(int(lengths.get(d) or n) for d, n in zip(dims, array.shape, strict=True))
        block = {"isl": 1, "osl": config.block_workloads}
        chunks = tuple(min(block.get(d, n), n) for d, n in zip(dims, shape, strict=True))
        made = group.create_array(
            name, shape=shape, chunks=chunks, dtype=array.dtype, dimension_names=dims
        )
        made.attrs.update(attributes(name))


def open_store(config: SweepConfig, path: Path, resume: bool) -> "zarr.Group":
    """The store of this sweep, made if it is not there; an error if it holds something else."""
    zarr = _zarr()
    if not path.exists():
        create(config, path)
    elif not resume:
        raise InputError(f"{path} exists; continue it with --resume, or choose another name.")
    try:
        root = zarr.open_group(path, mode="r+")
        held = root.attrs["sweep"]
    except (KeyError, FileNotFoundError, ValueError):
        raise InputError(f"{path} is not a store of `jaxsim sweep`; choose another name.") from None
    if held != config.digest:
        raise InputError(
            f"{path} holds another sweep: of other options, other numbers behind their names, or "
            "another version of jaxsim; choose another name for this one."
        )
    return root


def _group(root: "zarr.Group", name: str) -> "zarr.Group":
    found = root[name]
    if not isinstance(found, _zarr().Group):
        raise InputError(f"{root.store}: {name} is not a group; choose another store.")
    return found


def _array(root: "zarr.Group", name: str) -> "zarr.Array[ArrayV3Metadata]":
    found = root[name]
    if not isinstance(found, _zarr().Array):
        raise InputError(f"{root.store}: {name} is not an array; choose another store.")
    return found


def write_block(root: "zarr.Group", block: Block, designs: Designs) -> None:
    """Write a block's region, then mark it whole."""
    group = _group(root, block.phase)
    for name, (array, dims) in designs.outputs.items():
        if "osl" not in dims and block.osl.start > 0:
            continue  # does not depend on the output length: the first block has written it
        if "isl" not in dims and block.isl > 0:
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


def pending(root: "zarr.Group", config: SweepConfig, shard: tuple[int, int]) -> list[Block]:
    """The blocks of shard (i, n) that are not whole yet; shards are counted from 1."""
    i, n = shard
    done = np.asarray(_array(root, DONE)[:])
    return [b for b in blocks_of(config) if b.number % n == i - 1 and not done[b.number]]


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
