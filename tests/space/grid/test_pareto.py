"""Is the frontier exact, with ties, duplicates, infinities and NaN, small and large?"""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxsim.space.grid.pareto as pareto
from jaxsim.space.grid.pareto import monotone_key, pareto_front, pareto_mask

moocore = pytest.importorskip("moocore")

VALUES = st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 1.0, 1.5, 3.0, np.inf, np.nan])


def brute(x, y, valid):
    """Every pair compared."""
    ok = valid & ~np.isnan(x) & ~np.isnan(y)
    as_good = (x[:, None] <= x) & (y[:, None] >= y) & ok[:, None]
    better = as_good & ((x[:, None] < x) | (y[:, None] > y))
    return ok & ~better.any(axis=0)


POINTS = st.tuples(VALUES, VALUES, st.booleans())

# Few lengths, since each is compiled once.
SETS = st.sampled_from([1, 2, 7, 40]).flatmap(
    lambda count: st.lists(POINTS, min_size=count, max_size=count)
)


@settings(deadline=None, max_examples=200)
@given(SETS)
def test_small_sets_equal_every_pair_compared(points):
    x, y, valid = (np.array(column) for column in zip(*points, strict=True))
    expected = brute(x, y, valid)
    np.testing.assert_array_equal(pareto_mask(x, y, valid), expected)
    front = pareto_front(x, y, valid)
    np.testing.assert_array_equal(np.sort(front), np.flatnonzero(expected))
    once = pareto_front(x, y, valid, duplicates=False)
    pairs = list(zip(x[front] + 0.0, y[front] + 0.0, strict=True))
    assert list(once) == [f for i, f in enumerate(front) if pairs[i] not in pairs[:i]]


@pytest.mark.parametrize(
    ("round_to", "thickness", "on_host"), [(None, 1.0, 0), (50, 1e-3, 0), (50, 1.0, 1 << 20)]
)
def test_the_prefilter_loses_nothing(round_to, thickness, on_host, monkeypatch):
    """Against moocore, with both tables in use; rounded, most points are duplicates."""
    monkeypatch.setattr(pareto, "SAMPLE", 1 << 8)
    monkeypatch.setattr(pareto, "SORT_AT_ONCE", 1 << 8)
    monkeypatch.setattr(pareto, "SORT_ON_HOST", on_host)
    rng = np.random.default_rng(3)
    x = rng.lognormal(0.0, 2.0, 40_000).astype(np.float32)
    y = (np.sqrt(x) * (1 - thickness * rng.random(x.size))).astype(np.float32)
    if round_to:
        x, y = np.round(x * round_to) / round_to, np.round(y * round_to) / round_to
    x[5], y[7], x[11] = -np.inf, np.inf, np.nan
    valid = rng.random(x.size) < 0.9
    valid[[5, 7, 11]] = [True, False, True]
    ok = valid & ~np.isnan(x)
    expected = np.zeros(x.size, bool)
    expected[ok] = moocore.is_nondominated(np.stack([x[ok], -y[ok]], 1), keep_weakly=True)
    assert 1 < expected.sum() < x.size
    np.testing.assert_array_equal(pareto_mask(x, y, valid), expected)


@pytest.mark.parametrize("on_host", [0, 1 << 20])
def test_points_all_on_the_frontier_are_all_kept(on_host, monkeypatch):
    monkeypatch.setattr(pareto, "SORT_ON_HOST", on_host)
    x = np.linspace(0.0, 1.0, 70_000)
    assert pareto_mask(x, x).all()
    assert pareto_mask(np.zeros(70_000), np.ones(70_000)).all()
    assert pareto_front(np.zeros(70_000), np.ones(70_000), duplicates=False).tolist() == [0]


def test_nothing_valid_gives_nothing():
    for size in (3, 70_000):
        assert pareto_front(np.ones(size), np.ones(size), np.zeros(size, bool)).size == 0


def test_shapes_broadcast_and_come_back():
    x = jnp.asarray([1.0, 2.0, 3.0])
    y = jnp.asarray([[1.0], [5.0]])
    np.testing.assert_array_equal(pareto_mask(x, y), [[False, False, False], [True, False, False]])
    with pytest.raises(ValueError, match="one flag for every point"):
        pareto_mask(x, y, np.ones(4, bool))


def test_keys_order_like_numbers():
    values = np.array([-np.inf, -3e38, -1.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, 3e38, np.inf])
    keys = np.asarray(monotone_key(jnp.asarray(values.astype(np.float32)))).astype(np.int64)
    assert (np.diff(keys) >= 0).all()
    assert keys[4] == keys[5]


def test_ten_million_points_give_a_front():
    """Benchmarks measure how long that takes."""
    rng = np.random.default_rng(0)
    x = rng.random(10_000_000, dtype=np.float32) + 1e-3
    y = np.sqrt(x) * rng.random(x.size, dtype=np.float32)
    x, y = jnp.asarray(x), jnp.asarray(y)
    front = pareto_front(x, y)
    assert (np.diff(np.asarray(y)[front]) > 0).all()
