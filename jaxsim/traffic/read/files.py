"""Which reader does a trace need, and what does it hold?

A file is told by what it holds, not by its name: Mooncake's and vLLM's JSON lines, Azure's and
BurstGPT's CSV, ServeGen's folder or archive, request records of inference-perf and vLLM's client.
"""

from pathlib import Path

from jaxsim.catalog.documents import given_path
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.read import csv_traces, json_lines, json_logs, servegen
from jaxsim.traffic.read.requests import Requests

UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
FORMATS = (
    "Mooncake JSON lines (timestamp, input_length, output_length), a CSV of Azure (TIMESTAMP, "
    "ContextTokens, GeneratedTokens) or BurstGPT (Timestamp, Request tokens, Response tokens), a "
    "ServeGen folder or .tar.xz (chunk-N-trace.csv), request logs of vLLM (input_toks, "
    "output_toks, arrival_time; or a bench result with --save-detailed) or of inference-perf"
)


def read_trace(
    path: str | Path,
    *,
    seed: int = 0,
    allow_truncated: bool = False,
    sort: bool = False,
    time_unit: str | None = None,
) -> Requests:
    """The requests of a trace or a log.

    A line that cannot be read is counted and named in `skipped`, and where there are many the file
    is refused. A file that ends in the middle of a line is an error unless `allow_truncated`.
    `seed` draws the requests of a ServeGen folder, which holds distributions.

    >>> path = pathlib.Path(tempfile.mkdtemp()) / "trace.jsonl"
    >>> line = '{"timestamp": 0, "input_length": 512, "output_length": 64, "hash_ids": [1]}'
    >>> _ = path.write_text(line + "\\n")
    >>> jaxsim.read_trace(path).isl.tolist()
    [512]
    """
    source = given_path(path)
    if not source.exists():
        raise InputError(f"{path}: no such file; a trace is {FORMATS}.")
    if time_unit is not None and time_unit not in UNITS_S:
        raise InputError(f"time unit {time_unit!r}: known are {', '.join(UNITS_S)}.")
    unit_s = None if time_unit is None else UNITS_S[time_unit]
    if source.is_dir() or source.name.endswith((".tar.xz", ".tar.gz", ".tar")):
        return servegen.read_servegen(source, seed)
    start = _first_bytes(source)
    if start.lstrip()[:1] in ("[", "{") and not _is_lines(start):
        return json_logs.read_json_log(source, sort)
    if start.lstrip()[:1] == "{":
        return json_lines.read_json_lines(source, unit_s, allow_truncated, sort)
    if "," in start.partition("\n")[0]:
        return csv_traces.read_csv_trace(source, unit_s, allow_truncated, sort)
    raise InputError(f"{path}: not a trace that jaxsim knows: {FORMATS}.")


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path}: a pointer of Git LFS, not the file itself; fetch it first.")
    if not start.strip():
        raise InputError(f"{path}: the file is empty.")
    return start.decode("utf-8", "replace")


def _is_lines(start: str) -> bool:
    """Whether the first line is a whole JSON object: then each line is one."""
    line = start.lstrip().partition("\n")[0].strip()
    return line.startswith("{") and line.endswith("}") and '"input_lens"' not in line
