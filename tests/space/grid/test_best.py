"""Does a stream find what a search of the whole, materialised grid finds?"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim.space.grid.best import stream_best, stream_topk
from jaxsim.space.grid.best_in_numpy import small_best
from jaxsim.space.grid.block_run import run_block
from jaxsim.space.grid.split import split
from jaxsim.space.grid.sweep import sweep
from tests.space.grids import CALLS, Chip, Point, compilations, grid, precision, step, whole


def searched(fn, axes, groups, value, valid, count):
    """The best `count` designs of every group by sorting everything; of equals, the first."""
    names = [a[0] for a in axes]
    outputs = jax.jit(lambda: sweep(fn, Point(), axes))()
    shape = tuple(len(a[2]) for a in axes)
    order = [names.index(g) for g in groups] + [i for i, n in enumerate(names) if n not in groups]
    value, valid = (np.broadcast_to(outputs[x], shape).transpose(order) for x in (value, valid))
    lead = tuple(shape[i] for i in order[: len(groups)])
    value = np.where(valid, value, -np.inf).reshape(*lead, -1)
    where = np.argsort(-value, axis=-1, kind="stable")[..., :count]
    value = np.take_along_axis(value, where, -1)
    return np.where(value > -np.inf, value, np.nan), np.where(value > -np.inf, where, 0)


def flat_index(best, axes, groups):
    reduced = [(a[0], len(a[2])) for a in axes if a[0] not in groups]
    index = tuple(np.asarray(best.index[n]) for n, _ in reduced)
    return np.asarray(np.ravel_multi_index(index, tuple(n for _, n in reduced)))


SMALL = dict(step_points=40, block_points=400)


@pytest.mark.parametrize(
    ("groups", "options"),
    [
        ((), {}),
        ((), SMALL),
        (("osl", "isl"), {}),
        (("tp", "osl"), SMALL),
        (("batch",), {}),
        (("batch",), dict(step_points=1, block_points=1)),
    ],
)
def test_whole_numbers_with_ties_give_exactly_the_first_of_the_best(groups, options):
    axes = grid(3, 2, 4, 3, 18)
    best = stream_topk(
        whole, Point(), axes, groups, objective="value", valid="odd", count=7, **options
    )
    value, where = searched(whole, axes, groups, "value", "odd", 7)
    np.testing.assert_array_equal(best.value, value)
    np.testing.assert_array_equal(flat_index(best, axes, groups), where)
    first = stream_best(whole, Point(), axes, groups, objective="value", valid="odd", **options)
    np.testing.assert_array_equal(first.value, value[..., 0])
    np.testing.assert_array_equal(flat_index(first, axes, groups), where[..., 0])


def ties(p):
    """The same values, of operations that NumPy has; one design has none."""
    value = jnp.where(p.batch == 5.0, jnp.nan, whole(p)["value"])
    return {"value": value, "odd": p.batch - 2.0 * jnp.floor(p.batch / 2.0) == 1.0}


@pytest.mark.parametrize("groups", [(), ("tp", "osl"), ("batch",)])
@pytest.mark.parametrize(("count", "maximise"), [(1, True), (7, False), (5000, True)])
def test_numpy_chooses_as_a_stream_does(groups, count, maximise):
    axes = grid(3, 2, 4, 3, 18)
    given = (ties, Point(), axes, groups)
    wanted = {"objective": "value", "valid": "odd", "maximise": maximise, "count": count}
    small, stream = small_best(*given, **wanted), stream_best(*given, **wanted)
    np.testing.assert_array_equal(small.value, stream.value)
    np.testing.assert_array_equal(small.found, stream.found)
    for name, places in stream.index.items():
        np.testing.assert_array_equal(small.index[name], places)
    assert small.points == stream.points


@pytest.mark.parametrize(("options", "bits"), [({}, 32), (SMALL, 64)])
def test_best_and_their_values_equal_the_materialised_search(options, bits):
    axes = grid(5, 4, 5, 3, 33)
    groups = ("isl", "osl")
    with precision(bits):
        best = stream_topk(
            step, Point(), axes, groups, objective="per_gpu", valid="valid", count=4, **options
        )
        value, where = searched(step, axes, groups, "per_gpu", "valid", 4)
    np.testing.assert_allclose(best.value, value, rtol=4e-7)
    apart = np.abs(np.diff(value, axis=-1)).min(axis=-1) > 1e-5 * value[..., 0]
    assert apart.sum() > 10
    np.testing.assert_array_equal(flat_index(best, axes, groups)[apart], where[apart])
    assert best.points == 5 * 4 * 5 * 3 * 33


def test_several_chips_are_one_more_group():
    chips = Chip(np.array([1e15, 2e15]), np.array([3e12, 8e12]), np.array([8e10, 1.8e11]))
    axes = [("chip", lambda p: p.chip, chips), *grid(2, 3, 4, 2, 9)]
    options: dict[str, Any] = dict(objective="per_gpu", valid="valid")
    best = stream_best(step, Point(), axes, ("isl", "chip"), **options)
    for i in range(2):
        chip = jax.tree.map(lambda x, i=i: x[i], chips)
        alone = stream_best(step, Point(chip=chip), axes[1:], ("isl",), **options)
        np.testing.assert_allclose(best.value[:, i], alone.value, rtol=1e-6)


def test_lowest_instead_of_highest():
    best = stream_best(
        step, Point(), grid(), ("isl",), objective="ttl_s", valid=lambda o: o["gpus"] > 3.0,
        maximise=False,
    )  # fmt: skip
    outputs = jax.jit(lambda: sweep(step, Point(), grid()))()
    lowest = np.where(outputs["gpus"] > 3.0, outputs["ttl_s"], np.inf).min(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(best.value, lowest, rtol=4e-7)


def test_what_is_not_valid_or_not_a_number_is_never_best():
    def undefined(p):
        return {"y": jnp.where(p.batch > 9.0, jnp.nan, p.batch), "never": p.tp < 0.0}

    best = stream_best(undefined, Point(), grid(), ("tp",), objective="y")
    assert (best.value == 9.0).all() or (best.value < 9.0).all()
    assert best.found.all()
    none = stream_topk(undefined, Point(), grid(), ("tp",), objective="y", valid="never", count=2)
    assert not none.found.any()
    assert np.isnan(none.value).all()
    few = stream_topk(
        undefined, Point(), grid(2, 2, 2, 1, 3), ("isl", "osl", "tp"), objective="y", count=5
    )
    assert few.found.sum(axis=-1).max() <= 3


def test_other_numbers_trace_and_compile_nothing_again():
    def search(point, axes):
        return stream_best(step, point, axes, ("isl",), objective="per_gpu", valid="valid")

    search(Point(), grid())
    traced, compiled = CALLS.count, compilations(run_block)
    for chip in (Chip(), Chip(bytes_per_s=8e12)):
        search(Point(chip=chip, layers=32), [(n, w, v * 2) for n, w, v in grid()])
    assert (CALLS.count, compilations(run_block)) == (traced, compiled)


@pytest.mark.parametrize(
    ("groups", "says"),
    [(("nope",), "not among"), (("isl", "osl", "tp", "pp", "batch"), "all axes")],
)
def test_impossible_groups_are_named(groups, says):
    with pytest.raises(ValueError, match=says):
        stream_best(step, Point(), grid(), groups, objective="rate")


PROGRAM = """
import json, sys
import jax
import numpy as np
from tests.space.grids import Point, grid, step
from jaxsim.space.grid.split import split
from jaxsim.space.grid.best import stream_best
axes = grid(6, 4, 5, 3, 33)
best = stream_best(step, Point(), axes, ("isl", "osl"), objective="per_gpu", valid="valid",
                   block_points=2000, devices=jax.devices())
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("workers",))
staged = split(step, Point(), axes).sharded("osl", mesh)
rate = staged.materialise()["rate"]
try:
    split(step, Point(), axes).sharded("tp", mesh)
    refused = ""
except ValueError as error:
    refused = str(error)
print(json.dumps([len(jax.devices()), best.value.tolist(), best.index["batch"].tolist(),
                  len(rate.sharding.device_set), np.asarray(rate).sum().item(), refused]))
"""


def test_two_devices_find_the_same():
    path = str(Path(__file__).parents[3])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu",
             "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    )  # fmt: skip
    devices, value, batch, spread, total, refused = json.loads(ran.stdout)
    assert devices == spread == 2
    axes = grid(6, 4, 5, 3, 33)
    one = stream_best(step, Point(), axes, ("isl", "osl"), objective="per_gpu", valid="valid")
    np.testing.assert_allclose(value, one.value, rtol=4e-7)
    np.testing.assert_array_equal(batch, one.index["batch"])
    staged = split(step, Point(), axes)
    np.testing.assert_allclose(total, staged.materialise()["rate"].sum(), rtol=1e-5)
    assert "5 values, which do not spread evenly over 2 devices" in refused
