"""How sure is a gain, where neither engines nor constants have seen the system?

Engines get faster with every month, and runs of a pair are months apart: the constant for that and
the spread of the gain's error are each taken from systems (model and chip) other than the pair's.
"""

import datetime
import math
from collections.abc import Iterable, Sequence

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.gain_errors import DAYS_A_MONTH
from jaxsim.truth.gain_of_pairs import (
    GainErrors,
    Pair,
    Prediction,
    Sides,
    errors_of,
    logs_of,
    pairs,
    side_probability,
)

ALIKE = ("engine", "gpu", "precision", "model")
SURE = 0.9  # of a probability stated: how often such verdicts are true
FEWEST_DATES = 2
FEWEST_SYSTEMS = 2


def system_of(entry: Prediction) -> tuple[str, str]:
    """Model and chip: what is left out together."""
    return entry.key("model"), entry.key("gpu")


def monthly_frac(entries: Iterable[Prediction]) -> float:
    """By how much engines get faster a month, as a logarithm.

    The slope of ln(predicted/measured TPOT) over the date of a run, within runs of one engine,
    chip, number format, model and mode. 0 where no such group has runs of two dates.
    """
    groups: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for entry in entries:
        row = entry.row
        if row.excluded or not row.tpot_s or not row.date:
            continue
        try:
            months = datetime.date.fromisoformat(row.date[:10]).toordinal() / DAYS_A_MONTH
        except ValueError:
            continue
        error = math.log(entry.values["tpot"] / row.tpot_s)
        key = (*(entry.key(name) for name in ALIKE), row.mode)
        groups.setdefault(key, []).append((months, error))
    product = square = 0.0
    for own in groups.values():
        dates, errors = np.asarray(own).T
        if len(set(dates.tolist())) < FEWEST_DATES:
            continue
        away = dates - dates.mean()
        product += float(away @ (errors - errors.mean()))
        square += float(away @ away)
    return product / square if square else 0.0


def pairs_left_out(entries: Iterable[Prediction], one_engine: bool = False) -> list[Pair]:
    """Every pair, with the months' constant of the runs of other systems."""
    entries = list(entries)
    found = []
    for system in sorted({system_of(entry) for entry in entries}):
        own = [entry for entry in entries if system_of(entry) == system]
        modes = {entry.row.mode for entry in own if not entry.row.excluded}
        if not {"colocated", "disaggregated"} <= modes:
            continue
        monthly = monthly_frac(entry for entry in entries if system_of(entry) != system)
        found += pairs(own, one_engine, monthly)
    return found


def spread_of(found: Sequence[Pair]) -> float:
    """Root mean square error of the log gain, pairs weighted alike."""
    return math.sqrt(np.mean([np.mean(one.error**2) for one in found]))


class Joint(GainErrors):
    """Errors of gains, and how sure one is, by constants of other systems.

    `sure` has how many verdicts stated with 0.9 or more there are and are right. `log_sigma` is of
    all systems.
    """

    systems: int
    bias: float
    sure: Sides
    log_sigma: float


def judged(found: Sequence[Pair]) -> Joint:
    """Pairs with the spread of systems other than their own; of two systems or more."""
    systems = {(one.model, one.gpu) for one in found}
    if len(systems) < FEWEST_SYSTEMS:
        raise InputError(f"pairs of {len(systems)} systems: it takes {FEWEST_SYSTEMS}")
    sigmas = {
        system: spread_of([one for one in found if (one.model, one.gpu) != system])
        for system in systems
    }
    measured, predicted = logs_of(found)
    sigma = np.concatenate([np.full(len(one.error), sigmas[one.model, one.gpu]) for one in found])
    stated = side_probability(predicted / sigma, 1.0)
    sure = np.maximum(stated, 1.0 - stated) >= SURE
    right = (predicted > 0) == (measured > 0)
    return {
        **errors_of(found, sigma),
        "systems": len(systems),
        "bias": float(np.expm1(np.median(predicted - measured))),
        "sure": {"points": int(sure.sum()), "right": int(right[sure].sum())},
        "log_sigma": spread_of(found),
    }


def joint_error(entries: Iterable[Prediction], one_engine: bool = False) -> Joint:
    """The gain's error, spread and verdicts, with both constants from other systems.

    With `one_engine`, of pairs whose modes ran on one engine, as those of a plan do.
    """
    return judged(pairs_left_out(entries, one_engine))
