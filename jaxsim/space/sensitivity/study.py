"""What limits a result, and what would change it?  Levers, prices and steps of one optimum."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxsim.space.deploy.request import gpu_weight
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.sensitivity.between import between
from jaxsim.space.sensitivity.change import UNCHANGED, Change
from jaxsim.space.sensitivity.elasticity import Elasticities, alone, limits_of, matched, stacked
from jaxsim.space.sensitivity.parameters import HARDWARE, LAUNCH, LIMITS
from jaxsim.space.sensitivity.solve import PRICES, Optimum, Search

FACTORS = (0.5, 0.9, 1.1, 1.5, 2.0)

# How near, in ln of the factor, the end of a stable range is found: 2 %.
NEAR = 0.02


@dataclass(frozen=True)
class Effect:
    """What a factor on an input does to throughput: exactly, by its elasticity, and to the design.

    Both are fractions; `exact` is None where nothing meets the limits any more. `changed` says
    whether widths, stages or the mode of the best design are others than before.
    """

    factor: float
    exact: float | None
    local: float
    changed: bool


@dataclass(frozen=True)
class LeverStudy:
    """One input: its elasticity, exact effects, and how far it moves before the design changes.

    `stable` are factors; an end at the furthest factor tried means: at least so far.
    """

    title: str
    elasticity: float
    effects: tuple[Effect, ...]
    stable: tuple[float, float]


def elasticities_at(swept: Swept, optimum: Optimum, change: Change = UNCHANGED) -> Elasticities:
    """Elasticities at an optimum of the real-valued problem, found under a change."""
    request, same = swept.request, swept.prefill_setup is swept.setup
    targets = {"ftl_s": request.ftl_s * change.ftl, "ttl_s": request.ttl_s * change.ttl}
    pools = {}
    for pool, design in optimum.designs.items():
        own = swept.prefill_setup if pool == "prefill" else swept.setup
        prefix = "prefill" if pool == "prefill" and not same else ""
        scenario = change.of(own.scenario(request.only_workload), prefix)
        limits = limits_of(
            pool, scenario, mode=optimum.mode, ttl=request.ttl_metric,
            ftl_s=None if pool == "decode" else targets["ftl_s"],
            ttl_s=None if pool == "prefill" else targets["ttl_s"],
        )  # fmt: skip
        ends = np.array([design["next_batch"]]), np.array([design["part"]])
        pools[pool] = between(pool, scenario, stacked([design]), *ends, limits, optimum.mode)
    price = PRICES.get(request.objective)
    if optimum.mode:
        elasticities = alone(pools["colocated"])
        return elasticities if price is None else _priced(elasticities, {price: -1.0})
    costs = [
        gpu_weight(own, request.objective) * max(design["tp"], design["ep"]) * design["pp"]
        for own, design in zip(
            (swept.prefill_setup, swept.setup),
            (optimum.designs["prefill"], optimum.designs["decode"]),
            strict=True,
        )
    ]
    osl = float(request.only_workload.osl) * float(change.inputs.get("workload.osl", 1.0))
    elasticities = matched(
        pools["prefill"], pools["decode"], np.array([costs[0]]), np.array([costs[1]]), osl,
        same_hardware=same, ratio=request.fixed_ratio,
    )  # fmt: skip
    if price is None:
        return elasticities
    if same:
        return _priced(elasticities, {price: -1.0})
    share = float(elasticities.share[0])
    if request.fixed_ratio is not None:  # only the slower pool counts
        each = [cost / float(pools[n].rate[0]) for n, cost in zip(pools, costs, strict=True)]
        share = float(each[0] >= request.fixed_ratio * each[1])
    return _priced(elasticities, {f"prefill:{price}": -share, price: share - 1.0})


def _priced(elasticities: Elasticities, slopes: Mapping[str, float]) -> Elasticities:
    """Elasticities with those by what a GPU is paid."""
    own = {path: np.array([slope]) for path, slope in slopes.items()}
    return replace(elasticities, by_input={**elasticities.by_input, **own})


def levers_changes(by_input: Mapping[str, np.ndarray]) -> dict[str, Callable[[float], Change]]:
    """The change that a factor on each lever of `parameters.hardware_levers` is."""

    def moving(paths: Sequence[str]) -> Callable[[float], Change]:
        return lambda factor: Change(dict.fromkeys(paths, factor))

    changes: dict[str, Callable[[float], Change]] = {}
    for pool, label in (("", ""), ("prefill:", "prefill: ")):
        for path, title in HARDWARE.items():
            changes[label + title] = moving([pool + path])
        floors = [
            p for p in by_input if p.startswith(f"{pool}kernels.") and p.endswith(".launch_s")
        ]
        changes[label + LAUNCH] = moving(floors)
    changes[LIMITS["ttl"]] = lambda factor: Change(ttl=factor)
    changes[LIMITS["ftl"]] = lambda factor: Change(ftl=factor)
    return changes


def study_lever(
    base: Optimum,
    title: str,
    elasticity: float,
    change: Callable[[float], Change],
    factors: Sequence[float] = FACTORS,
) -> Search[LeverStudy]:
    """The exact effects of a lever, beside those its elasticity predicts: factor^elasticity − 1."""
    optima = yield [change(factor) for factor in factors]
    known = dict(zip(factors, optima, strict=True))

    def changed(optimum: Optimum | None) -> bool:
        return optimum is None or optimum.mapping != base.mapping

    effects = []
    for factor, optimum in known.items():
        exact = None if optimum is None else optimum.value / base.value - 1.0
        local = float(factor) ** elasticity - 1.0
        effects.append(Effect(factor, exact, local, changed(optimum)))
    down = sorted((f for f in factors if f < 1.0), reverse=True)
    sides = [
        _bracket([(factor, changed(known[factor])) for factor in way])
        for way in (down, sorted(f for f in factors if f > 1.0))
    ]
    while wide := [i for i, (inner, outer) in enumerate(sides) if _apart(inner, outer)]:
        middles = [float(np.sqrt(sides[i][0] * sides[i][1])) for i in wide]
        optima = yield [change(middle) for middle in middles]
        for i, middle, optimum in zip(wide, middles, optima, strict=True):
            inner, outer = sides[i]
            sides[i] = (inner, middle) if changed(optimum) else (middle, outer)
    return LeverStudy(title, elasticity, tuple(effects), (sides[0][0], sides[1][0]))


def _bracket(known: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """The last factor outwards from 1 that changes nothing, and the first that does, or itself."""
    inner = 1.0
    for factor, changed in known:
        if changed:
            return inner, factor
        inner = factor
    return inner, inner


def _apart(inner: float, outer: float) -> bool:
    return bool(abs(np.log(outer / inner)) > NEAR)
