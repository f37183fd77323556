"""How large is a block of a grid, and how many are in flight at once?"""

import math
from collections.abc import Sequence

import jax
import numpy as np

from jaxsim._cores import cores
from jaxsim.space.program.inputs import Device

# Innermost axes are padded to a multiple of this, a vector of the widest processors, by repeating
# their last value; what repeats is masked.
_LANES = 16
# Blocks for each worker, where they are large: a frontier may have to run its first ones again.
_BLOCKS = 8


def padded(value: np.ndarray):
    """An array with its first axis as long as whole vectors, its last value repeated."""
    length = value.shape[0]
    extra = -length % _LANES if length > _LANES else 0
    return np.pad(np.asarray(value), ((0, extra), *((0, 0),) * (value.ndim - 1)), "edge")


def default_device() -> Device:
    """The device that runs what is given none."""
    chosen = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(chosen, str):
        return jax.local_devices(backend=chosen)[0]
    return chosen or jax.local_devices()[0]


def platform_of(devices: Sequence[Device | None] | None) -> str:
    """The platform of the first device, or of JAX's first where none is given."""
    first = devices[0] if devices else None
    return (jax.devices()[0] if first is None else first).platform


def workers_of(devices: Sequence[Device] | None, platform: str) -> tuple[Device | None, ...]:
    """The device of each worker, None for the default one.

    By default one a core, since a step is too small to be shared between cores, or one for each
    accelerator of this process.
    """
    if devices:
        return tuple(devices)
    if platform == "cpu":
        return (None,) * cores()
    local = jax.local_devices()
    return tuple(local) if len(local) > 1 else (None,)


def block_lengths(
    lengths: Sequence[int], loops: Sequence[int], most: int, workers: int
) -> tuple[int, ...]:
    """Lengths of a block: the looped axes cut, outermost first, until it is small enough.

    Every worker gets several blocks of its own, if they are worth it.
    """
    blocks, made = list(lengths), 1
    wanted = min(_BLOCKS * workers, math.prod(lengths) >> 20) if workers > 1 else 1
    for axis in loops:
        parts = max(-(-math.prod(blocks) // most), -(-wanted // made))
        if parts <= 1:
            break
        if parts >= lengths[axis]:
            blocks[axis] = 1
            made *= lengths[axis]
            continue
        # Of the next few numbers of parts, the one that wastes least on overlap.
        choices = range(parts, min(2 * parts, lengths[axis]) + 1)
        parts = min(choices, key=lambda p: (p * -(-lengths[axis] // p), p))
        blocks[axis] = -(-lengths[axis] // parts)
        made *= parts
    return tuple(blocks)


def strides_of(
    blocks: tuple[int, ...], loops: Sequence[int], inner: int, most: int, several: bool
) -> tuple[int, ...]:
    """Positions of each loop that make a step of up to `most` points, `inner` of each position.

    Of the innermost loop alone, as a CPU's cache holds few; or of `several`, the innermost first,
    as a launch on an accelerator is to be large.
    """
    strides, made = [1] * len(loops), max(inner, 1)
    for i in reversed(range(len(loops))):
        length = blocks[loops[i]]
        stride = max(1, min(length, most // made))
        # As many steps, with the least overlap of the last with the one before it.
        strides[i] = -(-length // -(-length // stride))
        made *= strides[i]
        if not several:
            break
    return tuple(strides)


def in_flight(workers: Sequence[Device | None]) -> int:
    """Blocks that are run at the same time."""
    # All processes cut alike, however many cores each of them has.
    return len(workers) if jax.process_count() == 1 else 2 * jax.process_count()
