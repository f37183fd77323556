"""What is every pair of designs worth, each solved by itself?

It checks `collapse`: no pair is skipped or taken for another. Only a cap on GPUs is supported. The
method is that of `exact`; each bound is kept as (distance from x, cost, requests/s), so that a step
computes no counts.
"""

from dataclasses import dataclass

import numpy as np

from jaxsim.space.match.prune import usable
from jaxsim.space.match.records import Pool

_BLOCK = 8192  # prefill designs together: eight rows of doubles stay in the second-level cache
_TINY = 1e-300  # the distance of a perfect balance: none, but something can be divided by it
_GATHER_AFTER = 4  # moves after which most pairs are done, and the rest are gathered


@dataclass(frozen=True)
class PairSweep:
    """The best of all pairs, how many were solved, and the best value of each decode design."""

    value: float
    prefill_index: int
    decode_index: int
    pairs: int
    decode_value: np.ndarray


def solve_every_pair(prefill: Pool, decode: Pool, max_gpus: float) -> PairSweep:
    """The exact best counts of all pairs of usable designs; values are requests/s/GPU.

    Weights are left out: value is per GPU, and pools must weigh the same.
    """
    i, j = usable(prefill, np.inf), usable(decode, np.inf)
    i, j = i[prefill.gpus[i] < max_gpus], j[decode.gpus[j] < max_gpus]
    i = i[np.argsort(-prefill.gpus[i], kind="stable")]  # alike sizes finish together
    r, u = prefill.requests_per_s[i], prefill.gpus[i]
    best, where = np.zeros(len(j)), np.zeros(len(j), dtype=np.int64)
    rows = np.empty((8, _BLOCK))
    for start in range(0, len(i), _BLOCK):
        block = slice(start, start + _BLOCK)
        for k, (s, v) in enumerate(zip(decode.requests_per_s[j], decode.gpus[j], strict=True)):
            big = int(np.searchsorted(-u[block], v - max_gpus))  # no room beside this decode
            if big == len(u[block]):
                continue
            value = _solve_block(r[block][big:], u[block][big:], s, v, max_gpus, rows)
            at = int(value.argmax())
            if value[at] > best[k]:
                best[k], where[k] = value[at], i[start + big + at]
    if not (len(i) and len(j)):
        return PairSweep(0.0, -1, -1, 0, best)
    k = int(best.argmax())
    return PairSweep(float(best[k]), int(where[k]), int(j[k]), len(i) * len(j), best)


def _solve_block(
    r: np.ndarray, u: np.ndarray, s: float, v: float, cap: float, rows: np.ndarray
) -> np.ndarray:
    """Best value of each of many prefill designs (r, u) with one decode design (s, v).

    The lower bound starts as one decode instance alone and the upper as one prefill instance; a
    bound's distance is what it would serve more if the other pool were not short.
    """
    rows = rows[:, : len(r)]
    for row, start in zip(rows, (s, v, 0.0, r, u, 0.0), strict=False):
        row[:] = start
    left = _gallop(rows, cap, _GATHER_AFTER)
    if left.size:
        few = 2 * left.size < len(r)
        rest = np.take(rows, left, axis=1) if few else rows
        _gallop(rest, cap, None)
        if few:
            rows[:, left] = rest
    _, low_cost, low_serves, _, up_cost, up_serves, *_ = rows
    np.divide(low_serves, low_cost, out=low_serves)
    np.divide(up_serves, up_cost, out=up_serves)
    np.maximum(low_serves, up_serves, out=low_serves)
    return low_serves


def _gallop(rows: np.ndarray, cap: float, most: int | None) -> np.ndarray:
    """Move both bounds toward each other, `most` times or until no fraction between them fits the
    cap; which pairs are not done."""
    low_far, low_cost, low_serves, up_far, up_cost, up_serves, steps, room = rows
    lower, upper = (low_far, low_cost, low_serves), (up_far, up_cost, up_serves)
    moves = 0
    while True:
        for (far, cost, serves), (other_far, other_cost, other_serves) in (
            (lower, upper),
            (upper, lower),
        ):
            np.divide(far, other_far, out=steps)
            np.subtract(cap, cost, out=room)
            np.divide(room, other_cost, out=room)
            np.minimum(steps, room, out=steps)
            np.floor(steps, out=steps)
            np.multiply(steps, other_cost, out=room)
            np.add(cost, room, out=cost)
            np.add(other_far, other_serves, out=room)
            np.multiply(room, steps, out=room)
            np.add(serves, room, out=serves)
            np.multiply(steps, other_far, out=room)
            np.subtract(far, room, out=far)
            np.maximum(far, _TINY, out=far)
        moves += 1
        np.add(low_cost, up_cost, out=room)
        if moves == most:
            return np.flatnonzero(room <= cap)
        if room.min() > cap:
            return np.zeros(0, dtype=np.int64)
