"""How are GuideLLM's reports read: JSON of its versions, and CSV with three rows of header?"""

import csv
import json
from collections.abc import Mapping, Sequence

from jaxsim.catalog.errors import InputError
from jaxsim.truth.read.clients.entry import Entry, after_first_s, layout_of, row_of
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.rows import ServingRow

# A group and a column of the CSV, and the metric of the JSON.
CSV_METRICS = {
    ("Request Latency", "Successful Sec"): "request_latency",
    ("Time to First Token", "Successful ms"): "time_to_first_token_ms",
    ("Token Metrics", "Successful Input Tokens"): "prompt_token_count",
    ("Token Metrics", "Successful Output Tokens"): "output_token_count",
    ("Token Throughput", "Successful Output Tokens/Sec"): "output_tokens_per_second",
    ("Server Throughput", "Successful Concurrency"): "request_concurrency",
}


def read(entry: Entry, stated: Stated) -> list[ServingRow]:
    """The benchmarks of a report, one row each, or an error where one completed nothing."""
    args = entry.part("args")
    rows = []
    for number, raw in enumerate(entry.listed("benchmarks"), start=1):
        if not isinstance(raw, Mapping):
            raise entry.error("benchmarks", f"entry {number} is no object")
        rows.append(_row(Entry(entry.path, number, raw), stated, args.word("model")))
    return rows


def _mean(entry: Entry, name: str, which: str = "mean") -> float | None:
    """The mean of a metric over successful requests, however this version keeps it."""
    metric = entry.part("metrics", name)
    own = metric.part("successful")
    own = own if own.raw else metric
    mean = own.number_of(which)
    if mean is None and which == "mean":
        count, total = own.number_of("total_count"), own.number_of("total_sum")
        mean = total / count if count and total is not None else None
    return mean


def _row(entry: Entry, stated: Stated, model: str) -> ServingRow:
    strategy = entry.part("config", "strategy")
    strategy = strategy if strategy.raw else entry.part("args", "strategy")
    kind = strategy.word("type_")
    totals = entry.part("metrics", "request_totals")
    prompts = totals.number_of("successful")
    if not prompts:
        raise entry.error("request_totals", "no request was completed")
    concurrency = strategy.number_of("streams") or strategy.number_of("max_concurrency")
    rate = strategy.rate("rate") if kind in ("constant", "poisson", "async") else None
    if kind == "synchronous":
        concurrency = 1.0
    if rate:
        concurrency = None  # a cap on what is in flight, beside a rate
    ttft_s = _mean(entry, "time_to_first_token_ms")
    ttft_s = None if ttft_s is None else 1e-3 * ttft_s
    osl = _mean(entry, "output_token_count")
    median = _mean(entry, "time_to_first_token_ms", "median")
    model = model or entry.part("config", "backend").word("model")
    model = model or entry.part("worker").word("backend_model")
    return row_of(
        entry,
        stated,
        "GuideLLM",
        layout_of(entry, stated, None, None),
        model=model,
        isl=_mean(entry, "prompt_token_count"),
        osl=osl,
        concurrency=concurrency,
        prompts=prompts,
        requests_per_s=rate,
        ttft_s=ttft_s,
        # Its own time per output token is the whole latency over all tokens.
        tpot_s=after_first_s(_mean(entry, "request_latency"), ttft_s, osl),
        output_tokens_per_s=_mean(entry, "output_tokens_per_second"),
        ttft_median_s=None if median is None else 1e-3 * median,
        speculation_known=False,
    )


def read_csv(text: str, path: str, stated: Stated) -> list[ServingRow]:
    """The rows of GuideLLM's CSV: group, column and statistic stand in three header rows."""
    lines = list(csv.reader(text.splitlines()))
    if len(lines) < 4:
        raise InputError(f"{path}: holds no benchmark below the three rows of its header.")
    heads = list(zip(*lines[:3], strict=False))
    rows = []
    for number, cells in enumerate(lines[3:], start=1):
        if len(cells) != len(heads):
            raise InputError(
                f"{path}: line {number + 3} has {len(cells)} cells, the header {len(heads)}; the "
                "file may be truncated."
            )
        rows.append(_row(_from_cells(heads, cells, path, number), stated, ""))
    return rows


def _from_cells(
    heads: Sequence[tuple[str, str, str]], cells: list[str], path: str, number: int
) -> Entry:
    """One line of the CSV as the JSON has it."""
    metrics: dict[str, dict[str, str]] = {}
    strategy: dict[str, object] = {}
    model = ""
    for (group, column, statistic), cell in zip(heads, cells, strict=True):
        name = CSV_METRICS.get((group, column))
        if name and statistic in ("Mean", "Median") and cell:
            metrics.setdefault(name, {})[statistic.lower()] = cell
        elif (group, column) == ("Request Counts", "Successful"):
            metrics["request_totals"] = {"successful": cell}
        elif (group, column) == ("Benchmark", "Strategy"):
            strategy["type_"] = cell
        elif (group, column) in (("Run Info", "Profile"), ("Run Info", "Backend")):
            content = _json(cell)
            model = str(content.get("model") or model)
            for key in ("streams", "max_concurrency", "rate"):
                value = content.get(key)
                index = int(number) - 1
                if isinstance(value, list):
                    value = value[index] if index < len(value) else None
                if value is not None:
                    strategy[key] = value
    raw = {
        "metrics": metrics,
        "config": {"strategy": strategy, "backend": {"model": model}},
    }
    if strategy.get("type_") == "concurrent" and "streams" not in strategy:
        mean = metrics.get("request_concurrency", {}).get("mean")
        strategy["streams"] = max(round(float(mean)), 1) if mean else None
    return Entry(path, number, raw)


def _json(cell: str) -> Mapping[str, object]:
    try:
        value = json.loads(cell)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, Mapping) else {}
