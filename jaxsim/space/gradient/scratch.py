"""Scratch buffers: arrays of any content that are used again in every call.

The system clears the pages of newly allocated memory, which takes longer than the arithmetic on
them. Every thread has its own buffers.
"""

import math
import threading

import numpy as np

_HELD = threading.local()


def room(name: str, *shape: int) -> np.ndarray:
    """The scratch buffer of a name, of this shape; the same memory at every call on this thread."""
    size, flat = math.prod(shape), getattr(_HELD, name, None)
    if flat is None or flat.size < size:
        flat = np.empty(size)
        setattr(_HELD, name, flat)
    return flat[:size].reshape(shape)
