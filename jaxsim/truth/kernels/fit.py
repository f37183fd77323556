"""Which constants make a kernel form agree best with measured launches?

Least squares on the logarithm of predicted over measured seconds, robust (soft L1: a row that is
far off counts by its distance, not by its square), over the logarithms of the constants, with the
exact Jacobian of the form. A wide prior around the start decides what the rows leave open.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, least_squares

from jaxsim._record import Record, Tree, replace_leaf
from jaxsim.catalog.calibration import KINDS, SCALELESS, PeakShare
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.fits import CollectiveFit
from jaxsim.catalog.hardware import Hardware
from jaxsim.point.collectives import message_s
from jaxsim.point.roofline import kernel_s
from jaxsim.point.work import AbstractMessage, AbstractWork
from jaxsim.space.program.bits import in_precision
from jaxsim.truth.kernels.rows import KernelRows
from jaxsim.truth.kernels.starts import STARTS, Start, arithmetic_of

ROWS = 2000  # fitted at a time: enough for some twenty constants, and one compilation for all
NEAR = 0.1  # log error within which a row counts by its square
PRIOR = 0.02  # weight of one unit of log between a constant and its start, in log error
STEPS = 200  # evaluations after which a fit is given up
_SCALE = ("peak", "multiprocessors")


@dataclass(frozen=True)
class Fitted:
    """The outcome of a fit."""

    kind: str
    number_format: str
    arithmetic: str
    constants: dict[str, float]
    free: tuple[str, ...]
    covariance: np.ndarray  # of the logs of `free`
    sigma: float
    rows: int  # that the fit could see
    errors: dict[str, float]  # on all rows whose shape it could not; fractions
    seen_errors: dict[str, float]
    source: str
    at_limit: tuple[str, ...] = ()


def predict_s(rows: KernelRows, fit: Record, hardware: Hardware) -> np.ndarray:
    """Predicted seconds of every row, with what ran beside."""
    with in_precision(True):
        work = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype=jnp.float64), rows.work)
        own_s = np.asarray(_predict(work, _as_float64(fit), _as_float64(hardware)))
    return own_s if rows.beside_s is None else own_s + rows.beside_s


def _as_float64(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype=jnp.float64), tree)


@jax.jit
def _predict(work: AbstractWork | AbstractMessage, fit: Record, hardware: Hardware):
    """Seconds of every row on the one chip, or each on its own where leaves have an axis."""

    def one_s(one: AbstractWork | AbstractMessage, own: Hardware):
        if isinstance(one, AbstractMessage):
            return message_s(one, cast(CollectiveFit, fit), own)
        return kernel_s(one, fit, own.chip)

    each = 0 if jnp.ndim(hardware.chip.hbm_bytes_per_s) else None
    return jax.vmap(one_s, in_axes=(0, each))(work, hardware)


def joined(parts: Sequence[tuple[KernelRows, Hardware]]) -> tuple[KernelRows, Hardware]:
    """Rows of one family and format on chips that differ in memory alone, and each row's chip.

    Fitted together, they tell what memory bounds from what the multiprocessors do: rows of one chip
    cannot.
    """
    rows = [own for own, _ in parts]

    def stacked(*leaves: ArrayLike):
        return np.concatenate([np.asarray(leaf, float) for leaf in leaves])

    def repeated(hardware: Hardware, count: int):
        return jax.tree.map(lambda leaf: np.full(count, float(np.asarray(leaf))), hardware)

    chips = [repeated(hardware, len(own)) for own, hardware in parts]
    both = KernelRows(
        rows[0].kind,
        rows[0].number_format,
        jax.tree.map(stacked, *(own.work for own in rows)),
        np.concatenate([own.seconds for own in rows]),
        np.concatenate([own.unseen for own in rows]),
        " and ".join(own.source for own in rows),
        np.concatenate([~own.sound for own in rows]),
    )
    return both, jax.tree.map(stacked, *chips)


def _at(hardware: Hardware, index: np.ndarray) -> Hardware:
    """The chips of some rows, or the one of all."""
    if not np.ndim(hardware.chip.hbm_bytes_per_s):
        return hardware
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], hardware)


@functools.cache
def _residuals(kind: str, free: tuple[str, ...]):
    """Log of predicted over measured, and its Jacobian, as compiled functions."""

    def with_logs(logs: jax.Array, fit: Record):
        values = [jnp.exp(logs[i]) for i in range(len(free))]
        return replace_leaf(lambda f: [getattr(f, name) for name in free], fit, values)

    def residual(
        logs: jax.Array,
        fit: Record,
        work: AbstractWork | AbstractMessage,
        hardware: Hardware,
        log_seconds: jax.Array,
        beside_s: jax.Array,
    ):
        return jnp.log(beside_s + _predict(work, with_logs(logs, fit), hardware)) - log_seconds

    return jax.jit(residual), jax.jit(jax.jacfwd(residual))


def error_stats(predicted_s: np.ndarray, measured_s: np.ndarray) -> dict[str, float]:
    """Relative error: rows, mean, median and 90th percentile of its size, and the median signed."""
    if not len(measured_s):
        return {"n": 0}
    error = predicted_s / measured_s - 1.0
    size = np.abs(error)
    return {
        "n": len(error),
        "mean": float(size.mean()),
        "median": float(np.median(size)),
        "p90": float(np.percentile(size, 90)),
        "bias": float(np.median(error)),
    }


def _sample(rows: KernelRows, chosen: np.ndarray, seed: int) -> np.ndarray:
    """Indices of at most `ROWS` rows, equally many from each tenth by duration, repeated if few."""
    rng = np.random.default_rng(seed)
    index = np.flatnonzero(chosen)
    index = index[np.argsort(rows.seconds[index], kind="stable")]
    if len(index) > ROWS:
        parts = np.array_split(index, 10)
        index = np.concatenate([rng.permutation(part)[: ROWS // 10] for part in parts])
    return index


def fit_rows(rows: KernelRows, hardware: Hardware, seed: int = 0, tries: int = 2) -> Fitted:
    """The constants that fit the seen rows best, with their errors on the unseen ones.

    `hardware` is the chip of all rows, or of each (`joined`).
    """
    start = STARTS[rows.kind]
    names = tuple(start.free)
    seen = ~rows.unseen & rows.sound
    what = f"{rows.kind} in {rows.number_format} from {rows.source}"
    if seen.sum() < 3 * len(names):
        raise InputError(
            f"Too few rows to fit {what}: {int(seen.sum())} seen rows for {len(names)} constants; "
            f"{3 * len(names)} are needed. Measure more, or transfer a fit of another chip."
        )
    wrong = np.flatnonzero(~(np.isfinite(rows.seconds) & (rows.seconds > 0)))
    if len(wrong):
        raise InputError(
            f"Row {wrong[0] + 1} of {what} took {rows.seconds[wrong[0]]} s; every measurement must "
            "be a finite time above 0. Correct or remove it."
        )
    arithmetic = rows.arithmetic or arithmetic_of(rows.kind, rows.number_format)
    record = _record(rows.kind, arithmetic, hardware, start)
    index = _sample(rows, seen, seed)
    # Padded by repeats of no weight, so that every fit of a family has one compilation.
    padded = np.resize(index, ROWS)
    weight = (np.arange(ROWS) < len(index)).astype(float)
    beside_s = np.zeros(len(rows)) if rows.beside_s is None else rows.beside_s
    centre = np.log([start.free[name][0] for name in names])
    low = np.log([start.free[name][1] for name in names])
    high = np.log([start.free[name][2] for name in names])
    rng = np.random.default_rng(seed)
    with in_precision(True):
        residual, jacobian = _residuals(rows.kind, names)
        work = jax.tree.map(lambda leaf: jnp.asarray(leaf[padded], jnp.float64), rows.work)
        fixed = (
            _as_float64(record),
            work,
            _as_float64(_at(hardware, padded)),
            jnp.log(jnp.asarray(rows.seconds[padded], jnp.float64)),
            jnp.asarray(beside_s[padded], jnp.float64),
        )

        def cost(logs: np.ndarray):
            near = np.asarray(residual(logs, *fixed)) * weight
            return np.concatenate([near, PRIOR * (logs - centre)])

        def slope(logs: np.ndarray):
            near = np.asarray(jacobian(logs, *fixed)) * weight[:, None]
            return np.concatenate([near, PRIOR * np.eye(len(names))])

        best = None
        for attempt in range(tries):
            nudge = 0.0 if attempt == 0 else rng.normal(0.0, 0.4, len(names))
            first = np.clip(centre + nudge, low + 1e-6, high - 1e-6)
            solved = least_squares(
                cost,
                first,
                slope,  # pyright: ignore[reportArgumentType]  (a function is allowed)
                bounds=(low, high),
                loss="soft_l1",
                f_scale=NEAR,
                ftol=1e-5,
                xtol=1e-5,
                max_nfev=STEPS,
            )
            if (
                solved.success
                and np.all(np.isfinite(solved.x))
                and (best is None or solved.cost < best.cost)
            ):
                best = solved
    if best is None:
        raise InputError(f"The fit of {what} did not converge in {tries} tries; look at its rows.")
    values = {name: float(np.exp(x)) for name, x in zip(names, best.x, strict=True)}
    constants = {**values, **start.held}
    fit = replace_leaf(
        lambda f: [getattr(f, name) for name in names], record, list(values.values())
    )
    predicted = predict_s(rows, fit, hardware)
    log_error = np.log(predicted / rows.seconds)
    held_out = rows.unseen & rows.sound
    judged = held_out if held_out.sum() >= 10 else seen
    # Half the spread of the middle 68 %, at least that of the middle 90 %: both are the standard
    # deviation where errors are normal, and the second sees the tails.
    spread = [
        np.subtract(*np.percentile(log_error[judged], (50 + p / 2, 50 - p / 2))) / (2 * z)
        for p, z in ((68.27, 1.0), (90.0, 1.645))
    ]
    limits = tuple(
        name
        for name, x, a, b in zip(names, best.x, low, high, strict=True)
        if min(x - a, b - x) < 1e-3
    )
    return Fitted(
        kind=rows.kind,
        number_format=rows.number_format,
        arithmetic=arithmetic,
        constants={name: constants[name] for name in _ordered(rows.kind, constants)},
        free=names,
        covariance=_covariance(best, weight.sum()),
        sigma=float(max(spread)),
        rows=int(seen.sum()),
        errors=error_stats(predicted[rows.unseen], rows.seconds[rows.unseen]),
        seen_errors=error_stats(predicted[seen], rows.seconds[seen]),
        source=rows.source,
        at_limit=limits,
    )


def _record(kind: str, arithmetic: str, hardware: Hardware, start: Start) -> Record:
    build: Callable[..., Record] = KINDS[kind]
    numbers: dict[str, object] = {name: value for name, (value, _, _) in start.free.items()}
    numbers |= start.held
    if KINDS[kind] not in SCALELESS:
        numbers["peak"] = PeakShare(*(float(arithmetic == own) for own in ("fp4", "fp8", "bf16")))
        numbers["multiprocessors"] = np.max(np.asarray(hardware.chip.multiprocessors))
    return build(**numbers)


def _ordered(kind: str, constants: dict[str, float]) -> list[str]:
    fields = list(KINDS[kind].__dataclass_fields__)
    return [name for name in fields if name in constants and name not in _SCALE]


def _covariance(solved: OptimizeResult, rows: float) -> np.ndarray:
    """Covariance of the logs: (J'J)^-1 times the mean square of the residuals.

    `jac` is already scaled by the robust loss. Rows of one table share their set-up, so this is a
    lower limit; `sigma` is the honest spread of a prediction.
    """
    normal = solved.jac.T @ solved.jac
    variance = 2.0 * solved.cost / max(rows - len(solved.x), 1.0)
    return np.linalg.pinv(normal) * variance
