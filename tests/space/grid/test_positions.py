"""Are flat positions those that NumPy counts, also where there are more designs than 32 bits?"""

import numpy as np
import pytest

from jaxsim.space.grid.positions import Positions


@pytest.mark.parametrize("long", [7, 1 << 30])
def test_positions_are_counted_in_order(long):
    """Axes: a group, two looped, two inner. The last is padded from 5; nothing depends on b."""
    real, lengths = (3, long, 1, 6, 5), (3, long, 1, 6, 8)
    own = Positions(tuple("gabcd"), lengths, real, (1, 1, 4, 1, 1), (1, 2, 3, 4), (0, 1, 2))
    rng = np.random.default_rng(1)
    places = [rng.integers(0, n, 50) for n in real[1:]]
    flat = np.ravel_multi_index(places, real[1:])
    result = own.index_of(flat)
    for name, place in zip("abcd", places, strict=True):
        np.testing.assert_array_equal(result[name], place)
    # A position in a step, its padding included, and the rest of it from the looped axes.
    inner = own.of_inner(places[2] * 8 + places[3])
    looped = places[0] * own.weights[1] + places[1] * own.weights[2]
    np.testing.assert_array_equal(inner + looped, flat)
    assert own.of_inner(np.array([7])) == own.of_inner(np.array([4]))
    if long == 7:
        copies = own.index_of(own.repeated(flat), repeated=True)
        np.testing.assert_array_equal(copies["b"], np.tile(np.arange(4), (50, 1)))
        for name, place in zip("acd", [places[0], *places[2:]], strict=True):
            np.testing.assert_array_equal(copies[name], np.repeat(place[:, None], 4, axis=1))
