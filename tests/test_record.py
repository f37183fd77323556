"""Is a record a frozen dataclass that JAX takes for a tree of its fields?"""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim._record import Record, combine, partition, replace_leaf, static
from jaxsim._scalar import Scalar, as_scalar
from tests.narrow import untyped


class Chip(Record):
    flop_per_s: Scalar
    bytes_per_s: float = 2.0


class Other(Record):
    flop_per_s: float
    bytes_per_s: float


class First(Record):
    label: str = static()
    batch: float


class Point(Record):
    chip: Chip
    batch: float
    label: str = static()


POINT = Point(Chip(8.0), batch=4.0, label="a")


def test_fields_are_leaves_in_order_and_static_ones_structure():
    leaves, structure = jax.tree.flatten(POINT)
    assert leaves == [8.0, 2.0, 4.0]
    assert jax.tree.unflatten(structure, leaves) == POINT
    assert structure != jax.tree.structure(dataclasses.replace(POINT, label="b"))
    names = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(POINT)[0]
    ]
    assert names == [".chip.flop_per_s", ".chip.bytes_per_s", ".batch"]


def test_it_is_rebuilt_without_its_constructor():
    numbered = jax.tree.unflatten(jax.tree.structure(POINT), "xyz")
    assert (numbered.chip.flop_per_s, numbered.batch, numbered.label) == ("x", "z", "a")


def test_traced_stacked_and_differentiated():
    def rate(p):
        return p.batch * p.chip.flop_per_s / p.chip.bytes_per_s

    assert jax.jit(rate)(POINT) == 16.0
    slopes = jax.grad(rate)(POINT)
    assert (slopes.chip.flop_per_s, slopes.chip.bytes_per_s, slopes.batch) == (2.0, -8.0, 4.0)
    stacked = jax.tree.map(lambda x: x * jnp.arange(1.0, 4.0), POINT)
    np.testing.assert_array_equal(jax.vmap(rate)(stacked), [16.0, 32.0, 48.0])


def test_nothing_is_changed_in_place():
    for name in ("batch", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(POINT, name, 1.0)
    with pytest.raises(dataclasses.FrozenInstanceError, match="batch"):
        del untyped(POINT).batch
    with pytest.raises(TypeError, match="flop_per_s"):
        untyped(Chip)()


def test_equal_where_all_fields_are():
    again = Point(Chip(8.0), batch=4.0, label="a")
    assert again == POINT
    assert hash(again) == hash(POINT)
    assert dataclasses.replace(POINT, batch=5.0) != POINT
    assert Chip(8.0) != (8.0, 2.0)
    label_first = First("a", 1.0)
    rebuilt = jax.tree.map(lambda x: x, label_first)
    assert (rebuilt, hash(rebuilt)) == (label_first, hash(label_first))
    many = Chip(as_scalar(np.array([1.0, 2.0])))
    assert many == Chip(as_scalar(np.array([1.0, 2.0])))
    assert many != Chip(as_scalar(np.array([1.0, 3.0])))
    assert many != Chip(1.0)
    assert repr(again.chip) == "Chip(flop_per_s=8.0, bytes_per_s=2.0)"


def _pickled(record):
    return pickle.loads(pickle.dumps(record))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, _pickled])
def test_copies_are_equal(copied):
    assert copied(POINT) == POINT


def test_put_replaces_leaves_and_records():
    assert replace_leaf(lambda p: p.chip.flop_per_s, POINT, 9.0).chip.flop_per_s == 9.0
    assert replace_leaf(lambda p: p.chip, POINT, Chip(1.0, 3.0)).chip == Chip(1.0, 3.0)
    both = replace_leaf(lambda p: (p.batch, p.chip.flop_per_s), POINT, (0.5, None))
    assert (both.batch, both.chip.flop_per_s, POINT.batch) == (0.5, None, 4.0)
    assert replace_leaf(lambda p: p.chip.flop_per_s, both, 7.0).chip.flop_per_s == 7.0
    assert replace_leaf(lambda p: [p.chip, p.batch], POINT, (Chip(1.0), 2.0)).batch == 2.0


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (lambda p: p.chip, 1.0, "cannot stand where"),
        (lambda p: p.chip, Other(1.0, 2.0), "cannot stand where"),
        (lambda p: p.batch, Chip(1.0), "cannot stand where"),
        (lambda p: (p.batch, p.chip), (1.0,), "1 values cannot replace 2"),
        (lambda p: 3.0, 1.0, "3.0 is none"),
        (lambda p: p.label, "b", "'a' is none"),
    ],
)
def test_put_refuses_what_does_not_fit(where, value, said):
    with pytest.raises(ValueError, match=said):
        replace_leaf(where, POINT, value)


def test_put_refuses_arithmetic():
    with pytest.raises(TypeError):
        replace_leaf(lambda p: p.batch * 2, POINT, 9.0)


def test_what_was_parted_is_joined():
    large, small = partition(POINT, lambda leaf: leaf > 3.0)
    assert (large.chip.flop_per_s, large.chip.bytes_per_s) == (8.0, None)
    assert combine(large, small) == POINT
    assert combine(small, large) == POINT
