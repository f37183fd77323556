"""Files are whole, or not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.view.files.atomic import output_folder, replace_bytes, replace_file, replace_text


def test_a_file_replaces_the_one_before(tmp_path):
    path = tmp_path / "plan.json"
    replace_text(path, "one")
    replace_text(path, "µ two")
    replace_bytes(tmp_path / "picture.png", b"\x89")
    assert path.read_text(encoding="utf-8") == "µ two"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["picture.png", "plan.json"]


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "plan.json"
    replace_text(path, "one")

    def fails(temporary):
        temporary.write_text("half of")
        raise OSError(28, "No space left on device", str(temporary))

    with pytest.raises(OSError, match="No space left"):
        replace_file(path, fails)
    assert path.read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def test_the_temporary_file_has_the_suffix_and_the_folder_of_the_final_one(tmp_path):
    seen = []
    replace_file(tmp_path / "a.nc", lambda temporary: seen.append(temporary))
    assert seen[0].suffix == ".nc"
    assert seen[0].parent == tmp_path


def test_new_files_have_the_permissions_of_any_new_file(tmp_path):
    replace_text(tmp_path / "new", "x")
    (tmp_path / "plain").write_text("x")
    assert os.stat(tmp_path / "new").st_mode == os.stat(tmp_path / "plain").st_mode


def test_an_output_folder_is_made_and_left_empty(tmp_path):
    folder = output_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert not list(folder.iterdir())


def test_an_output_folder_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "within"):
        with pytest.raises(InputError, match=r"file.*give another"):
            output_folder(path)


def test_what_a_killed_process_left_is_removed_an_hour_later(tmp_path):
    path = tmp_path / "plan.json"
    old, new = tmp_path / ".plan-12345678.json", tmp_path / ".plan-abcdefgh.json"
    for left in (old, new):
        left.write_text("half of")
    os.utime(old, (0, 0))
    replace_text(path, "one")
    assert sorted(p.name for p in tmp_path.iterdir()) == [new.name, path.name]


KILLED = """
import os, sys
from pathlib import Path
from benchmarks.fuzz.kills import forked
from jaxsim.view.files.atomic import output_folder, replace_text
path = Path(sys.argv[1]) / "plan.json"
replace_text(path, "before")
write = lambda: replace_text(output_folder(path.parent) / path.name, "after") or 0
count = 1
while forked(write, path.parent, count)[0] == -9:
    assert path.read_text() in ("before", "after"), path.read_text()
    replace_text(path, "before")
    count += 1
assert path.read_text() == "after"
assert not list(path.parent.glob(".jaxsim-*"))  # by which the folder was proved to be writable
print(count - 1)
"""


def test_killed_at_every_write_point_a_file_is_whole(tmp_path):
    """SIGKILL before each change of a file: the old one is there until the new one is."""
    root = str(Path(__file__).parents[3])
    run = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(
        run, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path):
    """On a file system of 64 kB, where one can be mounted."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    try:
        replace_text(tmp_path / "plan.json", "one")
        with pytest.raises(OSError, match="No space left") as said:
            replace_text(tmp_path / "plan.json", "x" * 100_000)
        assert said.value.filename == str(tmp_path / "plan.json")
        assert (tmp_path / "plan.json").read_text() == "one"
        assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
