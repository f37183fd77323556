"""Are chains joined cheapest first, and still the same function?"""

import jax.numpy as jnp
import numpy as np

from jaxsim.space.grid.split import split
from jaxsim.space.grid.sweep import sweep
from jaxsim.space.program.inputs import axis_values, lengths_of
from jaxsim.space.program.reorder import reordered
from jaxsim.space.program.trace import size, trace
from tests.space.grids import WHERE, Point, grid, precision, step


def _prepared(fn, axes):
    lengths = lengths_of(axis_values(axes))
    program = trace(fn, Point(), axes)
    return program, reordered(program, lengths), lengths


def _cost(program, lengths):
    return sum(size(program.dims[op.outputs[0]], lengths) for op in program.ops)


def _chain(p):
    """A large term first, then small ones: as written, every sum is over the whole grid."""
    return {"sum": p.isl * p.batch + p.tp + p.pp + 3.0 * p.tp, "all": _flags(p)}


def _flags(p):
    return (p.isl * p.batch > 9.0) & (p.tp < 5.0) & (p.pp > 0.5) & (p.tp > 1.0)


def test_small_terms_are_joined_before_large_ones():
    axes = grid(6, 1, 4, 3, 30)
    program, better, lengths = _prepared(_chain, axes)
    whole = size((0, 2, 3, 4), lengths)
    joins = [op for op in better.ops if op.primitive.name in ("add", "and")]
    assert sum(size(better.dims[op.outputs[0]], lengths) == whole for op in joins) == 2
    assert _cost(better, lengths) < 0.6 * _cost(program, lengths)
    assert len(better.ops) == len(program.ops)


def test_the_function_stays_the_same():
    axes = grid(6, 1, 4, 3, 30)
    with precision(64):
        expected = sweep(_chain, Point(), axes)
        staged = split(_chain, Point(), axes)
        got = staged.materialise()
    for name, value in expected.items():
        shape = [len(v) if n in staged.dims[name] else 1 for n, _, v in axes]
        full = np.broadcast_to(np.asarray(got[name]).reshape(shape), value.shape)
        np.testing.assert_allclose(full, value, rtol=1e-14, err_msg=name)


def test_what_is_cheapest_already_is_left_alone():
    axes = grid(6, 1, 4, 3, 30)

    def sorted_already(p):
        return p.tp + p.pp + p.isl * p.batch

    program, better, _ = _prepared(sorted_already, axes)
    assert better is program
    # With one axis every order costs the same, and the order is kept, with its rounding.
    one = [("batch", WHERE["batch"], np.arange(1.0, 9.0))]
    program, better, _ = _prepared(step, one)
    assert better is program


def test_a_term_that_is_read_elsewhere_stays():
    axes = grid(6, 1, 4, 3, 30)

    def twice(p):
        partial = p.isl * p.batch + p.tp
        return {"a": partial + p.pp, "b": jnp.sqrt(partial)}

    program, better, _ = _prepared(twice, axes)
    assert better is program
