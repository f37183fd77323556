"""Slow, plain, independent answers to compare rate matching with."""

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import milp

from jaxsim.space.match.records import Match, Pool
from jaxsim.space.match.solve import match


def pool_of(
    requests_per_s: ArrayLike,
    gpus: ArrayLike,
    latency_s: ArrayLike,
    weight: ArrayLike = 1.0,
    confined_gpus: ArrayLike | None = None,
) -> Pool:
    """A pool from lists."""
    return Pool(
        np.asarray(requests_per_s),
        np.asarray(gpus),
        np.asarray(latency_s),
        np.asarray(weight),
        None if confined_gpus is None else np.asarray(confined_gpus),
    )


def matched(prefill: Pool, decode: Pool, osl: float, **limits: Any) -> Match:
    """The match, where there must be one."""
    result = match(prefill, decode, osl, **limits)
    assert isinstance(result, Match), result
    return result


def pool(rng, count, rate=1.0, weight: ArrayLike = 1.0, sizes=(1, 2, 4, 8)) -> Pool:
    """A random pool; rates grow with size, not in proportion."""
    gpus = rng.choice(sizes, count)
    speed = rate * rng.lognormal(0, 0.7, count) * gpus ** rng.uniform(0.6, 1.1)
    return Pool(speed, gpus, rng.lognormal(0, 0.5, count), np.asarray(weight))


def every_plan(
    prefill, decode, ftl_s, ttl_s, gpus, *, cost=None, ratio=None, counts=((1, None), (1, None)),
    paid=None, fits=None,
):  # fmt: skip
    """All (value, i, j, n, m), one by one; `paid(i, j, n, m)` overrides what is paid."""
    for i, j in itertools.product(range(len(prefill)), range(len(decode))):
        if prefill.latency_s[i] > ftl_s or decode.latency_s[j] > ttl_s:
            continue
        g, h = prefill.gpus[i], decode.gpus[j]
        wp, wd = prefill.weight_of(i), decode.weight_of(j)
        for n in range(1, int(gpus // g) + 1):
            for m in range(1, int((gpus - n * g) // h) + 1):
                if not all(
                    low <= k <= (high or math.inf)
                    for k, (low, high) in zip((n, m), counts, strict=True)
                ):
                    continue
                if cost is not None and n * g * wp + m * h * wd > cost * (1 + 1e-12):
                    continue
                if ratio and not ratio[0] - 1e-9 <= n * g / (m * h) <= ratio[1] + 1e-9:
                    continue
                if fits and not fits(i, j, n, m):
                    continue
                served = min(n * prefill.requests_per_s[i], m * decode.requests_per_s[j])
                bill = paid(i, j, n, m) if paid else n * g * wp + m * h * wd
                yield served / bill, i, j, n, m


def best_by_milp(prefill, decode, ftl_s, ttl_s, gpus):
    """Largest requests/s that a cluster of `gpus` serves, one design a pool, as an integer program.

    Variables: requests/s, a choice of design and a count for each candidate; counts are tied to
    their choice by `count <= gpus · chosen`. Nothing is collapsed and no ratio is used.
    """
    p, d = len(prefill), len(decode)
    size = 1 + 2 * p + 2 * d
    pick_p, pick_d = slice(1, 1 + p), slice(1 + p, 1 + p + d)
    n, m = slice(1 + p + d, 1 + 2 * p + d), slice(1 + 2 * p + d, size)
    rows, low, high = [], [], []

    def row(lower, upper, **parts):
        line = np.zeros(size)
        for where, value in parts.values():
            line[where] = value
        rows.append(line)
        low.append(lower)
        high.append(upper)

    row(0, np.inf, a=(n, prefill.requests_per_s), b=(0, -1.0))
    row(0, np.inf, a=(m, decode.requests_per_s), b=(0, -1.0))
    row(0, gpus, a=(n, prefill.gpus), b=(m, decode.gpus))
    row(1, 1, a=(pick_p, 1.0))
    row(1, 1, a=(pick_d, 1.0))
    for k in range(p):
        row(-np.inf, 0, a=(n.start + k, 1.0), b=(pick_p.start + k, -gpus / prefill.gpus[k]))
    for k in range(d):
        row(-np.inf, 0, a=(m.start + k, 1.0), b=(pick_d.start + k, -gpus / decode.gpus[k]))
    upper = np.full(size, np.inf)
    upper[pick_p] = prefill.latency_s <= ftl_s
    upper[pick_d] = decode.latency_s <= ttl_s
    goal = np.zeros(size)
    goal[0] = -1.0
    integral = np.ones(size)
    integral[0] = 0
    got = milp(
        goal,
        constraints=(np.array(rows), low, high),
        integrality=integral,
        bounds=(np.zeros(size), upper),
        options={"mip_rel_gap": 1e-9},
    )
    return 0.0 if got.x is None else -got.fun
