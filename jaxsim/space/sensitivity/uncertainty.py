"""How unsure is a result, and which unknown is most worth measuring?

The spread of throughput is computed twice: by elasticities (delta method), and by evaluating
samples. Where the two differ, throughput is not log-linear over the spread, and the text says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm, qmc

from jaxsim.space.deploy.uncertainty import EIGHTY_PERCENT
from jaxsim.space.sensitivity.change import Change
from jaxsim.space.sensitivity.elasticity import Elasticities
from jaxsim.space.sensitivity.solve import Optimum, Problem
from jaxsim.space.sensitivity.sources import LeftOpen, Source

SAMPLES = 512
SEED = 20251121

# Delta method and samples agree where the standard deviations differ by less than this.
AGREE = 0.1


@dataclass(frozen=True)
class Share:
    """How much of the variance of ln throughput a source explains: first order and total.

    `linear` is its share by the delta method. `constant` is the one of its constants that matters
    most.
    """

    name: str
    constant: str
    linear: float
    first: float
    total: float


@dataclass(frozen=True)
class Uncertainty:
    """Standard deviations of ln throughput by both methods, quantiles, and shares by source."""

    delta_sigma: float
    sample_sigma: float
    interval80: tuple[float, float]
    shares: tuple[Share, ...]
    lost: float
    left_open: tuple[LeftOpen, ...] = ()

    @property
    def linear(self) -> bool:
        """Whether the delta method and the samples agree."""
        return abs(self.delta_sigma / self.sample_sigma - 1.0) < AGREE

    @property
    def worth_measuring(self) -> tuple[Share, ...]:
        """The three sources with the largest total effect."""
        return tuple(sorted(self.shares, key=lambda share: -share.total)[:3])


def _label(source: Source, constant: int) -> str:
    """The name of one constant of a source, or of the source where it has no other."""
    if source.size == 1:
        return source.name
    return f"{source.constants[constant][0].rpartition('.')[2]} in the {source.name}"


def gradients(source: Source, elasticities: Elasticities) -> np.ndarray:
    """d ln y / d ln of every constant of a source."""
    by_input = elasticities.by_input
    return np.array([
        sum(float(np.ravel(by_input[p])[0]) for p in paths if p in by_input)
        for paths in source.constants
    ])  # fmt: skip


def propagate(
    problem: Problem,
    base: Optimum,
    elasticities: Elasticities,
    sources: Sequence[Source],
    samples: int = SAMPLES,
) -> Uncertainty:
    """The spread of ln throughput of the best designs, batch adapted to each sample.

    Sobol indices by the estimators of Saltelli et al. (2010), table 2 (b) and (f), over shifted
    Sobol points, with the constants of a source moving together. Samples in which no batch meets
    the limits are left out, and their fraction is `lost`.
    """
    sizes = [source.size for source in sources]
    total = sum(sizes)
    points = (qmc.Sobol(2 * total, scramble=False).random(samples) + 0.5 / samples) % 1.0
    points = (points + np.random.default_rng(SEED).random(2 * total)) % 1.0
    points = np.clip(points, 1e-9, 1.0 - 1e-9)
    first, second = points[:, :total], points[:, total:]
    starts = np.cumsum([0, *sizes])
    sets = [first, second]
    for start, size in zip(starts, sizes, strict=False):
        mixed = first.copy()
        mixed[:, start : start + size] = second[:, start : start + size]
        sets.append(mixed)
    logs = [
        source.logs(np.concatenate(sets)[:, start : start + source.size])
        for source, start in zip(sources, starts, strict=False)
    ]
    factors: dict[str, np.ndarray] = {}
    for source, columns in zip(sources, logs, strict=True):
        for paths, column in zip(source.constants, columns.T, strict=True):
            for path in paths:
                factors[path] = factors.get(path, 1.0) * np.exp(column)
    value = problem.sampled(base, Change(factors)).reshape(len(sets), samples)
    fine = np.isfinite(value).all(axis=0)
    value = value[:, fine]
    a, b = value[0], value[1]
    variance = float(np.var(np.concatenate([a, b])))
    each = [gradients(source, elasticities) for source in sources]
    linear = [float(g @ s.covariance @ g) for g, s in zip(each, sources, strict=True)]
    shares = []
    for own, source, gradient, part in zip(value[2:], sources, each, linear, strict=True):
        spread = np.abs(gradient) * np.sqrt(np.diag(source.covariance))
        shares.append(
            Share(
                source.name,
                _label(source, int(np.argmax(spread))),
                part / max(sum(linear), 1e-300),
                float(np.mean((b - b.mean()) * (own - a))) / max(variance, 1e-300),
                float(np.mean((a - own) ** 2)) / (2.0 * max(variance, 1e-300)),
            )
        )
    middle = float(np.log(base.value))
    ends = np.quantile(np.concatenate([a, b]), norm.cdf([-EIGHTY_PERCENT, EIGHTY_PERCENT]))
    return Uncertainty(
        delta_sigma=float(np.sqrt(sum(linear))),
        sample_sigma=float(np.sqrt(variance)),
        interval80=(float(np.exp(ends[0] - middle)), float(np.exp(ends[1] - middle))),
        shares=tuple(sorted(shares, key=lambda share: -share.total)),
        lost=1.0 - float(np.mean(fine)),
        left_open=_left_open(sources, each),
    )


def _left_open(sources: Sequence[Source], each: Sequence[np.ndarray]) -> tuple[LeftOpen, ...]:
    """The constants that rest on priors, those first that matter most."""
    rests = []
    for source, gradient in zip(sources, each, strict=True):
        names = [paths[0].rpartition(".")[2] for paths in source.constants]
        for own in source.left_open:
            effect = abs(float(gradient[names.index(own.constant)])) * own.used
            rests.append(replace(own, effect=effect))
    return tuple(sorted(rests, key=lambda own: -own.effect))
