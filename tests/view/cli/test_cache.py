"""Where compiled programs are kept."""

import json
import os
import subprocess
import sys

import pytest

from jaxsim.view.cli import cache as jax_cache
from jaxsim.view.cli import cache_files
from jaxsim.view.cli import main as cli


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
    assert jax_cache.use_persistent_cache() == fresh / "jaxsim"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(fresh / "jaxsim")
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"
    assert not list((fresh / "jaxsim").iterdir())


def test_without_one_it_is_in_the_home_folder(fresh, monkeypatch):
    """As on Linux; a relative XDG_CACHE_HOME is ignored, and stays in the environment."""
    monkeypatch.setenv("HOME", str(fresh))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    result = jax_cache.cache_folder()
    assert result.is_relative_to(fresh)
    assert result.name == "jaxsim"
    assert os.environ["XDG_CACHE_HOME"] == "relative"


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_a_folder_that_others_can_write_is_not_used(fresh, capsys, mode):
    (fresh / "jaxsim").mkdir()
    (fresh / "jaxsim").chmod(mode)
    assert jax_cache.use_persistent_cache() is None
    assert "others can write to it; `chmod 700" in capsys.readouterr().err


def test_a_link_is_not_followed(fresh, capsys):
    (fresh / "elsewhere").mkdir()
    (fresh / "jaxsim").symlink_to(fresh / "elsewhere")
    assert jax_cache.use_persistent_cache() is None
    assert "it is a link" in capsys.readouterr().err


def test_the_folder_is_its_users_alone(fresh):
    (fresh / "jaxsim").mkdir(mode=0o755)
    assert jax_cache.use_persistent_cache() == fresh / "jaxsim"
    assert (fresh / "jaxsim").stat().st_mode & 0o777 == 0o700


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


def test_verbs_ask_for_the_cache_before_jax_is_there():
    """In a process of its own, each verb gets as far as the cache, and JAX is not imported."""
    case = "llama-3.1-70b --hardware h200 --isl 4096 --osl 512"
    lines = [
        f"plan {case} --ftl 2s --ttl 50ms --tp 1,2 --gpus 8 -o out",
        "plan llama-3.1-70b --hardware h200 --mix mix.csv --ftl 2s --ttl 50ms",
        f"sensitivity {case} --ftl 2s --ttl 50ms --what-if isl=+10% --reach +10%",
        f"estimate {case} --phase decode --tp 8 --batch 8",
        f"search {case} --phase decode -o best.csv",
    ]
    code = f"""
import sys
from jaxsim.view.cli import cache, main
def stop():
    assert "jax" not in sys.modules
    raise KeyboardInterrupt
cache.use_persistent_cache = stop
print([main.main(line.split()) for line in {lines!r}])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == str([cli.INTERRUPTED] * len(lines)), result.stderr


def test_the_verb_says_what_is_kept_and_removes_it(fresh, capsys):
    folder = fresh / "jaxsim"
    folder.mkdir(mode=0o700)
    (folder / "program-1.json").write_bytes(b"x" * 1000)
    (folder / "elsewhere").symlink_to(fresh)
    assert cli.main(["cache"]) == cli.OK
    assert "1 files, 0.0 MB kept" in capsys.readouterr().out
    assert cli.main(["cache", "--clear", "--format", "json"]) == cli.OK
    told = json.loads(capsys.readouterr().out)
    assert told == {"folder": str(folder), "files": 1, "bytes": 1000, "cleared": True}
    assert [p.name for p in folder.iterdir()] == ["elsewhere"]
    assert cli.main(["cache"]) == cli.OK
    assert "0 files" in capsys.readouterr().out


def test_what_jax_keeps_is_used_as_it_was_written(tmp_path, monkeypatch):
    """A changed file, one that another put there, and the oldest beyond the room are removed."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    for name in ("jit_a-1-cache", "jit_b-2-cache"):
        (folder / name).write_bytes(b"native code")
    cache_files.remember(folder)
    (folder / "jit_c-3-cache").write_bytes(b"of another")
    (folder / "jit_b-2-cache").write_bytes(b"native codf")
    cache_files.clean(folder)
    assert [path.name for path in folder.glob("jit_*")] == ["jit_a-1-cache"]
    list_of = folder / cache_files.LIST
    raw = bytearray(list_of.read_bytes())
    raw[-2] ^= 1
    list_of.write_bytes(raw)
    cache_files.clean(folder)
    assert not list(folder.glob("jit_*"))
    (folder / "program-x.json").write_bytes(b"x" * 1000)
    cache_files.clean(folder)
    assert list(folder.glob("program-*"))
    monkeypatch.setenv("JAXSIM_CACHE_MB", "0.0005")
    cache_files.clean(folder)
    assert not list(folder.glob("program-*"))
