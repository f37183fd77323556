"""Is every form of a sweep the same as evaluating each point by itself?"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim._record import Record
from jaxsim.space.grid.sweep import flat, natural, sweep


class Inner(Record):
    a: Any = 2.0
    b: Any = 3.0


class Sample(Record):
    inner: Inner = Inner()
    c: Any = 5.0
    table: Any = (1.0, 4.0, 9.0)
    kind: str = "plain"
    flag: bool = True


@jax.custom_jvp
def _soft(x):
    return jnp.log1p(jnp.exp(-x))


_soft.defjvps(lambda g, ans, x: g)


def function(p):
    """Touches calls, custom derivatives, tables, loops and flags."""
    inside = jnp.where(p.inner.a > 2.5, p.inner.a, 1.0)
    knots = jnp.stack([jnp.asarray(x) for x in p.table])
    table = jnp.interp(p.c, jnp.asarray([1.0, 5.0, 9.0]), knots)
    looped = jax.lax.fori_loop(0, 3, lambda _, x: x * 0.5 + inside, p.inner.b)
    return {
        "all": _soft(inside * p.inner.b) + p.c,
        "ab": jnp.clip(p.inner.a * p.inner.b, 1.0, 7.0),
        "loop": looped,
        "table": table,
        "none": jnp.asarray(1.5),
        "flag": (p.inner.a > p.c) & p.flag,
        "same": p.c,
    }


AXES = [
    ("a", lambda p: p.inner.a, (1, 2, 3)),
    ("b", lambda p: p.inner.b, np.linspace(0.5, 4.0, 5)),
    ("c", lambda p: p.c, [1.0, 2.5]),
]


@functools.cache
def reference():
    """Every point by itself, in a plain loop."""
    rows, alone = [], jax.jit(lambda a, b, c: function(Sample(Inner(a, b), c)))
    for values in itertools.product(*(a[2] for a in AXES)):
        rows.append(alone(*map(float, values)))
    shape = tuple(len(a[2]) for a in AXES)
    return {k: np.array([row[k] for row in rows]).reshape(shape) for k in rows[0]}


def broadcast(outputs, dims, axes):
    """Outputs on natural dims, spread over the whole grid."""
    shape = tuple(len(a[2]) for a in axes)

    def one(x, names):
        at = tuple(n if a in names else 1 for (a, _, _), n in zip(axes, shape, strict=True))
        return np.broadcast_to(np.asarray(x).reshape(at), shape)

    return {k: one(outputs[k], dims[k]) for k in outputs}


def same(got, expected):
    for key, value in expected.items():
        assert got[key].dtype == value.dtype
        if value.dtype == bool:
            np.testing.assert_array_equal(got[key], value, err_msg=key)
        else:
            np.testing.assert_allclose(got[key], value, rtol=4e-7, err_msg=key)


def test_sweep_equals_a_plain_loop():
    same({k: np.asarray(v) for k, v in sweep(function, Sample(), AXES).items()}, reference())


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_natural_equals_a_plain_loop_in_any_order_of_axes(order):
    axes = [AXES[i] for i in order]
    outputs, dims = natural(function, Sample(), axes)
    expected = {k: v.transpose(order) for k, v in reference().items()}
    same(broadcast(outputs, dims, axes), expected)


def test_an_output_carries_only_the_axes_it_depends_on():
    outputs, dims = natural(function, Sample(), AXES)
    assert dims["ab"] == ("a", "b")
    assert dims["table"] == dims["same"] == ("c",)
    assert dims["none"] == ()
    assert dims["flag"] == ("a", "c")
    assert dims["all"] == ("a", "b", "c")
    assert outputs["ab"].shape == (3, 5)
    assert outputs["none"].shape == ()


def test_flat_takes_axes_together():
    axes = [("a", AXES[0][1], (1.0, 3.0)), ("c", AXES[2][1], (2.0, 9.0))]
    grid = sweep(function, Sample(), axes)
    listed = flat(function, Sample(), axes)
    for key in grid:
        np.testing.assert_array_equal(listed[key], np.asarray(grid[key])[[0, 1], [0, 1]])


def test_an_axis_may_be_a_record_or_several_leaves():
    stacked = Inner(jnp.asarray([1.0, 3.0]), jnp.asarray([2.0, 4.0]))
    axes = [("inner", lambda p: p.inner, stacked), AXES[2]]
    outputs, dims = natural(function, Sample(), axes)
    for i in range(2):
        point = Sample(inner=Inner(stacked.a[i], stacked.b[i]))
        one = sweep(function, point, [AXES[2]])
        np.testing.assert_allclose(outputs["all"][i], one["all"], rtol=4e-7)
    assert dims["ab"] == ("inner",)
    both = [("x", lambda p: (p.inner.a, p.inner.b), (2.0, 3.0))]
    np.testing.assert_allclose(natural(function, Sample(), both)[0]["ab"], (4.0, 7.0))


def test_a_whole_number_is_swept_as_a_real_one():
    huge = [("a", AXES[0][1], (50_000, 100_000))]
    out = sweep(lambda p: p.inner.a * p.inner.a, Sample(), huge)
    np.testing.assert_allclose(out, (2.5e9, 1e10), rtol=1e-6)


def test_gradients_pass_through():
    def total(c):
        axes = AXES[:2]
        outputs, _ = natural(function, Sample(c=c), axes)
        return outputs["all"].sum()

    np.testing.assert_allclose(jax.grad(total)(2.0), 15.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ([AXES[0], AXES[0]], "given once"),
        ([("a", AXES[0][1], ())], "axis 'a'"),
        ([("a", AXES[0][1], 3.0)], "axis 'a'"),
        ([("in", lambda p: p.inner, Inner(jnp.ones(2), jnp.ones(3)))], "axis 'in'"),
    ],
)
def test_bad_axes_are_named(axes, says):
    for form in (sweep, natural):
        with pytest.raises(ValueError, match=says):
            form(function, Sample(), axes)


def test_a_side_effect_is_refused():
    def noisy(p):
        jax.debug.print("{}", p.c)
        return p.c

    with pytest.raises(ValueError, match="side effect"):
        natural(noisy, Sample(), AXES)
