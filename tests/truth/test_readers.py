"""Measured rows: what is read, how widths are understood, what is refused."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from jaxsim.catalog.engine_limits import Limits
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.known_engines import load_engine
from jaxsim.catalog.speculation import speculation_prior
from jaxsim.truth.limits import pass_tokens, reserve_frac, serving_of
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.drafted import WHY
from jaxsim.truth.read.names import names_of
from jaxsim.truth.read.readers import PUBLISHED, read_rows
from jaxsim.truth.read.serving_table import OPTIONAL, REQUIRED
from tests.narrow import some

COLUMNS = sorted(REQUIRED | OPTIONAL)
POINT = {
    "id": "2026_04_06_llama_tp4_ep1_7",
    "backend": "vllm",
    "model_path": "meta-llama/Llama-3.1-70B",
    "system": "h200_sxm",
    "mode": "agg",
    "precision": "fp8",
    "gemm_quant_mode": "fp8",
    "moe_quant_mode": "fp8",
    "isl": "1024",
    "osl": "1024",
    "concurrency": "32",
    "tp_size": "4",
    "pp_size": "1",
    "attention_dp_size": "1",
    "moe_tp_size": "4",
    "moe_ep_size": "1",
    "silicon_ttft_ms": "160.0",
    "silicon_tpot_ms": "15.0",
}
RUN = {
    "id": "R-1",
    "model": "DeepSeek-R1-0528",
    "precision": "fp8",
    "gpu": "B200 SXM",
    "n_gpus": "24",
    "framework": "dynamo-trt",
    "mode": "disagg",
    "tp": "8",
    "ep": "8",
    "dp": "8",
    "batch_or_concurrency": "256",
    "isl": "8192",
    "osl": "1024",
    "isl_mean": "7372.8",
    "osl_mean": "921.6",
    "ttft_ms": "3000",
    "tpot_ms": "20",
    "tok_s_gpu": "300",
    "n_prefill_gpus": "16",
    "n_decode_gpus": "8",
    "prefill_tp": "8",
    "prefill_ep": "8",
    "prefill_dpattn": "true",
    "decode_dpattn": "true",
    "spec_decode": "none",
    "notes": "prefill workers=2, decode workers=1",
}


def write(folder, *rows, columns=None):
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns or COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def one(folder, **changes):
    return read_rows(write(folder, {**POINT, **changes}))[0]


def run(folder, **changes):
    row = {**RUN, **changes}
    return read_rows(write(folder, row, columns=list(row)))[0]


def test_a_serving_point_in_base_units(tmp_path):
    row = one(tmp_path)
    assert (row.ttft_s, row.tpot_s) == pytest.approx((0.160, 0.015))
    assert (row.isl_max, row.osl_max) == (1024, 1024)
    np.testing.assert_allclose((row.isl, row.osl), (921.6, 921.6))
    decode = some(row.decode)
    assert (decode.tp, decode.ep, row.gpus) == (4, 1, 4)
    # N = X · T, of which the rate is implied.
    rate = 32 / (0.160 + (921.6 - 1) * 0.015)
    assert row.output_tokens_per_s_per_gpu == pytest.approx(rate * 921.6 / 4, rel=1e-7)


def test_lengths_of_other_clients_are_as_stated(tmp_path):
    row = one(tmp_path, id="qwen3_h100_trtllm_agg_1024x1024")
    assert row.isl == 1024
    assert row.client == ""


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        # Expert-parallel, as stated.
        (dict(tp_size="8", moe_tp_size="1", moe_ep_size="8"), (8, 8, 8)),
        # Data-parallel attention over expert parallelism.
        (dict(tp_size="1", attention_dp_size="8", moe_tp_size="1", moe_ep_size="8"), (1, 8, 8)),
        # 8 GPUs, whose width a converter multiplied by itself.
        (dict(tp_size="64", moe_tp_size="8", moe_ep_size="8"), (8, 8, 8)),
        (dict(tp_size="1", attention_dp_size="64", moe_tp_size="8", moe_ep_size="8"), (1, 8, 8)),
        (
            dict(id="2026_04_06_x_tp2_ep2_1", tp_size="4", moe_tp_size="2", moe_ep_size="2"),
            (2, 2, 2),
        ),
        # 4 GPUs whose experts are split both ways, as the name says.
        (dict(id="x_tp4_epnone_1", tp_size="4", moe_tp_size="2", moe_ep_size="2"), (4, 2, 4)),
        # vLLM's data-parallel engines.
        (dict(tp_size="4", attention_dp_size="4", moe_tp_size="1", moe_ep_size="16"), (1, 4, 4)),
        # More GPUs for experts than for attention: the rest is data parallel.
        (dict(tp_size="2", attention_dp_size="", moe_tp_size="4", moe_ep_size="1"), (2, 4, 4)),
    ],
)
def test_widths(tmp_path, stated, expected):
    stated = {"id": "x_cfg1", **stated}
    layout = one(tmp_path, model_path="openai/gpt-oss-120b", **stated).decode
    assert (some(layout).tp, some(layout).ep, some(layout).gpus) == expected


def test_a_disaggregated_point_counts_its_workers(tmp_path):
    pools = {
        "prefill_num_workers": "3",
        "prefill_tp_size": "1",
        "prefill_attention_dp_size": "4",
        "prefill_moe_tp_size": "1",
        "prefill_moe_ep_size": "4",
        "decode_num_workers": "1",
        "decode_tp_size": "8",
        "decode_moe_tp_size": "1",
        "decode_moe_ep_size": "8",
    }
    model = "moonshotai/Kimi-K2.5"
    row = one(tmp_path, mode="disagg", tp_size="", model_path=model, **pools)
    assert (some(row.prefill).gpus, some(row.decode).gpus, row.gpus) == (12, 8, 20)
    assert not row.excluded
    assert (
        "worker"
        in one(
            tmp_path,
            mode="disagg",
            tp_size="",
            model_path=model,
            **{**pools, "prefill_num_workers": ""},
        ).excluded
    )


def test_unstated_speculation_is_set_apart(tmp_path):
    assert one(tmp_path, model_path="deepseek-ai/DeepSeek-R1").speculation == "unknown"


def test_a_published_run(tmp_path):
    row = run(tmp_path)
    assert (some(row.prefill).workers, some(row.prefill).tp, some(row.prefill).ep) == (2, 1, 8)
    assert (some(row.decode).workers, some(row.decode).tp, some(row.decode).ep) == (1, 1, 8)
    assert row.gpus == 24
    assert row.output_tokens_per_s_per_gpu == 300
    assert row.isl == 7372.8
    assert row.mode == "disaggregated"


def test_rates_of_inputs_are_not_taken_for_outputs(tmp_path):
    assert run(tmp_path, tok_basis="input").output_tokens_per_s_per_gpu is None


def test_medians_are_not_taken_for_means(tmp_path):
    row = run(tmp_path, notes="ttft_ms/tpot_ms are MEDIANS; prefill workers=2; decode workers=1")
    assert row.ttft_s is None
    assert row.ttft_median_s == 3.0


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"silicon_ttft_ms": "-3"}, "silicon_ttft_ms"),
        ({"silicon_tpot_ms": "fast"}, "silicon_tpot_ms"),
        ({"silicon_tpot_ms": "inf"}, "silicon_tpot_ms"),
        ({"silicon_tpot_ms": "nan"}, "silicon_tpot_ms"),
        ({"tp_size": "0.5"}, "tp_size"),
        ({"isl": "0"}, "isl"),
        ({"mode": "both"}, "mode"),
        ({"model_path": ""}, "model_path"),
    ],
)
def test_a_wrong_cell_names_file_line_and_column(tmp_path, change, column):
    with pytest.raises(InputError, match=rf"rows\.csv: line 3, column {column}"):
        read_rows(write(tmp_path, POINT, {**POINT, **change}))


def test_an_unknown_column_may_have_any_unit(tmp_path):
    path = write(tmp_path, {**POINT, "silicon_ttft_s": "0.1"}, columns=[*COLUMNS, "silicon_ttft_s"])
    with pytest.raises(InputError, match=r"column 'silicon_ttft_s'.*silicon_ttft_ms"):
        read_rows(path)


def test_a_missing_column_and_a_truncated_file(tmp_path):
    short = [name for name in COLUMNS if name != "silicon_tpot_ms"]
    with pytest.raises(InputError, match="silicon_tpot_ms"):
        read_rows(write(tmp_path, POINT, columns=short))
    path = write(tmp_path, POINT)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match="truncated"):
        read_rows(path)
    with pytest.raises(InputError, match="no such file"):
        read_rows(tmp_path / "nothing.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="empty"):
        read_rows(tmp_path / "empty.csv")


@pytest.mark.parametrize(
    ("change", "quant", "kv"),
    [
        ({"precision": "fp4", "gemm_quant_mode": "nvfp4"}, "nvfp4", "fp8"),
        ({"precision": "", "gemm_quant_mode": "", "moe_quant_mode": ""}, "bf16", "bf16"),
        ({"model_path": "openai/gpt-oss-120b", "precision": "fp8"}, "mxfp4", "fp8"),
        ({"model_path": "MiniMaxAI/MiniMax-M2.5", "backend": "vllm"}, "fp8", "bf16"),
        ({"model_path": "MiniMaxAI/MiniMax-M2.5", "system": "b200_sxm"}, "fp8", "fp8"),
        ({"model_path": "moonshotai/Kimi-K2.5", "precision": "int4"}, "int4", "bf16"),
    ],
)
def test_number_formats_layer_by_layer(tmp_path, change, quant, kv):
    named = names_of(one(tmp_path, **change))
    assert (named.quant, named.precision.kv) == (quant, kv)


def test_an_unknown_engine_and_an_unsupported_model_say_so(tmp_path):
    with pytest.raises(InputError, match="not among those that are fitted"):
        names_of(one(tmp_path, backend="mystery"))
    with pytest.raises(InputError, match="not supported"):
        names_of(one(tmp_path, model_path="meta-llama/Llama-3.2-90B-Vision-Instruct"))


# ---- result files of benchmark clients ----------------------------------------------------------

STATED = Stated(model="llama-3.1-8b", hardware="h100", engine="vllm", precision="fp8", tp=2.0)
VLLM = {
    "model_id": "meta-llama/Llama-3.1-8B",
    "max_concurrency": 16,
    "completed": 160,
    "total_input_tokens": 160 * 1000,
    "total_output_tokens": 160 * 200,
    "output_throughput": 1500.0,
    "mean_ttft_ms": 45.0,
    "median_ttft_ms": 40.0,
    "mean_tpot_ms": 9.0,
    "mean_e2el_ms": 1836.0,
}
AIPERF = {
    "schema_version": "1.4",
    "is_complete": True,
    "input_config": {"loadgen": {"concurrency": 8}, "endpoint": {"model_names": ["llama-3.1-8b"]}},
    "time_to_first_token": {"unit": "ms", "avg": 30.0},
    "inter_token_latency": {"unit": "us", "avg": 8000.0},
    "input_sequence_length": {"unit": "tokens", "avg": 512},
    "output_sequence_length": {"unit": "tokens", "avg": 128},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 900.0},
}
INFERENCEX = {
    "hw": "b200",
    "conc": 64,
    "model": "deepseek-ai/DeepSeek-R1-0528",
    "framework": "dynamo-trt",
    "precision": "fp8",
    "spec_decoding": "none",
    "disagg": True,
    "isl": 8192,
    "osl": 1024,
    "prefill_tp": 4,
    "prefill_ep": 4,
    "prefill_dp_attention": "true",
    "prefill_num_workers": 2,
    "decode_tp": 8,
    "decode_ep": 8,
    "decode_dp_attention": "false",
    "decode_num_workers": 1,
    "num_prefill_gpu": 8,
    "num_decode_gpu": 8,
    "tput_per_gpu": 2000.0,
    "output_tput_per_gpu": 600.0,
    "mean_ttft": 1.5,
    "mean_tpot": 0.012,
}


def result(folder, *entries, name="result.json"):
    path = folder / name
    path.write_text("\n".join(json.dumps(entry) for entry in entries))
    return path


def test_vllm_and_sglang_results(tmp_path):
    row = read_rows(result(tmp_path, VLLM), STATED)[0]
    assert (row.ttft_s, row.tpot_s) == pytest.approx((0.045, 0.009))
    assert (row.isl, row.osl) == (1000, 200)
    assert row.output_tokens_per_s_per_gpu == 750
    sglang = {key: value for key, value in VLLM.items() if key not in ("model_id", "mean_e2el_ms")}
    sglang |= {"server_info": {"tp_size": 4, "model_path": "x"}, "mean_e2e_latency_ms": 1836.0}
    rows = read_rows(
        result(tmp_path, sglang, sglang, name="b.jsonl"), Stated("llama-3.1-8b", "h100")
    )
    assert len(rows) == 2
    assert rows[1].gpus == 4
    assert rows[1].framework == "sglang"


def test_a_request_rate_is_a_load(tmp_path):
    """A finite rate is an open loop, whatever cap it has; "inf" says nothing beside a cap."""
    rated = read_rows(result(tmp_path, {**VLLM, "request_rate": 3.5}), STATED)[0]
    assert (rated.load, rated.requests_per_s, rated.concurrency) == ("open", 3.5, None)
    assert not rated.refused
    capped = read_rows(result(tmp_path, {**VLLM, "request_rate": "inf"}), STATED)[0]
    assert (capped.load, capped.requests_per_s, capped.concurrency) == ("closed", None, 16)
    free = {**VLLM, "request_rate": "inf", "max_concurrency": None}
    at_once = read_rows(result(tmp_path, free), STATED)[0]
    assert (at_once.concurrency, at_once.finite, at_once.refused) == (160, True, "")
    load = {**AIPERF["input_config"], "loadgen": {"request_rate": 2.0}}
    assert read_rows(result(tmp_path, {**AIPERF, "input_config": load}), STATED)[0].load == "open"
    with pytest.raises(InputError, match="request_rate"):
        read_rows(result(tmp_path, {**VLLM, "request_rate": -1.0}), STATED)


def test_aiperf_units_are_read(tmp_path):
    row = read_rows(result(tmp_path, AIPERF), STATED)[0]
    assert (row.ttft_s, row.tpot_s, row.concurrency) == pytest.approx((0.03, 0.008, 8))
    wrong = {**AIPERF, "time_to_first_token": {"unit": "fortnights", "avg": 1.0}}
    with pytest.raises(InputError, match="fortnights"):
        read_rows(result(tmp_path, wrong), STATED)
    with pytest.raises(InputError, match="cut short"):
        read_rows(result(tmp_path, {**AIPERF, "is_complete": False}), STATED)


def a_record(start_s, end_s, ttft_ms, **more):
    """A request as AIPerf's profile_export.jsonl has it."""
    metrics = {
        "input_sequence_length": {"value": 100, "unit": "tokens"},
        "output_sequence_length": {"value": 11, "unit": "tokens"},
        "time_to_first_token": {"value": ttft_ms, "unit": "ms"},
        "inter_token_latency": {"value": 5.0, "unit": "ms"},
    }
    told = {"session_num": 0, "benchmark_phase": "profiling", "was_cancelled": False}
    told |= {"request_start_ns": int(start_s * 1e9), "request_end_ns": int(end_s * 1e9)}
    return {"metadata": {**told, **more}, "metrics": metrics, "error": None}


