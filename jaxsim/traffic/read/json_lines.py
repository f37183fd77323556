"""What is in a trace of JSON lines: Mooncake's, or vLLM's log of requests?"""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import numpy as np

from jaxsim.catalog.documents import MOST_TABLE_BYTES, decode_json, read_text
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.read.requests import (
    MOST_SKIPPED_FRAC,
    Blocks,
    Requests,
    Skipped,
    check_unit,
    requests_of,
)

BLOCK_TOKENS = 512  # of a prefix block, in every trace of Mooncake's repository
MOONCAKE = ("timestamp", "input_length", "output_length")
VLLM = ("input_toks", "output_toks", "arrival_time")


def lines_of(path: Path, allow_truncated: bool) -> list[str]:
    """The lines of a text file; an InputError where the last one is cut off."""
    text = read_text(path, MOST_TABLE_BYTES, errors="replace")
    lines = text.splitlines()
    if text and not text.endswith("\n") and not _whole(lines):
        if not allow_truncated:
            raise InputError(
                f"{path}: it ends in the middle of line {len(lines)}. Use --allow-truncated to "
                "read the lines before."
            )
        lines = lines[:-1]
    return lines


def _whole(lines: list[str]) -> bool:
    """Whether the last of the lines is as complete as the one before it."""
    if lines[-1].lstrip().startswith("{"):
        return lines[-1].rstrip().endswith("}")
    return len(lines) < 2 or lines[-1].count(",") == lines[-2].count(",")


def refuse_many(path: Path, skipped: Skipped, lines: int) -> None:
    """An InputError where too many lines of a file were unreadable."""
    if skipped.count > max(1.0, MOST_SKIPPED_FRAC * lines):
        raise InputError(
            f"{path}: {skipped.count} of {lines} lines cannot be read: {'; '.join(skipped.named)}"
        )


class _Rest(TypedDict):
    """What `requests_of` is told of every such file."""

    skipped: Skipped
    where: Callable[[int], str]


def read_json_lines(
    path: Path, unit_s: float | None, allow_truncated: bool, sort: bool
) -> Requests:
    """The requests of a file with one JSON object a line."""
    lines = lines_of(path, allow_truncated)
    rows: list[list[float]] = []
    raw: list[dict[str, object]] = []
    numbers: list[int] = []
    keys: tuple[str, ...] = ()
    skipped = Skipped()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = decode_json(line)
            if not isinstance(row, dict):
                raise ValueError("not an object")
        except ValueError as error:
            skipped = skipped.and_line(f"line {number}", str(error).split(":")[0])
            continue
        keys = keys or _keys(path, row)
        try:
            values = [float(row[key]) for key in keys]
            if any(isinstance(row[key], (bool, str)) for key in keys):
                raise ValueError(f"one of {', '.join(keys)} is no number")
        except KeyError as error:
            skipped = skipped.and_line(f"line {number}", f"no {error.args[0]!r}")
        except (ValueError, TypeError, OverflowError) as error:
            skipped = skipped.and_line(f"line {number}", str(error).split(":")[0])
        else:
            rows.append(values)
            raw.append(row)
            numbers.append(number)
    refuse_many(path, skipped, len(lines))
    if not rows:
        raise InputError(f"{path}: it holds no request.")
    table = np.asarray(rows, np.float64)
    rest: _Rest = {"skipped": skipped, "where": lambda row: f"line {numbers[row]}"}
    if keys == MOONCAKE:
        return _mooncake(path, table, raw, unit_s, sort, rest)
    return _vllm(path, table, raw, unit_s, rest)


def _keys(path: Path, row: dict[str, object]) -> tuple[str, ...]:
    for keys in (MOONCAKE, VLLM):
        if all(key in row for key in keys):
            return keys
    raise InputError(
        f"{path}, line 1: its keys are {', '.join(row)}; a trace has {', '.join(MOONCAKE)}, a log "
        f"of vLLM {', '.join(VLLM)}. A header line is not part of either."
    )


def _mooncake(
    path: Path,
    table: np.ndarray,
    raw: list[dict[str, object]],
    unit_s: float | None,
    sort: bool,
    rest: _Rest,
) -> Requests:
    times = table[:, 0]
    if unit_s is None and np.isfinite(times).all() and (times != np.floor(times)).any():
        raise InputError(
            f"{path}: timestamps of Mooncake's traces are whole milliseconds, and these have "
            "fractions. Say the unit with --time-unit s, ms, us or ns."
        )
    blocks = None
    hashes = [ids for row in raw if isinstance(ids := row.get("hash_ids"), list)]
    if len(hashes) == len(raw):
        counts = [len(ids) for ids in hashes]
        every = [one for ids in hashes for one in ids]
        if not all(isinstance(one, int) and abs(one) < 2**63 for one in every):
            raise InputError(f"{path}: hash_ids must be whole numbers.")
        flat = np.asarray(every, np.int64)
        _, ids = np.unique(flat, return_inverse=True)
        start = np.concatenate([[0], np.cumsum(counts)])
        blocks = Blocks(ids.astype(np.int32), start, BLOCK_TOKENS)
    scaled = times * (1e-3 if unit_s is None else unit_s)
    requests = requests_of(
        scaled, table[:, 1], table[:, 2], name=path.name, blocks=blocks, sort=sort, **rest
    )
    return check_unit(requests, "ms" if unit_s is None else "the stated unit")


def _vllm(
    path: Path, table: np.ndarray, raw: list[dict[str, object]], unit_s: float | None, rest: _Rest
) -> Requests:
    """A log with clocks: arrivals of the wall clock, steps of the engine's own clock."""
    arrival = (table[:, 2] - table[:, 2].min()) * (1.0 if unit_s is None else unit_s)
    measured = {}
    if all({"queued_ts", "first_token_ts", "last_token_ts"} <= set(row) for row in raw):
        queued, first, last = (
            np.array([row[name] for row in raw], np.float64)
            for name in ("queued_ts", "first_token_ts", "last_token_ts")
        )
        measured = {"ttft_s": first - queued, "e2e_s": last - queued}
    return requests_of(
        arrival, table[:, 0], table[:, 1], name=path.name, sort=True, measured=measured, **rest
    )
