"""Which inverse questions are asked, as people write them, and what are their answers?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxsim.catalog.chip_parts import KINDS, load_chip_parts
from jaxsim.catalog.errors import InputError, nearest
from jaxsim.catalog.priors import Priors, load_priors
from jaxsim.catalog.setup import Setup
from jaxsim.space.axes import Space
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.sensitivity.cheapest import Cheapest, cheapest
from jaxsim.space.sensitivity.chips import Budget, Chips, best_chips
from jaxsim.space.sensitivity.inverse import AXES, Crossover, Reach, crossover
from jaxsim.space.sensitivity.parameters import HARDWARE
from jaxsim.space.sensitivity.solve import Optimum, Problem
from jaxsim.space.sensitivity.whatif import factor_of, matching

# Parts whose growth reaches a target together: HBM bandwidth, peak arithmetic, and the link.
GROWN = (
    "hardware.chip.hbm_bytes_per_s",
    "hardware.chip.multiprocessors",
    "hardware.scaleup.bytes_per_s",
)
# What a chip may be made of; a price is none of it.
PARTS = [p for p in HARDWARE if p.endswith(("_per_s", "hbm_bytes", "multiprocessors"))]


@dataclass(frozen=True)
class Asked:
    """What is asked beyond the plain sensitivity, checked before any long work."""

    chips: bool
    budget: Budget
    crossovers: tuple[tuple[str, float, float], ...]
    priors: Priors


def read_inverse(
    chips: bool,
    parts: Sequence[str],
    budgets: Sequence[str],
    crossovers: Sequence[str],
    priors: Sequence[str],
) -> Asked:
    """The inverse questions from their texts."""
    if budgets and not chips:
        raise InputError("a budget is of chips: give --chips with --budget.")
    budget = Budget(read_parts(parts), read_budgets(budgets))
    spans = tuple(read_crossover(text) for text in crossovers)
    return Asked(chips, budget, spans, read_priors(priors))


def read_parts(texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """What parts take of a chip: the catalogue's, replaced by texts such as `NAME=cost:30%`."""
    shares = {kind: dict(own) for kind, own in load_chip_parts().shares.items()}
    for text in texts:
        name, equals, takes = (piece.strip() for piece in text.partition("="))
        if not (name and equals and takes):
            raise InputError(
                f"--part {text!r}: write NAME=KIND:SHARE,…, such as "
                "hbm_bytes_per_s=cost:30%,power:20%."
            )
        (path,) = matching(name, PARTS)
        for one in takes.split(","):
            kind, colon, share = (piece.strip() for piece in one.partition(":"))
            if not colon:
                raise InputError(f"--part {text!r}: {one.strip()!r} lacks a share; write cost:30%.")
            shares[_kind("--part", kind)][path] = _fraction("--part", text, share)
    return shares


