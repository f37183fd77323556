"""Is the gain of disaggregated over co-located serving right, where both were measured?

A pair is two frontiers of measured runs of one model, chip, number format and lengths: co-located
runs and disaggregated ones. Their predicted frontiers are those of the same runs, each with the
software of its date: runs of a pair are months apart, and engines get faster.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypedDict, runtime_checkable

import numpy as np

from jaxsim.catalog.gain_errors import GainError, load_gain
from jaxsim.truth.read.rows import ServingRow

SYSTEM = ("model", "gpu", "precision")
CLEAR = math.log(1.15)  # a gain beyond 15 % has a side
STEPS = ((0.5, 0.6), (0.6, 0.75), (0.75, 0.9), (0.9, 1.0))  # of the probability of the side stated
EIGHTY_PERCENT = 1.2815515655446004


@runtime_checkable
class Prediction(Protocol):
    """A measured run with what was predicted of it."""

    @property
    def row(self) -> ServingRow:
        """The run."""
        ...

    @property
    def values(self) -> dict[str, float]:
        """Predicted values in base units, by measure."""
        ...

    def key(self, name: str, /) -> str:
        """What the run counts under."""
        ...


class Sides(TypedDict):
    """How often the sign of the gain is right, of points whose measured gain is clear."""

    points: int
    right: int


class GainErrors(TypedDict):
    """Errors of the gain, |predicted / measured - 1|, over the points of all pairs."""

    pairs: int
    points: int
    median: float
    mean: float
    interval80: float
    side: Sides


# For a range of the probability stated for the better side: how often that side was right.
Reliability = TypedDict(
    "Reliability",
    {"from": float, "to": float, "points": int, "stated": float | None, "right": float | None},
)


class GainOfPair(TypedDict):
    """Gains of one pair: the medians, and at each interactivity in tokens/s a user."""

    model: str
    gpu: str
    precision: str
    isl: float
    osl: float
    points: int
    measured: float
    predicted: float
    tokens_per_s: list[float]
    measured_gain: list[float]
    predicted_gain: list[float]


class GainSummary(TypedDict):
    """What `jaxsim validate --format json` says under `gain`; errors as in `GainErrors`."""

    pairs: int
    points: int
    reason: str | None
    median: float | None
    mean: float | None
    interval80: float | None
    side: Sides | None
    reliability: list[Reliability]
    by_pair: list[GainOfPair]
    one_engine: GainErrors | None


@dataclass(frozen=True)
class Pair:
    """Gains of one pair at the interactivities that all four of its frontiers cover.

    `tokens_per_s` a user; `measured` and `predicted` are logs of disaggregated over co-located
    output tokens/s/GPU.
    """

    model: str
    gpu: str
    precision: str
    isl: float
    osl: float
    tokens_per_s: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Log of predicted over measured gain."""
        return self.predicted - self.measured


