"""What limits the best deployment, what would change it, and by how much?  The whole answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.space.answer import Deployed, FrontierCurve, Unmet
from jaxsim.space.axes import Space
from jaxsim.space.curves import curves_of
from jaxsim.space.frontier import colocated_candidates, decode_candidates, prefill_candidates
from jaxsim.space.pick import best_colocated, best_disaggregated
from jaxsim.space.question import Question, Swept, gpu_weight, sweep_phases
from jaxsim.space.sensitivity import Elasticities, stacked
from jaxsim.space.sensitivity_answer import along
from jaxsim.space.sensitivity_attribution import Attribution, attribution
from jaxsim.space.sensitivity_change import Change
from jaxsim.space.sensitivity_levers import Input, hardware_levers, inputs_of, joined
from jaxsim.space.sensitivity_moves import Optimum, Problem, problem_of
from jaxsim.space.sensitivity_study import (
    LeverStudy,
    Step,
    budget_price,
    domain_steps,
    elasticities_at,
    levers_changes,
    steps_of,
    study_lever,
)
from jaxsim.space.sensitivity_whatif import parse

KINDS = ("disaggregated", "colocated")


@dataclass(frozen=True)
class Price:
    """What a little more of a limit buys.

    `amount` of the limit, in its own unit, adds `tokens_per_s_per_gpu` and changes the cost of a
    million output tokens by `usd_per_million`, at the margin; `exact` is what it adds in full.
    """

    name: str
    amount: float
    unit: str
    tokens_per_s_per_gpu: float | None
    usd_per_million: float | None
    exact: float | None
    binding: bool


@dataclass(frozen=True)
class WhatIf:
    """Inputs moved as asked: exact and local fractions of throughput gained; the best design."""

    text: str
    exact: float | None
    local: float
    optimum: Optimum | None
    changed: bool


@dataclass(frozen=True)
class Along:
    """What limits each point of a frontier: elasticities by lever, and shares by resource."""

    ttl_s: np.ndarray
    output_tokens_per_s_per_gpu: np.ndarray
    levers: Mapping[str, np.ndarray]
    binding: tuple[Mapping[str, tuple[str, ...]], ...]
    attributions: Mapping[str, Attribution]


@dataclass(frozen=True)
class Sensitivity:
    """The sensitivity of one deployment of a plan.

    `elasticities` are d ln throughput / d ln input at `optimum`, where instances and batch are
    real numbers; `value` is its throughput (per GPU, $ or W, as the question asks). `inputs` are
    ranked by the size of their elasticity.
    """

    kind: str
    question: Question
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

    @property
    def value(self) -> float:
        return self.optimum.value


def sensitivity_of(
    setup: Setup,
    question: Question,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    *,
    kind: str | None = None,
    levers: int = 6,
    what_if: Sequence[str] = (),
    domains: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Sensitivity | Unmet:
    """What limits the best deployment under the targets and what would change it.

    `kind` is disaggregated or colocated, by default the better of the two; the exact effects of
    the `levers` strongest levers are solved for. A GPU cap counts for the deployment and the price
    of the budget; elasticities and effects are those of real numbers of instances.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind {kind!r}: it is {' or '.join(KINDS)}")
    swept = sweep_phases(setup, question, space, prefill_setup, tell)
    deployed = best_of(swept, kind)
    if isinstance(deployed, Unmet):
        return deployed
    colocated = len(deployed.instances) == 1
    problem = problem_of(swept, colocated)
    base = problem.solve(Change())
    assert base is not None, "a deployment that meets the targets is itself a solution"
    tell("differentiating")
    found = elasticities_at(swept, base)
    ranked = _ranked(found, setup)
    each = hardware_levers(found.by_input, found.by_limit)
    changes = levers_changes(found.by_input)
    strongest = sorted(each, key=lambda name: -abs(float(each[name][0])))
    chosen = [*strongest[:levers], *(n for n in strongest[levers:] if n.endswith("HBM capacity"))]
    studies = []
    for name in chosen if levers else ():
        tell(f"moving {name}")
        studies.append(study_lever(problem, base, name, float(each[name][0]), changes[name]))
    asked = tuple(_what_if(text, problem, base, found) for text in what_if)
    tell("stepping")
    steps = steps_of(swept, colocated)
    if domains:
        steps += domain_steps(swept, colocated, space, tell)
    return Sensitivity(
        kind=KINDS[colocated],
        question=question,
        deployed=deployed,
        optimum=base,
        elasticities=found,
        inputs=ranked,
        levers=tuple(studies),
        prices=_prices(swept, deployed, problem, base, found),
        steps=steps,
        attributions=attributions_of(swept, base),
        along=_along(swept, colocated),
        what_if=asked,
    )


