"""How wrong is a fit on what it has not seen: curves, whole systems, architectures, GPUs?"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from jaxsim.space.deploy.uncertainty import EIGHTY_PERCENT
from jaxsim.traffic.serving import MEASURES
from jaxsim.truth.cases import Case
from jaxsim.truth.engines.data import data_of
from jaxsim.truth.engines.fit import Data, outputs
from jaxsim.truth.engines.hierarchy import Hierarchy, Leaf, fit
from jaxsim.truth.runs import Runs, headline

FOLDS = 4  # of curves
SYSTEM_FOLDS = 12  # of whole systems: what is left out with a system is a twelfth of the others
FEWEST_ERRORS = 10  # from which a variant has a sigma of its own
# Folds are drawn from a hash of names; a mode that was renamed keeps the name it was drawn by.
OLD_NAMES = {"colocated": "aggregated"}
# How many errors of all rows of an engine count as much as those of a variant's own.
BORROWED = 20.0


def leaf_of(case: Case) -> Leaf:
    """Where a row belongs: its engine, generation of GPU and architecture of model."""
    return case.named.engine, case.named.family, case.named.model.architecture


def _hash(text: str, folds: int) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % folds


def system_of(case: Case) -> str:
    """Model, GPU, engine and number format: what a user means by a system."""
    named = case.named
    return "|".join((named.model.name, named.hardware.name, named.engine, named.format))


def fold_of(case: Case) -> int:
    """The fold of a row: whole curves share one, whoever published them."""
    row = case.row
    key = (case.named.model.name, case.named.hardware.name, case.named.engine, case.named.quant)
    mode = OLD_NAMES.get(row.mode, row.mode)
    text = "|".join([*key, mode, f"{row.isl_max:g}", f"{row.osl_max:g}"])
    return _hash(f"curve|{text}", FOLDS)


# What is left out together, by the name of the scheme.
SCHEMES: Mapping[str, Callable[[Case], str]] = {
    "curve": lambda case: str(fold_of(case)),
    "system": lambda case: str(_hash(f"system|{system_of(case)}", SYSTEM_FOLDS)),
    "format": lambda case: f"{case.named.engine}, {case.named.format}",
    "architecture": lambda case: f"{case.named.engine}, {case.named.model.architecture}",
    "gpu": lambda case: case.named.hardware.name,
}


@dataclass(frozen=True)
class HeldOut:
    """Logs of the measures of every row by a fit that left it out [row, measure], by scheme.

    Rows that no fit uses are predicted by the whole fit.
    """

    logs: Mapping[str, np.ndarray]
    whole: Hierarchy
    usable: np.ndarray


def predict_with(tree: Hierarchy, runs: Runs, data: Data, index: np.ndarray) -> np.ndarray:
    """Logs of predicted measures [row of index, measure]."""
    table = {leaf: tree.logs(leaf) for leaf in {leaf_of(runs.cases[i]) for i in index}}
    logs = np.stack([table[leaf_of(runs.cases[i])] for i in index])
    return outputs(logs, data.take(index))


def fitted_rows(runs: Runs, data: Data) -> np.ndarray:
    """Which rows a fit may use: those of the headline figures with something measured."""
    measured = (data.weights > 0).any(axis=1)
    return np.flatnonzero(measured & np.asarray([headline(case) for case in runs.cases]))


def fit_rows(runs: Runs, data: Data, index: np.ndarray, start: Hierarchy | None = None):
    """The hierarchy of some of the rows."""
    return fit(data.take(index), [leaf_of(runs.cases[i]) for i in index], start)


def cross_validate(
    runs: Runs, say: Callable[[str], None] = print, schemes: Iterable[str] = tuple(SCHEMES)
) -> HeldOut:
    """Predictions of every row by fits that have not seen its curve, system, format, …"""
    data = data_of(runs)
    usable = fitted_rows(runs, data)
    whole = fit_rows(runs, data, usable)
    say(f"fitted {len(usable)} rows of {len(whole.rows)} engines, generations and architectures")
    everywhere = predict_with(whole, runs, data, np.arange(len(runs)))
    predictions = {}
    for scheme in schemes:
        names = np.asarray([SCHEMES[scheme](runs.cases[i]) for i in usable])
        predictions[scheme] = everywhere.copy()
        for name in sorted(set(names)):
            test = usable[names == name]
            tree = fit_rows(runs, data, usable[names != name], whole)
            predictions[scheme][test] = predict_with(tree, runs, data, test)
        say(f"left out by {scheme}: {len(set(names))} times")
    return HeldOut(predictions, whole, usable)


def measured_logs(runs: Runs) -> np.ndarray:
    """Logs of what was measured, TTFT only where it is no queue's, NaN where nothing is."""
    logs = np.full((len(runs), len(MEASURES)), np.nan)
    for i, case in enumerate(runs.cases):
        for column, measure in enumerate(MEASURES):
            value = case.row.measured(measure)
            if value and not (measure == "ttft" and case.row.queued):
                logs[i, column] = np.log(value)
    return logs


def sigma_of(errors: np.ndarray) -> float:
    """The deviation whose 80 % interval holds 80 % of the log errors."""
    errors = np.abs(errors[np.isfinite(errors)])
    return float(np.quantile(errors, 0.8) / EIGHTY_PERCENT) if len(errors) else np.nan


def shrunk_sigma(own: np.ndarray, like: np.ndarray) -> float:
    """The deviation of a variant's errors, drawn to that of `like` as far as they are few."""
    known = np.isfinite(own).sum()
    general = sigma_of(like)
    if not known:
        return general
    variance = known * sigma_of(own) ** 2 + BORROWED * general**2
    return float(np.sqrt(variance / (known + BORROWED)))


def row_sigmas(runs: Runs, logs: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Sigmas as the catalogue gives them, from errors of systems other than the row's own."""
    errors = logs - measured_logs(runs)
    systems = np.asarray([SCHEMES["system"](case) for case in runs.cases])
    engines = np.asarray([case.named.engine for case in runs.cases])
    kinds = np.asarray([f"{case.named.engine} {case.row.kind}" for case in runs.cases])
    leaves = [f"{k} {leaf_of(c)}" for k, c in zip(kinds, runs.cases, strict=True)]
    variants = np.where([case.row.kind == "closed" for case in runs.cases], leaves, kinds)
    known = np.zeros(len(runs), bool)
    known[usable] = True
    sigmas = np.full_like(logs, np.nan)
    for system in sorted(set(systems)):
        others = known & (systems != system)
        for variant in sorted(set(variants[systems == system])):
            rows = (systems == system) & (variants == variant)
            like = engines == engines[rows][0]
            for column in range(len(MEASURES)):
                sigmas[rows, column] = shrunk_sigma(
                    errors[others & (variants == variant), column], errors[others & like, column]
                )
    return sigmas