def frontier(points: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Pareto points of (interactivity, throughput), by rising interactivity: log throughput."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (-p[0], -p[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    x, y = np.asarray(best[::-1]).T
    return x, np.log(y)


def _points(
    entries: Iterable[Prediction], measured: bool, known: GainError
) -> list[tuple[float, float]]:
    """Interactivity and throughput of runs; predicted ones with the software of their dates."""
    points = []
    for entry in entries:
        faster = 1.0 if measured else math.exp(known.progress(entry.row.date))
        own = (
            (entry.row.tpot_s, entry.row.output_tokens_per_s_per_gpu)
            if measured
            else (entry.values["tpot"], entry.values["output_tokens_per_s_per_gpu"])
        )
        points.append((faster / own[0], faster * own[1]))  # type: ignore[operator]
    return points


def pair_of(
    key: tuple[str, str, str, float, float],
    disaggregated: Sequence[Prediction],
    colocated: Sequence[Prediction],
    known: GainError | None = None,
) -> Pair | None:
    """The gains of one pair, None where its frontiers cover no interactivity in common."""
    curves = [
        frontier(_points(entries, measured, known or load_gain()))
        for measured in (True, False)
        for entries in (disaggregated, colocated)
    ]
    low, high = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    at = np.unique(np.concatenate([curves[0][0], curves[1][0]]))
    at = at[(at >= low) & (at <= high)]
    if not len(at):
        return None
    values = [np.interp(at, x, y) for x, y in curves]
    model, gpu, precision, isl, osl = key
    gains = values[0] - values[1], values[2] - values[3]
    return Pair(model, gpu, precision, isl, osl, at, *gains)


def pairs(
    entries: Iterable[Prediction], one_engine: bool = False, monthly: float | None = None
) -> list[Pair]:
    """Every pair of frontiers, of rows without unknowns that measured both numbers.

    With `one_engine`, both frontiers of a pair are of the same engine, as in a plan; else each is
    the best that any engine was measured to give, whenever that was. `monthly` is by how much
    engines get faster a month, where it is not the catalogue's.
    """
    known = load_gain() if monthly is None else replace(load_gain(), monthly_frac=monthly)
    groups: dict[tuple[str, str, str, float, float, str], dict[str, list[Prediction]]] = {}
    for entry in entries:
        row = entry.row
        if row.excluded or not row.tpot_s or not row.output_tokens_per_s_per_gpu:
            continue
        model, gpu, precision = (entry.key(name) for name in SYSTEM)
        engine = entry.key("engine") if one_engine else ""
        key = (model, gpu, precision, row.isl_max, row.osl_max, engine)
        groups.setdefault(key, {}).setdefault(row.mode, []).append(entry)
    paired = []
    for key, modes in sorted(groups.items()):
        if "colocated" in modes and "disaggregated" in modes:
            one = pair_of(key[:5], modes["disaggregated"], modes["colocated"], known)
            if one is not None:
                paired.append(one)
    return paired


def side_probability(gain: np.ndarray, log_sigma: float) -> np.ndarray:
    """The probability that disaggregated serving is better, of a predicted log gain."""
    return np.array([0.5 * (1.0 + math.erf(g / log_sigma / math.sqrt(2.0))) for g in gain])


def gain_summary(entries: Iterable[Prediction]) -> GainSummary:
    """What `jaxsim validate --format json` says under `gain`.

    Errors are |predicted / measured - 1|. `side` counts points whose measured gain is beyond 15 %
    either way. `reliability` has, for each range of the probability stated for the better side,
    how often that side was right. `one_engine` has the same of pairs whose modes ran on one engine.
    Without a pair, `reason` says so and numbers are None.
    """
    entries = list(entries)
    paired = pairs(entries)
    if not paired:
        reason = (
            "no pair: a pair needs disaggregated and co-located runs of one model, GPU, precision"
            " and lengths, with TPOT and output tokens/s/GPU, that reach a common interactivity"
        )
        return {"pairs": 0, "points": 0, "reason": reason, "median": None, "mean": None,
                "interval80": None, "side": None, "reliability": [], "by_pair": [],
                "one_engine": None}  # fmt: skip
    measured, predicted = logs_of(paired)
    sigma = load_gain().log_sigma
    right = (predicted > 0) == (measured > 0)
    same = pairs(entries, one_engine=True)
    stated = side_probability(predicted, sigma)
    sure = np.maximum(stated, 1.0 - stated)
    table: list[Reliability] = []
    for low, high in STEPS:
        within = (sure >= low) & ((sure < high) | (high == 1.0))
        table.append({
            "from": low, "to": high, "points": int(within.sum()),
            "stated": float(sure[within].mean()) if within.any() else None,
            "right": float(right[within].mean()) if within.any() else None,
        })  # fmt: skip
    return {
        "reason": None,
        **errors_of(paired, sigma),
        "one_engine": errors_of(same, sigma) if same else None,
        "reliability": table,
        "by_pair": [
            {
                "model": one.model, "gpu": one.gpu, "precision": one.precision,
                "isl": one.isl, "osl": one.osl, "points": len(one.measured),
                "measured": float(np.exp(np.median(one.measured))),
                "predicted": float(np.exp(np.median(one.predicted))),
                "tokens_per_s": one.tokens_per_s.tolist(),
                "measured_gain": np.exp(one.measured).tolist(),
                "predicted_gain": np.exp(one.predicted).tolist(),
            }
            for one in paired
        ],
    }  # fmt: skip


def logs_of(paired: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Log gains of all points, measured and predicted."""
    measured = np.concatenate([one.measured for one in paired])
    return measured, np.concatenate([one.predicted for one in paired])


def errors_of(paired: Sequence[Pair], sigma: float | np.ndarray) -> GainErrors:
    """How far the gains of some pairs are off, and how often the side is right.

    `sigma` is the deviation of the log gain's error: one for all points, or one for each.
    """
    measured, predicted = logs_of(paired)
    error = np.abs(np.expm1(predicted - measured))
    clear, right = np.abs(measured) > CLEAR, (predicted > 0) == (measured > 0)
    return {
        "pairs": len(paired),
        "points": len(measured),
        "median": float(np.median(error)),
        "mean": float(error.mean()),
        "interval80": float(np.mean(np.abs(predicted - measured) <= EIGHTY_PERCENT * sigma)),
        "side": {"points": int(clear.sum()), "right": int(right[clear].sum())},
    }