def best_of(swept: Swept, kind: str | None) -> Deployed | Unmet:
    """The best deployment of one kind, or of either."""
    question = swept.question
    link = float(swept.setup.hardware.hardware.scaleout.bytes_per_s)
    first = prefill_candidates(swept.prefill, gpu_weight(swept.prefill_setup, question.objective))
    second = decode_candidates(swept.decode, link, gpu_weight(swept.setup, question.objective))
    both = colocated_candidates(swept.colocated, question.ttl_metric)
    found: dict[str, Deployed | Unmet] = {}
    if kind in (None, "disaggregated"):
        found["disaggregated"], _ = best_disaggregated(swept, first, second)
    if kind in (None, "colocated"):
        found["colocated"], _ = best_colocated(swept, both)
    met = [one for one in found.values() if isinstance(one, Deployed)]
    if not met:
        return next(iter(found.values()))
    return max(met, key=lambda one: one.worth(question.objective))


def _what_if(text: str, problem: Problem, base: Optimum, found: Elasticities) -> WhatIf:
    pools = found.pools
    values = {}
    for path in found.by_input:
        where, _, own = path.rpartition(":")
        pool = pools[where] if where else pools[list(pools)[-1]]
        if own not in pool.slopes.numbers:  # decode lacks nothing that prefill has, but names may
            pool = pools["prefill"]
        values[path] = float(pool.slopes.numbers[own][0])
    change = parse(text, values, problem.targets)
    moved = problem.solve(change)
    local = sum(
        float(found.by_input[path][0]) * np.log(factor) for path, factor in change.inputs.items()
    )
    local += float(found.by_limit["ttl"][0]) * np.log(change.ttl)
    local += float(found.by_limit["ftl"][0]) * np.log(change.ftl)
    exact = None if moved is None else moved.value / base.value - 1.0
    changed = moved is None or moved.mapping != base.mapping
    return WhatIf(text, exact, float(np.expm1(local)), moved, changed)


def _ranked(found: Elasticities, setup: Setup) -> tuple[tuple[Input, float], ...]:
    inputs = inputs_of(list(found.by_input), setup.precision)
    each = [(own, float(joined(own, found.by_input)[0])) for own in inputs]
    return tuple(sorted(each, key=lambda pair: (-abs(pair[1]), pair[0].name)))


def attributions_of(swept: Swept, optimum: Optimum) -> dict[str, Attribution]:
    """Where the time of each pool goes, at an optimum."""
    return {
        pool: attribution(
            pool,
            swept.prefill_setup if pool == "prefill" else swept.setup,
            swept.question.workload,
            stacked([design]),
            optimum.mode,
        )
        for pool, design in optimum.designs.items()
    }


def _prices(
    swept: Swept, deployed: Deployed, problem: Problem, base: Optimum, found: Elasticities
) -> tuple[Price, ...]:
    y, usd = deployed.output_tokens_per_s_per_gpu, deployed.cost_usd_per_million_output_tokens
    question, hardware = swept.question, swept.setup.hardware.hardware
    capacity = float(hardware.chip.hbm_bytes)
    path = "hardware.chip.hbm_bytes"
    prices = []
    for name, elasticity, amount, unit, whole, change in (
        ("TTL target", found.by_limit["ttl"], 1e-3, "s", question.ttl_s, lambda f: Change(ttl=f)),
        ("FTL target", found.by_limit["ftl"], 0.1, "s", question.ftl_s, lambda f: Change(ftl=f)),
        ("HBM capacity", found.by_input[path], 1e10, "B", capacity, lambda f: Change({path: f})),
    ):
        part = amount / whole
        gain = float(elasticity[0]) * part
        moved = problem.solve(change(1.0 + part))
        exact = None if moved is None else y * (moved.value / base.value - 1.0)
        binding = bool(elasticity[0] != 0.0)
        prices.append(Price(name, amount, unit, gain * y, -gain * usd, exact, binding))
    more = max(shape.gpus_per_instance for shape in deployed.instances)
    if len(deployed.instances) == 2:
        cap = question.max_gpus or question.exact_gpus
        total = budget_price(swept, cap, more) if cap else y
        binding = cap is not None
        prices.append(Price("GPU budget", 1.0, "GPU", total, None, total, binding))
    return tuple(prices)


def _along(swept: Swept, colocated: bool) -> Along | None:
    if colocated:
        return None
    first = prefill_candidates(
        swept.prefill, gpu_weight(swept.prefill_setup, swept.question.objective)
    )
    link = float(swept.setup.hardware.hardware.scaleout.bytes_per_s)
    second = decode_candidates(
        swept.decode, link, gpu_weight(swept.setup, swept.question.objective)
    )
    both = colocated_candidates(swept.colocated, swept.question.ttl_metric)
    curves = curves_of(swept, first, second, both)
    curve: FrontierCurve = next(c for c in curves if c.name == "disaggregated")
    found = along(swept, curve)
    workload = swept.question.workload
    columns = curve.designs
    attributions = {}
    for pool, own in (("prefill", swept.prefill_setup), ("decode", swept.setup)):
        designs = [
            {n: columns[f"{pool}_{n}"][i] for n in ("tp", "ep", "pp", "batch", "chunk")
             if f"{pool}_{n}" in columns}
            for i in range(len(curve.ttl_s))
        ]  # fmt: skip
        attributions[pool] = attribution(pool, own, workload, stacked(designs))
    return Along(
        curve.ttl_s,
        curve.output_tokens_per_s_per_gpu,
        hardware_levers(found.by_input, found.by_limit),
        tuple(found.binding),
        attributions,
    )
