"""Does `jaxsim traffic` compare policies, write its files, and say what is wrong?"""

import doctest
import importlib
import json

import numpy as np
import pytest

import jaxsim
from jaxsim.api import simulate
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.simulate.faults import Fault
from jaxsim.view.cli.main import main
from jaxsim.view.figures import timeline
from tests.view.written import checked

BASE = ["llama-3.1-8b", "--hardware", "h100", "--ftl", "2s", "--ttl", "50ms"]
DRAWN = ["--poisson", "2", "--isl", "300", "--osl", "uniform:20:60"]
# What is compiled for these is compiled once in this file.
POOLS = [
    "--duration", "40s", "--engine", "vllm",
    "--prefill", "tp=1,instances=1", "--decode", "tp=1,instances=1",
    "--max-seqs", "63", "--max-batched-tokens", "2048", "--interval", "10s",
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (BASE, "give one load"),
        ([*BASE, "--poisson", "2"], "needs the lengths"),
        ([*BASE, *DRAWN, "--users", "3"], "give one load"),
        (["missing.jsonl", *BASE], "no such file"),
        ([*BASE, *DRAWN, "--prefill", "tp=1,x=2"], "--prefill"),
        ([*BASE, *DRAWN, "--prefill", "tp=1"], "prefill and decode"),
        ([*BASE, *DRAWN, "--isl", "lognormal:5"], "ISL"),
        (["a", "b", *BASE, *DRAWN], "a trace and a model"),
        ([*BASE, *DRAWN, "--fail", "decode"], "--fail 'decode': write"),
    ],
)
def test_bad_input_ends_with_a_message(arguments, message, capsys):
    assert main(["traffic", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_faults_reach_the_simulation_and_what_it_refuses_is_bad_input(monkeypatch, capsys):
    def refusing(*given, service, **named):
        assert service.faults == (Fault(10.0, 0, 1, 600.0, 5.0), Fault(60.0, 2, 3, 4.0, 0.5))
        raise InputError("at 10 s the last open instance of a pool dies")

    monkeypatch.setattr(simulate, "simulate", refusing)
    fail = ["--fail", "colocated@10s", "--fail", "decode@1min,count=3,repair=4s,notice=500ms"]
    assert main(["traffic", *BASE, *DRAWN, "--colocated", "tp=1", *fail]) == 2
    assert "at 10 s the last open instance" in capsys.readouterr().err


@pytest.mark.slow
def test_policies_are_compared_and_files_written(tmp_path, capsys):
    events = tmp_path / "events.json"
    request = [
        "traffic", *BASE, *DRAWN, *POOLS, "--policy", "static,elastic", "--format", "json",
        "-o", str(tmp_path), "--trace-events", str(events),
    ]  # fmt: skip
    assert main(request) == 0
    result = json.loads(capsys.readouterr().out)
    static, elastic = result["policies"]
    count = result["requests"]["count"]
    assert static["served"] == elastic["served"] == count > 40
    assert static["attainment"] > 0.9
    assert 0.0 < static["ttft_p50_s"] <= static["ttft_p99_s"] < 2.0
    assert static["gpu_seconds"] == pytest.approx(2.0 * static["duration_s"])
    assert (tmp_path / "traffic.png").stat().st_size > 10_000
    assert checked("traffic", tmp_path / "traffic.json") == result
    spans = checked("trace-events", events)["traceEvents"]
    assert sum(span["name"] == "decode" for span in spans) == count
    assert all(span["dur"] >= 0.0 for span in spans if span["ph"] == "X")


def test_the_examples_of_docstrings_run():
    """After the test above, whose pools and lengths it has: nothing is compiled again."""
    for module in (simulate, timeline):
        assert doctest.testmod(module, extraglobs={"jaxsim": jaxsim}).failed == 0


DRAWS = jaxsim.load_of(isl="uniform:100:900", osl="uniform:20:60", requests_per_s=3, duration_s=30)
GIVEN = {
    "ftl_s": 2.0, "ttl_s": 0.05, "pools": jaxsim.Pools(prefill={"tp": 1}, decode={"tp": 1}),
    "policies": ["static", "elastic"], "engine": "vllm", "most_sequences": 63, "interval_s": 10.0,
}  # fmt: skip


def test_draws_are_single_runs_side_by_side():
    heard: list[str] = []
    with jaxsim.heard_by(heard.append):
        result = jaxsim.simulate_draws(
            "llama-3.1-8b", ["h100", "h200"], DRAWS, seeds=[3, 1], **GIVEN
        )
    assert heard[-3:] == [f"serving: {done} of 4 draws" for done in (1, 2, 3)]
    first = f"elastic: 0 of {len(DRAWS.drawn(3))} requests"
    assert first in heard, "the first tells what it does itself"
    assert dict(result.sizes) == {"hardware": 2, "policy": 2, "seed": 2, "quantile": 4}
    one = jaxsim.simulate("llama-3.1-8b", "h200", DRAWS.drawn(1), **GIVEN)
    own = result.sel(hardware="h200", seed=1)
    for policy, told in one.outcomes.items():
        there = own.sel(policy=policy)
        assert float(there.attainment) == told["attainment"]
        assert float(there.joules) == told["joules"]
        for name in ("ttft", "tpot", "e2e", "gap"):
            quantiles = [float(told[f"{name}_p{q}_s"]) for q in (50, 90, 95, 99)]
            np.testing.assert_allclose(there[f"{name}_s"], quantiles, rtol=1e-12)
    assert not np.array_equal(result.ttft_s.sel(seed=1), result.ttft_s.sel(seed=3))
    faster = result.tpot_s.sel(hardware="h200") < result.tpot_s.sel(hardware="h100")
    assert bool(faster.all())


def test_the_example_of_the_docstring_runs():
    """After the test above, whose pools and lengths it has: nothing is compiled again."""
    module = importlib.import_module("jaxsim.api.draws")
    result = doctest.testmod(module, extraglobs={"jaxsim": jaxsim})
    assert (result.failed, result.attempted) == (0, 3)
