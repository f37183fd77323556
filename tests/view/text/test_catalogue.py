"""The catalogue on the command line."""

import json

import pytest

from jaxsim.catalog.names import list_hardware, list_models
from jaxsim.view.cli import main as cli
from jaxsim.view.text import units
from jaxsim.view.text.catalogue import value_text
from tests.view.written import checked


@pytest.mark.parametrize(("verb", "names"), [("models", list_models), ("hardware", list_hardware)])
def test_every_entry_has_a_line_and_an_object(verb, names, capsys):
    assert cli.main([verb]) == 0
    lines = capsys.readouterr().out.splitlines()
    starts = [line.split()[0] for line in lines[1:] if line.strip() and line[0] != " "]
    assert starts[: len(names())] == names()
    assert max(map(len, lines)) <= 80
    assert cli.main([verb, "--format", "json"]) == 0
    entries = checked(verb, capsys.readouterr().out)[verb]
    assert [entry["name"] for entry in entries] == names()


@pytest.mark.parametrize(("verb", "name"), [("models", "deepseek-r1"), ("hardware", "gb200-nvl72")])
def test_every_number_of_an_entry_has_a_source(verb, name, capsys):
    assert cli.main([verb, name, "--format", "json"]) == 0
    result = checked("model" if verb == "models" else "chip", capsys.readouterr().out)
    assert len(result["provenance"]) > 10
    for datum in result["provenance"].values():
        assert {"value", "kind", "source", "date"} <= set(datum)
    assert cli.main([verb, name]) == 0
    out = capsys.readouterr().out
    assert all(key in out for key in result["provenance"])
    assert "[1]" in out


def test_deepseek_r1_in_numbers(capsys):
    assert cli.main(["models", "deepseek-r1", "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["parameters"] == pytest.approx(671.026e9, rel=1e-4)
    assert result["kv_bytes_per_token"] == 61 * (512 + 64) * 2


def test_an_unknown_name_offers_the_nearest(capsys):
    assert cli.main(["models", "deepsek-r1"]) == 2
    assert "deepseek-r1" in capsys.readouterr().err


def test_values_are_shown_by_the_unit_of_their_key():
    assert value_text("chip.hbm_bytes_per_s", 8e12) == "8.00 TB/s"
    assert value_text("scaleup.latency_s", 1e-6) == "1 µs"
    assert value_text("chip.hbm_bytes", 1.92e11) == "192 GB"
    assert value_text("model.vocab", 129280) == "129,280"
    assert value_text("precision.kv", "fp8") == "fp8"


def test_parameters_are_counted_in_billions():
    assert [units.parameters(n) for n in (6.71e11, 1.03e12, 5.96e8)] == ["671 B", "1.03 T", "596 M"]