def test_a_log_of_requests_is_one_run(tmp_path):
    """Two at a time for 2 s, 4 of 11 tokens in all; warm-up and failures are none of them."""
    records = [a_record(k // 2, k // 2 + 1, 10.0 * (k + 1)) for k in range(4)]
    failed = {**a_record(0, 9, 1.0), "error": {"code": 500, "message": "x"}}
    records += [failed, a_record(-5, -4, 1.0, benchmark_phase="warmup")]
    path = tmp_path / "profile_export.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    row = read_rows(path, STATED)[0]
    assert (row.source, row.isl, row.osl, row.prompts) == ("AIPerf", 100, 11, 4)
    assert (row.ttft_s, row.ttft_median_s, row.tpot_s) == pytest.approx((0.025, 0.025, 0.005))
    assert row.concurrency == 2
    assert row.output_tokens_per_s_per_gpu == pytest.approx(4 * 11 / 2 / row.gpus)
    path.write_text(json.dumps(failed))
    with pytest.raises(InputError, match="no request was completed"):
        read_rows(path, STATED)


def test_files_of_ranks_are_one_run(tmp_path):
    """Rates and requests in the system add up; latencies are means by requests."""
    one = {**VLLM, "mean_ttft_ms": 100.0, "completed": 300, "num_prompts": 300}
    other = {**VLLM, "mean_ttft_ms": 200.0, "completed": 100, "num_prompts": 100}
    for rank, raw in enumerate((one, other)):
        (tmp_path / f"run-rank{rank}.json").write_text(json.dumps(raw))
    row, alone = read_rows(tmp_path, STATED)[0], read_rows(tmp_path / "run-rank0.json", STATED)[0]
    assert row.ttft_s == pytest.approx(0.125)
    assert (row.concurrency, row.prompts) == (2 * some(alone.concurrency), 400)
    rate = some(alone.output_tokens_per_s_per_gpu)
    assert row.output_tokens_per_s_per_gpu == pytest.approx(2 * rate)
    (tmp_path / "run-rank1.json").rename(tmp_path / "run-rank2.json")
    with pytest.raises(InputError, match="rank 1 of 0 to 2 is missing"):
        read_rows(tmp_path, STATED)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no files of ranks"):
        read_rows(tmp_path / "empty", STATED)


def test_inferencex_rates_are_over_all_gpus(tmp_path):
    row = read_rows(result(tmp_path, INFERENCEX))[0]
    assert row.output_tokens_per_s_per_gpu == 300
    assert (row.ttft_s, row.tpot_s) == (1.5, 0.012)
    assert (some(row.prefill).tp, some(row.prefill).ep, some(row.prefill).gpus) == (1, 4, 8)
    assert (some(row.decode).tp, some(row.decode).ep) == (8, 8)


def test_what_a_result_leaves_out_must_be_stated(tmp_path):
    with pytest.raises(InputError, match="--tp"):
        read_rows(result(tmp_path, VLLM), Stated(hardware="h100"))
    with pytest.raises(InputError, match="hardware"):
        read_rows(result(tmp_path, VLLM), Stated(tp=1.0))


def test_a_foreign_or_broken_json_is_refused(tmp_path):
    with pytest.raises(InputError, match="not the result of a known client"):
        read_rows(result(tmp_path, {"answer": 42}))
    (tmp_path / "broken.json").write_text('{"a": 1}\n{"b": ')
    with pytest.raises(InputError, match="line 2: not valid JSON"):
        read_rows(tmp_path / "broken.json")


# ---- texts and further clients ------------------------------------------------------------------

PRINTED = """some log
    ============ Serving Benchmark Result ============
    Successful requests:                     100
    {load}
    Benchmark duration (s):                  44.40
    Total input tokens:                      23,260
    Total generated tokens:                  22061
    Output token throughput (tok/s):         496.88
    ---------------Time to First Token----------------
    Mean TTFT (ms):                          64.00
    Median TTFT (ms):                        60.26
    -----Time per Output Token (excl. 1st token)------
    Mean TPOT (ms):                          7.38
    ==================================================
    Mean TTFT (ms):                          9999
"""
CAP = "Maximum request concurrency:             4"


def text(folder, *blocks, name="console.txt"):
    path = folder / name
    path.write_text("\n".join(blocks))
    return path


def test_what_benchmarks_print_is_read(tmp_path):
    none = "Max request concurrency:                 not set"
    rated = "Request rate configured (RPS):           2.50"
    blocks = [PRINTED.format(load=load) for load in (CAP, none, rated)]
    capped, at_once, open_loop = read_rows(text(tmp_path, *blocks), STATED)
    assert (capped.isl, capped.osl, capped.concurrency) == pytest.approx((232.6, 220.61, 4))
    assert (capped.ttft_s, capped.tpot_s, capped.ttft_median_s) == (0.064, 0.00738, 0.06026)
    assert capped.output_tokens_per_s_per_gpu == 248.44
    assert (at_once.concurrency, at_once.finite) == (100, True)
    assert (open_loop.load, open_loop.requests_per_s) == ("open", 2.5)
    with pytest.raises(InputError, match="may be truncated"):
        read_rows(text(tmp_path, PRINTED.format(load=CAP)[:200]), STATED)
    with pytest.raises(InputError, match="no known layout"):
        read_rows(text(tmp_path, "nothing of the kind"), STATED)


GENAI = """Metric,avg,min,max,p50
Time To First Token (ms),85.00,40.00,210.00,80.00
Inter Token Latency (ms),10.10,9.90,10.80,10.10
Request Latency (ms),"2,670.00","2,500.00","2,900.00","2,660.00"
Output Sequence Length (tokens),256.00,250.00,260.00,256.00
Input Sequence Length,"1,024.00","1,020.00","1,030.00","1,024.00"

Metric,Value
Output Token Throughput (per sec),760.00
Request Throughput (per sec),2.97
"""


def test_genai_perf_and_aiperf(tmp_path):
    row = read_rows(text(tmp_path, GENAI, name="genai.csv"), STATED)[0]
    assert (row.ttft_s, row.tpot_s, row.isl, row.osl) == pytest.approx((0.085, 0.0101, 1024, 256))
    assert (row.concurrency, row.output_tokens_per_s_per_gpu) == (8, 380)
    assert "N = X" in row.excluded
    stated = dataclasses.replace(STATED, concurrency=9.0)
    assert not read_rows(text(tmp_path, GENAI, name="genai.csv"), stated)[0].excluded
    with pytest.raises(InputError, match="truncated"):
        read_rows(text(tmp_path, GENAI.replace(",80.00\n", "\n"), name="genai.csv"), STATED)
    phases = {
        "models": {"items": [{"name": "Qwen/Qwen3-8B"}]},
        "phases": [{"name": "profiling", "concurrency": 8, "requests": 200}],
    }
    named = Stated(hardware="h100", engine="vllm", tp=1.0)
    new = read_rows(result(tmp_path, {**AIPERF, "input_config": phases}), named)[0]
    assert (new.model, new.concurrency, new.ttft_s) == ("Qwen/Qwen3-8B", 8, 0.03)


def test_guidellm(tmp_path):
    def metric(mean):
        return {"successful": {"mean": mean, "median": mean}, "errored": {"mean": 0}}

    metrics = {
        "request_totals": {"successful": 50},
        "request_latency": metric(2.0),
        "time_to_first_token_ms": metric(100.0),
        "time_per_output_token_ms": metric(20.0),
        "prompt_token_count": metric(512.0),
        "output_token_count": metric(101.0),
        "output_tokens_per_second": metric(200.0),
    }
    strategies = [
        {"type_": "synchronous"}, {"type_": "concurrent", "streams": 4},
        {"type_": "throughput"}, {"type_": "constant", "rate": 3.0, "max_concurrency": 512},
    ]  # fmt: skip
    runs = [{"config": {"strategy": strategy}, "metrics": metrics} for strategy in strategies]
    runs[1] = {"args": {"strategy": strategies[1]}, "metrics": metrics}  # an older version
    rows = read_rows(result(tmp_path, {"args": {"model": "x"}, "benchmarks": runs}), STATED)
    assert [row.concurrency for row in rows] == [1, 4, 50, None]
    assert rows[3].requests_per_s == 3
    # Its own time per output token holds the first one.
    assert rows[0].tpot_s == pytest.approx((2.0 - 0.1) / 100)
    heads = [
        ("Request Latency", "Successful Sec", "Mean", "2.0"),
        ("Time to First Token", "Successful ms", "Mean", "100"),
        ("Token Metrics", "Successful Input Tokens", "Mean", "512"),
        ("Token Metrics", "Successful Output Tokens", "Mean", "101"),
        ("Request Counts", "Successful", "", "50"),
        ("Benchmark", "Strategy", "", "concurrent"),
        ("Run Info", "Profile", "", '{"streams": [4]}'),
    ]
    path = tmp_path / "guide.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(zip(("Run Info", "Run ID", "", "7"), *heads, strict=True))
    row = read_rows(path, STATED)[0]
    assert (row.isl, row.concurrency, row.tpot_s) == pytest.approx((512, 4, 0.019))


def test_inference_perf_llmperf_and_trtllm_bench(tmp_path):
    stage = {
        "load_summary": {"count": 10, "requested_rate": 5.0},
        "successes": {
            "count": 10,
            "latency": {"request_latency": {"mean": 1.1}, "time_to_first_token": {"mean": 0.1}},
            "throughput": {"output_tokens_per_sec": 100.0},
            "prompt_len": {"mean": 500.0},
            "output_len": {"mean": 101.0},
        },
    }
    row = read_rows(result(tmp_path, stage), STATED)[0]
    assert (row.requests_per_s, row.tpot_s, row.ttft_s) == pytest.approx((5.0, 0.01, 0.1))
    stage["load_summary"] |= {"achieved_rate": 4.0, "concurrency": 7}
    row = read_rows(result(tmp_path, stage), STATED)[0]
    assert (row.load, row.concurrency, row.requests_per_s) == ("closed", 7, None)
    summary = {
        "model": "llama-3.1-8b",
        "num_concurrent_requests": 4,
        "results_ttft_s_mean": 0.1,
        "results_end_to_end_latency_s_mean": 1.1,
        "results_number_input_tokens_mean": 500,
        "results_number_output_tokens_mean": 101,
        "results_num_completed_requests": 90,
    }
    row = read_rows(result(tmp_path, summary), STATED)[0]
    assert (row.concurrency, row.tpot_s, row.isl) == pytest.approx((4, 0.01, 500))
    report = {
        "engine": {"model": "meta-llama/Llama-3.1-8B", "dtype": "bfloat16", "quantization": "FP8",
                   "kv_cache_dtype": "FP8"},
        "world_info": {"tp_size": 2, "pp_size": 1, "ep_size": 1},
        "request_info": {"avg_input_length": 1024, "avg_output_length": 512,
                         "avg_num_concurrent_requests": 480.2},
        "performance": {"system_output_throughput_tok_s": 2000},
        "streaming_metrics": {"avg_ttft_ms": 1200.0, "avg_tpot_ms": 22.6},
    }  # fmt: skip
    row = read_rows(result(tmp_path, report), Stated(hardware="h100"))[0]
    assert (row.framework, row.gpus, row.output_tokens_per_s_per_gpu) == ("trtllm", 2, 1000)
    assert names_of(row).quant == "fp8"


def test_summaries_of_mlperf(tmp_path):
    summary = (
        "MLPerf Results Summary\nSUT name : x\nScenario : {scenario}\nResult is : {result}\n"
        "Samples per second: 10.0\nTokens per second : 2000\n"
        "Scheduled samples per second : 9.5\nMean First Token latency (ns)   : 500000000\n"
        "Mean Time to Output Token (ns)  : 20000000\n"
    )
    stated = dataclasses.replace(STATED, isl=1000.0)
    path = text(tmp_path, summary.format(scenario="Server", result="VALID"))
    row = read_rows(path, stated)[0]
    assert (row.load, row.requests_per_s, row.ttft_s, row.tpot_s) == ("open", 9.5, 0.5, 0.02)
    assert (row.osl, row.output_tokens_per_s_per_gpu) == (200, 1000)
    path = text(tmp_path, summary.format(scenario="Offline", result="VALID"))
    row = read_rows(path, stated)[0]
    assert (row.load, row.ttft_s, row.refused) == ("offline", None, "")
    with pytest.raises(InputError, match="--isl"):
        read_rows(path, STATED)
    path = text(tmp_path, summary.format(scenario="Offline", result="INVALID"))
    with pytest.raises(InputError, match="not a valid run"):
        read_rows(path, stated)


def test_inferencex_csv(tmp_path):
    header = (
        "Model,ISL,OSL,Hardware,Hardware Key,Framework,Precision,TP,Concurrency,"
        "Output Throughput/GPU (tok/s),Mean TTFT (ms),Mean TPOT (ms),Disaggregated,EP\n"
    )
    line = "Llama 3.1 8B,1024,1024,H100 (vLLM),h100,vllm,fp8,2,16,700,45,9,false,1\n"
    path = text(tmp_path, header + line, name="ix.csv")
    row = read_rows(path, Stated(model="llama-3.1-8b"))[0]
    assert (row.ttft_s, row.tpot_s, row.gpus, row.concurrency) == pytest.approx(
        (0.045, 0.009, 2, 16)
    )
    assert row.isl == pytest.approx(921.6)
    excluded = text(tmp_path, header + line.replace("false", "true"), name="ix.csv")
    with pytest.raises(InputError, match="--prefill-tp"):
        read_rows(excluded, Stated(model="llama-3.1-8b"))


def test_two_pools_hits_and_acceptance_are_stated(tmp_path):
    pools = dataclasses.replace(STATED, prefill_tp=1.0, prefill_instances=2.0, hit_frac=0.5)
    row = read_rows(result(tmp_path, VLLM), pools)[0]
    assert (row.mode, row.gpus, row.hit_frac) == ("disaggregated", 4, 0.5)
    assert some(row.prefill).gpus == 2
    assert row.output_tokens_per_s_per_gpu == 375
    drafted = {**INFERENCEX, "spec_decoding": "mtp"}
    assert "unstated acceptance" in read_rows(result(tmp_path, drafted))[0].excluded
    row = read_rows(result(tmp_path, drafted), Stated(draft_tokens=3.0, accept_frac=0.7))[0]
    assert (row.excluded, row.draft_tokens, row.accept_frac) == ("", 3, 0.7)
    plain = read_rows(result(tmp_path, INFERENCEX), Stated(accept_frac=0.7))[0]
    assert plain.draft_tokens == 0  # its file says that it did not speculate
    with pytest.raises(InputError, match="leave --tp out"):
        read_rows(write(tmp_path, POINT), Stated(tp=2.0))


def test_another_chip_than_the_files_is_refused_and_folders_name_their_model(tmp_path):
    row = read_rows(result(tmp_path, INFERENCEX), Stated(hardware="h100"))[0]
    assert "measured on b200" in row.refused
    assert not read_rows(result(tmp_path, INFERENCEX), Stated(hardware="B200 SXM"))[0].refused
    kept = {**VLLM, "model_id": "/m/models--openai--gpt-oss-120b/snapshots/b5c9/"}
    row = read_rows(result(tmp_path, kept), dataclasses.replace(STATED, model=""))[0]
    assert row.model == "openai/gpt-oss-120b"


def test_without_a_label_a_run_has_the_format_of_its_name_or_its_checkpoint(tmp_path):
    for model, quant, label in (
        ("Qwen/Qwen3-8B-FP8", "fp8", ""),
        ("deepseek-r1", "fp8", ""),
        ("qwen3-8b", "bf16", ""),
        ("qwen3-8b", "bf16", "checkpoint"),
    ):
        stated = dataclasses.replace(STATED, model=model, precision=label)
        assert names_of(read_rows(result(tmp_path, VLLM), stated)[0]).quant == quant


# ---- third parties' runs ------------------------------------------------------------------------

THIRD = {
    "id": "x-1",
    "source": "a site",
    "engine": "vllm",
    "model": "qwen3-8b",
    "gpu": "h100",
    "gpus": "8",
    "tp": "1",
    "ep": "1",
    "dp": "8",
    "precision": "bf16",
    "kv_precision": "fp8_e4m3",
    "isl_mean": "200",
    "osl_mean": "100",
    "concurrency": "4",
    "num_prompts": "100",
    "prefix_hits": "0 assumed",
    "ttft_p50_ms": "50",
    "tpot_mean_ms": "8",
    "out_tok_per_s": "800",
    "regime": "low_load",
    "quality": "A",
}


def third(folder, **changes):
    row = {**THIRD, **changes}
    return read_rows(write(folder, row, columns=list(row)))[0]


def test_a_third_partys_run(tmp_path):
    row = third(tmp_path)
    assert (row.concurrency, row.finite, row.load, row.excluded) == (4, False, "closed", "")
    assert (row.ttft_s, row.tpot_s, row.output_tokens_per_s_per_gpu) == (0.05, 0.008, 100)
    assert (some(row.decode).tp, some(row.decode).ep, row.gpus) == (1, 8, 8)
    assert "fp8 kv" in row.precision
    assert row.regime == "low_load"


def test_widths_of_replicas_and_of_all_gpus(tmp_path):
    over_all = third(tmp_path, tp="8", dp="2", engine="sglang").decode
    assert (some(over_all).tp, some(over_all).ep, some(over_all).gpus) == (4, 8, 8)
    replicas = third(tmp_path, tp="4", dp="2").decode
    assert (some(replicas).tp, some(replicas).ep, some(replicas).gpus) == (4, 8, 8)
    assert "layout" in third(tmp_path, tp="3", dp="2").refused


def test_a_run_of_all_prompts_at_once_is_finite(tmp_path):
    row = third(tmp_path, concurrency="", regime="finite_burst", prefix_hits="0.97")
    assert (row.concurrency, row.finite, row.hit_frac) == (100, True, 0.97)
    assert (row.osl_cv, row.default_limits) == (0.0, True)
    chats = third(tmp_path, isl_mean="217.4", osl_mean="201.8")
    nominal = third(tmp_path, isl_mean="3995.9", osl_mean="199.6")
    assert (chats.osl_cv, nominal.osl_cv) == (1.0, 0.0)
    rated = third(tmp_path, concurrency="", rate_rps="3", regime="steady")
    assert (rated.load, rated.requests_per_s, rated.finite) == ("open", 3, False)
    assert "doubtful" in third(tmp_path, quality="C").excluded
    assert "neither" in third(tmp_path, concurrency="", num_prompts="").refused
    with pytest.raises(InputError, match="column regime: is 'warm'"):
        third(tmp_path, regime="warm")


def test_options_that_a_third_partys_table_states(tmp_path):
    plain = third(tmp_path, ttft_mean_ms="60")
    assert (plain.limits, plain.batched_tokens) == (Limits(), None)
    assert not plain.even
    assert not plain.of_medians
    assert third(tmp_path).of_medians
    noted = third(tmp_path, note="constant arrivals; max-num-seqs 128; tracing")
    assert (noted.limits.max_sequences, noted.even) == (128, True)
    assert third(tmp_path, note="at most 64 sequences").limits.max_sequences == 64
    given = {"max_num_seqs": "32", "memory_frac": "0.8", "max_num_batched_tokens": "4096"}
    stated = third(tmp_path, note="max-num-seqs 128", arrivals="constant", **given)
    assert stated.limits == Limits(32, 0.8)
    assert (stated.batched_tokens, stated.even) == (4096, True)
    for wrong in ({"memory_frac": "1.5"}, {"arrivals": "bursts"}, {"max_num_seqs": "2.5"}):
        with pytest.raises(InputError, match=f"column .*{next(iter(wrong))}"):
            third(tmp_path, **wrong)


def test_limits_of_an_engine_are_those_stated_else_its_own(tmp_path):
    """SGLang divides its limits among data-parallel ranks and keeps memory free by a sum."""
    wide = {"engine": "sglang", "gpu": "h200", "tp": "8", "model": "deepseek-r1"}
    wide |= {"precision": "fp8(block128)", "max_num_seqs": "256"}

    def limits(**changes):
        row = third(tmp_path, **{**wide, **changes})
        named = names_of(row)
        card = load_engine(named.engine, named.hardware.name, named.model)
        most = serving_of(row, named, card).most_sequences
        return pass_tokens(row, named), reserve_frac(row, named), most

    alone = limits(dp="1")
    # 512 MiB, 8,192 tokens, 512 sequences of a graph, eight GPUs: 14,848 MiB of 141 GiB.
    assert alone == (8192, pytest.approx(14848 * 2**20 / 151.4e9, rel=0.01), 256)
    # With eight attention ranks, 18,432 MiB more.
    assert limits() == (1024, pytest.approx(33280 * 2**20 / 151.4e9, rel=0.01), 32)
    given = limits(memory_frac="0.8", max_num_batched_tokens="65536")
    assert given == (8192, pytest.approx(0.2), 32)
    vllm = {"engine": "vllm", "tp": "1", "max_num_seqs": ""}
    assert limits(**vllm) == (8192, pytest.approx(0.1), 1024)


def test_the_published_runs_that_ship_are_readable():
    rows = read_rows(PUBLISHED)
    assert 40 <= len(rows) < 100
    assert all(names_of(row) for row in rows if not row.refused)


def test_runs_that_must_have_drafted_are_set_apart(tmp_path):
    """Only where the model can draft, and only the whole curve that twice the GPUs cannot match."""

    def points(model, small_ms):
        large = {"tp_size": "8", "moe_tp_size": "8"}
        for load, small, big in (("4", small_ms, "9.0"), ("64", "20.0", "19.0")):
            own = {**POINT, "id": f"run_{load}", "model_path": model, "concurrency": load}
            yield {**own, "silicon_tpot_ms": small}
            yield {**own, **large, "silicon_tpot_ms": big}

    def excluded(model, small_ms):
        path = tmp_path / "points.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(POINT))
            writer.writeheader()
            writer.writerows(points(model, small_ms))
        return [row.excluded for row in read_rows(path)]

    drafts = "Qwen/Qwen3.5-397B-A17B"
    assert excluded(drafts, "6.0") == [WHY, "", WHY, ""]
    assert excluded(drafts, "8.5") == [""] * 4
    assert excluded("meta-llama/Llama-3.1-70B", "6.0") == [""] * 4


def test_speculation_that_a_record_only_names_has_a_prior(tmp_path):
    """Its drafts are those stated, else the prior's."""
    prior = speculation_prior()
    three, some, none = (run(tmp_path, spec_decode=word) for word in ("MTP3", "MTP", "none"))
    assert (three.draft_tokens, three.accept_frac) == (3.0, prior.accept_frac)
    assert (some.draft_tokens, some.accept_frac) == (prior.draft_tokens, prior.accept_frac)
    assert (none.draft_tokens, none.excluded) == (0.0, "")
    assert "unstated acceptance" in some.excluded
