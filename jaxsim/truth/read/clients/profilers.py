"""How are results of load generators read: AIPerf, GenAI-Perf, inference-perf, llmperf?"""

import csv
import re
from collections.abc import Mapping

from jaxsim.catalog.errors import InputError
from jaxsim.truth.read.clients.entry import (
    Entry,
    after_first_s,
    in_system,
    layout_of,
    row_of,
)
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.rows import ServingRow

_UNITS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def _mean(entry: Entry, key: str, seconds: bool = True) -> float | None:
    """The mean of a metric of AIPerf, in seconds where it is a time."""
    own = entry.part(key)
    if not seconds:
        return own.number_of("avg")
    unit = str(own.raw.get("unit", "ms")).lower()
    if unit not in _UNITS:
        known = ", ".join(_UNITS)
        raise entry.error(key, f"has unit {unit!r}; known are {known}")
    return own.number_of("avg", _UNITS[unit])


def _load(entry: Entry) -> Entry:
    """The load of a run of AIPerf: its last phase, or what its load generator was told."""
    phases = entry.part("input_config").raw.get("phases")
    if isinstance(phases, list) and phases and isinstance(phases[-1], Mapping):
        return Entry(entry.path, entry.number, phases[-1])
    return entry.part("input_config", "loadgen")


def _model(entry: Entry) -> str:
    config = entry.part("input_config")
    names = config.part("endpoint").listed("model_names") or [""]
    first = (config.part("models").listed("items") or [{}])[0]
    listed = first.get("name", "") if isinstance(first, Mapping) else first
    return str(names[0] or listed)


def aiperf(entry: Entry, stated: Stated) -> ServingRow:
    """AIPerf's (or GenAI-Perf's) `profile_export_aiperf.json`."""
    if entry.raw.get("is_complete") is False:
        raise entry.error("is_complete", "is false; the run was cut short")
    load = _load(entry)
    latency_s = _mean(entry, "request_latency")
    rate = load.rate("request_rate") or load.rate("rate")
    concurrency = load.number_of("concurrency")
    excluded = ""
    if not (rate or concurrency or stated.rate or stated.concurrency):
        concurrency = in_system(_mean(entry, "request_throughput", seconds=False), latency_s)
        excluded = "concurrency not stated; implied by N = X · T" if concurrency else ""
    return row_of(
        entry,
        stated,
        "AIPerf",
        layout_of(entry, stated, None, None),
        model=_model(entry),
        isl=_mean(entry, "input_sequence_length", seconds=False),
        osl=_mean(entry, "output_sequence_length", seconds=False),
        concurrency=concurrency,
        prompts=_mean(entry, "request_count", seconds=False),
        requests_per_s=rate,
        ttft_s=_mean(entry, "time_to_first_token"),
        tpot_s=_mean(entry, "inter_token_latency"),
        output_tokens_per_s=_mean(entry, "output_token_throughput", seconds=False),
        ttft_median_s=_median(entry, "time_to_first_token"),
        speculation_known=False,
        excluded=excluded,
    )


def _median(entry: Entry, key: str) -> float | None:
    own = entry.part(key)
    return own.number_of("p50", _UNITS.get(str(own.raw.get("unit", "ms")).lower(), 1e-3))


def genai_perf(text: str, path: str) -> Entry:
    """The metrics of GenAI-Perf's (or AIPerf's) CSV, as its JSON has them.

    The file holds tables one below another: of distributions, then of single values.
    """
    raw: dict[str, dict[str, str]] = {}
    header: list[str] = []
    for cells in csv.reader(text.splitlines()):
        if not cells or not cells[0].strip():
            continue
        if cells[0].strip() == "Metric":
            header = [cell.strip().lower() for cell in cells]
            continue
        name = re.match(r"\s*(.*?)\s*(?:\(([^)]*)\))?\s*$", cells[0])
        if name is None or not header:
            continue
        if len(cells) != len(header):
            raise InputError(
                f"{path}: {cells[0]!r} has {len(cells)} cells, its table {len(header)}; the file "
                "may be truncated."
            )
        own = dict(zip(header[1:], (cell.replace(",", "") for cell in cells[1:]), strict=True))
        own["avg"] = own.pop("value", own.get("avg", ""))
        own["unit"] = name[2] or ""
        raw[re.sub(r"\W+", "_", name[1].lower())] = own
    if "time_to_first_token" not in raw:
        raise InputError(f"{path}: no metric 'Time To First Token'; the run may not have streamed.")
    return Entry(path, 1, raw)


def inference_perf(entry: Entry, stated: Stated) -> ServingRow:
    """A stage of inference-perf (`stage_N_lifecycle_metrics.json`).

    It counts the events of a stream and not its tokens, so that the time a token follows from the
    latency of requests.
    """
    done, load = entry.part("successes"), entry.part("load_summary")
    if not done.number_of("count"):
        raise entry.error("successes", "no request was completed")
    latency = done.part("latency")
    ttft_s = latency.part("time_to_first_token").number_of("mean")
    osl = stated.osl or done.part("output_len").number_of("mean")
    latency_s = latency.part("request_latency").number_of("mean")
    # With a concurrency, the rate that was achieved is what the server gave, and no load.
    concurrency = load.number_of("concurrency") or load.number_of("concurrency_level")
    rate = None if concurrency else load.rate("requested_rate") or load.rate("achieved_rate")
    return row_of(
        entry,
        stated,
        "inference-perf",
        layout_of(entry, stated, None, None),
        isl=done.part("prompt_len").number_of("mean"),
        osl=osl,
        concurrency=concurrency,
        prompts=done.number_of("count"),
        requests_per_s=rate,
        ttft_s=ttft_s,
        tpot_s=after_first_s(latency_s, ttft_s, osl),
        output_tokens_per_s=done.part("throughput").number_of("output_tokens_per_sec"),
        ttft_median_s=latency.part("time_to_first_token").number_of("median"),
        speculation_known=False,
    )


def llmperf(entry: Entry, stated: Stated) -> ServingRow:
    """The summary of llmperf, whose time between tokens holds the first one too."""
    number = entry.number_of
    ttft_s, osl = number("results_ttft_s_mean"), number("results_number_output_tokens_mean")
    return row_of(
        entry,
        stated,
        "llmperf",
        layout_of(entry, stated, None, None),
        model=entry.word("model"),
        isl=number("results_number_input_tokens_mean") or number("mean_input_tokens"),
        osl=osl or number("mean_output_tokens"),
        concurrency=number("num_concurrent_requests"),
        prompts=number("results_num_completed_requests"),
        ttft_s=ttft_s,
        tpot_s=after_first_s(number("results_end_to_end_latency_s_mean"), ttft_s, osl),
        output_tokens_per_s=number("results_mean_output_throughput_token_per_s"),
        ttft_median_s=number("results_ttft_s_quantiles_p50"),
        speculation_known=False,
    )
