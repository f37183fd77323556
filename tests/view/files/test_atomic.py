"""Files are whole, or not there."""

import os

import pytest

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
    with pytest.raises(OSError, match="file"):
        output_folder(tmp_path / "file")
