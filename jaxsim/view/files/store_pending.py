"""Which blocks of a sweep are still to be done?  Those not marked, or with chunks missing."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.space.axes import designs_in
from jaxsim.view.files.store import DONE, Block, array_of, blocks_of, group_of, writes
from jaxsim.view.files.sweep_config import SweepConfig

if TYPE_CHECKING:
    import zarr
    from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata


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
            for name, array in group_of(root, phase).arrays()
            if (dims := _dims(array)) != (name,)
        ]
        for phase in {block.phase for block in own if block.number in marked}
    }

    def there(block: Block) -> bool:
        return all(
            (path / block.phase / name / place).is_file()
            for name, dims, shape, chunks in arrays[block.phase]
            if writes(block, dims)
            for place in _chunks_of(block, dims, shape, chunks)
        )

    return [block for block in own if block.number not in marked or not there(block)]


def _dims(array: "zarr.Array[ArrayV2Metadata] | zarr.Array[ArrayV3Metadata]") -> tuple[str, ...]:
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
