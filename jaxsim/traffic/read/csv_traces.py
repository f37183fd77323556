"""What is in a trace that is a CSV table: Azure's, or BurstGPT's?"""

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.read.json_lines import lines_of, refuse_many
from jaxsim.traffic.read.requests import Requests, Skipped, check_unit, requests_of

AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURST = ("Timestamp", "Request tokens", "Response tokens")
PLAIN = ("arrival_s", "isl", "osl")
_FRACTION = re.compile(r"(\.\d{1,6})\d*")


def read_csv_trace(path: Path, unit_s: float | None, allow_truncated: bool, sort: bool) -> Requests:
    """The requests of a CSV table; of plain ones with columns arrival_s, isl, osl too."""
    lines = lines_of(path, allow_truncated)
    header = [name.strip().lstrip("\ufeff") for name in next(_rows(path, lines[:1]), [])]
    kind = next((k for k in (AZURE, BURST, PLAIN) if set(k) <= set(header)), None)
    if kind is None:
        raise InputError(
            f"{path}: its columns are {', '.join(header)}; a trace has {', '.join(AZURE)} (Azure), "
            f"{', '.join(BURST)} (BurstGPT) or {', '.join(PLAIN)}."
        )
    places = [header.index(name) for name in kind]
    times, isl, osl, numbers = [], [], [], []
    skipped, failed = Skipped(), Skipped()
    for number, row in enumerate(_rows(path, lines[1:]), 2):
        if not row:
            continue
        try:
            stamp, first, second = (row[place].strip() for place in places)
            time = _clock_s(stamp) if kind is AZURE else float(stamp)
            lengths = float(first), float(second)
        except (ValueError, IndexError) as error:
            skipped = skipped.and_line(f"line {number}", str(error))
            continue
        if kind is BURST and lengths[1] == 0.0:  # a request that failed: nothing was generated
            failed = failed.and_line(f"line {number}", "no response token: a failed request")
            continue
        times.append(time)
        isl.append(lengths[0])
        osl.append(lengths[1])
        numbers.append(number)
    refuse_many(path, skipped, len(lines))
    if not times:
        raise InputError(f"{path}: it holds no request.")
    stamps = np.asarray(times, np.float64)
    if kind is AZURE:
        stamps = stamps - np.nanmin(stamps)
    requests = requests_of(
        stamps * (unit_s or 1.0),
        isl,
        osl,
        name=path.name,
        sort=sort,
        where=lambda row: f"line {numbers[row]}",
        skipped=Skipped(skipped.count + failed.count, (*skipped.named, *failed.named)),
    )
    return check_unit(requests, "s")


def _rows(path: Path, lines: list[str]) -> Iterator[list[str]]:
    """The rows of a CSV table; an InputError where a line is none."""
    try:
        yield from csv.reader(lines)
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}.") from None


def _clock_s(stamp: str) -> float:
    """Seconds of a date and time; digits of the fraction and the offset may vary."""
    moment = datetime.fromisoformat(_FRACTION.sub(r"\1", stamp.replace("Z", "+00:00"), count=1))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
