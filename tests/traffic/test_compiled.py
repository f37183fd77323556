"""Is the event loop compiled without copies of its tables, and kept for later processes?"""

import re

import jax
import numpy as np
import pytest

from jaxsim.space.program.cache import CACHE
from jaxsim.traffic.policy.view import Static
from jaxsim.traffic.simulate import compiled
from jaxsim.traffic.simulate.fleet import Fleet
from jaxsim.traffic.simulate.run import simulate_run
from jaxsim.traffic.synthetic.load import load_of
from tests.traffic.laws import law, links

FLEET = Fleet(law(63), links(), {1: 1.0, 2: 1.0}, 0.0, 0.0)


def served():
    load = load_of(requests_per_s=9.0, duration_s=60.0, isl="uniform:50:900", osl="uniform:9:90")
    run = simulate_run(load.drawn(0), FLEET, {1: 2, 2: 2}, Static())
    return run.state.attempts.finished_s


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where programs are kept, and none is yet."""
    monkeypatch.setenv("JAXSIM_PROGRAMS", str(tmp_path))
    tmp_path.chmod(0o700)
    CACHE.clear()
    yield tmp_path
    CACHE.clear()


def test_a_loop_is_kept_and_copies_no_table(folder, monkeypatch):
    made = []
    content_of = compiled.executables.content_of
    monkeypatch.setattr(
        compiled.executables, "content_of", lambda own: made.append(own) or content_of(own)
    )
    first = served()
    assert len(made) == 1
    assert len(list(folder.glob("quick-loop-*.bin"))) == 1
    # Slots are 128 by 8 instances, of attempts there are 16,384 and one.
    copied = re.findall(r"= \w+\[(8,128|16385)\]\S* copy\(", made[0].as_text())
    # At the start and the end a table may be copied once; within the loop none is.
    assert len(copied) <= len(jax.tree.leaves(made[0].args_info)), copied
    inner = made[0].as_text().split("ENTRY")[0]
    assert not re.findall(r"= \w+\[8,128\]\S* copy\(", inner)
    CACHE.clear()
    assert np.array_equal(served(), first)
    assert len(made) == 1  # it was read, not compiled
    # Many requests are worth the form that LLVM optimises; both do the same operations.
    monkeypatch.setattr(compiled, "MANY_REQUESTS", 0)
    assert np.array_equal(served(), first)
    assert len(made) == 2
    assert len(list(folder.glob("loop-*.bin"))) == 1
    CACHE.clear()
    monkeypatch.setattr(compiled, "MANY_REQUESTS", np.inf)
    assert np.array_equal(served(), first)  # it is read where it is kept, however few there are
    assert len(made) == 2
