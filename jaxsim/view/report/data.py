"""What does the page of a plan hold?  Its numbers as JSON: columns, rounded, nothing twice."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from jaxsim.quantities import MODE_TITLES, PART_TITLES
from jaxsim.space.deploy.choices import Choices
from jaxsim.space.deploy.result import FrontierCurve, Plan
from jaxsim.space.deploy.uncertainty import EIGHTY_PERCENT
from jaxsim.view.figures.breakdown import PART_COLOURS
from jaxsim.view.figures.frontier import at_least
from jaxsim.view.text import sentences, units
from jaxsim.view.text.gain import verdict

DIGITS = 6  # significant, of every number of the page
# Interactivities at which curves are compared, tokens/s a user.
NICE = (1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000)
MOST_LEVELS = 8

Columns = dict[str, list[float]]


def page_data(plan: Plan, link_bytes_per_s: float | None) -> dict[str, object] | None:
    """What the page's script computes with; None where the plan was made without `choices`."""
    if plan.choices is None or not len(plan.choices.rows.get("ttl_s", ())):
        return None
    return {
        "model": plan.model,
        "hardware": {"prefill": plan.prefill_hardware, "decode": plan.hardware},
        "isl": plan.isl,
        "osl": plan.osl,
        "target": {"ftl_s": plan.ftl_target_s, "ttl_s": plan.ttl_target_s},
        "own": {
            "recommendation": sentences.recommendation(plan),
            "verdict": verdict(plan),
            "constraint": sentences.constraint(plan),
            "recommended": plan.recommended,
            "gain": plan.gain,
        },
        "worth": units.WORTH[plan.objective],
        "cap": plan.max_gpus if plan.exact_gpus is None else None,
        "gain_log_sigma": _gain_log_sigma(plan),
        "link_bytes_per_s": link_bytes_per_s,
        "gpus": _gpus(plan),
        "parts": {
            f"{name}_s": {"title": title, "colour": PART_COLOURS[name]}
            for name, (title, _) in PART_TITLES.items()
        },
        "modes": list(MODE_TITLES.values()),
        "levels": levels(plan),
        **_choices(plan.choices),
    }


def _choices(choices: Choices) -> dict[str, object]:
    return {
        "designs": {phase: columns(table) for phase, table in choices.designs.items()},
        "rows": columns(choices.rows),
        "ftl_targets_s": rounded(choices.ftl_targets_s),
        "tolerance": choices.tolerance,
        "tie": choices.tie,
    }


def columns(table: Mapping[str, np.ndarray]) -> Columns:
    """Columns as lists of numbers, rounded."""
    return {name: rounded(column) for name, column in table.items()}


def rounded(column: Sequence[float] | np.ndarray) -> list[float]:
    """Numbers to `DIGITS` digits, whole ones as such; one format of a column is the quickest."""
    values = np.asarray(column, float).tolist()
    texts = (f"%.{DIGITS}g " * len(values) % tuple(values)).split()
    near = map(float, texts)
    return [int(v) if v.is_integer() and abs(v) < 1e15 else v for v in near]


def _gain_log_sigma(plan: Plan) -> float | None:
    """The standard deviation of the log gain, from the plan's own 80 % interval."""
    if plan.gain_interval is None:
        return None
    low, high = plan.gain_interval
    return math.log(high / low) / (2.0 * EIGHTY_PERCENT)


def _gpus(plan: Plan) -> dict[str, dict[str, float]]:
    """What a GPU of each pool costs and draws, where the plan says so."""
    by_phase = {}
    for kind in ("disaggregated", "colocated"):
        for shape in getattr(getattr(plan, kind), "instances", ()):
            by_phase[shape.phase] = {
                "usd_per_hour": shape.price_usd_per_hour,
                "power_w": shape.power_w,
                "capacity_bytes": shape.memory_bytes.get("capacity", 0.0),
            }
    return by_phase


def levels(plan: Plan) -> list[float]:
    """Fixed interactivities, tokens/s a user, that some curve of the plan reaches."""
    ends = [1.0 / float(np.min(curve.ttl_s)) for curve in plan.curves if len(curve.ttl_s)]
    if not ends:
        return []
    # Ten of a decade and a half below the fastest design; beyond is where curves are flat.
    kept = [float(x) for x in NICE if max(ends) / 60.0 <= x <= max(ends)]
    return kept[-MOST_LEVELS:]


def at_levels(plan: Plan) -> list[list[float]]:
    """For each level, its interactivity and what every curve gives there; NaN past its end."""
    ladder = levels(plan)
    each = [at_least(curve, np.asarray(ladder)) for curve in plan.curves]
    return [[x, *(float(y[k]) for y in each)] for k, x in enumerate(ladder)]


def means(plan: Plan) -> list[float]:
    """One number a curve: the geometric mean of throughput over the levels that all reach.

    NaN where there is no such level.
    """
    table = np.array(at_levels(plan)).reshape(-1, 1 + len(plan.curves))[:, 1:]
    shared = table[np.isfinite(table).all(axis=1)]
    if not len(shared):
        return [math.nan] * len(plan.curves)
    return [float(x) for x in np.exp(np.log(shared).mean(axis=0))]


def names(curves: tuple[FrontierCurve, ...]) -> list[str]:
    """The names of curves for people."""
    return [sentences.curve_name(curve.name) for curve in curves]
