"""Is a program that was kept the one that was traced?"""

import json
from functools import partial

import jax
import numpy as np
import pytest

from jaxsim.point.phases.decode import decode
from jaxsim.space.axes import LEAF
from jaxsim.space.designs import PHASES
from jaxsim.space.gradient.derivative import slopes_of
from jaxsim.space.grid.best import Objective
from jaxsim.space.program import files, sealed
from jaxsim.space.program.cache import CACHE
from jaxsim.space.program.interpret import interpreted
from jaxsim.space.program.trace import trace
from tests.scenarios import scenario
from tests.space.grids import Point, grid, precision, step

AXES = [
    ("tp", LEAF["tp"], np.array([1.0, 2.0, 8.0])),
    ("batch", LEAF["batch"], np.array([1.0, 60.0, 1000.0])),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Programs kept in a folder of their own, and none remembered in memory."""
    monkeypatch.setenv(files.FOLDER, str(tmp_path))
    CACHE.clear()
    return tmp_path


@pytest.mark.parametrize("kind", ["gqa_dense", "mla_moe"])
def test_the_program_read_is_the_one_traced(folder, kind):
    point = scenario(kind)
    first = trace(decode, point, AXES)
    CACHE.clear()
    again = trace(decode, point, AXES)
    assert again is not first
    assert len(list(folder.glob("program-*"))) == 1
    assert again.tree == first.tree
    assert again.inputs == first.inputs
    for one, other in zip(first.ops, again.ops, strict=True):
        assert (one.primitive, one.outputs, one.scalar) == (
            other.primitive,
            other.outputs,
            other.scalar,
        )
        for a, b in zip(one.inputs, other.inputs, strict=True):
            assert type(a) is type(b)
            if isinstance(a, int) or isinstance(b, int):
                assert a == b
            else:
                assert (a.value, a.value.dtype) == (b.value, b.value.dtype)
        assert first.dims[one.outputs[0]] == again.dims[one.outputs[0]]


def test_what_it_gives_is_the_same(folder):
    point = scenario("mla_moe")
    values, dims = interpreted(decode, point, AXES)
    CACHE.clear()
    again, other = interpreted(decode, point, AXES)
    assert jax.tree.structure(values) == jax.tree.structure(again)
    for a, b in zip(jax.tree.leaves(values), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert dims == other


@pytest.mark.parametrize(
    ("phase", "outputs"),
    [
        ("prefill", ("requests_per_s", "ftl_s", "total_bytes")),
        ("decode", ("output_tokens_per_s_per_gpu", "ttl_s", "total_bytes")),
        ("colocated", ("ifb_output_tokens_per_s_per_gpu", "piggybacked_ttl_s", "total_bytes")),
    ],
)
def test_its_derivatives_are_the_same(folder, phase, outputs):
    """Numbers of values that nothing reads are not kept: there are gaps in what is left."""
    point = scenario("mla_moe")
    listed = [(name, where, values[:2]) for name, where, values in AXES]
    traced = slopes_of(PHASES[phase], point, listed, outputs)
    CACHE.clear()
    read = slopes_of(PHASES[phase], point, listed, outputs)
    assert len(list(folder.glob("program-*"))) == 1
    for output, own in traced.slopes.items():
        np.testing.assert_array_equal(traced.values[output], read.values[output])
        assert own
        assert own.keys() == read.slopes[output].keys()
        for name, slope in own.items():
            np.testing.assert_array_equal(slope, read.slopes[output][name], err_msg=name)


def test_other_questions_are_other_programs(folder):
    point = scenario("mla_moe")
    rate = Objective(decode, "output_tokens_per_s_per_gpu", "valid", 1.0)
    for fn in (decode, rate, Objective(decode, "ttl_s", "valid", -1.0)):
        trace(fn, point, AXES)
    trace(decode, point, AXES[:1])
    trace(decode, scenario("gqa_dense"), AXES)
    with precision(32):
        trace(decode, point, AXES)
    assert len(list(folder.glob("program-*"))) == 6


def test_what_is_not_of_the_package_is_not_kept(folder):
    trace(step, Point(), grid())
    trace(partial(decode), scenario("mla_moe"), AXES)
    trace(Objective(decode, lambda outputs: outputs.ttl_s, None, 1.0), scenario("mla_moe"), AXES)
    assert not list(folder.glob("program-*"))


def test_other_code_traces_again(folder, monkeypatch):
    point = scenario("gqa_dense")
    trace(decode, point, AXES)
    CACHE.clear()
    monkeypatch.setattr(files, "code", lambda: "another version")
    trace(decode, point, AXES)
    assert len(list(folder.glob("program-*"))) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace("jaxsim.point.phases.decode", "os"),
        lambda text: json.dumps({**json.loads(text), "ops": [["open", {}, [0], [1], True]]}),
    ],
    ids=["cut", "empty", "another module", "unknown operation"],
)
def test_a_spoilt_file_is_traced_again(folder, spoil):
    point = scenario("gqa_dense")
    first = trace(decode, point, AXES)
    (path,) = folder.glob("program-*")
    content = sealed.read(path)
    assert content is not None
    sealed.write(path, spoil(content.decode()).encode())  # as its user might have
    CACHE.clear()
    again = trace(decode, point, AXES)
    assert again.tree == first.tree
    assert len(again.ops) == len(first.ops)


def test_a_folder_that_is_not_there_does_no_harm(tmp_path, monkeypatch):
    monkeypatch.setenv(files.FOLDER, str(tmp_path / "none"))
    CACHE.clear()
    assert trace(decode, scenario("gqa_dense"), AXES).ops


def test_old_files_make_room(folder, monkeypatch):
    monkeypatch.setattr(files, "MOST_FILES", 2)
    point = scenario("gqa_dense")
    for count in range(3):
        monkeypatch.setattr(files, "code", lambda count=count: str(count))
        CACHE.clear()
        trace(decode, point, AXES)
    assert len(list(folder.glob("program-*"))) == 2
