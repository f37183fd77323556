"""Would the prediction have chosen well among designs that were measured?"""

from collections.abc import Iterable
from typing import TypedDict

import numpy as np

from jaxsim.truth.gain_of_pairs import Prediction

GROUP = ("model", "gpu", "engine", "precision")
TPOT_TARGETS_S = (0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15)
FEWEST = 3  # designs that make a choice


class Decisions(TypedDict):
    """What `jaxsim validate --format json` says under `decisions`; None without a choice."""

    groups: int
    choices: int
    none: int
    reason: str | None
    mean: float | None
    median: float | None
    p90: float | None
    missed: float | None


def decisions(entries: Iterable[Prediction]) -> Decisions:
    """How well predictions choose among measured designs.

    For every group of runs (model, GPU, engine, precision, lengths; both modes) and every target
    that some but not all of its runs meet: the run of most predicted tokens/s/GPU among those
    predicted to meet it. `regret` is how much less it gave than the best that was measured to meet
    it, 0 where it gave more, and `missed` the fraction of choices that were measured beyond the
    target. `none` counts choices where no run was predicted to meet it.
    """
    groups: dict[tuple[object, ...], list[Prediction]] = {}
    for entry in entries:
        row = entry.row
        if row.excluded or not row.tpot_s or not row.output_tokens_per_s_per_gpu:
            continue
        key = (*(entry.key(name) for name in GROUP), row.isl_max, row.osl_max)
        groups.setdefault(key, []).append(entry)
    regret, missed, none, used = [], [], 0, 0
    for own in groups.values():
        if len(own) < FEWEST:
            continue
        tpot = np.array([e.row.tpot_s for e in own], float)
        rate = np.array([e.row.output_tokens_per_s_per_gpu for e in own], float)
        ours = np.array([e.values["tpot"] for e in own])
        worth = np.array([e.values["output_tokens_per_s_per_gpu"] for e in own])
        counted = False
        for target in TPOT_TARGETS_S:
            met = tpot <= target
            if met.all() or not met.any():
                continue
            counted = True
            if not (ours <= target).any():
                none += 1
                continue
            chosen = int(np.argmax(np.where(ours <= target, worth, -np.inf)))
            regret.append(max(1.0 - rate[chosen] / rate[met].max(), 0.0))
            missed.append(tpot[chosen] > target)
        used += counted
    if not regret:
        reason = f"no group has {FEWEST} runs of which a target is met by some and not by others"
        return {"groups": 0, "choices": 0, "none": none, "reason": reason,
                "mean": None, "median": None, "p90": None, "missed": None}  # fmt: skip
    return {
        "groups": used,
        "choices": len(regret),
        "none": none,
        "reason": None,
        "mean": float(np.mean(regret)),
        "median": float(np.median(regret)),
        "p90": float(np.quantile(regret, 0.9)),
        "missed": float(np.mean(missed)),
    }
