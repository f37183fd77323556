"""What is in a client's record of requests: inference-perf's, or vLLM's bench result?"""

from pathlib import Path

import numpy as np

from jaxsim.catalog.documents import MOST_TABLE_BYTES, read_json
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.read.requests import Requests, Skipped, requests_of

BENCH = ("input_lens", "output_lens", "start_times")


def read_json_log(path: Path, sort: bool) -> Requests:
    """The requests of one JSON document; failed ones are counted and left out."""
    document = read_json(path, most_bytes=MOST_TABLE_BYTES)
    if isinstance(document, dict) and all(key in document for key in BENCH):
        return _bench(path, document)
    if isinstance(document, dict):
        document = document.get("requests", document.get("per_request", document))
    if isinstance(document, list) and document and isinstance(document[0], dict):
        return _lifecycle(path, document)
    raise InputError(
        f"{path}: neither a list of requests with start_time, end_time and info (inference-perf) "
        f"nor a result with {', '.join(BENCH)} (vllm bench serve --save-detailed)."
    )


def _bench(path: Path, document: dict[str, object]) -> Requests:
    columns = {name: _column(path, name, _listed(document, name)) for name in BENCH}
    if len({len(values) for values in columns.values()}) > 1:
        raise InputError(f"{path}: {', '.join(BENCH)} have different lengths.")
    start = columns["start_times"]
    kept = columns["output_lens"] > 0
    skipped = Skipped(
        int((~kept).sum()), tuple(f"request {i + 1}: failed" for i in np.where(~kept)[0][:5])
    )
    measured = {}
    ttfts, gaps = _listed(document, "ttfts"), _listed(document, "itls")
    if len(ttfts) == len(start):
        ttft = _column(path, "ttfts", ttfts)
        measured["ttft_s"] = ttft[kept]
        if len(gaps) == len(start):
            measured["e2e_s"] = (
                ttft + np.asarray([np.sum(_column(path, "itls", one)) for one in gaps])
            )[kept]
    if not kept.any():
        raise InputError(f"{path}: every request failed.")
    return requests_of(
        _from_first(start[kept]),
        columns["input_lens"][kept],
        columns["output_lens"][kept],
        name=path.name,
        sort=True,
        skipped=skipped,
        measured=measured,
    )


def _column(path: Path, name: str, listed: object) -> np.ndarray:
    """A list of numbers."""
    numbers = isinstance(listed, list) and all(
        isinstance(x, int | float) and not isinstance(x, bool) for x in listed
    )
    if not numbers:
        raise InputError(f"{path}: {name}: a list of numbers is needed.")
    return np.asarray(listed, np.float64)


def _from_first(times: np.ndarray) -> np.ndarray:
    """Times since the first; NaN, which is refused, where one is not finite."""
    with np.errstate(invalid="ignore"):
        return times - times.min()


def _listed(document: dict[str, object], name: str) -> list[object]:
    """A list of the file; empty where it has none of that name."""
    values = document.get(name)
    return values if isinstance(values, list) else []


def _lifecycle(path: Path, document: list[object]) -> Requests:
    rows, skipped = [], Skipped()
    for number, row in enumerate(document, 1):
        info = row.get("info") if isinstance(row, dict) else None
        if not isinstance(row, dict) or row.get("error") or not isinstance(info, dict):
            skipped = skipped.and_line(f"request {number}", "failed")
            continue
        try:
            start, end = _seconds(row, "start_time"), _seconds(row, "end_time")
            times = [float(time) for time in list(info.get("output_token_times") or ())]
            tokens = float(info["output_tokens"])
            rows.append(
                (start, float(info["input_tokens"]), tokens, (times or [np.nan])[0], end, number)
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            skipped = skipped.and_line(f"request {number}", f"{type(error).__name__}: {error}")
    if not rows:
        raise InputError(f"{path}: no request was served: {'; '.join(skipped.named)}.")
    table = np.asarray(rows)
    start = table[:, 0]
    return requests_of(
        _from_first(start),
        table[:, 1],
        table[:, 2],
        name=path.name,
        sort=True,
        where=lambda row: f"request {int(table[row, 5])}",
        skipped=skipped,
        measured={"ttft_s": table[:, 3] - start, "e2e_s": table[:, 4] - start},
    )


def _seconds(row: dict[str, object], name: str) -> float:
    value = row[name]
    if not isinstance(value, int | float | str):
        raise TypeError(f"{name} is no number")
    return float(value)
