"""Has any number of a few designs changed?

After a change that is meant to move numbers, `python -m tests.goldens` rewrites them, and the
changelog says under *Numbers* what moved and why.
"""

import json

import pytest

from tests.goldens._designs import DESIGNS, FOLDER, file_of, golden_of


def flat(value, path=()):
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from flat(entry, (*path, key))
    else:
        yield ".".join(path), value


@pytest.mark.parametrize("name", DESIGNS)
def test_no_number_has_moved(name):
    kept = dict(flat(json.loads(file_of(name).read_text(encoding="utf-8"))))
    now = dict(flat(json.loads(json.dumps(golden_of(name)))))
    assert sorted(now) == sorted(kept)
    moved = {
        key: f"{kept[key]} -> {now[key]}"
        for key in kept
        if (
            now[key] != pytest.approx(kept[key], rel=1e-6, abs=1e-12)
            if isinstance(kept[key], float)
            else now[key] != kept[key]
        )
    }
    assert not moved, "\n".join(f"{key}: {what}" for key, what in moved.items())


def test_every_golden_is_of_a_design():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DESIGNS)
