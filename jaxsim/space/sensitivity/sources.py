"""What is unsure behind a result?

Constants of the calibration, as the covariance of their fit and a prior say; kernels and engine, by
the residuals that their fits left; and inputs in ranges that the user states.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from jaxsim.catalog.calibration import Family, families_of, sigma_of
from jaxsim.catalog.engine import FACTOR_OF_PART
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.priors import Priors, load_priors
from jaxsim.catalog.setup import Setup
from jaxsim.quantities import KERNEL_PARTS
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.deploy.uncertainty import role_of
from jaxsim.space.sensitivity.elasticity import Elasticities

# The factors of an engine that residuals of kernel fits move, by the kernels they multiply: that of
# decoding, and with it that of passes over prompts.
_FACTORS = {
    "GEMM": ("gemm_factor", "prefill_factor"),
    "attention": ("attention_factor",),
    "experts": ("experts_factor", "prefill_experts_factor"),
    "network": ("network_factor",),
}


@dataclass(frozen=True)
class LeftOpen:
    """A constant that measurements settle less than its prior does: deviations of its logarithm.

    `measured` is what its fit left, `prior` what was assumed (a number of the kind `kind`), `used`
    both together, and `effect` what that comes to in ln throughput, alone.
    """

    constant: str
    fit: str
    measured: float
    prior: float
    kind: str
    used: float
    effect: float = 0.0


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
    left_open: tuple["LeftOpen", ...] = ()

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


def sources_of(
    swept: Swept, elasticities: Elasticities, parts: Mapping[str, Mapping[str, float]],
    ranges: Mapping[str, tuple[float, float]], priors: Priors | None = None,
) -> list[Source]:  # fmt: skip
    """The unknowns behind a result: fits, residuals, engines, and the ranges that were stated.

    `parts` are seconds by part of each pool, `ranges` factors by input, `priors` how unsure
    constants of fits are before any measurement (default: those of the catalogue).
    """
    sources: list[Source] = []
    before = priors or load_priors()
    pools = [("", swept.setup)]
    if swept.prefill_setup is not swept.setup:
        pools.append(("prefill:", swept.prefill_setup))
    for prefix, setup in pools:
        sources += _fits(prefix, setup, elasticities, before)
        sources += _residuals(prefix, setup, parts)
        names = [p for p in elasticities.by_input if p.startswith("engine.") and _whole_engine(p)]
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
    return name.endswith(("_s", "_factor"))


def _fits(prefix: str, setup: Setup, elasticities: Elasticities, priors: Priors) -> list[Source]:
    """The covariance of every fit in use, and which of its constants it leaves to the priors."""
    roles: dict[tuple[str, str], list[str]] = {}
    families = families_of(setup.precision)
    for role in sorted(
        {p.split(".")[1] for p in elasticities.by_input if p.startswith(f"{prefix}kernels.")}
    ):
        roles.setdefault(families.get(role, (role, "any")), []).append(role)
    sources = []
    for (kind, number_format), own in roles.items():
        family: Family = setup.calibration.family(kind, number_format)
        if not family.covariance:
            continue
        constants = tuple(
            tuple(f"{prefix}kernels.{role}.{name}" for role in own) for name in family.free
        )
        used = any(np.any(elasticities.by_input.get(p, 0.0)) for paths in constants for p in paths)
        if not used:
            continue
        before = np.array([priors.of(name) for name in family.free])
        root, measured = _root(family.covariance, before)
        now = np.sqrt(np.sum(root**2, axis=1))
        left_open = tuple(
            LeftOpen(name, f"{kind} {number_format}", float(fit), float(own), priors.source(name),
                     float(left))
            for name, fit, own, left in zip(family.free, measured, before, now, strict=True)
            if fit > own
        )  # fmt: skip
        name = f"fit of {kind} {number_format}"
        sources.append(Source(name, constants, root, left_open=left_open))
    return sources


def _root(lower: Sequence[Sequence[float]], priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A factor of a covariance given as a lower triangle, joined with priors; and its deviations.

    Σ' = (Σ⁻¹ + D⁻²)⁻¹ with the priors D, so that a constant that measurements leave open has at
    most the deviation of its prior. Rounding may have made Σ indefinite; negative variances count
    as none.
    """
    size = len(lower)
    full = np.zeros((size, size))
    for row, values in enumerate(lower):
        full[row, : row + 1] = values
        full[: row + 1, row] = values
    values, vectors = np.linalg.eigh(full / np.outer(priors, priors))
    values = np.maximum(values, 0.0)
    root = priors[:, None] * vectors * np.sqrt(values / (values + 1.0))
    return root, np.sqrt(np.maximum(np.diag(full), 0.0))


def _residuals(prefix: str, setup: Setup, parts: Mapping[str, Mapping[str, float]]) -> list[Source]:
    """What the fits of kernels left unexplained, by what the engine's factors multiply."""
    if prefix:
        return []  # engines are shared; their factors carry both pools
    sources = []
    for name, factors in _FACTORS.items():
        weights, sigmas = [], []
        for pool, seconds in parts.items():
            for part in (p for p in KERNEL_PARTS if FACTOR_OF_PART[p] == factors[0]):
                role = role_of(part, pool)
                weights.append(seconds.get(part, 0.0) / max(sum(seconds.values()), 1e-300))
                sigmas.append(sigma_of(setup.calibration, role, setup.precision))
        if sum(weights) > 0.0:
            sigma = float(np.average(sigmas, weights=weights))
            paths = (tuple(f"engine.{factor}" for factor in factors),)
            sources.append(Source(f"residual of {name} kernels", paths, np.array([[sigma]])))
    return sources
