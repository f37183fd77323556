"""Which inputs give a required result: a throughput, the best chips, a gain of 1?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jaxsim.catalog.chip_parts import load_chip_parts
from jaxsim.catalog.errors import InputError, nearest
from jaxsim.catalog.priors import Priors, load_priors
from jaxsim.catalog.setup import Setup
from jaxsim.space.axes import Space
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.sensitivity.cheapest import Cheapest, cheapest
from jaxsim.space.sensitivity.chips import Budget, Chips, best_chips
from jaxsim.space.sensitivity.inputs import matching
from jaxsim.space.sensitivity.inverse import Crossover, Reach, crossover
from jaxsim.space.sensitivity.parameters import HARDWARE
from jaxsim.space.sensitivity.solve import Optimum, Problem

# Parts whose growth reaches a target together: HBM bandwidth, peak arithmetic, and the link.
GROWN = (
    "hardware.chip.hbm_bytes_per_s",
    "hardware.chip.multiprocessors",
    "hardware.scaleup.bytes_per_s",
)
# What a chip may be made of; a price is none of it.
PARTS = [p for p in HARDWARE if p.endswith(("_per_s", "hbm_bytes", "multiprocessors"))]


def shares_of(parts: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """What parts take of a chip, by kind and path: the catalogue's, replaced by those given."""
    shares = {kind: dict(own) for kind, own in load_chip_parts().shares.items()}
    for name, own in parts.items():
        (path,) = matching(name, PARTS)
        for kind, share in own.items():
            shares[kind][path] = share
    return shares


def priors_of(sigma: float | None, by_name: Mapping[str, float]) -> Priors:
    """The catalogue's priors, all replaced by `sigma` if given, and single ones by name."""
    priors = load_priors() if sigma is None else Priors(sigma, {})
    for name, own in by_name.items():
        known = sorted({path for path in priors.provenance if path.startswith("constants.")})
        names = {path.removeprefix("constants.") for path in known} | _constants()
        if name not in names:
            near = nearest(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else "see the fits of `jaxsim hardware`."
            raise InputError(f"prior {name!r}: no fit has such a constant; {hint}")
        kept = {key: one for key, one in priors.provenance.items() if key != f"constants.{name}"}
        priors = replace(priors, by_name={**priors.by_name, name: own}, provenance=kept)
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
    return cheapest(swept, problem, base, costs, goal, singles)


def chips_of(
    swept: Swept,
    problem: Problem,
    base: Optimum,
    budget: Budget,
    space: Space | None,
) -> tuple[Chips, ...]:
    """The best chips of their own for each pool, and the best chip for both."""
    kinds = (False,) if base.mode else (True, False)
    return tuple(
        best_chips(swept, problem, base, budget, unlike=unlike, space=space) for unlike in kinds
    )


def crossovers_of(
    setup: Setup,
    request: PlanRequest,
    spans: Sequence[tuple[str, float, float]],
    space: Space | None,
    prefill_setup: Setup | None,
) -> tuple[Crossover, ...]:
    """Where along each requested axis disaggregation begins to pay."""
    return tuple(
        crossover(setup, request, *span, space, prefill_setup=prefill_setup) for span in spans
    )
