"""Is a number that cannot be meant refused, wherever it is given?"""

import math
from importlib.resources import files

import numpy as np
import pytest

import jaxsim
from jaxsim.catalog.bounds import WORKLOAD, check
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_hardware
from jaxsim.view.files.sweep_config import read_sweep

WRONG = [
    ("isl", 1e30, "is 1e+30; 1 to 1e+09 tokens are allowed"),
    ("osl", 0.0, "is 0; 1 to 1e+09 tokens"),
    ("hit_frac", 2.0, "is 2; 0 to 1 of a prompt"),
    ("hit_frac", math.nan, "is nan"),
    ("accept_frac", 5.0, "is 5; 0 to 1 of draft tokens"),
    ("draft_tokens", 2.5, "is 2.5; a whole number of tokens is needed"),
    ("imbalance", 0.0, "is 0; 1 to 10000 times the mean"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_workload_has_bounds_in_python_and_in_files(name, value, said, tmp_path):
    given = {"isl": 1024.0, "osl": 128.0, name: value}
    with pytest.raises(InputError, match=f"{name} is") as refused:
        jaxsim.estimate("llama-3.1-8b", "h100", jaxsim.Workload(**given), phase="decode", tp=1)
    assert said in str(refused.value)
    if not math.isnan(value):
        path, rows = tmp_path / "space.yaml", ", ".join(f"{k}: {v}" for k, v in given.items())
        path.write_text(f"model: llama-3.1-8b\nhardware: h100\nworkload: {{{rows}}}\n")
        with pytest.raises(InputError, match=name):
            read_sweep(path)


def test_one_entry_of_many_is_found_and_what_is_no_number_is_left():
    check({"isl": np.array([1.0, 2.0]), "osl": object()}, WORKLOAD)
    with pytest.raises(InputError, match="isl is 0;"):
        check({"isl": np.array([1.0, 0.0])}, WORKLOAD)


def test_text_is_no_number():
    with pytest.raises(InputError, match="isl = 'x': a number is needed, and this is text"):
        check({"isl": "x"}, WORKLOAD)


@pytest.mark.parametrize(
    ("line", "other", "said"),
    [
        ("hbm_bytes_per_s = 3.35e12", "hbm_bytes_per_s = 3350", r"3350; 1e\+09 to 1e\+17 bytes/s"),
        ("gpus_per_node = 8", "gpus_per_node = 8.5", "8.5; a whole number of accelerators"),
        ("power_w = 1370.0", "power_w = 1e30", r"1e\+30; 1 to 1e\+06 W"),
    ],
)
def test_hardware_in_other_units_or_in_parts_is_refused(line, other, said, tmp_path):
    path = tmp_path / "own.toml"
    text = (files("jaxsim.catalog") / "data/hardware/h100.toml").read_text()
    assert line in text
    path.write_text(text.replace(line, other))
    with pytest.raises(InputError, match=f"{other.split()[0]}.*is {said}"):
        load_hardware(str(path))
