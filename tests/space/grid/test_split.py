"""Is a function evaluated in stages the same as the flat form, point by point?"""

import jax
import numpy as np
import pytest

from jaxsim._record import replace_leaf
from jaxsim.space.grid.split import STAGE_SHARES, run_stage, split, stages_of
from jaxsim.space.grid.sweep import flat
from tests.space.grids import CALLS, Chip, Point, compilations, grid, precision, step


def listed(axes):
    """The grid as a list of points, for the flat form."""
    mesh = np.meshgrid(*(a[2] for a in axes), indexing="ij")
    return [(a[0], a[1], m.reshape(-1)) for a, m in zip(axes, mesh, strict=True)]


def full(outputs, dims, axes):
    """Outputs on natural dims spread over the grid and flattened."""
    lengths = {a[0]: len(a[2]) for a in axes}

    def one(value, names):
        shape = [n if name in names else 1 for name, n in lengths.items()]
        return np.broadcast_to(np.asarray(value).reshape(shape), tuple(lengths.values())).ravel()

    return {k: one(outputs[k], dims[k]) for k in outputs}


@pytest.mark.parametrize("shares", [STAGE_SHARES, (), (1 / 200, 1 / 30, 1 / 8, 1 / 2)])
@pytest.mark.parametrize("bits", [32, 64])
def test_equal_to_the_flat_form_at_every_point(shares, bits):
    axes = grid()
    with precision(bits):
        staged = split(step, Point(), axes, shares)
        got = full(staged.materialise(), staged.dims, axes)
        expected = jax.jit(lambda: flat(step, Point(), listed(axes)))()
    assert got["rate"].dtype == f"float{bits}"
    for name, value in expected.items():
        value = np.broadcast_to(value, got[name].shape)
        if value.dtype == bool:
            np.testing.assert_array_equal(got[name], value, err_msg=name)
            assert 0 < value.sum() < value.size
        else:
            np.testing.assert_allclose(got[name], value, rtol=4e-7, err_msg=name)


def test_small_terms_are_in_early_stages_and_nothing_is_done_twice():
    axes = grid(8, 8, 5, 3, 16)
    staged = split(step, Point(), axes)
    ops = [op for stage in staged.stages for op in stage.ops]
    assert len(ops) == len(staged.program.ops) == len({op.outputs for op in ops})
    assert len(staged.stages[0].ops) > len(staged.stages[-1].ops) > 0
    for stage in staged.stages[:1]:
        sizes = [
            np.prod([staged.lengths[d] for d in staged.program.dims[op.outputs[0]]])
            for op in stage.ops
        ]
        assert max(sizes) <= staged.points / 64


def test_other_numbers_trace_and_compile_nothing_again():
    axes = grid()
    first = split(step, Point(), axes)
    first.materialise()
    traced, compiled = CALLS.count, compilations(run_stage)
    for chip in (Chip(), Chip(flop_per_s=2e15), Chip(hbm_bytes=np.float32(3e11))):
        other = [(n, lambda p, w=w: w(p), 2 * np.asarray(v)) for n, w, v in axes]
        again = split(step, Point(chip=chip, hidden=8192, layers=80), other)
        again.materialise()
        assert again.program is first.program
    assert (CALLS.count, compilations(run_stage)) == (traced, compiled)
    split(step, Point(name="another"), axes)
    assert CALLS.count == traced + 1


def test_several_chips_are_one_more_axis():
    chips = Chip(np.array([1e15, 2e15]), np.array([3e12, 8e12]), np.array([8e10, 1.8e11]))
    axes = [("chip", lambda p: p.chip, chips), *grid(2, 2, 3, 2, 4)]
    staged = split(step, Point(), axes)
    together = staged.materialise()
    assert staged.dims["ttl_s"][0] == "chip"
    for i in range(2):
        chip = jax.tree.map(lambda x, i=i: x[i], chips)
        alone = split(step, Point(chip=chip), axes[1:]).materialise()
        np.testing.assert_allclose(together["rate"][i], alone["rate"], rtol=4e-7)
        np.testing.assert_array_equal(together["valid"][i], alone["valid"])


def test_buffers_are_reused():
    staged = split(step, Point(), grid())
    first = staged.buffers()
    expected = jax.tree.map(np.array, staged.outputs(first))
    other = split(step, Point(hidden=4096.0), grid())
    second = other.buffers(first)
    assert all(x.is_deleted() for stage in first for x in stage)
    changed = other.outputs(second)
    assert not np.allclose(changed["rate"], expected["rate"])
    again = staged.outputs(staged.buffers(second))
    for name, value in expected.items():
        np.testing.assert_array_equal(again[name], value)


def test_stages_do_not_depend_on_values():
    staged = split(step, Point(), grid())
    left = tuple(range(len(staged.program.ops)))
    assert stages_of(staged.program, left, staged.lengths, (), STAGE_SHARES) is staged.stages


def test_small_terms_may_be_evaluated_on_the_host():
    axes = grid()
    inside, before = split(step, Point(), axes), split(step, Point(), axes, host_points=200)
    assert sum(len(s.ops) for s in before.stages) < 0.6 * sum(len(s.ops) for s in inside.stages)
    got, expected = before.materialise(), inside.materialise()
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=4e-7, err_msg=name)


def test_one_point_and_no_axes():
    outputs = split(step, Point(), []).materialise()
    expected = step(replace_leaf(lambda p: p.tp, Point(), 8.0))
    np.testing.assert_allclose(outputs["rate"], expected["rate"], rtol=4e-7)
