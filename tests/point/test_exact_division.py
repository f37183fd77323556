"""Do whole numbers stay exact on devices whose division is not?"""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsim._scalar import as_scalar
from jaxsim.point.exact_division import ceil_div, divides, floor_div
from jaxsim.space.axes import LEAF
from jaxsim.space.designs import PHASES
from jaxsim.space.program.bits import in_precision
from jaxsim.space.program.in_numpy import IN_NUMPY
from jaxsim.space.program.inputs import axis_values, numbers_of
from jaxsim.space.program.interpret import run
from jaxsim.space.program.trace import trace
from tests.scenarios import MODELS, scenario

# Lengths and widths that are no powers of two, where quotients miss whole numbers.
AWKWARD = {
    "isl": (1000.0, 3000.0, 5000.0, 16384.0),
    "osl": (300.0,),
    "tp": (1.0, 2.0, 3.0, 6.0, 12.0),
    "ep": (1.0, 3.0, 6.0, 12.0, 24.0, 36.0, 72.0),
    "pp": (1.0, 3.0, 5.0, 7.0),
    "chunk": (1000.0, 3000.0, 6000.0, 8192.0),
    "batch": (1.0, 7.0, 12.0, 48.0, 100.0, 384.0),
}
AXES = [(name, LEAF[name], np.asarray(values, np.float32)) for name, values in AWKWARD.items()]


def by_reciprocal(a, b):
    """Division as a GPU does it in 32 bits: a reciprocal and a product."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype == b.dtype == np.float32:
        return a * (np.float32(1.0) / b)
    return np.divide(a, b)


@given(a=st.integers(1, 2**24 - 1), b=st.integers(1, 2**16))
def test_quotients_of_whole_numbers_are_exact(a, b):
    assert float(ceil_div(float(a), float(b))) == -(-a // b)
    assert float(floor_div(float(a), float(b))) == a // b
    assert bool(divides(float(b), float(a))) == (a % b == 0)


@given(value=st.floats(0.01, 1e6))
def test_a_ceiling_has_the_gradient_of_the_quotient(value):
    assert float(ceil_div(value, 1.0)) == math.ceil(value)
    assert float(jax.grad(ceil_div)(value, 2.0)) == 0.5
    assert float(jax.grad(floor_div)(value, 2.0)) == 0.0


@pytest.mark.parametrize("bias", [-3, -1, 1, 3])
def test_a_quotient_off_by_its_last_bits_changes_nothing(bias, monkeypatch):
    """Whatever a division misses by: the product decides."""
    b = as_scalar(np.arange(1.0, 4000.0, dtype=np.float32))
    off = np.float32(1.0 + bias * 2.0**-24)
    monkeypatch.setattr(
        "jaxsim.point.exact_division.nearest_quotient",
        lambda a, b: (a / b, jnp.round(jnp.asarray(a) / b * off)),
    )
    with in_precision(False):
        for times in (1.0, 3.0, 7.0, 1000.0):
            a = as_scalar(np.float32(times) * np.asarray(b))
            np.testing.assert_array_equal(ceil_div(a, b), times)
            np.testing.assert_array_equal(ceil_div(a + 1.0, b), times + 1.0)
            np.testing.assert_array_equal(floor_div(a, b), times)
            np.testing.assert_array_equal(floor_div(a - 1.0, b), times - 1.0)
            assert np.all(divides(b, a))


# Co-located designs prefill and decode too.
TRACED = [(model, "colocated") for model in MODELS] + [
    ("mla_moe", p) for p in ("prefill", "decode")
]


def _in_32_bits(model):
    return jax.tree.map(lambda x: np.asarray(x, np.float32), scenario(model))


@pytest.mark.parametrize(("model", "phase"), TRACED)
def test_no_step_function_is_fed_by_a_division(model, phase):
    """Of what is traced, so of whatever is compiled from it: quotients are rounded as above."""
    with in_precision(False):
        program = trace(PHASES[phase], _in_32_bits(model), AXES)
    names = [op.primitive.name for op in program.ops]
    assert "round" in names
    assert not {"ceil", "floor"}.intersection(names)


@pytest.mark.parametrize(
    ("model", "phase"),
    [("gqa_dense", "prefill"), ("gqa_dense", "decode"), ("mla_moe", "colocated")],
)
def test_designs_are_the_same_where_division_is_a_reciprocal(model, phase, monkeypatch):
    point = _in_32_bits(model)
    with in_precision(False):
        program, values = trace(PHASES[phase], point, AXES), axis_values(AXES)
        leaves = [np.asarray(x) for x in jax.tree.leaves((values, numbers_of(point)[0]))]
        exact = jax.tree.unflatten(program.tree, run(program, leaves, len(AXES)))
        # The same operations under another name, whose functions are looked up anew.
        monkeypatch.setitem(IN_NUMPY, "div", by_reciprocal)
        result = jax.tree.unflatten(program.tree, run(replace(program), leaves, len(AXES)))
    pairs = zip(jax.tree.leaves(exact), jax.tree.leaves(result), strict=True)
    assert any(not np.array_equal(one, other) for one, other in pairs)
    paths, _ = jax.tree_util.tree_flatten_with_path(exact)
    for (path, one), other in zip(paths, jax.tree.leaves(result), strict=True):
        name = jax.tree_util.keystr(path)
        if one.dtype == bool and "fits_memory" not in name and "valid" not in name:
            np.testing.assert_array_equal(one, other, err_msg=name)
        elif one.dtype != bool:
            # A fraction is one minus a quotient, and may miss 0 by its last bit.
            atol = 1e-6 if name.endswith("_frac") else 0.0
            np.testing.assert_allclose(other, one, rtol=2e-5, atol=atol, err_msg=name)
