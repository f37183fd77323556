"""What is a claim, and what is found about it?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxsim.view.study.settings import Setting, settings
from jaxsim.view.study.source import Study

REPRODUCED, PARTLY, NOT = "reproduced", "partly", "not"


@dataclass(frozen=True)
class Part:
    """One thing that a claim says must show, and whether it does."""

    text: str
    holds: bool | np.bool_


@dataclass(frozen=True)
class Finding:
    """What one reading of the study gives for a claim.

    `measures` are the numbers behind it, `why` a sentence on what decides, where that can be said,
    `needed` what would have to be true of a statement that fails.
    """

    verdict: str
    value: str
    parts: tuple[Part, ...]
    measures: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    needed: str = ""


Check = Callable[[Study, Setting], Finding | None]


@dataclass(frozen=True)
class Claim:
    """A check of a claim. `varies` names the selected unknowns that it depends on.

    Unknowns that need a sweep of their own are always varied.
    """

    id: str
    check: Check
    varies: tuple[str, ...]


def least_of(holds: Callable[[float], bool], low: float, high: float, steps: int = 8) -> float:
    """Where something begins to hold between a number where it does not and one where it does."""
    for _ in range(steps):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def judge(*parts: Part, essential: int = 1) -> str:
    """Reproduced if every part holds, partly if the first `essential` do, else not."""
    if all(part.holds for part in parts):
        return REPRODUCED
    return PARTLY if all(part.holds for part in parts[:essential]) else NOT


def finding(
    value: str, parts: Sequence[Part], essential: int = 1, why: str = "", **measures: object
) -> Finding:
    """A finding, judged by its parts."""
    return Finding(judge(*parts, essential=essential), value, tuple(parts), measures, why)


def criterion(name: str) -> float:
    """Where a word of a claim begins."""
    return settings().criteria[name]


def number(name: str) -> float:
    """A number of the study."""
    return settings().numbers[name]


def numbers(name: str) -> tuple[float, ...]:
    """A list of numbers of the study."""
    return settings().lists[name]


def rank_correlation(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; 0 where either is constant."""
    a, b = _ranks(np.asarray(x, dtype=float)), _ranks(np.asarray(y, dtype=float))
    if len(a) < 2 or a.std() == 0.0 or b.std() == 0.0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    order = np.sort(values)
    return 0.5 * (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right"))


def thirds(values: np.ndarray) -> tuple[float, float, float]:
    """Geometric means of the relaxed, middle and tight third of a range; each has a rung."""
    cuts = np.array_split(np.log(values), 3) if len(values) >= 3 else [np.log(values)] * 3
    relaxed, middle, tight = (float(np.exp(part.mean())) for part in cuts)
    return relaxed, middle, tight


def within(value: float, expected: float, factor: float) -> bool:
    """Whether a number is the expected one up to a factor either way."""
    return expected / factor <= value <= expected * factor
