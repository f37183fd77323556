"""Which benchmark client wrote a result file, and which runs does it hold?

AIPerf, GenAI-Perf, GuideLLM, inference-perf, llmperf, `vllm bench serve`, SGLang's `bench_serving`,
`trtllm-bench`, InferenceX and MLPerf each write files of their own. What a file does not say (which
GPUs, how many, how laid out) the caller states.
"""

from pathlib import Path

from jaxsim.catalog.errors import InputError
from jaxsim.truth.read.clients import guidellm, profilers, requests, servers, vendors
from jaxsim.truth.read.clients.entry import Entry
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.read.table import Line

KNOWN = (
    "Known are AIPerf (time_to_first_token; or metadata and metrics of each request), GuideLLM "
    "(benchmarks), inference-perf (load_summary, successes), llmperf (results_ttft_s_mean), vllm "
    "bench serve and SGLang (mean_ttft_ms), trtllm-bench (world_info, performance), "
    "InferenceX (hw, tput_per_gpu)"
)


def read_json(entries: list[dict[str, object]], path: Path, stated: Stated) -> list[ServingRow]:
    """The runs of a JSON file of any known client."""
    if requests.is_request_log(entries):
        return [requests.aiperf_log(entries, str(path), stated)]
    rows = []
    for number, raw in enumerate(entries, start=1):
        rows += _rows(Entry(str(path), number, raw), stated)
    return rows


def _rows(entry: Entry, stated: Stated) -> list[ServingRow]:
    raw = entry.raw
    if isinstance(raw.get("benchmarks"), list):
        return guidellm.read(entry, stated)
    if "tput_per_gpu" in raw and "hw" in raw:
        return [vendors.inferencex(entry, stated)]
    if "world_info" in raw and "performance" in raw:
        return [vendors.trtllm_bench(entry, stated)]
    if "load_summary" in raw and "successes" in raw:
        return [profilers.inference_perf(entry, stated)]
    if "results_ttft_s_mean" in raw:
        return [profilers.llmperf(entry, stated)]
    if isinstance(raw.get("time_to_first_token"), dict):
        return [profilers.aiperf(entry, stated)]
    if "mean_ttft_ms" in raw:
        vllm = "mean_e2el_ms" in raw or "model_id" in raw
        return [(servers.vllm if vllm else servers.sglang)(entry, stated)]
    raise InputError(
        f"{entry.path}: entry {entry.number}: not the result of a known client. {KNOWN}."
    )


def read_text(text: str, path: Path, stated: Stated) -> list[ServingRow] | None:
    """The runs that a text holds, None where it is no text of a known client."""
    if servers.TITLE in text:
        return [_printed(entry, stated) for entry in servers.printed(text, str(path))]
    if vendors.is_mlperf(text):
        return [vendors.mlperf(text, str(path), stated)]
    first = text.lstrip("\ufeff \n").partition("\n")[0]
    if first.startswith("Metric,"):
        return [profilers.aiperf(profilers.genai_perf(text, str(path)), stated)]
    if first.startswith("Run Info,"):
        return guidellm.read_csv(text, str(path), stated)
    return None


def _printed(entry: Entry, stated: Stated) -> ServingRow:
    sglang = "sglang" in entry.word("backend").lower() or "mean_e2e_latency_ms" in entry.raw
    return (servers.sglang if sglang else servers.vllm)(entry, stated)


def is_inferencex(columns: list[str]) -> bool:
    """Whether a table has the columns of InferenceX's CSV."""
    names = {column.strip().lower() for column in columns}
    return {"hardware", "framework", "isl"} <= names and bool({"conc", "concurrency"} & names)


def read_inferencex(lines: list[Line], stated: Stated) -> list[ServingRow]:
    """The runs of InferenceX's CSV."""
    return [vendors.inferencex(entry, stated) for entry in vendors.inferencex_lines(lines)]
