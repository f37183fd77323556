"""Where do large arrays that are needed again and again live?

Memory that is asked for anew comes in pages that must be cleared, which takes longer than the
arithmetic on it. Every thread keeps its own.
"""

import math
import threading

import numpy as np

_HELD = threading.local()


def room(name: str, *shape: int) -> np.ndarray:
    """An array with any content, the same memory whenever this thread asks for `name`."""
    size, flat = math.prod(shape), getattr(_HELD, name, None)
    if flat is None or flat.size < size:
        flat = np.empty(size)
        setattr(_HELD, name, flat)
    return flat[:size].reshape(shape)
