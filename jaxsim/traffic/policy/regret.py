"""How much less could it have cost?"""

import numpy as np


def least_counts(load_per_s: np.ndarray, rate_per_s: np.ndarray) -> np.ndarray:
    """⌈λ(t)/μ(t)⌉, at least one: no pool that keeps up is smaller."""
    return np.maximum(np.ceil(np.asarray(load_per_s) / np.asarray(rate_per_s) - 1e-9), 1.0)


def cheapest(
    load_per_s: np.ndarray,
    rate_per_s: float,
    most: int,
    *,
    hold_cost: float,
    switch_cost: float,
    miss_cost: float,
    start: int = 1,
) -> tuple[float, np.ndarray]:
    r"""The least cost of any sequence of counts, and that sequence: an exact dynamic programme.

    $$ \sum_t h\,n_t + s\,|n_t - n_{t-1}| + m\,\max(0, \lambda_t - \mu n_t) $$

    over 1 ≤ n ≤ `most`: instances held, instances started or stopped, requests/s not served.
    """
    counts = np.arange(1, most + 1)
    moves = switch_cost * np.abs(counts[:, None] - counts[None, :])
    value = switch_cost * np.abs(counts - start).astype(float)
    choices = []
    for index, load in enumerate(load_per_s):
        own = hold_cost * counts + miss_cost * np.maximum(load - rate_per_s * counts, 0.0)
        if index == 0:
            value = value + own
            continue
        reach = value[:, None] + moves
        choices.append(reach.argmin(axis=0))
        value = reach.min(axis=0) + own
    last = int(value.argmin())
    path = [last]
    for chosen in reversed(choices):
        path.append(int(chosen[path[-1]]))
    return float(value[last]), counts[path[::-1]]
