"""How unsure is an answer, and which unknown is most worth measuring?

Constants of the calibration are unsure as the covariance of their fit says, kernels and engine by
the residuals that their fits left, and inputs by ranges that the user states. All are carried to
throughput twice: by elasticities (delta method), and by evaluating samples. Where the two differ,
the model is not linear over the spread, and it says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, qmc

from jaxsim.catalog.calibration import Family, families_of, sigma_of
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.space.question import Swept
from jaxsim.space.sensitivity import Elasticities
from jaxsim.space.sensitivity_change import Change
from jaxsim.space.sensitivity_solve import Optimum, Problem
from jaxsim.space.uncertainty import EIGHTY_PERCENT

SAMPLES = 512
SEED = 20251121

# Standard deviation of ln of a constant before any measurement: an assumption, 50 %.
PRIOR = 0.5

# What the engine multiplies, by the parts of a pass; residuals of kernel fits move these.
_FACTORS = {
    "GEMM": ("gemm_factor", {"projections": "attention_gemm", "ffn": "ffn_gemm",
                             "elementwise": "stream", "head": "head_gemm"}),
    "attention": ("attention_factor", {"attention": ""}),
    "experts": ("experts_factor", {"experts": "experts"}),
    "network": ("network_factor", {"network": "all_reduce"}),
}  # fmt: skip
_CONTEXT, _DECODE = "context", "decode"

# Delta method and samples agree where the standard deviations differ by less than this.
AGREE = 0.1


@dataclass(frozen=True)
class Source:
    """An independent unknown: constants whose logs are jointly normal, or one in a range.

    `constants` are groups of inputs that move as one; `root` is the Cholesky factor of the
    covariance of their logs. With a `span`, of ln of the factor, the one constant is uniform there.
    """

    name: str
    constants: tuple[tuple[str, ...], ...]
    root: np.ndarray
    span: tuple[float, float] | None = None

    @property
    def size(self) -> int:
        return len(self.constants)

    def logs(self, quantiles: np.ndarray) -> np.ndarray:
        """ln of the factors on the constants, [n, constants], from uniform quantiles."""
        if self.span is not None:
            low, high = self.span
            return np.log(np.exp(low) + quantiles * (np.exp(high) - np.exp(low)))
        return norm.ppf(quantiles) @ self.root.T

    @property
    def covariance(self) -> np.ndarray:
        if self.span is not None:
            low, high = self.span
            spread = np.exp(high) - np.exp(low)
            return np.array([[spread * spread / 12.0]])
        return self.root @ self.root.T


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

    @property
    def linear(self) -> bool:
        """Whether the delta method and the samples agree."""
        return abs(self.delta_sigma / self.sample_sigma - 1.0) < AGREE

    @property
    def worth_measuring(self) -> tuple[Share, ...]:
        """The three sources with the largest total effect."""
        return tuple(sorted(self.shares, key=lambda share: -share.total)[:3])


def sources_of(
    swept: Swept, found: Elasticities, parts: Mapping[str, Mapping[str, float]],
    ranges: Mapping[str, tuple[float, float]],
) -> list[Source]:  # fmt: skip
    """The unknowns behind an answer: fits, residuals, engines, and the ranges that were stated.

    `parts` are seconds by part of each pool, `ranges` factors by input.
    """
    sources = []
    pools = [("", swept.setup)]
    if swept.prefill_setup is not swept.setup:
        pools.append(("prefill:", swept.prefill_setup))
    for prefix, setup in pools:
        sources += _fits(prefix, setup, found)
        sources += _residuals(prefix, setup, parts)
        names = [p for p in found.by_input if p.startswith("engine.") and _whole_engine(p)]
        root = np.array([[setup.engine.log_sigma]])
        if not prefix:
            sources.append(Source(f"engine {setup.engine.name}", (tuple(names),), root))
    for path, (low, high) in ranges.items():
        if not 0.0 < low < high:
            raise InputError(f"range of {path}: {low} to {high}; give factors with 0 < low < high")
        span = (float(np.log(low)), float(np.log(high)))
        sources.append(Source(path, ((path,),), np.eye(1), span))
    return [source for source in sources if np.trace(source.covariance) > 0.0]


def _whole_engine(path: str) -> bool:
    """Whether an engine's number is one of those that together scale all of a step's time."""
    name = path.removeprefix("engine.")
    return name.endswith("_s") or name in {factor for factor, _ in _FACTORS.values()}


def _fits(prefix: str, setup: Setup, found: Elasticities) -> list[Source]:
    """The covariance of every fit in use."""
    roles: dict[tuple[str, str], list[str]] = {}
    families = families_of(setup.precision)
    for role in {p.split(".")[1] for p in found.by_input if p.startswith(f"{prefix}kernels.")}:
        roles.setdefault(families.get(role, (role, "any")), []).append(role)
    sources = []
    for (kind, number_format), own in roles.items():
        family: Family = setup.calibration.family(kind, number_format)
        if not family.covariance:
            continue
        constants = tuple(
            tuple(f"{prefix}kernels.{role}.{name}" for role in own) for name in family.free
        )
        used = any(np.any(found.by_input.get(p, 0.0)) for paths in constants for p in paths)
        if used:
            root = _root(family.covariance)
            sources.append(Source(f"fit of {kind} {number_format}", constants, root))
    return sources


def _root(lower: Sequence[Sequence[float]]) -> np.ndarray:
    """A factor of a covariance given as a lower triangle, joined with a prior of `PRIOR`.

    Σ' = (Σ⁻¹ + 1/σ₀²)⁻¹: what the measurements leave open is not open without end. Rounding may
    have made Σ indefinite; negative variances count as none.
    """
    size = len(lower)
    full = np.zeros((size, size))
    for row, values in enumerate(lower):
        full[row, : row + 1] = values
        full[: row + 1, row] = values
    values, vectors = np.linalg.eigh(full)
    values = np.maximum(values, 0.0)
    return vectors * np.sqrt(values * PRIOR**2 / (values + PRIOR**2))


def _residuals(prefix: str, setup: Setup, parts: Mapping[str, Mapping[str, float]]) -> list[Source]:
    """What the fits of kernels left unexplained, by what the engine's factors multiply."""
    if prefix:
        return []  # engines are shared; their factors carry both pools
    sources = []
    for name, (factor, own) in _FACTORS.items():
        weights, sigmas = [], []
        for pool, seconds in parts.items():
            for part, role in own.items():
                fit = role or (_CONTEXT if pool == "prefill" else _DECODE)
                weights.append(seconds.get(part, 0.0) / max(sum(seconds.values()), 1e-300))
                sigmas.append(sigma_of(setup.calibration, fit, setup.precision))
        if sum(weights) > 0.0:
            sigma = float(np.average(sigmas, weights=weights))
            paths = ((f"engine.{factor}",),)
            sources.append(Source(f"residual of {name} kernels", paths, np.array([[sigma]])))
    return sources


def _label(source: Source, constant: int) -> str:
    """The name of one constant of a source, or of the source where it has no other."""
    if source.size == 1:
        return source.name
    return f"{source.constants[constant][0].rpartition('.')[2]} in the {source.name}"


def gradients(source: Source, found: Elasticities) -> np.ndarray:
    """d ln y / d ln of every constant of a source."""
    return np.array([
        sum(float(np.ravel(found.by_input[p])[0]) for p in paths if p in found.by_input)
        for paths in source.constants
    ])  # fmt: skip


def propagate(
    problem: Problem,
    base: Optimum,
    found: Elasticities,
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
    each = [gradients(source, found) for source in sources]
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
    )
