"""Told to stop, given a changed cache or odd variables: one line is said, and no wrong answer."""

import random
import signal

import jax
import jax.numpy as jnp
import pytest
import xarray as xr

from benchmarks.fuzz.flips import every_byte
from benchmarks.fuzz.judge import GOOD
from benchmarks.fuzz.signals import INTERRUPTED, faults_of, signalled
from benchmarks.fuzz.surroundings import judged_surrounding
from benchmarks.fuzz.values import torn
from benchmarks.fuzz.worker import judged_reader
from benchmarks.fuzz.writers import SMALL
from jaxsim.space.grid import executables
from jaxsim.space.program import sealed
from jaxsim.view.cli.config import read_config


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, ("import", "numpy", 1)),
        (signal.SIGTERM, ("import", "jax", 200)),
        (signal.SIGTERM, ("open", "program-", 1)),
        (signal.SIGINT, ("os.rename", "", 1)),
    ],
    ids=["numpy", "jax", "traced", "written"],
)
def test_a_signal_ends_a_plan_with_one_line(tmp_path, number, moment):
    status, said = signalled(number, moment, ["plan", *SMALL, "-o", "out"], tmp_path)
    assert status == INTERRUPTED, said
    assert said.strip() == "jaxsim: interrupted."
    assert faults_of(number, status, said, tmp_path) == []


def test_a_file_of_the_cache_with_another_byte_is_not_used(tmp_path):
    """A real executable: every byte of what stands before it, and a sample of its own."""
    compiled = jax.jit(lambda x: jnp.cumsum(x) * 2.0).lower(jnp.ones(3)).compile()
    path, ones = tmp_path / "block-x.bin", jnp.ones(3)
    executables.write(path, executables.content_of(compiled), [ones], compiled(ones))
    found = executables.read(path)
    assert found is not None
    assert (found(ones) == compiled(ones)).all()
    raw = path.read_bytes()
    chosen = random.Random(0)
    places = [*range(81), *(chosen.randrange(81, len(raw)) for _ in range(200))]
    for place in places:
        path.write_bytes(raw[:place] + bytes([raw[place] ^ (1 << place % 8)]) + raw[place + 1 :])
        assert executables.read(path) is None, place
    for cut in (0, 10, 80, len(raw) - 1):
        path.write_bytes(raw[:cut])
        assert executables.read(path) is None
    path.write_bytes(raw)
    assert executables.read(path) is not None
    assert every_byte(tmp_path / "key", lambda _: sealed.read(path), chosen) == []


def test_the_search_for_used_bytes_finds_them(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    read = lambda path: path.read_bytes()[:1] == b"a" or None  # noqa: E731
    assert every_byte(tmp_path / "x", read, random.Random(0)) == [1, 2]
    assert (tmp_path / "x").read_bytes() == b"abc"


def test_a_damaged_netcdf_file_is_refused(tmp_path):
    """Also without a word of the library's own about a file that it did not open."""
    path = tmp_path / "best.nc"
    xr.Dataset(attrs={"run": "verb: plan\n"}).to_netcdf(path, engine="h5netcdf")
    whole = path.read_bytes()
    assert read_config(path) == {"verb": "plan"}
    for seed in range(60):
        path.write_bytes(torn(whole, random.Random(seed)))
        assert judged_reader("netcdf", lambda: read_config(path)).faults == [], seed


@pytest.mark.parametrize(
    "made",
    [{"JAX_ENABLE_X64": "maybe"}, {"JAX_PLATFORMS": "nowhere"}, {"COLUMNS": "-5", "LC_ALL": "C"}],
    ids=str,
)
def test_odd_variables_are_named(tmp_path, made):
    found = judged_surrounding(made, ["hardware", "h100"], tmp_path)
    assert found.faults == []
    assert found.status in GOOD
    if found.status:
        assert next(iter(made)) in found.detail.splitlines()[-1]
