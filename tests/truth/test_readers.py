"""Measured rows: what is read, how widths are understood, what is refused."""

import csv
import json

import numpy as np
import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.truth.read.names import names_of
from jaxsim.truth.read.readers import PUBLISHED, read_rows
from jaxsim.truth.read.results import Stated
from jaxsim.truth.read.serving_table import OPTIONAL, REQUIRED

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
    assert (row.decode.tp, row.decode.ep, row.gpus) == (4, 1, 4)
    # N = X · T, of which the rate is implied.
    rate = 32 / (0.160 + (921.6 - 1) * 0.015)
    np.testing.assert_allclose(row.output_tokens_per_s_per_gpu, rate * 921.6 / 4)


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
    assert (layout.tp, layout.ep, layout.gpus) == expected


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
    assert (row.prefill.gpus, row.decode.gpus, row.gpus) == (12, 8, 20)
    assert not row.apart
    assert (
        "worker"
        in one(
            tmp_path,
            mode="disagg",
            tp_size="",
            model_path=model,
            **{**pools, "prefill_num_workers": ""},
        ).apart
    )


def test_unstated_speculation_is_set_apart(tmp_path):
    assert one(tmp_path, model_path="deepseek-ai/DeepSeek-R1").speculation == "unknown"


def test_a_published_run(tmp_path):
    row = run(tmp_path)
    assert (row.prefill.workers, row.prefill.tp, row.prefill.ep) == (2, 1, 8)
    assert (row.decode.workers, row.decode.tp, row.decode.ep) == (1, 1, 8)
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
        names_of(one(tmp_path, model_path="Qwen/Qwen3.5-397B-A17B"))


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
    assert "nor a request rate" in read_rows(result(tmp_path, free), STATED)[0].refused
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


def test_inferencex_rates_are_over_all_gpus(tmp_path):
    row = read_rows(result(tmp_path, INFERENCEX))[0]
    assert row.output_tokens_per_s_per_gpu == 300
    assert (row.ttft_s, row.tpot_s) == (1.5, 0.012)
    assert (row.prefill.tp, row.prefill.ep, row.prefill.gpus) == (1, 4, 8)
    assert (row.decode.tp, row.decode.ep) == (8, 8)


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
    assert (row.concurrency, row.prompts, row.load, row.apart) == (4, None, "closed", "")
    assert (row.ttft_s, row.tpot_s, row.output_tokens_per_s_per_gpu) == (0.05, 0.008, 100)
    assert (row.decode.tp, row.decode.ep, row.gpus) == (1, 8, 8)
    assert "fp8 kv" in row.precision
    assert row.regime == "low_load"


def test_widths_of_replicas_and_of_all_gpus(tmp_path):
    over_all = third(tmp_path, tp="8", dp="2", engine="sglang").decode
    assert (over_all.tp, over_all.ep, over_all.gpus) == (4, 8, 8)
    replicas = third(tmp_path, tp="4", dp="2").decode
    assert (replicas.tp, replicas.ep, replicas.gpus) == (4, 8, 8)
    assert "layout" in third(tmp_path, tp="3", dp="2").refused


def test_a_run_of_all_prompts_at_once_is_finite(tmp_path):
    row = third(tmp_path, concurrency="", regime="finite_burst", prefix_hits="0.97")
    assert (row.concurrency, row.prompts, row.hit_frac) == (100, 100, 0.97)
    rated = third(tmp_path, concurrency="", rate_rps="3", regime="steady")
    assert (rated.load, rated.requests_per_s, rated.prompts) == ("open", 3, None)
    assert "doubtful" in third(tmp_path, quality="C").apart
    assert "neither" in third(tmp_path, concurrency="", num_prompts="").refused
    with pytest.raises(InputError, match="column regime: is 'warm'"):
        third(tmp_path, regime="warm")


def test_the_published_runs_that_ship_are_readable():
    rows = read_rows(PUBLISHED)
    assert 40 <= len(rows) < 100
    assert all(names_of(row) for row in rows if not row.refused)
