"""How sure is a prediction?

Every kernel family's fit left a residual, and so did the engine's. A design's error is the sum of
its parts' errors by their share of the time: the errors of one family move together, those of
different families do not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jaxsim.catalog.calibration import sigma_of
from jaxsim.catalog.setup import Setup
from jaxsim.quantities import KERNEL_PARTS

# The 10th and 90th percentiles of a normal distribution, in standard deviations.
EIGHTY_PERCENT = 1.2815515655446004

# Which calibrated family times each part, but for attention, which has one in each phase.
_ROLES = {
    "projections": "attention_gemm",
    "ffn": "ffn_gemm",
    "experts": "experts",
    "network": "all_reduce",
    "elementwise": "stream",
    "head": "head_gemm",
}
_ATTENTION = {"prefill": "context", "decode": "decode", "colocated": "decode"}


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the log of a result, one for each independent source of error."""

    by_source: Mapping[str, float]

    @property
    def log_sigma(self) -> float:
        return math.sqrt(sum(sigma * sigma for sigma in self.by_source.values()))

    def times(self, factor: float) -> "Spread":
        return Spread({name: factor * sigma for name, sigma in self.by_source.items()})

    def plus(self, other: "Spread") -> "Spread":
        """Errors of one source add; those of others stay apart."""
        names = {**self.by_source, **other.by_source}
        return Spread({n: self.by_source.get(n, 0.0) + other.by_source.get(n, 0.0) for n in names})

    def minus(self, other: "Spread") -> "Spread":
        return self.plus(other.times(-1.0))


# The error of a whole phase, in a mapping of errors by part.
WHOLE = ""


def role_of(part: str, phase: str) -> str:
    """The calibrated family that times a part of a pass in a phase."""
    return _ATTENTION[phase] if part == "attention" else _ROLES[part]


def sources_of(phase: str, setup: Setup) -> dict[str, tuple[str, float]]:
    """Where the error of each part of a phase comes from, and its log sigma.

    That of the engine is of the whole time (`WHOLE`), as its fit saw whole steps.
    """
    sources = {}
    for part in KERNEL_PARTS:
        role = role_of(part, phase)
        sigma = sigma_of(setup.calibration, role, setup.precision)
        sources[part] = f"{setup.calibration.name} {role}", sigma
    return {**sources, WHOLE: (f"{setup.engine.name} {phase}", setup.engine.log_sigma)}


def spread_from(parts_s: Mapping[str, float], sources: Mapping[str, tuple[str, float]]) -> Spread:
    """The spread of a design's time: Σ share · sigma of its family, by hardware and family.

    d ln t = Σ (t_part / t) d ln t_part. Throughput has the same spread.
    """
    total = sum(parts_s.values())
    sigmas: dict[str, float] = {}
    for part, seconds in parts_s.items():
        if part not in sources or total <= 0.0:
            continue
        name, sigma = sources[part]
        sigmas[name] = sigmas.get(name, 0.0) + sigma * seconds / total
    name, sigma = sources[WHOLE]
    sigmas[name] = sigma
    return Spread(sigmas)


def spread_of(parts_s: Mapping[str, float], phase: str, setup: Setup) -> Spread:
    """The spread of a design's time in a phase of a set-up."""
    return spread_from(parts_s, sources_of(phase, setup))


def interval(value: float, spread: Spread) -> tuple[float, float]:
    """The central 80 % of a log-normal distribution with this median and spread."""
    width = math.exp(EIGHTY_PERCENT * spread.log_sigma)
    return value / width, value * width


def better_probability(ours: float, our: Spread, theirs: float, their: Spread) -> float:
    """The probability that `ours` is above `theirs`: Φ(ln(ours / theirs) / σ of the difference).

    Errors that both share, of a kernel family on the same hardware, cancel as far as both spend
    the same share of their time on it.
    """
    sigma = our.minus(their).log_sigma
    edge = math.log(ours / theirs)
    if sigma == 0.0:
        return float(edge > 0.0) if edge else 0.5
    return 0.5 * (1.0 + math.erf(edge / sigma / math.sqrt(2.0)))
