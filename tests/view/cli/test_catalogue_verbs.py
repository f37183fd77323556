"""`models` and `hardware`: searches, and files to be filled in."""

import json

import pytest

from jaxsim.catalog.load import load_hardware
from jaxsim.catalog.setup import setup_of
from jaxsim.view.cli.main import main
from tests.view.written import checked_file


def listed(capsys, *words):
    assert main(["models", "--format", "json", *words]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}


def test_models_by_kind_size_text_and_engine(capsys):
    every = listed(capsys)
    recurrent = {name for name, row in every.items() if "recurrent" in row["kinds"]}
    assert {"qwen3.5-397b-a17b", "nemotron-h-56b", "kimi-k3"} <= recurrent
    assert set(listed(capsys, "--kind", "recurrent")) == recurrent
    some = listed(capsys, "--kind", "recurrent,moe", "--max-size", "100B", "--engine", "vllm")
    assert some
    assert all(row["parameters"] <= 1e11 and "vllm" in row["engines"] for row in some.values())
    assert "nemotron-3-nano-30b-a3b" not in some
    assert "qwen3.5-35b-a3b" in some
    assert set(listed(capsys, "--search", "qwen3.6")) == {"qwen3.5-27b", "qwen3.5-35b-a3b"}
    for words, said in (
        (["--kind", "small"], "it is one of"),
        (["--max-size", "huge"], "70B"),
        (["--engine", "x"], "it is one of"),
        (["--search", "no such model"], "leave out a filter"),
        (["qwen3-8b", "--kind", "moe"], "give no NAME"),
    ):
        assert main(["models", *words]) == 2
        assert said in capsys.readouterr().err


def test_new_hardware_works_at_once_and_is_less_sure(tmp_path, capsys):
    path = tmp_path / "my-chip.toml"
    assert main(["hardware", "new", str(path), "--like", "a100"]) == 0
    checked_file("hardware-file", path)
    own, like = load_hardware(path), load_hardware("a100")
    assert own.hardware == like.hardware
    assert (own.calibration, own.arithmetic) == (like.calibration, like.arithmetic)
    setup, other = (setup_of("llama-3.1-8b", card, "bf16", "ideal") for card in (own, like))
    fit, sure = (s.calibration.family("gemm", "bf16") for s in (setup, other))
    assert fit.constants == sure.constants
    assert fit.sigma == pytest.approx((sure.sigma**2 + 0.2**2) ** 0.5)
    assert main(["hardware", "new", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["hardware", "h200", "x.toml"]) == 2


def test_a_file_without_a_calibration_borrows_one(tmp_path):
    path = tmp_path / "my-chip.toml"
    assert main(["hardware", "new", str(path)]) == 0
    lines = [
        line for line in path.read_text("utf-8").splitlines() if not line.startswith("calibration")
    ]
    path.write_text("\n".join(lines).replace("multiprocessors = 132", "multiprocessors = 66"))
    card = load_hardware(path)
    assert card.calibration == "h200"
    assert "h200" in card.note
    setup = setup_of("llama-3.1-8b", card, "bf16", "ideal")
    halved = setup.calibration.family("gemm", "bf16").constants["tile_s"]
    whole = setup_of("llama-3.1-8b", "h200", "bf16", "ideal").calibration.family("gemm", "bf16")
    assert halved == pytest.approx(whole.constants["tile_s"] / 2)
