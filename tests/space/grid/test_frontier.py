"""Does a stream find the frontiers and extremes of the whole, materialised grid?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim.space.grid import frontier as module
from jaxsim.space.grid.extremes import stream_extremes
from jaxsim.space.grid.frontier import stream_frontier
from jaxsim.space.grid.frontier_step import Undominated
from jaxsim.space.grid.frontier_step import positions as positions_of
from jaxsim.space.grid.pareto import fronts_of_groups, pareto_front
from jaxsim.space.grid.step import Step
from jaxsim.space.grid.sweep import sweep
from tests.space.grids import Point, grid, precision, step, whole

SMALL = dict(step_points=70, block_points=400)


def materialised(fn, axes, groups, names):
    """Outputs over the whole grid, `[groups, designs]`, designs in the order of the axes."""
    outputs = jax.jit(lambda: sweep(fn, Point(), axes))()
    axis = [a[0] for a in axes]
    order = [axis.index(g) for g in groups] + [i for i, n in enumerate(axis) if n not in groups]
    shape = tuple(len(a[2]) for a in axes)
    lead = tuple(shape[i] for i in order[: len(groups)])
    full = (np.broadcast_to(outputs[n], shape).transpose(order) for n in names)
    return lead, [x.reshape(int(np.prod(lead)), -1) for x in full]


def positions(result, axes, groups):
    reduced = [(a[0], len(a[2])) for a in axes if a[0] not in groups]
    index = tuple(np.asarray(result.index[n]) for n, _ in reduced)
    return np.asarray(np.ravel_multi_index(index, tuple(n for _, n in reduced)))


@pytest.mark.parametrize(
    ("groups", "options"),
    [
        ((), {}),
        (("osl", "tp"), SMALL),
        (("batch",), dict(duplicates=True, **SMALL)),
    ],
)
def test_ties_of_whole_numbers_give_exactly_the_same_frontiers(groups, options):
    axes = grid(3, 2, 4, 3, 18)
    result = stream_frontier(
        whole, Point(), axes, groups, x="cost", y="value", valid="odd", **options
    )
    lead, (x, y, ok) = materialised(whole, axes, groups, ("cost", "value", "odd"))
    where = positions(result, axes, groups)
    for group in np.ndindex(lead):
        i = int(np.ravel_multi_index(group, lead)) if lead else 0
        front = pareto_front(x[i], y[i], ok[i], duplicates="duplicates" in options)
        part = result.of(*group)
        np.testing.assert_array_equal(where[part], front)
        np.testing.assert_array_equal(result.x[part], x[i][front])
        np.testing.assert_array_equal(result.y[part], y[i][front])


@pytest.mark.parametrize(("options", "bits"), [({}, 32), (SMALL, 64)])
def test_frontiers_of_real_numbers_are_those_of_the_materialised_grid(options, bits):
    axes, groups = grid(4, 3, 5, 3, 70), ("isl", "osl")
    with precision(bits):
        result = stream_frontier(
            step, Point(), axes, groups, x="ttl_s", y="per_gpu", valid="valid", **options
        )
        lead, (x, y, ok) = materialised(step, axes, groups, ("ttl_s", "per_gpu", "valid"))
    sizes = np.diff(result.starts)
    assert sizes.min() > 5
    for i, group in enumerate(np.ndindex(lead)):
        front = pareto_front(x[i], y[i], ok[i], duplicates=False)
        part = result.of(*group)
        # Where two designs differ by rounding alone, either may stand for both.
        assert abs(len(front) - sizes[i]) <= 1
        as_fast = result.x[part][:, None] <= x[i][front] * (1 + 1e-6)
        assert (as_fast & (result.y[part][:, None] >= y[i][front] * (1 - 1e-6))).any(axis=0).all()
        for got, wanted in ((result.x, x), (result.y, y)):
            where = positions(result, axes, groups)[part]
            np.testing.assert_allclose(got[part], wanted[i][where], rtol=4e-7)


def test_more_is_kept_where_a_frontier_is_long(monkeypatch):
    """Every design is on the frontier; the first try keeps a few of each step."""

    def line(p):
        return {"x": p.batch, "y": p.batch + p.tp - p.tp}

    axes = grid(2, 1, 3, 1, 100)
    axes[-1] = (*axes[-1][:2], np.arange(1.0, 101.0))
    monkeypatch.setattr(module, "first_counts", lambda size: (2, 3))
    options: dict[str, Any] = dict(x="x", y="y", duplicates=True, step_points=400)
    result = stream_frontier(line, Point(), axes, ("isl",), **options)
    assert np.diff(result.starts).tolist() == [300, 300]


def test_positions_of_a_loop_are_reduced_at_once_as_one_after_another(monkeypatch):
    axes = grid(3, 2, 4, 3, 64)
    options: dict[str, Any] = dict(step_points=4096)
    given = (step, Point(), axes, ("isl", "osl"))
    pair: dict[str, Any] = dict(x="ttl_s", y="per_gpu", valid="valid")
    in_turn = stream_frontier(*given, **pair, **options)
    monkeypatch.setattr(module.Grid, "in_turn", False)
    at_once = stream_frontier(*given, **pair, **options)
    for one, other in zip(jax.tree.leaves(in_turn), jax.tree.leaves(at_once), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_finds_good_designs_by_itself():
    """What it begins with is of no use: none of the sample counts."""
    start, slope, cost = np.random.default_rng(3).uniform(1.0, 20.0, (3, 256, 1))
    batch = np.geomspace(1.0, 4096.0, 64)
    x = (start + slope * batch).reshape(-1)
    y = (batch / cost).reshape(-1) / x
    y[::128] = np.nan
    keep = Undominated(64, 128, False, True, Step(1, (16_384,), False))
    sample = 128 * jnp.arange(128)
    (rows, points, count, *_, place), good = jax.jit(keep.step_of)(x, y, sample, 128, sample)
    front = pareto_front(x, y)
    assert rows[0] <= 64
    assert points[0] <= 128
    np.testing.assert_array_equal(place[: count[0]], front)
    np.testing.assert_array_equal(good[0][: good[1]], front)


@pytest.mark.parametrize("size", [70, 5000])
def test_positions_of_flags_are_all_of_them_or_a_sample(size):
    flags = np.random.default_rng(0).random(size) < 0.3
    result, count = positions_of(jnp.asarray(flags), size)
    assert count == flags.sum()
    np.testing.assert_array_equal(result[:count], np.flatnonzero(flags))
    result, count = positions_of(jnp.asarray(flags), 10)
    assert count == flags.sum()
    assert flags[result].all()
    assert result[0] < size // 8
    assert result[-1] > size - size // 4
    assert (np.diff(result) > 0).all()


def test_infinities_are_values_and_nan_is_none():
    def odd(p):
        y = jnp.where(p.batch > 9.0, jnp.nan, -p.batch)
        y = jnp.where(p.tp == 2.0, jnp.where(p.batch > 9.0, jnp.inf, -jnp.inf), y)
        return {"x": jnp.where(p.tp == 1.0, -jnp.inf, p.batch), "y": y}

    axes = grid(1, 1, 4, 1, 20)
    result = stream_frontier(odd, Point(), axes, (), x="x", y="y")
    _, (x, y) = materialised(odd, axes, (), ("x", "y"))
    front = pareto_front(x[0], y[0], duplicates=False)
    np.testing.assert_array_equal(positions(result, axes, ()), front)
    assert np.isinf(result.x[0])
    assert np.isinf(result.y[-1])


def test_nothing_valid_is_an_empty_frontier():
    result = stream_frontier(
        step, Point(), grid(), ("isl",), x="ttl_s", y="rate", valid=lambda o: o["rate"] < 0.0
    )
    assert result.starts.tolist() == [0, 0, 0, 0]


def test_fronts_of_groups_are_the_fronts_of_each():
    rng = np.random.default_rng(1)
    group, x, y = (rng.integers(0, n, 400) for n in (3, 12, 12))
    for duplicates in (False, True):
        order = fronts_of_groups(group, x, y, np.arange(400), duplicates=duplicates)
        expected = [
            np.flatnonzero(group == g)[i]
            for g in range(3)
            for i in pareto_front(x[group == g], y[group == g], duplicates=duplicates)
        ]
        assert order.tolist() == expected


@pytest.mark.parametrize("options", [{}, SMALL])
def test_extremes_of_every_output(options):
    axes, groups = grid(4, 3, 5, 3, 18), ("osl",)
    names = ("gemm_s", "attention_s", "rate", "per_gpu", "gpus", "one", "valid")
    result = stream_extremes(step, Point(), axes, groups, outputs=names, valid="valid", **options)
    _, (*values, ok) = materialised(step, axes, groups, (*names, "valid"))
    for name, value in zip(names, values, strict=True):
        low = np.where(ok, value, np.inf).min(axis=1)
        high = np.where(ok, value, -np.inf).max(axis=1)
        np.testing.assert_allclose(result.low[name], low, rtol=4e-7, err_msg=name)
        np.testing.assert_allclose(result.high[name], high, rtol=4e-7, err_msg=name)
    assert jax.tree.leaves(result.low)[0].shape == (3,)
