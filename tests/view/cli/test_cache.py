"""Where compiled programs are kept."""

import sys

import pytest

from jaxsim.view.cli import cache as jax_cache


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A process that has not imported JAX, with a home of its own."""
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    for name in (
        "COMPILATION_CACHE_DIR",
        "PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
        "PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES",
    ):
        monkeypatch.setenv(f"JAX_{name}", "")  # so that it is restored afterwards
        monkeypatch.delenv(f"JAX_{name}")
    monkeypatch.delenv(jax_cache.SWITCH, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_cache_is_in_the_users_cache_folder(fresh):
    import os

    assert jax_cache.use_persistent_cache() == fresh / "jaxsim"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(fresh / "jaxsim")
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"
    assert not list((fresh / "jaxsim").iterdir())


def test_it_can_be_switched_off(fresh, monkeypatch):
    monkeypatch.setenv(jax_cache.SWITCH, "off")
    assert jax_cache.use_persistent_cache() is None


def test_a_folder_that_cannot_be_written_means_no_cache(fresh, monkeypatch):
    (fresh / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "file"))
    assert jax_cache.use_persistent_cache() is None


def test_a_process_that_has_jax_is_left_alone(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", object())
    assert jax_cache.use_persistent_cache() is None
