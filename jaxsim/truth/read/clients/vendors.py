"""How are published records read: InferenceX (JSON, CSV), trtllm-bench, MLPerf's summaries?"""

import re
from pathlib import Path

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.clients.entry import Entry, layout_of, row_of
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.read.run_table import pool_of
from jaxsim.truth.read.serving_table import INFERENCEX_MEAN
from jaxsim.truth.read.table import Line

UNSTATED = "speculative decoding with unstated acceptance"
# Columns of InferenceX's CSV (of its site, and of what its runs print), by the keys of its JSON.
CSV_COLUMNS = {
    "hardware key": "hw", "hardware": "hw", "model": "model", "served model": "model",
    "framework": "framework", "precision": "precision", "isl": "isl", "osl": "osl", "tp": "tp",
    "ep": "ep", "dp attention": "dp_attention", "concurrency": "conc", "conc": "conc",
    "spec decoding": "spec_decoding", "spec decode": "spec_decoding", "disaggregated": "disagg",
    "mean ttft (ms)": "mean_ttft", "median ttft (ms)": "median_ttft", "ttft (ms)": "median_ttft",
    "mean tpot (ms)": "mean_tpot", "median tpot (ms)": "median_tpot", "tpot (ms)": "median_tpot",
    "throughput/gpu (tok/s)": "tput_per_gpu", "tput per gpu": "tput_per_gpu",
    "output throughput/gpu (tok/s)": "output_tput_per_gpu",
    "output tput per gpu": "output_tput_per_gpu",
    "num prefill gpus": "num_prefill_gpu", "num decode gpus": "num_decode_gpu",
    "prefill gpus": "num_prefill_gpu", "decode gpus": "num_decode_gpu",
    **{f"{pool} {name}": f"{pool}_{key}" for pool in ("prefill", "decode") for name, key in (
        ("tp", "tp"), ("ep", "ep"), ("dp attn", "dp_attention"), ("workers", "num_workers"))},
}  # fmt: skip


def inferencex_lines(lines: list[Line]) -> list[Entry]:
    """The lines of InferenceX's CSV as its JSON has them."""
    performance = []
    for line in lines:
        raw: dict[str, str] = {}
        for column, cell in line.cells.items():
            key, value = CSV_COLUMNS.get(column.strip().lower()), cell.strip()
            if key and value and not (key in ("model", "hw") and key in raw and column == "Model"):
                milli = key.endswith(("_ttft", "_tpot"))
                raw[key] = str(1e-3 * float(value)) if milli and _is_number(value) else value
        performance.append(Entry(line.path, line.number, raw))
    return performance


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[0-9.eE+-]+", word) is not None


def inferencex(entry: Entry, stated: Stated) -> ServingRow:
    """InferenceX's `agg_*.json`: latencies in seconds, rates over the GPUs of one pool."""
    number, raw = entry.number_of, entry.raw
    disaggregated = str(raw.get("disagg")).lower() in ("true", "1", "yes")
    decoders, prefillers = number("num_decode_gpu"), number("num_prefill_gpu")
    rate = number("output_tput_per_gpu")

    def pool(prefix: str, gpus: float | None) -> Layout | None:
        spread = str(raw.get(f"{prefix}dp_attention", "")).lower() in ("true", "1", "yes")
        tp, workers = number(f"{prefix}tp"), number(f"{prefix}num_workers")
        return pool_of(gpus, workers, tp, number(f"{prefix}ep"), spread, number(f"{prefix}pp"))

    prefill = None
    if stated.tp:
        decode = layout_of(entry, stated, None, None)
    elif disaggregated:
        decode, prefill = pool("decode_", decoders), pool("prefill_", prefillers)
    else:
        decode = pool("", None)
    if disaggregated and rate is not None and decoders and prefillers:
        rate *= decoders / (decoders + prefillers)
    if decode is None or (disaggregated and prefill is None and stated.prefill is None):
        raise entry.error(
            "tp",
            "the layout cannot be read from the file; state both pools with --tp, --instances, "
            "--prefill-tp, --prefill-instances (and their --ep)"
            if disaggregated
            else "the layout cannot be read from the file; state it with --tp (and --ep)",
        )
    isl, osl = number("isl") or 0.0, number("osl") or 0.0
    speculated = str(raw.get("spec_decoding") or "none").lower() not in ("none", "false", "", "no")
    ttft_s, tpot_s = number("mean_ttft"), number("mean_tpot")
    return row_of(
        entry,
        stated,
        "InferenceX",
        decode,
        prefill,
        model=entry.word("model"),
        hardware=entry.word("hw"),
        engine=entry.word("framework"),
        precision=entry.word("precision"),
        isl=isl * INFERENCEX_MEAN,
        osl=osl * INFERENCEX_MEAN,
        isl_max=isl,
        osl_max=osl,
        concurrency=number("conc"),
        ttft_s=ttft_s,
        tpot_s=number("median_tpot") if tpot_s is None else tpot_s,
        output_tokens_per_s_per_gpu=rate,
        ttft_median_s=number("median_ttft"),
        speculation="mtp" if speculated else "none",
        excluded=UNSTATED if speculated else "",
        client="inferencex",
    )


