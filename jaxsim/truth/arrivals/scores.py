"""How large are the errors, by family and by measure, beside the goals?"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from jaxsim.truth.arrivals.cache_transfers import GOAL as MOVES_GOAL
from jaxsim.truth.arrivals.cache_transfers import Move, moves_of
from jaxsim.truth.arrivals.table import MEASURES, ArrivalRun

# Median errors to reach on families that nothing was fitted to.
GOALS = {"ttft_p50": 0.10, "ttft_p90": 0.15, "ttft_p99": 0.20, "tpot_mean": 0.07}


Errors = dict[str, dict[str, float]]


def errors(runs: Iterable[ArrivalRun], measure: str) -> np.ndarray:
    """Signed errors, as fractions of the measured."""
    return np.array(
        [
            run.predicted[measure] / run.measured[measure] - 1.0
            for run in runs
            if measure in run.predicted and run.measured.get(measure)
        ]
    )


def score(runs: Sequence[ArrivalRun]) -> Errors:
    """Median, mean and bias of the error of every measure that some run has."""
    by_measure: Errors = {}
    for measure in MEASURES:
        own = errors(runs, measure)
        if len(own):
            by_measure[measure] = {
                "n": len(own),
                "median": float(np.median(np.abs(own))),
                "mean": float(np.abs(own).mean()),
                "bias": float(np.median(own)),
            }
    return by_measure


@dataclass(frozen=True)
class Summary:
    """Errors of all runs within capacity, of those past it, and by family; what was simulated."""

    overall: Errors
    overload: Errors
    groups: list[tuple[str, Errors]]
    runs: list[ArrivalRun]
    rows: int
    reasons: dict[str, int]
    moves: list[Move]

    def to_dict(self) -> dict[str, object]:
        """What `jaxsim validate --format json` prints of such a file."""
        return {
            "schema": "jaxsim.validate-arrivals/1",
            "overall": self.overall,
            "overload": self.overload,
            "groups": [{"family": name, "errors": errors} for name, errors in self.groups],
            "goals": GOALS,
            "runs": [
                {
                    "id": run.row.id,
                    "overload": run.overload,
                    "measured": run.measured,
                    "predicted": {m: run.predicted[m] for m in MEASURES},
                }
                for run in self.runs
            ],
            "transfers": {
                "goal": MOVES_GOAL,
                "runs": [
                    {"id": m.id, "tokens": m.tokens, "measured_s": m.measured_s,
                     "predicted_s": m.predicted_s}
                    for m in self.moves
                ],
            },
            "coverage": {
                "rows": self.rows, "predicted": len(self.runs), "reasons": self.reasons,
            },
        }  # fmt: skip


def summary_of(runs: Sequence[ArrivalRun]) -> Summary:
    """The errors of runs that were simulated.

    Runs past their capacity depend on when clients gave up and when the run was stopped, and are
    counted apart.
    """
    told = [run for run in runs if run.predicted and not run.row.excluded]
    steady = [run for run in told if not run.overload]
    families: dict[str, list[ArrivalRun]] = {}
    for run in steady:
        families.setdefault(f"{run.family} {run.row.model.split('/')[-1]}", []).append(run)
    left_out = [run.refused or run.row.excluded for run in runs if run not in told]
    return Summary(
        overall=score(steady),
        overload=score([run for run in told if run.overload]),
        groups=[(name, score(own)) for name, own in sorted(families.items())],
        runs=told,
        rows=len(runs),
        reasons=dict(Counter(left_out).most_common()),
        moves=moves_of(runs),
    )
