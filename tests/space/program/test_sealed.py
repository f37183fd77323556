"""Is a file of the cache used only if its user made it, and all of it?"""

import os
import pickle

import pytest

from jaxsim.space.program import sealed


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "block-1.bin"
    sealed.write(path, b"content")
    assert sealed.read(path) == b"content"
    assert oct((tmp_path / "key").stat().st_mode & 0o777) == "0o600"
    assert {p.name for p in tmp_path.iterdir()} == {"block-1.bin", "key"}


def test_a_changed_byte_anywhere_is_found(tmp_path):
    path = tmp_path / "block-1.bin"
    sealed.write(path, b"content")
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (1, 128):
            spoilt = bytearray(whole)
            spoilt[place] ^= bit
            path.write_bytes(bytes(spoilt))
            assert sealed.read(path) is None, place
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert sealed.read(path) is None, length


class Trap:
    """What a pickle of another user would run."""

    def __reduce__(self):
        return os.system, ("touch /nonexistent",)


def test_a_file_of_another_is_not_used(tmp_path):
    path = tmp_path / "block-1.bin"
    sealed.write(path, b"content")
    path.write_bytes(pickle.dumps(Trap()))
    assert sealed.read(path) is None
    other = tmp_path / "other"
    other.mkdir()
    sealed.write(other / "block-1.bin", pickle.dumps(Trap()))
    path.write_bytes((other / "block-1.bin").read_bytes())  # sealed, by another key
    assert sealed.read(path) is None


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_key_that_others_can_read_is_none(tmp_path, mode):
    path = tmp_path / "block-1.bin"
    sealed.write(path, b"content")
    (tmp_path / "key").chmod(mode)
    assert sealed.read(path) is None
    with pytest.raises(PermissionError, match="not this user's alone"):
        sealed.write(path, b"content")
