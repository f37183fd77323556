"""What limits an answer, and what would change it?  Levers, prices and steps of one optimum."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxsim.catalog.cards import with_domain
from jaxsim.space.answer import Deployed
from jaxsim.space.axes import Space
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.space.frontier import MODES, decode_candidates, prefill_candidates
from jaxsim.space.pick import best_disaggregated
from jaxsim.space.question import Swept, gpu_weight, sweep_phases
from jaxsim.space.sensitivity import Elasticities, alone, limits_of, matched, stacked
from jaxsim.space.sensitivity_between import between
from jaxsim.space.sensitivity_change import UNCHANGED, Change
from jaxsim.space.sensitivity_levers import HARDWARE, LAUNCH, LIMITS
from jaxsim.space.sensitivity_solve import Optimum, Search

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


@dataclass(frozen=True)
class Step:
    """A change that has no derivative: another value of one axis of one pool, or of the domain.

    `effect` is the fraction of throughput gained, None where nothing is valid there.
    """

    pool: str
    axis: str
    value: float
    other: float
    effect: float | None


def elasticities_at(swept: Swept, optimum: Optimum, change: Change = UNCHANGED) -> Elasticities:
    """Elasticities at an optimum of the real-valued problem, found under a change."""
    question, same = swept.question, swept.prefill_setup is swept.setup
    targets = {"ftl_s": question.ftl_s * change.ftl, "ttl_s": question.ttl_s * change.ttl}
    pools = {}
    for pool, design in optimum.designs.items():
        own = swept.prefill_setup if pool == "prefill" else swept.setup
        prefix = "prefill" if pool == "prefill" and not same else ""
        scenario = change.of(own.scenario(question.workload), prefix)
        limits = limits_of(
            pool, scenario, mode=optimum.mode, ttl=question.ttl_metric,
            ftl_s=None if pool == "decode" else targets["ftl_s"],
            ttl_s=None if pool == "prefill" else targets["ttl_s"],
        )  # fmt: skip
        ends = np.array([design["next_batch"]]), np.array([design["part"]])
        pools[pool] = between(pool, scenario, stacked([design]), *ends, limits, optimum.mode)
    if optimum.mode:
        return alone(pools["colocated"])
    costs = [
        gpu_weight(own, question.objective) * max(design["tp"], design["ep"]) * design["pp"]
        for own, design in zip(
            (swept.prefill_setup, swept.setup),
            (optimum.designs["prefill"], optimum.designs["decode"]),
            strict=True,
        )
    ]
    osl = float(question.workload.osl) * float(change.inputs.get("workload.osl", 1.0))
    return matched(
        pools["prefill"], pools["decode"], np.array([costs[0]]), np.array([costs[1]]), osl,
        same_hardware=same, ratio=question.fixed_ratio,
    )  # fmt: skip


def levers_changes(by_input: Mapping[str, np.ndarray]) -> dict[str, Callable[[float], Change]]:
    """How each lever of `sensitivity_levers.hardware_levers` is moved by a factor."""

    def moving(paths: Sequence[str]) -> Callable[[float], Change]:
        return lambda factor: Change(dict.fromkeys(paths, factor))

    found: dict[str, Callable[[float], Change]] = {}
    for pool, label in (("", ""), ("prefill:", "prefill: ")):
        for path, title in HARDWARE.items():
            found[label + title] = moving([pool + path])
        floors = [
            p for p in by_input if p.startswith(f"{pool}kernels.") and p.endswith(".launch_s")
        ]
        found[label + LAUNCH] = moving(floors)
    found[LIMITS["ttl"]] = lambda factor: Change(ttl=factor)
    found[LIMITS["ftl"]] = lambda factor: Change(ftl=factor)
    return found


def study_lever(
    base: Optimum,
    title: str,
    elasticity: float,
    change: Callable[[float], Change],
    factors: Sequence[float] = FACTORS,
) -> Search[LeverStudy]:
    """The exact effects of a lever, beside those its elasticity predicts: factor^elasticity − 1."""
    found = yield [change(factor) for factor in factors]
    known = dict(zip(factors, found, strict=True))

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
        found = yield [change(middle) for middle in middles]
        for i, middle, optimum in zip(wide, middles, found, strict=True):
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


def steps_of(swept: Swept, colocated: bool) -> tuple[Step, ...]:
    """Exact effects of the next widths and stages, and of one more stage, one axis of one pool.

    The other pool keeps its best design; all else of this one is chosen again.
    """
    question, steps = swept.question, []
    pools = _pools(swept, colocated)
    keys = {name: name for name in pools}
    best = {name: worth.max(initial=0.0) for name, (_, worth) in pools.items()}
    if colocated:
        mode = max(best, key=lambda name: best[name])
        keys = {"co-located": mode}
        pools = {"co-located": pools[mode]}
        best = {"co-located": best[mode]}
    if min(best.values()) <= 0.0:
        return ()
    whole = _value(best, question)
    for name, (designs, worth) in pools.items():
        where = np.unravel_index(int(np.argmax(worth)), worth.shape)
        for axis in ("tp", "ep", "pp"):
            position = list(designs.axes).index(axis)
            values, own = designs.axes[axis], int(where[position])
            others = {
                float(values[i]): float(np.take(worth, i, axis=position).max(initial=0.0))
                for i in (own - 1, own + 1)
                if 0 <= i < len(values)
            }
            more = float(values[own]) + 1.0
            if axis == "pp" and more not in others:
                others[more] = _with_stages(swept, designs, keys[name], more, colocated)
            for other, taken in sorted(others.items()):
                effect = None
                if taken > 0.0:
                    effect = float(_value({**best, name: taken}, question) / whole - 1.0)
                steps.append(Step(name, axis, float(values[own]), other, effect))
    return tuple(steps)


def _with_stages(swept: Swept, designs: Designs, key: str, stages: float, colocated: bool) -> float:
    """What the best design of a pool is worth with so many stages, evaluated for it."""
    setup = swept.prefill_setup if designs.phase == "prefill" else swept.setup
    scenario = setup.scenario(swept.question.workload)
    axes = {name: tuple(values) for name, values in designs.axes.items()}
    batch = "prefill_batch" if designs.phase == "prefill" else "batch"
    space = Space(
        tp=axes["tp"], ep=axes["ep"], pp=(stages,), chunk=axes.get("chunk", ()),
        **{batch: axes["batch"]},
    )  # fmt: skip
    lengths = axes.get("isl", (1.0,)), axes.get("osl", (1.0,))
    found = evaluate_phase(designs.phase, scenario, space, *lengths)
    pools = _pools(replace(swept, **{designs.phase: found}), colocated)
    return float(pools[key][1].max(initial=0.0))


def _value(best: Mapping[str, float], question) -> float:
    """Throughput per cost of the pools' bests; tokens per request cancel in ratios."""
    if "prefill" not in best:
        return next(iter(best.values()))
    prompt, token, ratio = best["prefill"], best["decode"], question.fixed_ratio
    if ratio is not None:
        return min(prompt * ratio, token) / (1.0 + ratio)
    return prompt * token / (prompt + token)