def _kind(option: str, kind: str) -> str:
    if kind not in KINDS:
        near = nearest(kind, KINDS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{option}: {kind!r} is no kind of budget: cost, power or area{hint}")
    return kind


def _fraction(option: str, text: str, share: str) -> float:
    try:
        value = float(share[:-1]) / 100.0 if share.endswith("%") else float(share)
    except ValueError:
        value = np.nan
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{option} {text!r}: {share!r} is no share; give 0% to 100%.")
    return value


def read_budgets(texts: Sequence[str]) -> dict[str, float]:
    """What a chip may take over what it takes now, from texts such as `cost=+10%,area=-5%`."""
    most: dict[str, float] = {}
    for text in texts:
        for one in text.split(","):
            kind, equals, value = (piece.strip() for piece in one.partition("="))
            if not (kind and equals and value):
                raise InputError(f"--budget {one.strip()!r}: write KIND=CHANGE, such as cost=+10%.")
            most[_kind("--budget", kind)] = factor_of(kind, value, 1.0)
    return most


def read_crossover(text: str) -> tuple[str, float, float]:
    """The axis and the ends of a text such as `isl=256..32768`."""
    axis, _, ends = (piece.strip() for piece in text.partition("="))
    low, dots, high = (piece.strip() for piece in ends.partition(".."))
    if axis.lower() not in AXES or not dots:
        raise InputError(
            f"--crossover {text!r}: write isl=LOW..HIGH or osl=LOW..HIGH, such as isl=256..32768."
        )
    try:
        numbers = float(low.replace(",", "")), float(high.replace(",", ""))
    except ValueError:
        numbers = (np.nan, np.nan)
    least = AXES[axis.lower()]
    whole = all(np.isfinite(n) and n == int(n) for n in numbers)
    if not (whole and least <= numbers[0] < numbers[1]):
        raise InputError(
            f"--crossover {text!r}: the ends are whole numbers of tokens, the second larger, the "
            f"first at least {least}."
        )
    return axis.lower(), *numbers


def read_priors(texts: Sequence[str]) -> Priors:
    """The catalogue's priors, replaced by texts such as `0.3` (all) or `wave_power=0.3`."""
    priors = load_priors()
    for text in texts:
        name, equals, value = (piece.strip() for piece in text.rpartition("="))
        try:
            sigma = float(value)
        except ValueError:
            sigma = np.nan
        if not 0.0 < sigma <= 5.0:
            raise InputError(
                f"--prior {text!r}: {value!r} is no deviation; give the standard deviation of the "
                "logarithm, more than 0 and at most 5, such as 0.4."
            )
        if not equals:
            priors = Priors(sigma, {})
            continue
        known = sorted({path for path in priors.provenance if path.startswith("constants.")})
        names = {path.removeprefix("constants.") for path in known} | _constants()
        if name not in names:
            near = nearest(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else "see the fits of `jaxsim hardware`."
            raise InputError(f"--prior {text!r}: no fit has a constant {name!r}; {hint}")
        kept = {key: own for key, own in priors.provenance.items() if key != f"constants.{name}"}
        priors = replace(priors, by_name={**priors.by_name, name: sigma}, provenance=kept)
    return priors


def _constants() -> set[str]:
    """The names of the constants of all families."""
    from jaxsim.catalog._calibration_file import constant_names
    from jaxsim.catalog.calibration import KINDS as FAMILIES

    return {name for kind in FAMILIES for name in constant_names(kind)}


def cheapest_of(
    swept: Swept,
    problem: Problem,
    base: Optimum,
    budget: Budget,
    goal: float,
    reached: Sequence[Reach],
    progress: Callable[[str], None],
) -> Cheapest | None:
    """The cheapest growth of bandwidth, peak and link that reaches a goal; None across chips."""
    if swept.prefill_setup is not swept.setup:
        return None
    costs = {path: budget.shares["cost"].get(path, 0.0) for path in GROWN}
    costs = {path: cost for path, cost in costs.items() if cost > 0.0}
    titles = {HARDWARE[path]: path for path in costs}
    singles: list[Mapping[str, float]] = [
        {titles[one.title]: one.factor}
        for one in reached
        if one.title in titles and one.factor is not None
    ]
    if not singles:  # none does alone: all together
        singles = [dict.fromkeys(costs, factor) for factor in (1.5, 2.0, 4.0, 16.0)]
    return cheapest(swept, problem, base, costs, goal, singles, progress=progress)


def chips_of(
    swept: Swept,
    problem: Problem,
    base: Optimum,
    asked: Asked,
    space: Space | None,
    progress: Callable[[str], None],
) -> tuple[Chips, ...]:
    """The best chips of their own for each pool, and the best chip for both."""
    if not asked.chips:
        return ()
    kinds = (False,) if base.mode else (True, False)
    return tuple(
        best_chips(
            swept, problem, base, asked.budget, unlike=unlike, space=space, progress=progress
        )
        for unlike in kinds
    )


def crossovers_of(
    setup: Setup,
    request: PlanRequest,
    asked: Asked,
    space: Space | None,
    prefill_setup: Setup | None,
    progress: Callable[[str], None],
) -> tuple[Crossover, ...]:
    """Where along each axis asked for pools begin to pay."""
    return tuple(
        crossover(setup, request, *span, space, prefill_setup=prefill_setup, progress=progress)
        for span in asked.crossovers
    )
