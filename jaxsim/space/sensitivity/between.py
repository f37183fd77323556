"""How does a rate under limits move, where the batch lies between two values of a grid?

The optimal batch is a real number, the fraction t of the way from the last value b of the grid that
meets every limit to the next, b'. Between them, ln rate r and ln slack s of the tightest limit are
taken as linear. At s = 0, by the envelope theorem, d r = Σ (1 − t, t) · (∂r + μ ∂s), μ = (r' − r) /
(s − s') over both ends. The multiplier μ is a secant, not a slope, so that rounding up between b
and b' counts with its full effect.
"""

from collections.abc import Sequence

import numpy as np

from jaxsim._scalar import Scalar, as_scalar
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.scenario import Scenario
from jaxsim.space.designs import PHASES
from jaxsim.space.gradient.derivative import slopes_of
from jaxsim.space.sensitivity.elasticity import Limit, PoolSlopes, points_on_axes


def _twice(values: Scalar, others: np.ndarray | None = None) -> Scalar:
    """Values at both ends, one after the other."""
    first = np.asarray(values, float)
    return as_scalar(np.concatenate([first, first if others is None else others]))


def between(
    phase: str,
    scenario: Scenario,
    designs: Deployment,
    next_batch: np.ndarray,
    part: np.ndarray,
    limits: Sequence[Limit],
    mode: str = "",
) -> PoolSlopes:
    """Elasticities at `n` designs, each the fraction `part` of the way to its next batch."""
    rate = f"{mode}_output_tokens_per_s_per_gpu" if mode else "requests_per_s"
    count = np.size(designs.batch)
    ends = Deployment(
        tp=_twice(designs.tp),
        ep=_twice(designs.ep),
        pp=_twice(designs.pp),
        batch=_twice(designs.batch, next_batch),
        chunk=_twice(designs.chunk),
    )
    names = tuple(dict.fromkeys([rate, *(limit.output for limit in limits)]))
    listed = points_on_axes(phase, scenario.workload, ends)
    slopes = slopes_of(PHASES[phase], scenario, listed, names)
    slack = np.stack([
        np.log(np.broadcast_to(limit.bound, (2 * count,)) / slopes.values[limit.output])
        for limit in limits
    ])  # fmt: skip
    tight = slack.argmin(axis=0)
    low, high = slack.min(axis=0).reshape(2, count)
    log_rate = np.log(slopes.values[rate]).reshape(2, count)
    weights = np.concatenate([1.0 - part, part])
    fall = np.where(part > 0.0, low - high, 1.0)
    price = np.where(part > 0.0, (log_rate[1] - log_rate[0]) / fall, 0.0)
    shares = np.tile(price, 2) * weights
    own = {
        limit.name: np.where(tight == i, shares, 0.0) for i, limit in enumerate(limits)
    }  # at both ends
    by_input = {}
    for path in slopes.numbers:
        if path.startswith("design."):
            continue
        total = weights * slopes.log_slope(rate, path)
        for limit in limits:
            bound = float(limit.bound_path == path)
            total = total + own[limit.name] * (bound - slopes.log_slope(limit.output, path))
        by_input[path] = total.reshape(2, count).sum(axis=0)
    by_limit = {name: share.reshape(2, count).sum(axis=0) for name, share in own.items()}
    binding = tuple(
        tuple(name for name, share in by_limit.items() if share[i] > 0.0) for i in range(count)
    )
    middle = np.exp((1.0 - part) * log_rate[0] + part * log_rate[1])
    return PoolSlopes(middle, by_input, by_limit, binding, slopes)
