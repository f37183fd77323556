"""How is a table of runs at arrival rates read (one line a run, with percentiles)?"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from jaxsim.traffic.layout import Layout
from jaxsim.traffic.read.requests import Requests
from jaxsim.truth.read.names import Named
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.read.table import Line, check_columns

REQUIRED = {"row_id", "engine", "model", "gpu", "arrival", "rate_rps", "isl_mean_tok"}
_MORE = (
    "source_url engine_version weights_dtype gpus_total mode prefill_instances "
    "prefill_gpus_per_instance decode_instances decode_gpus_per_instance tp max_num_seqs "
    "max_batched_tokens duration_s requests_done requests_failed osl_mean_tok prefix_hit_or_reuse "
    "ttft_mean_ms ttft_p50_ms ttft_p90_ms ttft_p95_ms ttft_p99_ms tpot_mean_ms tpot_p50_ms "
    "tpot_p90_ms tpot_p99_ms itl_mean_ms itl_p99_ms e2e_mean_ms e2e_p50_ms e2e_p90_ms e2e_p95_ms "
    "e2e_p99_ms req_per_s out_tok_per_s slo goodput_or_attainment replicas_mean replicas_max "
    "startup_s kv_transfer quality note"
)
OPTIONAL: set[str] = set(_MORE.split())
# What runs are compared by, and the column of each.
MEASURES = (
    "ttft_mean", "ttft_p50", "ttft_p90", "ttft_p99", "tpot_mean", "tpot_p50", "tpot_p90",
    "e2e_mean", "e2e_p50", "e2e_p99",
)  # fmt: skip
# What vLLM allows where a row does not say: its defaults for a server on data-centre GPUs.
VLLM_SEQUENCES, VLLM_TOKENS = 256.0, 2048.0
BLOCK_TOKENS = 16.0


@dataclass(frozen=True)
class ArrivalRun:
    """One run whose requests arrived at a rate, or as a log says, and what was measured.

    `row` names model, hardware, engine and formats. Gaps between arrivals vary by `cv`. `shared`
    tokens of every prompt are found in a prefix cache. `requests` are there where a log has them.
    `transfer_s` is what a prompt's cache took, over links of `line_bytes_per_s` in all.
    `refused` says why no prediction is possible; `overload` whether it was past its capacity.
    """

    row: ServingRow
    family: str
    cv: float
    duration_s: float
    replicas: int
    sequences: float
    tokens: float
    shared: float
    timeout_s: float
    overload: bool
    measured: dict[str, float]
    refused: str = ""
    requests: Requests | None = None
    transfer_s: float | None = None
    line_bytes_per_s: float | None = None
    named: Named | None = None
    predicted: dict[str, float] = field(default_factory=dict)


def is_arrivals(columns: list[str]) -> bool:
    """Whether a table is of this layout."""
    return set(columns) >= REQUIRED


def read(path: Path, columns: list[str], lines: list[Line]) -> list[ArrivalRun]:
    """The runs of a table."""
    check_columns(path, columns, REQUIRED, OPTIONAL, "arrivals")
    return [_run(line) for line in lines]


def _run(line: Line) -> ArrivalRun:
    number, text = line.number_of, line.text
    tp, rate = number("tp", zero=False), number("rate_rps", zero=False)
    isl, osl = number("isl_mean_tok", zero=False), number("osl_mean_tok", zero=False)
    replicas = int(number("prefill_instances", zero=False) or 1.0)
    cv, duration = _cv(text("arrival")), number("duration_s", zero=False)
    if duration is None and rate and (count := number("requests_done", zero=False)):
        duration = count / rate
    shared, unclear = _shared(text("prefix_hit_or_reuse"))
    refused = ""
    for bad, why in (
        (text("mode", "agg") != "agg", "only co-located runs say all that a simulation needs"),
        (bool(text("replicas_mean")), "the number of replicas changed by a rule not stated"),
        (unclear, "how much of a prompt was shared with which others is not stated"),
        (isl is None or osl is None, "lengths not stated"),
        (rate is None, "no rate of arrivals"),
        (cv is None, "how requests arrived is not stated"),
        (tp is None, "parallel layout not stated"),
    ):
        if bad:
            refused = why
    served = Layout(tp or 1.0, 1.0, 1.0, float(replicas))
    row = ServingRow(
        id=line.need("row_id"),
        line=line.number,
        source=text("source_url"),
        model=line.need("model"),
        hardware=line.need("gpu"),
        framework=line.need("engine"),
        version=text("engine_version"),
        precision=text("weights_dtype"),
        formats=("", ""),
        mode="colocated",
        load="open",
        isl=isl or 1.0,
        osl=osl or 2.0,
        isl_max=isl or 1.0,
        osl_max=osl or 2.0,
        concurrency=None,
        requests_per_s=rate,
        decode=served,
        prefill=None,
        ttft_s=_seconds(line, "ttft_mean_ms"),
        tpot_s=_seconds(line, "tpot_mean_ms"),
        output_tokens_per_s_per_gpu=None,
        excluded="of doubtful quality, as its collector says" if text("quality") == "C" else "",
    )
    measured = {m: s for m in MEASURES if (s := _seconds(line, f"{m}_ms")) is not None}
    if not measured and not refused:
        refused = "no latency was measured"
    transfer_s, line_bytes_per_s = _transfer(text("kv_transfer"), text("note"))
    return ArrivalRun(
        row=row,
        family=row.id.split("-")[0],
        cv=0.0 if cv is None else cv,
        duration_s=duration or 600.0,
        replicas=replicas,
        sequences=number("max_num_seqs", zero=False) or VLLM_SEQUENCES,
        tokens=number("max_batched_tokens", zero=False) or VLLM_TOKENS,
        shared=shared,
        timeout_s=_timeout_s(text("note")),
        overload="overload" in text("quality") or bool(number("requests_failed")),
        measured=measured,
        refused=refused,
        transfer_s=transfer_s,
        line_bytes_per_s=line_bytes_per_s,
    )


def _seconds(line: Line, column: str) -> float | None:
    value = line.number_of(column)
    return None if value is None else 1e-3 * value


def _cv(arrival: str) -> float | None:
    """Variation of gaps; None where the words name no process that can be drawn."""
    word = arrival.lower()
    if "burstiness 100" in word or word.startswith("constant"):
        return 0.0
    return 1.0 if word.startswith("poisson") else None


def _shared(words: str) -> tuple[float, bool]:
    """Tokens of a prompt that others share, in whole blocks, and whether that is unclear."""
    if not words or "none" in words.lower():
        return 0.0, False
    match = re.search(r"shared system prompt of (\d+)-(\d+) tokens", words)
    if match is None:
        return 0.0, True
    mean = 0.5 * (float(match.group(1)) + float(match.group(2)))
    return BLOCK_TOKENS * (mean // BLOCK_TOKENS), False


def _transfer(words: str, note: str) -> tuple[float | None, float | None]:
    """Seconds of a transfer, and bytes/s of all links together, where they are stated."""
    time = re.search(r"([\d.]+) ms\b", words)
    line = re.search(r"([\d.]+) GB/s aggregate line rate", note)
    seconds = 1e-3 * float(time.group(1)) if time else None
    return seconds, 1e9 * float(line.group(1)) if line else None


def _timeout_s(note: str) -> float:
    """After how long clients gave up; infinite where not stated."""
    match = re.search(r"(\d+) s (?:client )?timeout", note)
    return float(match.group(1)) if match else float("inf")
