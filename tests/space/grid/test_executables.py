"""Does a block's executable, kept by one process, serve the next?"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxsim.point.phases.colocated import colocated
from jaxsim.point.phases.decode import decode
from jaxsim.space.axes import LEAF
from jaxsim.space.grid import block_run, executables
from jaxsim.space.grid.best import stream_best
from jaxsim.space.grid.extremes import stream_extremes
from jaxsim.space.grid.frontier import stream_frontier
from jaxsim.space.program import files
from jaxsim.space.program.cache import CACHE
from tests.scenarios import scenario
from tests.space.grids import Point, grid, precision, step

AXES = [
    ("isl", LEAF["isl"], np.array([1000.0, 2000.0, 9000.0])),
    ("tp", LEAF["tp"], np.array([1.0, 2.0, 8.0])),
    ("batch", LEAF["batch"], np.arange(1.0, 8193.0)),
]
RATE, GAP = "output_tokens_per_s_per_gpu", "ttl_s"

best = partial(stream_best, objective=RATE, valid="valid")
SEARCHES = {
    "best": best,
    "frontier": partial(stream_frontier, x=GAP, y=RATE, valid="valid"),
    "extremes": partial(stream_extremes, outputs=(RATE, GAP), valid="valid"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for what is kept, and nothing compiled yet."""
    monkeypatch.setenv(files.FOLDER, str(tmp_path))
    CACHE.clear()
    yield tmp_path
    CACHE.clear()


def searched(search=best, fn=decode, axes=AXES):
    """The result of a search in a process of its own, as far as programs and blocks go."""
    CACHE.clear()
    return search(fn, scenario("gqa_dense"), axes, ["isl"])


def blocks(folder):
    return sorted(folder.glob("block-*.bin"))


def same(first, second) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


def untraced(monkeypatch) -> None:
    def fail(*_):
        raise AssertionError("a block was traced")

    monkeypatch.setattr(block_run, "evaluated", fail)
    monkeypatch.setattr(block_run, "run_block", fail)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_next_process_gets_the_same_without_tracing(folder, monkeypatch, name):
    first = searched(SEARCHES[name])
    assert blocks(folder)
    untraced(monkeypatch)
    same(searched(SEARCHES[name]), first)


def test_a_program_that_was_read_has_the_blocks_of_the_one_traced(folder, monkeypatch):
    """Of a traced function much is dropped, and what was never used must not count."""
    mode = partial(stream_best, objective="ifb.output_tokens_per_s_per_gpu", valid="ifb.valid")
    first = searched(mode, colocated)
    assert len(list(folder.glob("program-*"))) == 1
    untraced(monkeypatch)
    same(searched(mode, colocated), first)


def test_it_serves_other_numbers(folder, monkeypatch):
    searched()
    untraced(monkeypatch)
    moved = [(AXES[0][0], AXES[0][1], 1.5 * AXES[0][2]), *AXES[1:]]
    result = searched(axes=moved)
    monkeypatch.undo()
    same(result, searched(axes=moved))


def test_another_question_is_another_executable(folder):
    searched()
    searched(partial(best, count=2))
    searched(partial(best, maximise=False))
    searched(axes=[*AXES[:2], ("batch", LEAF["batch"], np.arange(1.0, 4097.0))])
    with precision(32):
        searched()
    assert len(blocks(folder)) == 5


def test_other_code_and_another_machine_compile_anew(folder, monkeypatch):
    searched()
    monkeypatch.setattr(files, "code", lambda: "another version")
    searched()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    searched()
    assert len(blocks(folder)) == 3


def test_a_spoilt_file_is_compiled_again(folder):
    first = searched()
    (path,) = blocks(folder)
    kept = path.read_bytes()
    path.write_bytes(kept[: len(kept) // 2])
    same(searched(), first)
    assert executables.read(path) is not None


def test_a_block_that_was_lost_is_kept_again_beside_the_cache_of_jax(folder):
    """What JAX reads from its own cache cannot be written, so it must not find this there."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.space.grid.test_executables import best, decode, scenario, AXES\n"
        "best(decode, scenario('gqa_dense'), AXES, ['isl'])\n"
    )
    own = {"JAX_COMPILATION_CACHE_DIR": str(folder / "jax"), "JAX_ENABLE_X64": "1"}
    own |= {f"JAX_PERSISTENT_CACHE_MIN_{x}": "0" for x in ("COMPILE_TIME_SECS", "ENTRY_SIZE_BYTES")}
    root, environment = Path(__file__).parents[3], {**os.environ, **own}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=environment)
        (path,) = blocks(folder)
        assert executables.read(path) is not None
        path.unlink()
    assert list((folder / "jax").iterdir())


def test_what_loads_but_does_not_run_is_compiled_again(folder, monkeypatch):
    first = searched()
    (path,) = blocks(folder)
    searched(axes=[*AXES[:2], ("batch", LEAF["batch"], np.arange(1.0, 4097.0))])
    (other,) = set(blocks(folder)) - {path}
    path.write_bytes(other.read_bytes())
    same(searched(), first)
    untraced(monkeypatch)
    same(searched(), first)


def test_what_reads_back_otherwise_is_not_kept(folder, monkeypatch):
    loaded = executables.loaded

    def broken(content):
        run = loaded(content)
        return lambda *given: jax.tree.map(lambda x: x + 1, run(*given))

    monkeypatch.setattr(executables, "loaded", broken)
    searched()
    assert not blocks(folder)


def test_nothing_is_kept_unless_asked(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(files, "replace", lambda path, content: written.append(path.name))
    monkeypatch.delenv(files.FOLDER, raising=False)
    searched()
    assert not written
    monkeypatch.setenv(files.FOLDER, str(tmp_path))
    with jax.disable_jit():
        searched()
    assert not [name for name in written if name.startswith("block")]


def test_blocks_of_other_functions_are_kept_too(folder, monkeypatch):
    """A block is known by its operations: whose function they are does not matter."""
    search = partial(stream_best, step, Point(), grid(), ["isl"], objective=lambda x: x["per_gpu"])
    first = search()
    assert len(blocks(folder)) == 1
    CACHE.clear()
    untraced(monkeypatch)
    same(search(), first)
