"""How wrong is a fit on curves that it has not seen?"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from jaxsim.space.deploy.uncertainty import EIGHTY_PERCENT
from jaxsim.traffic.serving import MEASURES
from jaxsim.truth.cases import Case
from jaxsim.truth.engines.data import data_of
from jaxsim.truth.engines.fit import CENTRE, FEWEST_ROWS, Data, fit_formats, outputs
from jaxsim.truth.runs import Runs, headline

FOLDS = 4
FEWEST_ERRORS = 10  # from which a variant has a sigma of its own
# Of a normal distribution, 80 % lies within so many standard deviations.
# Rows of a curve err together, so the errors of seen curves spread less than those of unseen ones:
# intervals from other folds' errors alone held 76 % of held-out rows where they said 80 %.
CURVES_DIFFER = 1.12


@dataclass(frozen=True)
class Fits:
    """Logs of the fitted numbers by variant (`hopper-fp8`, `hopper`, or empty for all) of engines.

    `seen` counts the rows that each rests on.
    """

    logs: dict[tuple[str, str], np.ndarray]
    seen: dict[tuple[str, str], int]

    def of(self, case: Case) -> np.ndarray:
        """The nearest fit to a row."""
        engine, family = case.named.engine, case.named.family
        for variant in (f"{family}-{case.named.format}", family, ""):
            if (engine, variant) in self.logs:
                return self.logs[engine, variant]
        return CENTRE


def fold_of(case: Case) -> int:
    """The fold of a row: whole curves share one, whoever published them."""
    row = case.row
    key = (case.named.model.name, case.named.hardware.name, case.named.engine, case.named.quant)
    text = "|".join([*key, row.mode, f"{row.isl_max:g}", f"{row.osl_max:g}"])
    return int(hashlib.sha256(f"curve|{text}".encode()).hexdigest(), 16) % FOLDS


def fit_all(runs: Runs, data: Data, index: np.ndarray, say: Callable[[str], None] = print) -> Fits:
    """Fits of every engine, generation and number format that has enough of the given rows."""
    keys: dict[tuple[str, str], list[int]] = {}
    for i in index:
        named = runs.cases[i].named
        keys.setdefault((named.engine, ""), []).append(i)
        keys.setdefault((named.engine, named.family), []).append(i)
    logs, seen = {}, {}
    for (engine, family), rows in sorted(keys.items()):
        if len(rows) < FEWEST_ROWS:
            continue
        own = data.take(np.asarray(rows))
        names = [runs.cases[i].named.format for i in rows] if family else []
        base, formats = fit_formats(own, names, f"{engine} {family}".strip())
        logs[engine, family], seen[engine, family] = base, len(rows)
        for name, found in formats.items():
            logs[engine, f"{family}-{name}"] = found
            seen[engine, f"{family}-{name}"] = names.count(name)
        say(f"{engine} {family or 'all'}: {len(rows)} rows")
    return Fits(logs, seen)


def predict_with(fits: Fits, runs: Runs, data: Data, index: np.ndarray) -> np.ndarray:
    """Logs of predicted measures [row of index, measure]."""
    found = np.full((len(index), len(MEASURES)), np.nan)
    groups: dict[int, list[int]] = {}
    chosen = [fits.of(runs.cases[i]) for i in index]
    for place, logs in enumerate(chosen):
        groups.setdefault(id(logs), []).append(place)
    for places in groups.values():
        rows = index[np.asarray(places)]
        found[places] = outputs(chosen[places[0]], data.take(rows))
    return found


def fitted_rows(runs: Runs, data: Data) -> np.ndarray:
    """Which rows a fit may use: those of the headline figures with something measured."""
    measured = (data.weights > 0).any(axis=1)
    return np.flatnonzero(measured & np.asarray([headline(case) for case in runs.cases]))


def cross_validate(
    runs: Runs, say: Callable[[str], None] = print
) -> tuple[np.ndarray, np.ndarray, Fits]:
    """Logs of the measures of every row by fits that have not seen its curve, and their sigmas.

    Rows that no fit uses are predicted by the whole fit, which is the third. A sigma is that of the
    other folds' held-out errors in the row's variant, so that no row has a say in its own interval.
    """
    data = data_of(runs)
    usable = fitted_rows(runs, data)
    folds = np.asarray([fold_of(case) for case in runs.cases])
    whole = fit_all(runs, data, usable, say)
    found = predict_with(whole, runs, data, np.arange(len(runs)))
    for fold in range(FOLDS):
        train, test = usable[folds[usable] != fold], usable[folds[usable] == fold]
        if len(test):
            fits = fit_all(runs, data, train, lambda _: None)
            found[test] = predict_with(fits, runs, data, test)
            say(f"fold {fold + 1} of {FOLDS}: {len(test)} rows held out")
    return found, _sigmas(runs, found, usable, folds), whole


def measured_logs(runs: Runs) -> np.ndarray:
    """Logs of what was measured, TTFT only where it is no queue's, NaN where nothing is."""
    logs = np.full((len(runs), len(MEASURES)), np.nan)
    for i, case in enumerate(runs.cases):
        for column, measure in enumerate(MEASURES):
            value = case.row.measured(measure)
            if value and not (measure == "ttft" and case.row.queued):
                logs[i, column] = np.log(value)
    return logs


def _sigmas(runs: Runs, found: np.ndarray, usable: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Sigmas as the catalogue gives them: of a variant in a closed loop, else of the kind."""
    errors = found - measured_logs(runs)
    known = np.zeros(len(runs), bool)
    known[usable] = True
    engines = np.asarray([case.named.engine for case in runs.cases])
    kinds = np.asarray([f"{case.named.engine} {case.row.kind}" for case in runs.cases])
    own = [f"{k} {c.named.family} {c.named.format}" for k, c in zip(kinds, runs.cases, strict=True)]
    variants = np.where([case.row.kind == "closed" for case in runs.cases], own, kinds)
    sigmas = np.full_like(found, np.nan)
    for fold in range(FOLDS):
        others = known & (folds != fold)
        for variant in sorted(set(variants)):
            rows = (folds == fold) & (variants == variant)
            if not rows.any():
                continue
            like = (variants == variant, kinds == kinds[rows][0], engines == engines[rows][0])
            for column in range(len(MEASURES)):
                sigmas[rows, column] = first_sigma(errors[others & s, column] for s in like)
    return sigmas


def first_sigma(samples: Iterable[np.ndarray]) -> float:
    """The sigma of the first sample with enough errors, or of the last."""
    errors = np.zeros(0)
    for errors in samples:
        if np.isfinite(errors).sum() >= FEWEST_ERRORS:
            break
    return CURVES_DIFFER * sigma_of(errors)


def sigma_of(errors: np.ndarray) -> float:
    """The deviation whose 80 % interval holds 80 % of the log errors."""
    errors = np.abs(errors[np.isfinite(errors)])
    return float(np.quantile(errors, 0.8) / EIGHTY_PERCENT) if len(errors) else np.nan