def trtllm_bench(entry: Entry, stated: Stated) -> ServingRow:
    """The report of `trtllm-bench throughput` or `latency`."""
    engine, world = entry.part("engine"), entry.part("world_info")
    request, performance = entry.part("request_info"), entry.part("performance")
    streamed = entry.part("streaming_metrics")
    weights = engine.word("quantization").lower()
    weights = engine.word("dtype") if weights in ("", "none", "no_quant") else weights
    cache = engine.word("kv_cache_dtype").lower()
    precision = f"{weights}, fp8 kv" if "fp8" in cache and "fp8" not in weights else weights
    osl = request.number_of("avg_output_length")
    per_user = performance.number_of("output_throughput_per_user_tok_s")
    tpot_s = streamed.number_of("avg_tpot_ms", 1e-3)
    number = world.number_of
    return row_of(
        entry,
        stated,
        "trtllm-bench",
        layout_of(entry, stated, number("tp_size"), number("ep_size"), number("pp_size")),
        model=engine.word("model", "model_path"),
        engine="trtllm",
        precision=precision,
        isl=request.number_of("avg_input_length"),
        osl=osl,
        concurrency=request.number_of("avg_num_concurrent_requests"),
        prompts=None,  # its mean in flight is of the whole run, its start and its end included
        ttft_s=streamed.number_of("avg_ttft_ms", 1e-3),
        tpot_s=tpot_s if tpot_s is not None else (1.0 / per_user if per_user else None),
        output_tokens_per_s=performance.number_of("system_output_throughput_tok_s"),
        version=engine.word("version"),
        speculation_known=False,
    )


def mlperf(text: str, path: str, stated: Stated) -> ServingRow:
    """MLPerf LoadGen's `mlperf_log_summary.txt`.

    It holds neither lengths, model nor hardware. Offline, all samples wait at once; in a server
    scenario they arrive at random, at the rate that was scheduled.
    """
    raw: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip():
            raw.setdefault(re.sub(r"\s+", " ", key.strip().lower()), value.strip())
    entry = Entry(path, 1, raw)
    if entry.word("result is").upper() != "VALID":
        raise entry.error("Result is", f"{entry.word('result is') or 'missing'}: not a valid run")
    scenario = entry.word("scenario").lower()
    if scenario not in ("offline", "server", "interactive"):
        raise entry.error("Scenario", f"is {scenario!r}; offline, server or interactive is needed")
    number = entry.number_of
    tokens = number("completed tokens per second") or number("tokens per second")
    samples = number("completed samples per second") or number("samples per second")
    if not tokens:
        raise entry.error("Tokens per second", "is not in the file; its model may not stream")
    offline = scenario == "offline"
    osl = stated.osl or (tokens / samples if samples else None)
    row = row_of(
        entry,
        stated,
        "MLPerf",
        layout_of(entry, stated, None, None),
        isl=stated.isl,
        osl=osl,
        concurrency=None,
        prompts=number("samples per query") or number("min_query_count") if offline else None,
        requests_per_s=None if offline else number("scheduled samples per second"),
        ttft_s=None if offline else number("mean first token latency (ns)", 1e-9),
        tpot_s=None if offline else number("mean time to output token (ns)", 1e-9),
        output_tokens_per_s=tokens,
        id=Path(path).name,
        load="offline" if offline else "open",
        speculation_known=False,
        refused="" if offline or number("scheduled samples per second") else "rate not in the file",
    )
    return row


def is_mlperf(text: str) -> bool:
    """Whether a text is a summary of MLPerf's LoadGen."""
    return "MLPerf Results Summary" in text


def no_summary(path: str) -> InputError:
    """An error about a text that nothing is known of."""
    return InputError(
        f"{path}: no known layout. Texts that are read: 'Serving Benchmark Result' as vLLM and "
        "SGLang print it, MLPerf's mlperf_log_summary.txt; else CSV and JSON."
    )
