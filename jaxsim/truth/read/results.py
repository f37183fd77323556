"""How are the result files of benchmark clients read?

AIPerf, `vllm bench serve`, SGLang's `bench_serving` and InferenceX each write JSON of their own.
What a file does not say (which GPUs, how many, how laid out) the caller states.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.rows import ServingRow, implied_tokens_per_s_per_gpu
from jaxsim.truth.read.run_table import pool_of
from jaxsim.truth.read.serving_table import INFERENCEX_MEAN

_AIPERF_UNITS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Stated:
    """What the caller says about a run where its file does not; empty or None: nothing."""

    model: str = ""
    hardware: str = ""
    engine: str = ""
    precision: str = ""
    tp: float | None = None
    ep: float | None = None
    pp: float | None = None


@dataclass(frozen=True)
class Entry:
    """One JSON object of a result file."""

    path: str
    number: int
    raw: Mapping[str, Any]

    def error(self, key: str, problem: str) -> InputError:
        """An error about one key."""
        return InputError(f"{self.path}: entry {self.number}, {key}: {problem}.")

    def number_of(self, key: str, scale: float = 1.0) -> float | None:
        """A number, 0 or more, or None where absent."""
        value = self.raw.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self.error(key, f"is {value!r}; a number is needed")
        try:
            number = float(value)
        except ValueError:
            raise self.error(key, f"is {value!r}; a number is needed") from None
        if not math.isfinite(number) or number < 0:
            raise self.error(key, f"is {value}; it must be 0 or more, and finite")
        return number * scale

    def need(self, key: str, stated: str = "") -> str:
        """A word of the file, or what the caller stated."""
        word = stated or str(self.raw.get(key) or "").strip()
        if not word:
            raise self.error(key, "is not in the file; state it, for example with --" + key)
        return word


def read(entries: list[dict], path: Path, stated: Stated) -> list[ServingRow]:
    """The runs of a result file of any known client."""
    rows = []
    for number, raw in enumerate(entries, start=1):
        entry = Entry(str(path), number, raw)
        rows.append(_reader(entry)(entry, stated))
    return rows


def _reader(entry: Entry) -> Callable[[Entry, Stated], ServingRow]:
    raw = entry.raw
    if "tput_per_gpu" in raw and "hw" in raw:
        return _inferencex
    if isinstance(raw.get("time_to_first_token"), dict):
        return _aiperf
    if "mean_ttft_ms" in raw and ("mean_e2el_ms" in raw or "model_id" in raw):
        return _vllm
    if "mean_ttft_ms" in raw:
        return _sglang
    raise InputError(
        f"{entry.path}: entry {entry.number}: not the result of a known client. Known are AIPerf "
        "(time_to_first_token), vllm bench serve and SGLang (mean_ttft_ms), InferenceX "
        "(hw, tput_per_gpu)."
    )


def _layout(entry: Entry, stated: Stated, tp: float | None, ep: float | None) -> Layout:
    tp = stated.tp or tp
    if not tp:
        raise entry.error("tp", "the layout is not in the file; state it with --tp (and --ep)")
    return Layout(tp, stated.ep or ep or 1.0, stated.pp or 1.0)


def _rate(entry: Entry, key: str) -> float | None:
    """A request rate, None where it is absent or "inf": requests then follow one another."""
    if str(entry.raw.get(key)).lower() in ("inf", "infinity"):
        return None
    return entry.number_of(key) or None


def _row(entry: Entry, source: str, layout: Layout, prefill: Layout | None = None, **fields: Any):
    lengths = (fields["isl"], fields["osl"])
    for name, value in zip(("isl", "osl"), lengths, strict=True):
        if not value:
            raise entry.error(name, "mean length is missing or 0")
    fields.setdefault("isl_max", fields["isl"])
    fields.setdefault("osl_max", fields["osl"])
    if fields.get("requests_per_s"):
        fields["concurrency"] = None  # a rate is the load; a cap on what is in flight is none
    defaults: dict[str, Any] = {
        "id": f"{Path(entry.path).name}#{entry.number}",
        "line": entry.number,
        "source": source,
        "version": "",
        "formats": ("", ""),
        "load": "closed" if fields.get("concurrency") else "open",
        "requests_per_s": None,
        "decode": layout,
        "prefill": prefill,
        "mode": "disaggregated" if prefill else "aggregated",
    }
    row = ServingRow(**{**defaults, **fields})
    if row.load == "open" and row.requests_per_s is None:
        return replace(row, refused="neither concurrency nor a request rate is stated")
    if row.output_tokens_per_s_per_gpu is None:
        rate = implied_tokens_per_s_per_gpu(row)
        return replace(row, output_tokens_per_s_per_gpu=rate)
    return row


def _vllm(entry: Entry, stated: Stated) -> ServingRow:
    """`vllm bench serve --save-result`; extra keys given with `--metadata` say the rest."""
    number = entry.number_of
    layout = _layout(entry, stated, number("tp"), number("ep"))
    completed = number("completed") or 0.0
    if not completed:
        raise entry.error("completed", "no request was completed")
    rate = number("output_throughput")
    return _row(
        entry,
        "vllm bench serve",
        layout,
        model=entry.need("model_id", stated.model),
        hardware=entry.need("hardware", stated.hardware),
        framework=stated.engine or "vllm",
        precision=stated.precision or str(entry.raw.get("precision") or "bf16"),
        isl=(number("total_input_tokens") or 0.0) / completed,
        osl=(number("total_output_tokens") or 0.0) / completed,
        concurrency=number("max_concurrency"),
        requests_per_s=_rate(entry, "request_rate"),
        ttft_s=number("mean_ttft_ms", 1e-3),
        tpot_s=number("mean_tpot_ms", 1e-3),
        output_tokens_per_s_per_gpu=None if rate is None else rate / layout.gpus,
        ttft_median_s=number("median_ttft_ms", 1e-3),
    )


def _sglang(entry: Entry, stated: Stated) -> ServingRow:
    """A line of SGLang's serving benchmark."""
    number = entry.number_of
    server = entry.raw.get("server_info")
    server = Entry(entry.path, entry.number, server if isinstance(server, dict) else {})
    ep = server.number_of("ep_size")
    layout = _layout(entry, stated, server.number_of("tp_size"), ep)
    completed = number("completed") or 0.0
    if not completed:
        raise entry.error("completed", "no request was completed")
    rate = number("output_throughput")
    accepted = number("accept_length")
    return _row(
        entry,
        "SGLang bench_serving",
        layout,
        model=stated.model or server.need("model_path", stated.model),
        hardware=entry.need("hardware", stated.hardware),
        framework=stated.engine or "sglang",
        precision=stated.precision or str(server.raw.get("quantization") or "bf16"),
        isl=(number("total_input_tokens") or 0.0) / completed,
        osl=(number("total_output_tokens") or 0.0) / completed,
        concurrency=number("max_concurrency"),
        requests_per_s=_rate(entry, "request_rate"),
        ttft_s=number("mean_ttft_ms", 1e-3),
        tpot_s=number("mean_tpot_ms", 1e-3),
        output_tokens_per_s_per_gpu=None if rate is None else rate / layout.gpus,
        ttft_median_s=number("median_ttft_ms", 1e-3),
        speculation="mtp" if accepted and accepted > 1.0 else "none",
        apart="speculative decoding" if accepted and accepted > 1.0 else "",
    )


