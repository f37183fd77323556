"""Are runs at arrival rates and logs read, simulated, and compared as their definitions say?"""

import csv
import json

import numpy as np
import pytest

from jaxsim.catalog.cache_transfers import moves
from jaxsim.catalog.errors import InputError
from jaxsim.truth.arrivals.cache_transfers import moves_of
from jaxsim.truth.arrivals.read import holds_arrivals, read_arrivals
from jaxsim.truth.arrivals.scores import summary_of
from jaxsim.truth.arrivals.served import requests_of_run, served, served_all
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.view.cli.main import main

ROW = {
    "row_id": "FAM-1", "engine": "vLLM", "model": "meta-llama/Llama-3.1-8B", "gpu": "H100-SXM",
    "weights_dtype": "bf16", "mode": "agg", "tp": "1", "max_num_seqs": "63",
    "max_batched_tokens": "2048", "arrival": "constant", "rate_rps": "4", "duration_s": "100",
    "isl_mean_tok": "600", "osl_mean_tok": "60", "prefix_hit_or_reuse": "random, none",
    "ttft_p50_ms": "40", "tpot_mean_ms": "8", "quality": "A", "note": "", "kv_transfer": "",
}  # fmt: skip
SHARED = "shared system prompt of 100-150 tokens, multi-turn ids"


def written(folder, *changes):
    path = folder / "runs.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ROW)
        writer.writeheader()
        writer.writerows({**ROW, **change} for change in changes)
    return path


def log(folder, count=40):
    """Requests 0.25 s apart whose first token comes after 50 ms and the others every 10 ms."""
    lines = [
        {
            "request_id": str(i), "input_toks": 500, "output_toks": 21,
            "arrival_time": 1000.0 + 0.25 * i, "queued_ts": 5.0 + 0.25 * i,
            "scheduled_ts": 5.0 + 0.25 * i, "first_token_ts": 5.05 + 0.25 * i,
            "last_token_ts": 5.25 + 0.25 * i,
        }
        for i in range(count)
    ]  # fmt: skip
    path = folder / "h100-Llama.requests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kwargs = {"model": ROW["model"], "tensor_parallel_size": 1, "max_num_seqs": 63}
    settings = {"engine_kwargs": {**kwargs, "max_num_batched_tokens": 2048, "dtype": "bfloat16"}}
    (folder / "h100-Llama.meta.json").write_text(json.dumps(settings))
    return path


def test_a_table_says_what_each_run_is_and_which_cannot_be_simulated(tmp_path):
    path = written(
        tmp_path, {}, {"prefix_hit_or_reuse": SHARED}, {"arrival": "poisson", "rate_rps": "9"},
        {"arrival": "sinusoid"}, {"mode": "disagg"}, {"tp": ""},
        {"prefix_hit_or_reuse": "shared prefix groups: round robin"},
        {"quality": "B-overload", "note": "failures are 300 s timeouts"},
    )  # fmt: skip
    assert holds_arrivals(path)
    plain, shared, poisson, *refused, late = read_arrivals(path, Stated())
    assert (plain.cv, plain.row.isl, plain.measured["ttft_p50"]) == (0.0, 600.0, 0.04)
    np.testing.assert_allclose(np.diff(requests_of_run(plain).arrival_s), 0.25)
    assert shared.shared == 112.0  # whole blocks of 16 of 125
    assert poisson.cv == 1.0
    assert all(run.refused for run in refused)
    assert late.overload
    assert late.timeout_s == 300.0


def test_runs_are_served_and_scored(tmp_path):
    path = written(tmp_path, {}, {"prefix_hit_or_reuse": SHARED}, {"tp": ""})
    runs = served_all(read_arrivals(path, Stated()))
    plain, shared, refused = runs
    assert refused.refused == "parallel layout not stated"
    # Evenly spaced and far apart, a request waits for a decode step of the one before at most.
    step_s = 1.5 * plain.predicted["tpot_mean"]
    assert 0.0 <= plain.predicted["ttft_p99"] - plain.predicted["ttft_p50"] <= step_s
    assert 0.003 < plain.predicted["tpot_mean"] < 0.02
    assert shared.predicted["ttft_p50"] < plain.predicted["ttft_p50"]
    e2e = plain.predicted["ttft_mean"] + 59 * plain.predicted["tpot_mean"]
    assert plain.predicted["e2e_mean"] == pytest.approx(e2e, rel=1e-9)
    result = summary_of(runs)
    error = abs(plain.predicted["tpot_mean"] / 0.008 - 1.0)
    other = abs(shared.predicted["tpot_mean"] / 0.008 - 1.0)
    assert result.overall["tpot_mean"]["median"] == pytest.approx((error + other) / 2.0)
    assert result.rows == 3
    assert result.reasons == {"parallel layout not stated": 1}


def test_a_transfer_is_setup_and_bytes_over_its_links(tmp_path, capsys):
    given = {
        "model": "Qwen/Qwen3-8B", "gpu": "H800", "mode": "disagg", "tp": "8", "rate_rps": "",
        "isl_mean_tok": "4096", "kv_transfer": "Mooncake RDMA RoCE: 4.75 ms, 119.0 GB/s",
    }  # fmt: skip
    path = written(tmp_path, {**given, "note": "200 GB/s aggregate line rate"}, given, {})
    stated, own = moves_of(read_arrivals(path, Stated()))
    data = moves()
    cache_bytes = 4096 * 36 * 2 * 8 * 128 * 2  # layers, keys and values, heads, width, BF16
    for move, line in ((stated, 200e9), (own, 8 * 50e9)):
        expected = data.setup_s + cache_bytes / (data.line_frac * line)
        assert move.predicted_s == pytest.approx(expected, rel=1e-6)
        assert move.measured_s == pytest.approx(4.75e-3)
    assert main(["validate", str(path), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)["transfers"]
    assert [run["tokens"] for run in result["runs"]] == [4096.0, 4096.0]


def test_a_log_is_compared_request_by_request(tmp_path):
    run = served(read_arrivals(log(tmp_path), Stated())[0])
    assert run.measured["ttft_p50"] == pytest.approx(0.05)
    assert run.measured["tpot_p90"] == pytest.approx(0.01)
    assert run.row.hardware == "h100"
    assert 0.0 < run.predicted["ttft_p50"] < 0.2


def test_the_verb_reads_tables_and_folders_of_logs(tmp_path, capsys):
    log(tmp_path)
    assert main(["validate", str(tmp_path), "--format", "json", "-o", str(tmp_path / "out")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["schema"] == "jaxsim.validate-arrivals/1"
    assert result["runs"][0]["measured"]["ttft_p50"] == pytest.approx(0.05)
    assert json.loads((tmp_path / "out" / "validation.json").read_text()) == result
    assert main(["validate", str(written(tmp_path, {}))]) == 0
    told = capsys.readouterr().out
    assert "1 of 1 runs simulated" in told
    assert "goal" in told


def test_a_log_without_its_settings_or_with_bad_ones_is_refused(tmp_path):
    path = log(tmp_path)
    meta = tmp_path / "h100-Llama.meta.json"
    meta.write_text(json.dumps({"engine_kwargs": {"max_num_seqs": -3}}))
    with pytest.raises(InputError, match="max_num_seqs is -3"):
        read_arrivals(path, Stated())
    meta.unlink()
    with pytest.raises(InputError, match="no such file"):
        read_arrivals(path, Stated())
