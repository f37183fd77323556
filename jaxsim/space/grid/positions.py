"""Where on the axes of a grid is the design at a flat position?

Flat positions count the designs of one group, over the reduced axes, in C order: with lengths n_d,
place p_d on each, position = sum of p_d times the product of the n after d.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Positions:
    """The axes of a grid, as `Grid` has them: padded `lengths`, and `real` ones without padding.

    An axis that no output depends on has one value, and counts `repeats` times.
    """

    names: tuple[str, ...]
    lengths: tuple[int, ...]
    real: tuple[int, ...]
    repeats: tuple[int, ...]
    reduced: tuple[int, ...]
    loops: tuple[int, ...]

    @cached_property
    def weights(self) -> dict[int, int]:
        """What a step along each reduced axis adds to a flat position."""
        lengths = [self.real[d] for d in self.reduced]
        after = [math.prod(lengths[i + 1 :]) for i in range(len(lengths))]
        return dict(zip(self.reduced, after, strict=True))

    def of_inner(self, where: np.ndarray) -> np.ndarray:
        """What positions in a step, over the axes that are not looped, add to the flat position.

        A position in padding counts as the last that is real.
        """
        inner = [d for d in range(len(self.lengths)) if d not in self.loops]
        last = list(range(len(self.lengths) - len(inner), len(self.lengths)))
        if inner == last and self.lengths == self.real:
            return np.asarray(where, np.int64)
        flat = np.zeros(np.shape(where), np.int64)
        for d, place in _places(where, [(d, self.lengths[d]) for d in inner]).items():
            place = np.minimum(place, self.real[d] - 1).astype(np.int64)
            flat += self.weights.get(d, 0) * place
        return flat

    def index_of(self, flat: np.ndarray, repeated: bool = False) -> dict[str, np.ndarray]:
        """Positions on each reduced axis, by name, from flat ones, or those of `repeated`.

        Of designs that differ only on axes that no output depends on, the first.
        """
        copies = self.repeats if repeated else (1,) * len(self.real)
        places = _places(flat, [(d, self.real[d] * copies[d]) for d in self.reduced])
        return {self.names[d]: places[d] for d in self.reduced}

    def repeated(self, flat: np.ndarray) -> np.ndarray:
        """Flat positions of all designs that differ only on axes that no output depends on.

        One more dimension, the last, in order of position; they count positions over all values.
        """
        full = [self.real[d] * self.repeats[d] for d in self.reduced]
        places = np.unravel_index(flat, [self.real[d] for d in self.reduced])
        copies = np.indices([self.repeats[d] for d in self.reduced]).reshape(len(full), -1)
        where = [place[..., None] + copy for place, copy in zip(places, copies, strict=True)]
        return np.asarray(np.ravel_multi_index(where, full))


def _places(flat: np.ndarray, axes: list[tuple[int, int]]) -> dict[int, np.ndarray]:
    """The place on each of some axes, given with their lengths, outermost first."""
    # Division of 32-bit numbers takes a fraction of the time of 64-bit ones.
    kind = np.uint32 if math.prod(length for _, length in axes) < 1 << 32 else np.int64
    rest, places = np.asarray(flat, kind), {}
    for axis, length in axes[::-1]:
        left = rest // kind(length)
        places[axis] = np.asarray(rest - left * kind(length), np.int32)
        rest = left
    return places
