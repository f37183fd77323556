"""When nothing meets the targets: which targets can be met?"""

from dataclasses import replace

import numpy as np

from jaxsim.space.match.prune import collapse, usable
from jaxsim.space.match.records import NoMatch, Pool


def quickest(pool: Pool) -> np.ndarray:
    """The candidate of lowest latency of every shape of instance."""
    index = usable(pool, np.inf)
    positive = np.maximum(pool.latency_s, np.finfo(float).tiny)
    return collapse(replace(pool, requests_per_s=1.0 / positive), index, keep=1)[0]


def staircase(ftl: np.ndarray, ttl: np.ndarray) -> list[tuple[float, float]]:
    """The (FTL, TTL) that no other beats on both axes, FTL rising."""
    steps, lowest = [], np.inf
    for k in np.lexsort((ttl, ftl)):
        if ttl[k] < lowest:
            lowest = float(ttl[k])
            steps.append((float(ftl[k]), lowest))
    return steps


def nothing(ftl: np.ndarray, ttl: np.ndarray, ftl_s: float, ttl_s: float) -> NoMatch:
    """The result when no allowed pair (its FTL in `ftl`, its TTL in `ttl`) meets both targets."""
    steps = staircase(ftl, ttl)
    if not steps:
        return NoMatch(
            "No counts of any two designs fit the limits, whatever the latency targets: raise the"
            " cap, widen the ranges of instances, or add smaller designs.",
            None,
            None,
            None,
        )
    at_ttl, at_ftl = ftl[ttl <= ttl_s], ttl[ftl <= ftl_s]
    ftl_at = float(at_ttl.min()) if at_ttl.size else None
    ttl_at = float(at_ftl.min()) if at_ftl.size else None
    nearest = min(steps, key=lambda step: (_excess(step, ftl_s, ttl_s), step))
    ways = []
    if ftl_at is not None:
        ways.append(f"FTL {ftl_at:.4g} s at that TTL")
    if ttl_at is not None:
        ways.append(f"TTL {ttl_at:.4g} s at that FTL")
    ways.append(f"FTL {nearest[0]:.4g} s with TTL {nearest[1]:.4g} s")
    return NoMatch(
        f"No plan has FTL <= {ftl_s:.4g} s and TTL <= {ttl_s:.4g} s within the limits. The nearest"
        f" that can be met: {'; or '.join(ways)}.",
        ftl_at,
        ttl_at,
        nearest,
        steps,
    )


def _excess(step: tuple[float, float], ftl_s: float, ttl_s: float) -> float:
    """By what factor the worse of the two targets must be loosened; at least 1."""
    tiny = np.finfo(float).tiny
    return max(step[0] / max(ftl_s, tiny), step[1] / max(ttl_s, tiny), 1.0)