def _aiperf(entry: Entry, stated: Stated) -> ServingRow:
    """AIPerf's (or GenAI-Perf's) `profile_export_aiperf.json`."""
    if entry.raw.get("is_complete") is False:
        raise entry.error("is_complete", "is false; the run was cut short")

    def mean(key: str, seconds: bool = True) -> float | None:
        metric = entry.raw.get(key)
        if not isinstance(metric, dict):
            return None
        own = Entry(entry.path, entry.number, metric)
        if not seconds:
            return own.number_of("avg")
        unit = str(metric.get("unit", "ms")).lower()
        if unit not in _AIPERF_UNITS:
            known = ", ".join(_AIPERF_UNITS)
            raise entry.error(key, f"has unit {unit!r}; known are {known}")
        return own.number_of("avg", _AIPERF_UNITS[unit])

    config = entry.raw.get("input_config")
    config = config if isinstance(config, dict) else {}
    loadgen = config.get("loadgen")
    endpoint = config.get("endpoint")
    loadgen = loadgen if isinstance(loadgen, dict) else {}
    names = (endpoint if isinstance(endpoint, dict) else {}).get("model_names") or [""]
    layout = _layout(entry, stated, None, None)
    load = Entry(entry.path, entry.number, loadgen)
    rate = mean("output_token_throughput", seconds=False)
    return _row(
        entry,
        "AIPerf",
        layout,
        model=stated.model or entry.need("model", str(names[0])),
        hardware=entry.need("hardware", stated.hardware),
        framework=entry.need("engine", stated.engine),
        precision=stated.precision or "bf16",
        isl=mean("input_sequence_length", seconds=False),
        osl=mean("output_sequence_length", seconds=False),
        concurrency=load.number_of("concurrency"),
        requests_per_s=_rate(load, "request_rate"),
        ttft_s=mean("time_to_first_token"),
        tpot_s=mean("inter_token_latency"),
        output_tokens_per_s_per_gpu=None if rate is None else rate / layout.gpus,
    )