def _pools(swept: Swept, colocated: bool) -> dict[str, tuple[Designs, np.ndarray]]:
    """What every design is worth per unit of cost, 0 where it breaks a limit, by pool or mode."""
    question = swept.question
    found = {}
    if colocated:
        designs = swept.colocated
        token = "ttl_s" if question.ttl_metric == "mean" else "ttl_median_s"
        for mode in MODES:
            fits = designs.full(f"{mode}_valid")
            fits = fits & (designs.full(f"{mode}_ftl_s") <= question.ftl_s)
            fits = fits & (designs.full(f"{mode}_{token}") <= question.ttl_s)
            rate = designs.full(f"{mode}_output_tokens_per_s_per_gpu")
            found[mode] = (designs, np.where(fits, rate, 0.0))
        return found
    link = float(swept.setup.hardware.hardware.scaleout.bytes_per_s)
    for name, latency, target, flow, most in (
        ("prefill", "ftl_s", question.ftl_s, "kv_link_frac", 1.0),
        ("decode", "ttl_s", question.ttl_s, "kv_ingress_bytes_per_s_per_gpu", link),
    ):
        designs = getattr(swept, name)
        own = swept.prefill_setup if name == "prefill" else swept.setup
        fits = designs.full("valid") & (designs.full(latency) <= target)
        fits = fits & (designs.full(flow) <= most)
        cost = gpu_weight(own, question.objective)
        found[name] = (
            designs,
            np.where(fits, designs.full("requests_per_s") / designs.full("gpus") / cost, 0.0),
        )
    return found


def best_on_grid(swept: Swept, colocated: bool) -> float:
    """Throughput per cost of the best designs of the grid, real numbers of instances."""
    worth = {name: float(w.max(initial=0.0)) for name, (_, w) in _pools(swept, colocated).items()}
    if colocated:
        return max(worth.values())
    if min(worth.values()) <= 0.0:
        return 0.0
    return (float(swept.question.workload.osl) - 1.0) * _value(worth, swept.question)


def domain_steps(
    swept: Swept, colocated: bool, space: Space | None, tell: Callable[[str], None]
) -> tuple[Step, ...]:
    """Exact effects of half and twice the scale-up domain, all designs evaluated again."""
    own = float(swept.setup.hardware.hardware.domain_gpus)
    base, steps = best_on_grid(swept, colocated), []
    for other in (own / 2.0, 2.0 * own):
        if other != int(other):
            continue
        tell(f"domains of {other:g} GPUs")
        setup = replace(swept.setup, hardware=with_domain(swept.setup.hardware, int(other)))
        first = setup
        if swept.prefill_setup is not swept.setup:
            first = swept.prefill_setup
        value = best_on_grid(sweep_phases(setup, swept.question, space, first), colocated)
        effect = value / base - 1.0 if value > 0.0 and base > 0.0 else None
        steps.append(Step("", "domain", own, other, effect))
    return tuple(steps)


def budget_price(swept: Swept, gpus: int, more: int) -> float | None:
    """Output tokens/s that each of `more` GPUs beyond a budget of `gpus` adds, solved exactly."""
    link = float(swept.setup.hardware.hardware.scaleout.bytes_per_s)
    weights = [gpu_weight(s, swept.question.objective) for s in (swept.prefill_setup, swept.setup)]
    first = prefill_candidates(swept.prefill, weights[0])
    second = decode_candidates(swept.decode, link, weights[1])
    totals = []
    for budget in (gpus, gpus + more):
        question = replace(swept.question, max_gpus=budget, exact_gpus=None)
        found, _ = best_disaggregated(replace(swept, question=question), first, second)
        if not isinstance(found, Deployed):
            return None
        totals.append(found.requests_per_s * (float(question.workload.osl) - 1.0))
    return (totals[1] - totals[0]) / more
