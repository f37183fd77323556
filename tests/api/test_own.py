"""Is one design a function that JAX differentiates, and do trees answer for themselves?"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxsim
from jaxsim.api.point import AXES, NUMBERS, PointInputs
from tests.narrow import untyped

CASE = ("llama-3.1-8b", "h200", jaxsim.Workload(isl=2048, osl=256))


@pytest.fixture(scope="module")
def decode():
    return jaxsim.design_point(*CASE, phase="decode", engine="ideal")


@pytest.fixture(scope="module")
def slope(decode):
    """Token latency and its derivatives by batch and bandwidth, mapped over designs."""

    def ttl(tp, batch, bandwidth):
        return decode(tp=tp, batch=batch, hbm_bytes_per_s=bandwidth)["ttl_s"]

    return jax.jit(jax.vmap(jax.value_and_grad(ttl, argnums=(1, 2))))


def test_a_design_point_is_estimate_and_has_its_gradients(slope):
    """Values are those of `estimate`, gradients those of differences."""
    step, bandwidth = 4.8e9, 4.8e12
    batches = jnp.asarray([16.0, 47.0, 48.0, 49.0, 48.0, 48.0])
    rates = bandwidth + jnp.asarray([0.0, 0.0, 0.0, 0.0, -step, step])
    value, (by_batch, by_rate) = slope(jnp.full(6, 2.0), batches, rates)
    told = jaxsim.estimate(*CASE, phase="decode", engine="ideal", tp=2, batch=16)
    assert float(value[0]) == pytest.approx(told.outputs["ttl_s"], rel=1e-6)
    assert float(by_batch[2]) == pytest.approx(float(value[3] - value[1]) / 2, rel=0.02)
    assert float(by_rate[2]) == pytest.approx(float(value[5] - value[4]) / (2 * step), rel=0.02)
    assert (by_rate < 0).all()  # more bandwidth is never slower


def test_inputs_are_named_to_type_checkers_and_others_refused(decode):
    assert {*PointInputs.__annotations__} == {*AXES, *NUMBERS}
    with pytest.raises(jaxsim.InputError, match="did you mean 'batch'"):
        untyped(decode)(bach=3)
    with pytest.raises(jaxsim.InputError, match="phase"):
        jaxsim.design_point(*CASE, phase="encode")


@pytest.fixture(scope="module")
def tree():
    space = jaxsim.Space(tp=(1, 2), pp=(1,), batch=(1.0, 8.0, 64.0), chunk=(1024.0, 2048.0))
    return jaxsim.evaluate(*CASE, space, engine="ideal").sel(isl=2048, osl=256)


def test_a_tree_has_its_frontier_and_best_designs(tree):
    front = tree.jaxsim.frontier(ftl=1.0)
    expected = jaxsim.frontier(tree, ftl_s=1.0)["colocated"].to_dataset()
    xr.testing.assert_identical(front["colocated"].to_dataset(), expected)
    best = tree.jaxsim.best(ftl=1.0, ttl=0.02)
    for kind in ("disaggregated", "colocated"):
        own = front[kind].to_dataset()
        met = own.where(own.ttl_s <= 0.02, drop=True)
        expected = float(met.output_tokens_per_s_per_gpu.max())
        assert float(best.sel(kind=kind).output_tokens_per_s_per_gpu) == expected
    nothing = tree.jaxsim.best(ftl=1e-6, ttl=0.02)
    assert np.isnan(nothing.output_tokens_per_s_per_gpu).all()
    frame = tree.jaxsim.to_dataframe(ftl=1.0)
    assert set(frame["kind"]) == {"disaggregated", "colocated"}


def test_a_frontier_of_one_gpu_has_instances_of_one(tree):
    free = jaxsim.frontier(tree, ftl_s=1.0)["colocated"].to_dataset()
    capped = jaxsim.frontier(tree, ftl_s=1.0, max_gpus=1)["colocated"].to_dataset()
    assert float(free.tp.max()) == 2.0
    assert float(capped.tp.max()) == 1.0


def test_a_tree_is_drawn(tree):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert tree.jaxsim.plot(ftl=1.0, ax=ax) is ax
    assert len(ax.lines) == 2
    plt.close(figure)


def test_a_saved_tree_opens_in_plain_xarray_without_a_warning(tree, tmp_path):
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = xr.open_datatree(tmp_path / "tree.nc", engine="h5netcdf")
        ours = jaxsim.open_tree(tmp_path / "tree.nc")
    assert float(plain["decode"].ttl_s.min()) == float(ours["decode"].ttl_s.min())
    assert callable(ours.jaxsim.frontier)
    with pytest.raises(jaxsim.InputError, match="no such file"):
        jaxsim.open_tree(tmp_path / "other.nc")


def test_results_are_tables(tree):
    space = jaxsim.Space(tp=(1, 2), pp=(1,), batch=(1.0, 8.0), chunk=(2048.0,))
    plan = jaxsim.plan(*CASE, ftl_s=1.0, ttl_s=0.05, space=space, engine="ideal")
    frame = plan.to_dataframe()
    assert list(frame["phase"]) == ["prefill", "decode", "colocated"]
    assert "<table" in plan._repr_html_()
    told = jaxsim.estimate(*CASE, phase="decode", engine="ideal", tp=2, batch=16)
    assert sum(told.to_dataframe()["seconds"]) == pytest.approx(told.total_s)
    assert "<table" in told._repr_html_()


def test_outputs_may_stay_on_the_device(tree):
    space = jaxsim.Space(tp=(1, 2), pp=(1,), batch=(1.0, 8.0, 64.0), chunk=(1024.0, 2048.0))
    kept = jaxsim.evaluate(*CASE, space, engine="ideal", phases=("decode",), device=True)
    kept = kept.sel(isl=2048, osl=256)["decode"].to_dataset()
    assert all(isinstance(variable.data, jax.Array) for variable in kept.data_vars.values())
    xr.testing.assert_allclose(kept, tree["decode"].to_dataset(), rtol=1e-5)
