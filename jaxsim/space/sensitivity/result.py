"""What limits the best deployment, what would change it, and by how much?  The whole result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxsim._progress import tell
from jaxsim.catalog.setup import Setup
from jaxsim.space.axes import Space
from jaxsim.space.deploy.candidates import gather
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Deployed, Unmet
from jaxsim.space.deploy.select import best_colocated, best_disaggregated
from jaxsim.space.deploy.sweep import Swept, sweep_phases
from jaxsim.space.sensitivity.along import Along, along_frontier, attributions_of
from jaxsim.space.sensitivity.attribution import Attribution
from jaxsim.space.sensitivity.change import Change
from jaxsim.space.sensitivity.cheapest import Cheapest
from jaxsim.space.sensitivity.chips import Budget, Chips
from jaxsim.space.sensitivity.discrete import Step, domain_steps, steps_of
from jaxsim.space.sensitivity.elasticity import Elasticities
from jaxsim.space.sensitivity.inputs import change_of, goal_of, ranges_of
from jaxsim.space.sensitivity.inverse import Crossover, Reach
from jaxsim.space.sensitivity.inverse import reach as least
from jaxsim.space.sensitivity.inverse_requests import (
    cheapest_of,
    chips_of,
    crossovers_of,
    priors_of,
    shares_of,
)
from jaxsim.space.sensitivity.parameters import Input, hardware_levers, inputs_of, joined
from jaxsim.space.sensitivity.price import Price, prices_of
from jaxsim.space.sensitivity.problem import problem_of
from jaxsim.space.sensitivity.request import KINDS, SensitivityRequest, Value
from jaxsim.space.sensitivity.solve import Optimum, Problem, run_searches
from jaxsim.space.sensitivity.sources import sources_of
from jaxsim.space.sensitivity.study import (
    LeverStudy,
    elasticities_at,
    levers_changes,
    study_lever,
)
from jaxsim.space.sensitivity.uncertainty import Uncertainty, propagate

DEFAULT = SensitivityRequest()


@dataclass(frozen=True)
class WhatIf:
    """Throughput gained by moving inputs, a fraction, exactly and by elasticities; the design."""

    moves: Mapping[str, Value]
    exact: float | None
    local: float
    optimum: Optimum | None
    changed: bool


@dataclass(frozen=True)
class Sensitivity:
    """The sensitivity of one deployment of a plan.

    `elasticities` are d ln throughput / d ln input at `optimum`, where instances and batch are
    real numbers; `value` is its throughput (per GPU, $ or W, by the objective). `inputs` are
    ranked by the size of their elasticity.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> little = jaxsim.SensitivityRequest(kind="colocated", levers=0, domains=False)
    >>> targets = {"ftl_s": 1.0, "ttl_s": 0.02}
    >>> found = jaxsim.sensitivity("llama-3.1-8b", "h100", work, little, space=space, **targets)
    >>> found.value > 0, len(found.levers)
    (True, 0)
    """

    kind: str
    request: PlanRequest
    deployed: Deployed
    optimum: Optimum
    elasticities: Elasticities
    inputs: tuple[tuple[Input, float], ...]
    levers: tuple[LeverStudy, ...]
    prices: tuple[Price, ...]
    steps: tuple[Step, ...]
    attributions: Mapping[str, Attribution]
    along: Along | None
    what_if: tuple[WhatIf, ...]
    uncertainty: Uncertainty
    reached: tuple[Reach, ...] = ()
    goal: float | None = None
    cheapest: Cheapest | None = None
    chips: tuple[Chips, ...] = ()
    crossovers: tuple[Crossover, ...] = ()
    budget: Budget | None = None
    formats: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    model: str = ""
    engine: str = ""
    calibration: str = ""

    @property
    def value(self) -> float:
        return self.optimum.value


def sensitivity_of(
    setup: Setup,
    request: PlanRequest,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    details: SensitivityRequest = DEFAULT,
) -> Sensitivity | Unmet:
    """What limits the best deployment under the targets and what would change it.

    A GPU cap counts for the deployment and the price of the budget; elasticities and effects are
    those of real numbers of instances. Unmet where no design meets the targets.
    """
    budget = Budget(shares_of(details.parts), dict(details.chips or {}))
    priors = priors_of(details.prior_sigma, details.prior_sigmas)
    swept = sweep_phases(setup, request, space, prefill_setup)
    deployed = best_of(swept, details.kind)
    if isinstance(deployed, Unmet):
        return deployed
    colocated = len(deployed.instances) == 1
    problem = problem_of(swept, colocated, space)
    base = problem.solve(Change())
    assert base is not None, "a deployment that meets the targets is itself a solution"
    tell("differentiating")
    elasticities = elasticities_at(swept, base)
    ranked = _ranked(elasticities, setup)
    # Names and values are checked before any long work.
    values, now = _values(elasticities), deployed.output_tokens_per_s_per_gpu
    ranges = ranges_of(details.ranges, values)
    goal = None if details.reach is None else goal_of(details.reach, now)
    moved = _what_if(details.what_if, problem, base, elasticities, values)
    each = hardware_levers(elasticities.by_input, elasticities.by_limit)
    changes = levers_changes(elasticities.by_input)
    strongest = sorted(each, key=lambda name: -abs(float(each[name][0])))
    chosen = [
        *strongest[: details.levers],
        *(name for name in strongest[details.levers :] if name.endswith("HBM capacity")),
    ]
    tell("moving the strongest levers")
    chosen = chosen if details.levers else []
    studies = run_searches(
        problem, [study_lever(base, n, float(each[n][0]), changes[n]) for n in chosen]
    )
    reached = []
    if goal is not None:
        tell("how much of each lever it takes")
        wanted = goal / now * base.value
        reached = run_searches(
            problem,
            [least(base, n, float(each[n][0]), changes[n], wanted) for n in strongest],
        )
        grown = cheapest_of(swept, problem, base, budget, wanted, reached)
    else:
        grown = None
    tell("sampling what is unsure")
    attributions = attributions_of(swept, base)
    shares = {
        pool: dict(zip(own.parts, own.seconds[0].sum(axis=1), strict=True))
        for pool, own in attributions.items()
    }
    unsure = propagate(
        problem, base, elasticities, sources_of(swept, elasticities, shares, ranges, priors)
    )
    tell("stepping")
    steps = steps_of(swept, colocated)
    if details.domains:
        steps += domain_steps(swept, colocated, space)
    return Sensitivity(
        kind=KINDS[colocated],
        request=request,
        deployed=deployed,
        optimum=base,
        elasticities=elasticities,
        inputs=ranked,
        levers=tuple(studies),
        prices=prices_of(swept, deployed, problem, base, elasticities),
        steps=steps,
        attributions=attributions,
        along=along_frontier(swept) if not colocated else None,
        what_if=moved,
        uncertainty=unsure,
        reached=tuple(sorted(reached, key=_how_far)),
        goal=goal,
        cheapest=grown,
        chips=(chips_of(swept, problem, base, budget, space) if details.chips is not None else ()),
        crossovers=crossovers_of(setup, request, details.crossovers, space, prefill_setup),
        budget=budget if details.chips is not None or goal is not None else None,
        model=setup.model.name,
        engine=setup.engine.name,
        calibration=setup.calibration.name,
    )


def best_of(swept: Swept, kind: str | None) -> Deployed | Unmet:
    """The best deployment of one kind, or of either."""
    request = swept.request
    candidates = gather(swept)
    deployed: dict[str, Deployed | Unmet] = {}
    if kind in (None, "disaggregated"):
        deployed["disaggregated"], _ = best_disaggregated(swept, candidates)
    if kind in (None, "colocated"):
        deployed["colocated"], _ = best_colocated(swept, candidates)
    met = [one for one in deployed.values() if isinstance(one, Deployed)]
    if not met:
        unmet = [one for one in deployed.values() if isinstance(one, Unmet)]
        ftl = [one.ftl_s for one in unmet if one.ftl_s is not None]
        ttl = [one.ttl_s for one in unmet if one.ttl_s is not None]
        reason = " ".join(one.reason for one in unmet)
        return Unmet(reason, min(ftl, default=None), min(ttl, default=None))
    return max(met, key=lambda one: one.worth(request.objective))


def _how_far(one: Reach) -> float:
    return np.inf if one.factor is None else abs(float(np.log(one.factor)))


def _values(elasticities: Elasticities) -> dict[str, float]:
    """What every input is now."""
    pools = elasticities.pools
    values = {}
    for path in elasticities.by_input:
        where, _, own = path.rpartition(":")
        pool = pools[where] if where else pools[list(pools)[-1]]
        if own not in pool.slopes.numbers:  # decode lacks nothing that prefill has, but names may
            pool = pools["prefill"]
        values[path] = float(pool.slopes.numbers[own][0])
    return values


def _what_if(
    details: Sequence[Mapping[str, Value]],
    problem: Problem,
    base: Optimum,
    elasticities: Elasticities,
    values: Mapping[str, float],
) -> tuple[WhatIf, ...]:
    changes = [change_of(moves, values, problem.targets) for moves in details]
    results = []
    for moves, change, moved in zip(details, changes, problem.solve_all(changes), strict=True):
        local = sum(
            float(elasticities.by_input[path][0]) * np.log(factor)
            for path, factor in change.inputs.items()
        )
        local += float(elasticities.by_limit["ttl"][0]) * np.log(change.ttl)
        local += float(elasticities.by_limit["ftl"][0]) * np.log(change.ftl)
        exact = None if moved is None else moved.value / base.value - 1.0
        changed = moved is None or moved.mapping != base.mapping
        results.append(WhatIf(moves, exact, float(np.expm1(local)), moved, changed))
    return tuple(results)


def _ranked(elasticities: Elasticities, setup: Setup) -> tuple[tuple[Input, float], ...]:
    inputs = inputs_of(list(elasticities.by_input), setup.precision)
    each = [(own, float(joined(own, elasticities.by_input)[0])) for own in inputs]
    return tuple(sorted(each, key=lambda pair: (-abs(pair[1]), pair[0].name)))
