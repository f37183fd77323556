"""Which run do a log of its requests, or the files of its ranks, amount to?"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

from jaxsim.catalog.errors import InputError
from jaxsim.truth.read.clients.entry import Entry, in_system, layout_of, row_of
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.rows import ServingRow

_RANK = re.compile(r"rank[-_.]?(\d+)", re.IGNORECASE)
_UNITS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class _Request:
    """One request that was answered: its tokens, and seconds."""

    isl: float
    osl: float
    start_s: float
    end_s: float
    ttft_s: float
    tpot_s: float | None


def is_request_log(entries: Sequence[Mapping[str, object]]) -> bool:
    """Whether these are AIPerf's records of requests (`profile_export.jsonl`)."""
    return all(
        isinstance(one.get("metadata"), Mapping)
        and isinstance(one.get("metrics"), Mapping)
        and "request_start_ns" in Entry("", 0, one).part("metadata").raw
        for one in entries
    )


def aiperf_log(entries: Sequence[dict[str, object]], path: str, stated: Stated) -> ServingRow:
    """The run that AIPerf's records of requests amount to; failed and warm-up ones are left out.

    Means over requests; their tokens over the time from the first one's start to the last one's
    end; and, where it is not stated, the mean number in the system, N = X · T.
    """
    made = [_request(Entry(path, number, raw)) for number, raw in enumerate(entries, start=1)]
    requests = [one for one in made if one is not None]
    if not requests:
        raise InputError(f"{path}: no request was completed.")
    span_s = max(one.end_s for one in requests) - min(one.start_s for one in requests)
    if span_s <= 0.0:
        raise InputError(f"{path}: all requests start and end at one time.")
    gaps = [one.tpot_s for one in requests if one.tpot_s is not None]
    latency_s = fmean(one.end_s - one.start_s for one in requests)
    concurrency, excluded = stated.concurrency, ""
    if not (concurrency or stated.rate):
        concurrency = in_system(len(requests) / span_s, latency_s)
        excluded = "concurrency not stated; implied by N = X · T"
    entry = Entry(path, 1, {})
    return row_of(
        entry,
        stated,
        "AIPerf",
        layout_of(entry, stated, None, None),
        isl=fmean(one.isl for one in requests),
        osl=fmean(one.osl for one in requests),
        concurrency=concurrency,
        prompts=float(len(requests)),
        ttft_s=fmean(one.ttft_s for one in requests),
        ttft_median_s=median(one.ttft_s for one in requests),
        tpot_s=fmean(gaps) if gaps else None,
        output_tokens_per_s=sum(one.osl for one in requests) / span_s,
        speculation_known=False,
        excluded=excluded,
    )


def _request(entry: Entry) -> _Request | None:
    """A record's request, None of one that failed, was cut short or warmed the server up."""
    told, metrics = entry.part("metadata"), entry.part("metrics")
    if entry.raw.get("error") or told.raw.get("was_cancelled"):
        return None
    if str(told.raw.get("benchmark_phase", "")).lower() == "warmup":
        return None

    def value(name: str, needed: bool = True) -> float | None:
        own = metrics.part(name)
        unit = str(own.raw.get("unit", "")).lower()
        number = own.number_of("value", _UNITS.get(unit, 1.0))
        if number is None and needed:
            raise entry.error(name, "is missing; the run may not have streamed")
        return number

    def at_s(name: str) -> float:
        number = told.number_of(name, 1e-9)
        if number is None:
            raise entry.error(name, "is missing")
        return number

    isl, osl, ttft = (
        value(name) or 0.0
        for name in ("input_sequence_length", "output_sequence_length", "time_to_first_token")
    )
    start_s, end_s = at_s("request_start_ns"), at_s("request_end_ns")
    if end_s < start_s:
        raise entry.error("request_end_ns", "is before request_start_ns")
    return _Request(isl, osl, start_s, end_s, ttft, value("inter_token_latency", needed=False))


def rank_files(folder: Path) -> list[Path]:
    """The files of a folder that say a rank in their names, by rank; an error if one is missing."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        number = _RANK.search(path.name)
        if number is None or not path.is_file():
            continue
        if int(number[1]) in found:
            raise InputError(f"{folder}: two files of rank {int(number[1])}.")
        found[int(number[1])] = path
    if not found:
        raise InputError(
            f"{folder}: holds no files of ranks, such as result-rank0.json; give one file."
        )
    missing = sorted(set(range(max(found) + 1)) - set(found))
    if missing:
        raise InputError(f"{folder}: rank {missing[0]} of 0 to {max(found)} is missing.")
    return [found[rank] for rank in sorted(found)]


def of_ranks(rows: Sequence[ServingRow], folder: Path, stated: Stated) -> ServingRow:
    """One run from what each of its ranks measured at the same time.

    Tokens/s, requests in the system and requests/s add up; lengths and latencies are means, by the
    requests of a rank. `rows` have the layout of the whole run.
    """
    weights = [row.prompts or 1.0 for row in rows]

    def mean(name: str) -> float | None:
        values = [getattr(row, name) for row in rows]
        if any(value is None for value in values):
            return None
        pairs = zip(values, weights, strict=True)
        return sum(value * weight for value, weight in pairs) / sum(weights)

    def total(name: str) -> float | None:
        values = [getattr(row, name) for row in rows]
        return None if any(value is None for value in values) else sum(values)

    concurrency = None if stated.rate else stated.concurrency or total("concurrency")
    return replace(
        rows[0],
        id=folder.name,
        isl=mean("isl") or rows[0].isl,
        osl=mean("osl") or rows[0].osl,
        load="closed" if concurrency else "open",
        concurrency=concurrency,
        requests_per_s=stated.rate or total("requests_per_s"),
        prompts=stated.prompts or total("prompts"),
        ttft_s=mean("ttft_s"),
        tpot_s=mean("tpot_s"),
        ttft_median_s=None,
        output_tokens_per_s_per_gpu=total("output_tokens_per_s_per_gpu"),
    )
