"""Is what is evaluated once for a class of designs the same as at every design?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsim.point.phases.colocated import colocated
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from jaxsim.space.axes import LEAF
from jaxsim.space.grid.best import stream_best, stream_topk
from jaxsim.space.grid.frontier import stream_frontier
from jaxsim.space.grid.split import split
from jaxsim.space.grid.sweep import sweep
from jaxsim.space.program.deduplicate import shared
from jaxsim.space.program.host import HOST_POINTS, on_host
from jaxsim.space.program.inputs import axis_values, lengths_of, numbers_of
from jaxsim.space.program.interpret import interpreted
from jaxsim.space.program.trace import PICK, size, trace
from tests.scenarios import scenario
from tests.space.grids import WHERE, Point, grid, precision, step

VALUES = {
    "isl": np.geomspace(300, 60000, 7).round(),
    "osl": np.geomspace(50, 7000, 6).round(),
    "tp": 2.0 ** np.arange(5),
    "pp": 2.0 ** np.arange(4),
    "batch": np.geomspace(1, 512, 33).round(),
}


def ranked(p):
    """What attention costs depends on the sequences of a rank and `tp`; memory on all axes."""
    sequences = jnp.ceil(jnp.maximum(p.batch / (p.tp * p.pp), 1.0))
    context = p.isl + 0.5 * p.osl
    ratio = sequences * context / (1e5 / p.tp)
    attention_s = 1e-4 * jnp.exp(0.3 * jnp.log(1.0 + ratio**2)) + jnp.log1p(sequences) * 1e-5
    ttl_s = attention_s + 1e-6 * p.batch + 1e-5 * p.pp
    used = p.batch * context / p.pp + 1e5 * p.tp
    return {
        "attention_s": attention_s,
        "ttl_s": ttl_s,
        "rate": p.batch / ttl_s / (p.tp * p.pp),
        "valid": used < 2e7,
    }


def _axes(values=VALUES):
    return [(name, WHERE[name], np.asarray(v)) for name, v in values.items()]


def _shared(fn, axes, point=None):
    point = Point() if point is None else point
    values = axis_values(axes)
    lengths = lengths_of(values)
    program = trace(fn, point, axes)
    known = dict(enumerate(jax.tree.leaves((values, numbers_of(point)[0]))))
    known.update(program.constants)
    left = on_host(program, known, lengths, 2000)
    return program, left, lengths, shared(program, known, left, lengths)


def test_designs_alike_are_evaluated_once():
    program, left, lengths, result = _shared(ranked, _axes())
    tp, pp, batch = (VALUES[n] for n in ("tp", "pp", "batch"))
    t, p, b = np.meshgrid(tp, pp, batch, indexing="ij")
    sequences = np.ceil(np.maximum(b / (t * p), 1.0)).ravel()
    alike = len({*zip(sequences, t.ravel(), strict=True)})
    # So small a grid is looked at whole: every context is told apart, as the formula does.
    classes = alike * len(VALUES["isl"]) * len(VALUES["osl"])
    assert classes <= result.lengths[-1] < 1.15 * classes
    sizes = lengths + result.lengths
    slow = ("log", "log1p", "exp")
    before = sum(
        size(program.dims[program.ops[i].outputs[0]], lengths)
        for i in left
        if program.ops[i].primitive.name in slow
    )
    after = sum(
        size(result.program.dims[op.outputs[0]], sizes)
        for op in result.program.ops
        if op.primitive.name in slow
    )
    assert after < 0.6 * before
    # Handed out once to all designs, as late as possible: an output of its own, and one sum.
    whole = size(range(len(lengths)), lengths)
    picks = [op for op in result.program.ops if op.primitive is PICK]
    assert sum(size(result.program.dims[op.outputs[0]], sizes) == whole for op in picks) == 1


def test_the_same_grid_gives_the_same_program_and_others_share_it():
    first = _shared(ranked, _axes())[-1]
    assert _shared(ranked, _axes())[-1].program is first.program
    other = {**VALUES, "isl": VALUES["isl"] * 2, "osl": VALUES["osl"] + 3}
    again = _shared(ranked, _axes(other))[-1]
    assert again.program is first.program
    assert again.lengths == first.lengths


def test_a_larger_grid_of_the_same_function_has_classes_of_its_own():
    """Where more axes are too many to be looked at whole, classes are on other axes."""

    def fn(p):
        small = jnp.ceil(p.batch / 50.0)
        return {"y": jnp.exp(small * 1e-3 * p.isl) + jnp.log1p(small * p.isl) + p.tp}

    for isl, count in ((8, 100), (64, 100)):
        axes = [
            ("isl", WHERE["isl"], np.arange(1.0, isl + 1) / 64.0),
            ("tp", WHERE["tp"], np.arange(1.0, count + 1)),
            ("batch", WHERE["batch"], np.arange(1.0, count + 1)),
        ]

        with precision(32):
            got = split(fn, Point(), axes, host_points=1 << 15).materialise()["y"]
            expected = jax.jit(lambda axes=axes: sweep(fn, Point(), axes))()["y"]
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_what_does_not_pay_is_left_alone():
    def light(p):
        return jnp.ceil(p.batch / 64.0) * p.isl + p.tp + p.pp * p.osl

    program, left, _, result = _shared(light, _axes())
    assert result.program is program
    assert (result.left, result.lengths) == (left, ())
    tiny = _shared(step, grid(2, 2, 2, 2, 2))
    assert tiny[-1].program is tiny[0]


@pytest.mark.parametrize("bits", [32, 64])
def test_equal_to_the_plain_sweep_at_every_point(bits):
    axes = _axes()
    with precision(bits):
        staged = split(ranked, Point(), axes, host_points=2000)
        assert any(op.primitive is PICK for stage in staged.stages for op in stage.ops)
        got = staged.materialise()
        expected = jax.jit(lambda: sweep(ranked, Point(), axes))()
    for name, value in expected.items():
        shape = [len(v) if n in staged.dims[name] else 1 for n, _, v in axes]
        full = np.broadcast_to(np.asarray(got[name]).reshape(shape), value.shape)
        if name == "valid":
            np.testing.assert_array_equal(full, value)
        else:
            np.testing.assert_allclose(full, value, rtol=1e-6 if bits == 32 else 1e-12)


@settings(max_examples=12, deadline=None)
@given(
    batches=st.sets(st.integers(1, 500), min_size=5, max_size=40),
    stages=st.sets(st.integers(1, 12), min_size=2, max_size=5),
    step_points=st.sampled_from([None, 64, 700]),
)
def test_streams_find_the_best_whatever_the_grid(batches, stages, step_points):
    values = {**VALUES, "isl": VALUES["isl"][::3], "osl": VALUES["osl"][::3]}
    values |= {"batch": np.array(sorted(batches), float), "pp": np.array(sorted(stages), float)}
    axes = _axes(values)
    with precision(64):
        every, dims = interpreted(ranked, Point(name=0.0), axes)  # in NumPy: a number each
        best = stream_best(
            ranked, Point(), axes, ("isl", "osl"),
            objective="rate", valid="valid", step_points=step_points,
        )  # fmt: skip
    assert dims["rate"] == tuple(values) == dims["valid"]
    shape = every["rate"].shape
    rate = np.where(every["valid"], every["rate"], -np.inf).reshape(*shape[:2], -1)
    np.testing.assert_allclose(best.value, rate.max(axis=-1), rtol=1e-12)


def test_an_axis_of_no_consequence_counts_but_costs_nothing():
    """Of designs that differ on it alone, the first is named first, and all of them are ranked."""
    axes = [*_axes()[:4], ("unused", lambda p: p.layers, np.arange(3.0)), _axes()[4]]
    request: dict[str, Any] = {"objective": "rate", "valid": "valid"}
    best = stream_best(ranked, Point(), axes, ("isl", "osl"), **request)
    without = stream_best(ranked, Point(), _axes(), ("isl", "osl"), **request)
    assert best.points == 3 * without.points
    np.testing.assert_array_equal(best.value, without.value)
    assert not best.index["unused"].any()
    for name in ("tp", "pp", "batch"):
        np.testing.assert_array_equal(best.index[name], without.index[name])
    top = stream_topk(ranked, Point(), axes, ("isl", "osl"), count=7, **request)
    plain = stream_topk(ranked, Point(), _axes(), ("isl", "osl"), count=7, **request)
    repeated = np.repeat(plain.value, 3, axis=-1)[..., :7]
    np.testing.assert_array_equal(top.value, repeated)
    np.testing.assert_array_equal(top.index["unused"][0, 0], [0, 1, 2, 0, 1, 2, 0])
    pair: dict[str, Any] = {"x": "ttl_s", "y": "rate", "valid": "valid", "duplicates": True}
    fronts = stream_frontier(ranked, Point(), axes, ("isl",), **pair)
    once = stream_frontier(ranked, Point(), _axes(), ("isl",), **pair)
    np.testing.assert_array_equal(fronts.x, np.repeat(once.x, 3))
    np.testing.assert_array_equal(fronts.starts, 3 * once.starts)
    names = ("osl", "tp", "pp", "batch")
    plain = {*zip(*(once.index[n] for n in names), strict=True)}
    for i in range(3):
        own = fronts.index["unused"] == i
        assert {*zip(*(fronts.index[n][own] for n in names), strict=True)} == plain
        assert own.sum() == len(once.x)
    # Equal points come in order of position.
    flat = np.ravel_multi_index(
        [fronts.index[n] for n in ("osl", "tp", "pp", "unused", "batch")], (6, 5, 4, 3, 33)
    )
    same = (np.diff(fronts.x) == 0) & (np.diff(fronts.y) == 0)
    assert (np.diff(flat)[same] > 0).all()


PHASE_VALUES = {
    "isl": (900.0, 30000.0),
    "osl": (100.0, 4000.0),
    "tp": (1.0, 2.0, 4.0),
    "ep": (1.0, 4.0, 8.0),
    "pp": (1.0, 2.0, 3.0),
    "chunk": (512.0, 4096.0),
    "batch": tuple(float(b) for b in np.unique(np.geomspace(1, 1000, 20).round())),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "phase"),
    [("gqa_dense", prefill), ("mla_moe", decode), ("mla_moe", colocated)],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_the_model_is_the_same_with_and_without_classes(phase, kind):
    """Against the traced function in its own order, interpreted in NumPy."""
    point = scenario(kind)
    axes = [(name, LEAF[name], np.array(v)) for name, v in PHASE_VALUES.items()]
    with precision(32):
        staged = split(phase, point, axes, host_points=HOST_POINTS // 16)
        outputs, dims = staged.materialise(), staged.dims
        expected, own_dims = interpreted(phase, point, axes)
    got = jax.tree.leaves(outputs)
    named = jax.tree.leaves(dims, is_leaf=lambda x: isinstance(x, tuple))
    others = jax.tree.leaves(own_dims, is_leaf=lambda x: isinstance(x, tuple))
    assert named == others
    # over = total − capacity. The two forms add the terms of the total in different orders; where
    # total and capacity nearly cancel, the rounding of the total remains. Measured in all six
    # cases: they differ by at most one unit in the last place of the largest total.
    total = np.float32(np.max(expected.memory.total_bytes))
    rounding = {".memory.over_bytes": 1.0 * np.spacing(total)}
    flat, _ = jax.tree_util.tree_flatten_with_path(expected)
    for value, (path, plain) in zip(got, flat, strict=True):
        if np.asarray(plain).dtype == bool:
            assert (np.asarray(value) != plain).mean() < 1e-3
        else:
            name = jax.tree_util.keystr(path)
            atol = rounding.get(name, 1e-12)
            np.testing.assert_allclose(value, plain, rtol=3e-5, atol=atol, err_msg=name)
