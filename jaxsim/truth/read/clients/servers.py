"""How are results of the serving benchmarks of vLLM and SGLang read: JSON, and what they print?"""

import re
from typing import TypedDict

from jaxsim.catalog.errors import InputError
from jaxsim.truth.read.clients.entry import Entry, layout_of, row_of
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.rows import ServingRow

TITLE = "Serving Benchmark Result"
# A printed line, by what stands before its unit, and the key that JSON has for it.
PRINTED = {
    "successful requests": "completed",
    "failed requests": "failed",
    "maximum request concurrency": "max_concurrency",
    "max request concurrency": "max_concurrency",
    "request rate configured": "request_rate",
    "traffic request rate": "request_rate",
    "backend": "backend",
    "benchmark duration": "duration",
    "total input tokens": "total_input_tokens",
    "total generated tokens": "total_output_tokens",
    "output token throughput": "output_throughput",
    "mean ttft": "mean_ttft_ms",
    "median ttft": "median_ttft_ms",
    "mean tpot": "mean_tpot_ms",
    "median tpot": "median_tpot_ms",
    "mean e2el": "mean_e2el_ms",
    "mean e2e latency": "mean_e2e_latency_ms",
    "accept length": "accept_length",
}
_LINE = re.compile(r"^\W*([A-Za-z][\w .\-]*?)\s*(?:\([^)]*\))?\s*:\s+(\S+)")


def printed(text: str, path: str) -> list[Entry]:
    """The results that a text holds, between whatever else was printed or written around them."""
    entries = []
    for number, block in enumerate(text.split(TITLE)[1:], start=1):
        raw: dict[str, str] = {}
        for line in block.splitlines():
            if line.strip().strip("=") == "" and "==" in line and raw:
                break
            match = _LINE.match(line)
            key = PRINTED.get(match[1].strip().lower()) if match else None
            if match and key:
                raw[key] = match[2].replace(",", "")
        if "mean_ttft_ms" not in raw or "completed" not in raw:
            raise InputError(
                f"{path}: result {number}: no line 'Successful requests' or 'Mean TTFT (ms)'; the "
                "text may be truncated."
            )
        if raw.get("max_concurrency", "").lower() in ("none", "not"):
            del raw["max_concurrency"]
        entries.append(Entry(path, number, raw))
    return entries


class _Shared(TypedDict):
    """What both benchmarks call alike."""

    isl: float
    osl: float
    concurrency: float | None
    prompts: float
    requests_per_s: float | None
    ttft_s: float | None
    tpot_s: float | None
    output_tokens_per_s: float | None
    ttft_median_s: float | None


def _shared(entry: Entry, prefix: str = "") -> _Shared:
    """What both benchmarks call alike."""
    number = entry.number_of
    completed = number("completed") or 0.0
    if not completed:
        raise entry.error("completed", "no request was completed")
    return {
        "isl": (number("total_input_tokens") or 0.0) / completed,
        "osl": (number("total_output_tokens") or 0.0) / completed,
        "concurrency": number("max_concurrency"),
        "prompts": completed,
        "requests_per_s": entry.rate("request_rate"),
        "ttft_s": number("mean_ttft_ms", 1e-3),
        "tpot_s": number("mean_tpot_ms", 1e-3),
        "output_tokens_per_s": number("output_throughput"),
        "ttft_median_s": number("median_ttft_ms", 1e-3),
    }


def vllm(entry: Entry, stated: Stated) -> ServingRow:
    """`vllm bench serve`, also run against another server; `--metadata` keys say the rest."""
    number = entry.number_of
    backend = entry.word("backend").lower()
    return row_of(
        entry,
        stated,
        "vllm bench serve",
        layout_of(entry, stated, number("tp"), number("ep"), number("pp")),
        model=entry.word("model_id"),
        hardware=entry.word("hardware"),
        engine=next((name for name in ("sglang", "tensorrt") if name in backend), "vllm"),
        precision=entry.word("precision"),
        speculation_known=False,
        **_shared(entry),
    )


def sglang(entry: Entry, stated: Stated) -> ServingRow:
    """A line of SGLang's serving benchmark."""
    server = entry.part("server_info")
    layout = layout_of(entry, stated, server.number_of("tp_size"), server.number_of("ep_size"))
    word = str(entry.raw.get("accept_length"))
    accepted = None if word in ("None", "nan") else entry.number_of("accept_length")
    speculated = accepted is not None and accepted > 1.0
    return row_of(
        entry,
        stated,
        "SGLang bench_serving",
        layout,
        model=server.word("model_path"),
        hardware=entry.word("hardware"),
        engine="sglang",
        precision=server.word("quantization"),
        speculation="mtp" if speculated else "none",
        excluded="speculative decoding" if speculated else "",
        **_shared(entry),
    )
