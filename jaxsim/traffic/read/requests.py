"""Which requests arrive, when, and how long are they?"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from jaxsim.catalog.bounds import WORKLOAD
from jaxsim.catalog.errors import InputError

# A trace whose requests come faster or slower than this is in another unit of time.
MOST_PER_S = 1e5
LONGEST_GAP_S = 86400.0
# A trace that begins so late, and lasts so much shorter, does not count from its own start.
LATE_S, LATE_SPANS = 86400.0, 10.0
# A clock that counts seconds since 1970 is far below.
LATEST_S = 1e11
# Of the lines of a file, at most so many may be unreadable before it is refused.
MOST_SKIPPED_FRAC = 0.01
MOST_NAMED = 5


@dataclass(frozen=True)
class Skipped:
    """Lines of a file that were left out: how many, and the first of them with reasons."""

    count: int = 0
    named: tuple[str, ...] = ()

    def and_line(self, where: str, why: str) -> "Skipped":
        """The same with one line more."""
        named = self.named if len(self.named) >= MOST_NAMED else (*self.named, f"{where}: {why}")
        return Skipped(self.count + 1, named)


@dataclass(frozen=True)
class Blocks:
    """Prefix blocks of each request: `ids[start[r]:start[r + 1]]`, of `tokens` prompt tokens each.

    Equal ids are equal blocks after equal prefixes; ids count from 0.
    """

    ids: np.ndarray
    start: np.ndarray
    tokens: int


@dataclass(frozen=True)
class Requests:
    """Requests in the order of arrival: `arrival_s` from the first instant, `isl`, `osl` in tokens.

    `blocks` is None where nothing is known of shared prefixes. `measured` holds what a log says of
    each request (`ttft_s`, `e2e_s`). `skipped` says which lines of the file were left out.
    `closed_users` is the number of users of a closed loop, 0 in an open one: then only the first so
    many arrivals are given and each other request follows the end of one, `think_s` later.
    """

    arrival_s: np.ndarray
    isl: np.ndarray
    osl: np.ndarray
    name: str = "requests"
    blocks: Blocks | None = None
    skipped: Skipped = field(default_factory=Skipped)
    measured: dict[str, np.ndarray] = field(default_factory=dict)
    closed_users: int = 0
    think_s: float = 0.0

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def duration_s(self) -> float:
        """From time 0 to the last arrival."""
        return float(self.arrival_s[-1]) if len(self) else 0.0

    @property
    def requests_per_s(self) -> float:
        """Mean rate of arrivals."""
        return len(self) / max(self.duration_s, 1e-9)

    def at_rate(self, requests_per_s: float) -> "Requests":
        """The same requests with time scaled so that they arrive at this mean rate.

        Bursts keep their shape; no row is left out or repeated.
        """
        if not (math.isfinite(requests_per_s) and requests_per_s > 0.0):
            raise InputError(f"a rate of {requests_per_s:g} requests/s: more than 0 is needed.")
        return self.in_time(self.requests_per_s / requests_per_s)

    def in_time(self, factor: float) -> "Requests":
        """The same requests with every arrival multiplied by `factor`."""
        if not (math.isfinite(factor) and factor > 0.0):
            raise InputError(f"a time scale of {factor:g}: more than 0 is needed.")
        return replace(self, arrival_s=self.arrival_s * factor)

    def between(self, start_s: float, stop_s: float) -> "Requests":
        """The requests of a part of the time, which then starts at 0."""
        first, last = np.searchsorted(self.arrival_s, [start_s, stop_s])
        kept = slice(int(first), int(last))
        if first == last:
            raise InputError(f"{self.name}: no request arrives between {start_s} s and {stop_s} s.")
        return replace(
            self,
            arrival_s=self.arrival_s[kept] - start_s,
            isl=self.isl[kept],
            osl=self.osl[kept],
            blocks=None if self.blocks is None else _part(self.blocks, kept),
            measured={name: values[kept] for name, values in self.measured.items()},
        )

    def first(self, count: int) -> "Requests":
        """The first `count` requests."""
        if count >= len(self):
            return self
        kept = slice(0, count)
        return replace(
            self,
            arrival_s=self.arrival_s[kept],
            isl=self.isl[kept],
            osl=self.osl[kept],
            blocks=None if self.blocks is None else _part(self.blocks, kept),
            measured={name: values[kept] for name, values in self.measured.items()},
        )


def _part(blocks: Blocks, kept: slice) -> Blocks:
    start = blocks.start[kept.start : kept.stop + 1]
    ids = blocks.ids[start[0] : start[-1]]
    _, renamed = np.unique(ids, return_inverse=True)
    return Blocks(renamed.astype(np.int32), start - start[0], blocks.tokens)


def requests_of(
    arrival_s: ArrayLike,
    isl: ArrayLike,
    osl: ArrayLike,
    *,
    name: str,
    where: Callable[[int], str] | None = None,
    sort: bool = False,
    skipped: Skipped = Skipped(),
    blocks: Blocks | None = None,
    measured: Mapping[str, np.ndarray] | None = None,
) -> Requests:
    """Checked requests; an InputError says which row is impossible and why.

    `where(row)` names a row of the file, such as its line. Times are moved so that the first
    instant is 0 where `name` is a file's. `sort` puts unsorted rows in order instead of refusing.
    """
    where = where or (lambda row: f"request {row + 1}")
    times = np.asarray(arrival_s, np.float64)
    lengths = {"isl": np.asarray(isl, np.float64), "osl": np.asarray(osl, np.float64)}
    if len(times) == 0:
        raise InputError(f"{name}: it holds no request.")
    _refuse(name, where, "time", times, ~np.isfinite(times), "a finite number is needed")
    _refuse(name, where, "time", times, times < 0.0, "times start at 0 or later")
    _refuse(name, where, "time", times, times > LATEST_S, f"times end before {LATEST_S:g} s")
    for what, values in lengths.items():
        least, most = WORKLOAD[what].lowest, WORKLOAD[what].highest
        bad = ~((values >= least) & (values <= most)) | (values != np.floor(values))
        needed = f"a whole number of {least:g} to {most:g} tokens is needed"
        _refuse(name, where, what, values, bad, needed)
    if sort:
        order = np.argsort(times, kind="stable")
        blocks = None if blocks is None else _ordered(blocks, order)
        measured = {name: values[order] for name, values in (measured or {}).items()}
        times = times[order]
        lengths = {what: values[order] for what, values in lengths.items()}
    else:
        back = np.concatenate([[False], np.diff(times) < 0.0])
        _refuse(name, where, "time", times, back, "earlier than the row before; sort the file")
    return Requests(
        arrival_s=times,
        isl=lengths["isl"].astype(np.int32),
        osl=lengths["osl"].astype(np.int32),
        name=name,
        skipped=skipped,
        blocks=blocks,
        measured=dict(measured or {}),
    )


def check_unit(requests: Requests, unit: str) -> Requests:
    """The same, or an InputError where times cannot be in the unit they were taken for."""
    first_s = float(requests.arrival_s[0])
    span_s = float(requests.arrival_s[-1]) - first_s
    if first_s > LATE_SPANS * span_s and first_s > LATE_S:
        raise InputError(
            f"{requests.name}: taken in {unit}, its first request comes after {first_s:.4g} s, and "
            f"all come within {span_s:.4g} s: times count from another moment, or are in another "
            "unit. Subtract the first one from all; say the unit with --time-unit s, ms, us or ns."
        )
    gap_s = requests.duration_s / max(len(requests) - 1, 1)
    if len(requests) > 20 and not 1.0 / MOST_PER_S <= gap_s <= LONGEST_GAP_S:
        raise InputError(
            f"{requests.name}: taken in {unit}, one request comes every {gap_s:.3g} s on average. "
            "Is it in another unit? Say which with --time-unit s, ms, us or ns."
        )
    return requests


def _ordered(blocks: Blocks, order: np.ndarray) -> Blocks:
    parts = [blocks.ids[blocks.start[row] : blocks.start[row + 1]] for row in order]
    start = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    return Blocks(np.concatenate(parts), start, blocks.tokens)


def _refuse(
    name: str,
    where: Callable[[int], str],
    what: str,
    values: np.ndarray,
    bad: np.ndarray,
    needed: str,
) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        more = f" ({int(bad.sum())} rows in all)" if bad.sum() > 1 else ""
        raise InputError(f"{name}, {where(row)}: {what} = {values[row]:g}; {needed}{more}.")
