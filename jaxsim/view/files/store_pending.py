"""Which blocks of a sweep are still to be done?

Those not marked, with chunks missing, or with chunks that are not as they were written.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsim._cores import cores
from jaxsim.catalog.errors import InputError
from jaxsim.space.axes import designs_in
from jaxsim.view.files.store import (
    DONE,
    Block,
    array_of,
    axes_of,
    blocks_of,
    evaluate_block,
    group_of,
    writes,
)
from jaxsim.view.files.store_checks import intact, is_as_written
from jaxsim.view.files.sweep_config import SweepConfig

if TYPE_CHECKING:
    import zarr
    from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata

    AnyArray = zarr.Array[ArrayV2Metadata] | zarr.Array[ArrayV3Metadata]


def mend_axes(root: "zarr.Group", config: SweepConfig) -> list[str]:
    """Write the axes anew whose chunk is missing or not as it was written; the names of those.

    No block writes them, and a missing chunk would be read as zeros.
    """
    path, mended = Path(str(getattr(root.store, "root", ""))), []
    for phase in config.phases:
        arrays = {name: a for name, a in group_of(root, phase).arrays() if _dims(a) == (name,)}
        lost = [
            name
            for name, array in arrays.items()
            if not is_as_written(path / phase / name / "c" / "0", array.dtype.itemsize * array.size)
        ]
        if not lost:
            continue
        first = next(block for block in blocks_of(config) if block.phase == phase)
        values = axes_of(config, evaluate_block(config, first))
        for name in lost:
            intact(path, partial(arrays[name].__setitem__, slice(None), values[name]))
            mended.append(f"{phase}/{name}")
    return mended


def pending(
    root: "zarr.Group",
    config: SweepConfig,
    shard: tuple[int, int],
    damaged: Callable[[Block], object] = lambda block: None,
) -> list[Block]:
    """The blocks of shard (i, n) that are not whole yet; shards are counted from 1.

    Whole are those that are marked and whose chunks are all there, each with its CRC32C. Of the
    others that are marked, `damaged` is told those with a chunk that is not as it was written.
    """
    i, n = shard
    path = Path(str(getattr(root.store, "root", "")))
    own = [block for block in blocks_of(config) if block.number % n == i - 1]
    marked = {block.number for block in own if _is_marked(root, block)}
    arrays: dict[str, list[tuple[str, AnyArray]]] = {}
    for phase in {block.phase for block in own}:
        every = group_of(root, phase).arrays()
        arrays[phase] = [(name, array) for name, array in every if _dims(array) != (name,)]

    def state(block: Block) -> str:
        chunks = {
            path / block.phase / name / place: array.dtype.itemsize * math.prod(array.chunks)
            for name, array in arrays[block.phase]
            if writes(block, _dims(array))
            for place in _chunks_of(block, _dims(array), array.shape, array.chunks)
        }
        if block.number not in marked or not all(file.is_file() for file in chunks):
            return "missing"
        same = all(is_as_written(file, held_bytes) for file, held_bytes in chunks.items())
        return "whole" if same else "damaged"

    # Files are read without Python's lock.
    with ThreadPoolExecutor(cores()) as threads:
        states = list(threads.map(state, own))
    for block, found in zip(own, states, strict=True):
        if found == "damaged":
            damaged(block)
    return [block for block, found in zip(own, states, strict=True) if found != "whole"]


def _dims(array: "AnyArray") -> tuple[str, ...]:
    return tuple(map(str, getattr(array.metadata, "dimension_names", None) or ()))


def _is_marked(root: "zarr.Group", block: Block) -> bool:
    try:
        return bool(np.asarray(array_of(root, DONE)[block.number]))
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


def designs_of(config: SweepConfig, block: Block) -> int:
    """How many designs × workloads a block has."""
    lengths = 1 if block.phase == "prefill" else len(config.osl[block.osl])
    return designs_in(config.space, block.phase) * lengths