def _inferencex(entry: Entry, stated: Stated) -> ServingRow:
    """InferenceX's `agg_*.json`: latencies in seconds, rates over the GPUs of one pool."""
    number, raw = entry.number_of, entry.raw
    apart = raw.get("disagg") in (True, "true", "True", 1)
    decoders, prefillers = number("num_decode_gpu"), number("num_prefill_gpu")
    rate = number("output_tput_per_gpu")

    def pool(prefix: str, gpus: float | None) -> Layout | None:
        spread = str(raw.get(f"{prefix}dp_attention", "")).lower() in ("true", "1")
        tp, workers = number(f"{prefix}tp"), number(f"{prefix}num_workers")
        return pool_of(gpus, workers, tp, number(f"{prefix}ep"), spread, number(f"{prefix}pp"))

    if apart:
        decode, prefill = pool("decode_", decoders), pool("prefill_", prefillers)
        if rate is not None and decoders and prefillers:
            rate *= decoders / (decoders + prefillers)
    else:
        decode, prefill = pool("", None), None
    if decode is None or (apart and prefill is None):
        raise entry.error("tp", "the layout cannot be read from the file")
    isl, osl = number("isl") or 0.0, number("osl") or 0.0
    speculation = str(raw.get("spec_decoding") or "none").lower()
    return _row(
        entry,
        "InferenceX",
        decode,
        prefill,
        model=stated.model or entry.need("model"),
        hardware=stated.hardware or entry.need("hw"),
        framework=stated.engine or entry.need("framework"),
        precision=stated.precision or entry.need("precision"),
        isl=isl * INFERENCEX_MEAN,
        osl=osl * INFERENCEX_MEAN,
        isl_max=isl,
        osl_max=osl,
        concurrency=number("conc"),
        ttft_s=number("mean_ttft"),
        tpot_s=number("mean_tpot"),
        output_tokens_per_s_per_gpu=rate,
        ttft_median_s=number("median_ttft"),
        speculation="none" if speculation in ("none", "false", "") else "mtp",
        apart=""
        if speculation in ("none", "false", "")
        else "speculative decoding with unstated acceptance",
        client="inferencex",
    )
