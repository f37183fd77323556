"""How sure is the gain of disaggregated over co-located serving?"""

import math
from dataclasses import dataclass

from jaxsim.catalog.gain_errors import GainError, load_gain
from jaxsim.space.deploy.uncertainty import EIGHTY_PERCENT


@dataclass(frozen=True)
class Doubt:
    """The spread of a log gain, and what of the request lies beyond what was measured."""

    log_sigma: float
    beyond: tuple[str, ...]

    def interval(self, gain: float) -> tuple[float, float]:
        """The central 80 % of the gain."""
        width = math.exp(EIGHTY_PERCENT * self.log_sigma)
        return gain / width, gain * width

    def probability(self, gain: float) -> float:
        """The probability that disaggregated serving is better: Φ(ln gain / σ)."""
        return 0.5 * (1.0 + math.erf(math.log(gain) / self.log_sigma / math.sqrt(2.0)))


def doubt_of(
    kernels_sigma: float,
    lengths: dict[str, float],
    gpus: tuple[str, ...],
    known: GainError | None = None,
) -> Doubt:
    r"""The spread of the log gain: what measured pairs left, and more beyond them.

    $$ \sigma^2 = \max(\sigma_{pairs}, \sigma_{kernels})^2 + \sigma_{doubling}^2 \sum_x d_x^2 $$

    with d the doublings of a length beyond the longest measured, 1 for a chip without a measured
    pair. `lengths` are by name (isl, osl).
    """
    known = known or load_gain()
    beyond, squares = [], 0.0
    for name, value in lengths.items():
        most = known.most[name]
        if value > most:
            squares += math.log2(value / most) ** 2
            beyond.append(f"{name.upper()} {value:,.0f} (up to {most:,.0f} was)")
    for gpu in dict.fromkeys(gpus):
        if gpu not in known.gpus:
            squares += 1.0
            beyond.append(f"{gpu} ({', '.join(known.gpus)} were)")
    least = max(known.log_sigma, kernels_sigma)
    return Doubt(math.sqrt(least**2 + known.per_doubling**2 * squares), tuple(beyond))
