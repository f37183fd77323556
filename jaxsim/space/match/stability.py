"""How wrong may the rates be before another plan is the best?

Scale the rates of all prefill candidates by f. A plan with α = n·r/C and β = m·s/C (C its cost)
is worth min(α·f, β). Ours, (α*, β*), stays the best while no plan that has more prefill for its
cost (α > α*) has β > α*·f, and none with more decode (β > β*) has α·f > β*; so f may range from
max{β : α > α*} / α* to β* / max{α : β > β*}. Scaling decode by f is scaling prefill by 1/f.
"""

import numpy as np

from jaxsim.space.match.exact import ROUNDING, Limits, counting_is_by_decode, grids, neighbours
from jaxsim.space.match.prune import Pairs

Shares = tuple[float, float]  # α, β


def rivals(pairs: Pairs, limits: Limits, shares: list[Shares]) -> list[Shares]:
    """Largest β of any plan with α > α*, and largest α of any with β > β*; 0 where none.

    For each (α*, β*) of `shares`, requests/s per cost. `pairs` need the fastest of each shape only.
    """
    leads = [(alpha * (1.0 + ROUNDING), beta * (1.0 + ROUNDING)) for alpha, beta in shares]
    if limits.homogeneous:
        swapped = pairs.swapped()
        queries = [(pairs, alpha) for alpha, _ in leads] + [(swapped, beta) for _, beta in leads]
        most = _more_prefill_by_gallop(queries, limits.cap)
        return list(zip(most[: len(leads)], most[len(leads) :], strict=True))
    if counting_is_by_decode(pairs, limits):
        swap = pairs.swapped(), limits.swapped()
        most = [_rivals_by_counting(*swap, beta, alpha) for alpha, beta in leads]
        return [(beta, alpha) for alpha, beta in most]
    return [_rivals_by_counting(pairs, limits, alpha, beta) for alpha, beta in leads]


def _more_prefill_by_gallop(queries: list[tuple[Pairs, float]], cap: float) -> list[float]:
    """Largest β with α above a given share: x·r / (x·a + b) > α asks x > α·b / (r − α·a), the
    nearer the better. All queries in one gallop."""
    rows = [
        (alpha * p.b, p.r - alpha * p.a, p.u, p.v, p.s, p.a, p.b, np.full(len(p), k))
        for k, (p, alpha) in enumerate(queries)
    ]
    columns = np.concatenate([np.stack(row) for row in rows], axis=1)
    _, room, u, v, *_ = columns
    need, room, u, v, s, a, b, query = columns[:, (room > 0) & (u + v <= cap)]
    _, _, n, m = neighbours(need / room, u, v, cap)
    beta = np.where(m > 0, m * s / (n * a + m * b), 0.0)
    best = np.zeros(len(queries))
    np.maximum.at(best, query.astype(np.intp), beta)
    return best.tolist()


def _rivals_by_counting(pairs: Pairs, limits: Limits, alpha: float, beta: float) -> Shares:
    most_beta = most_alpha = 0.0
    for _, p, n, low, high in grids(pairs, limits):
        fixed = limits.fixed_cost + n * p.a
        # α > alpha: fewest decode instances help; the most that still satisfies it has the most β.
        room = n * p.r / alpha - fixed
        priced = p.b > 0
        price = np.where(priced, p.b, 1.0)
        most = np.where(priced, np.ceil(room / price) - 1.0, np.where(room > 0, np.inf, -1.0))
        most = np.minimum(high, most)
        m = np.where(np.isfinite(most), np.maximum(most, low), low)
        rate = np.where(np.isfinite(most), m * p.s / (fixed + m * p.b), p.s / price)
        most_beta = max(most_beta, float(np.where(most >= low, rate, 0.0).max(initial=0.0)))
        # β > beta: the fewest decode instances that satisfy it leave the most α.
        net = p.s - beta * p.b
        m = np.floor(beta * fixed / np.where(net > 0, net, 1.0)) + 1.0
        m = np.maximum(m, low)
        rate = n * p.r / (fixed + m * p.b)
        ok = (net > 0) & (m <= high)
        most_alpha = max(most_alpha, float(np.where(ok, rate, 0.0).max(initial=0.0)))
    return most_beta, most_alpha


def rate_ranges(ours: Shares, rivals: Shares) -> tuple[Shares, Shares]:
    """Factors on all prefill rates, and on all decode rates, within which ours stays the best."""
    (alpha, beta), (most_beta, most_alpha) = ours, rivals
    low = min(most_beta / alpha, 1.0)
    high = max(beta / most_alpha, 1.0) if most_alpha > 0 else np.inf
    return (low, high), (0.0 if high == np.inf else 1.0 / high, 1.0 / low if low > 0 else np.inf)
