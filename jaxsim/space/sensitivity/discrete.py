"""What do changes do that have no derivative?  The next widths, stages, domains and GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from jaxsim._progress import heard_by, tell
from jaxsim.catalog.cards import with_domain
from jaxsim.quantities import MODES, TTL_OUTPUTS
from jaxsim.space.axes import Space
from jaxsim.space.deploy.candidates import gather
from jaxsim.space.deploy.request import PlanRequest, gpu_weight
from jaxsim.space.deploy.result import Deployed
from jaxsim.space.deploy.select import best_colocated, best_disaggregated
from jaxsim.space.deploy.sweep import Swept, sweep_phases
from jaxsim.space.designs import Designs, evaluate_phase


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


def steps_of(swept: Swept, colocated: bool) -> tuple[Step, ...]:
    """Exact effects of the next widths and stages, and of one more stage, one axis of one pool.

    The other pool keeps its best design; all else of this one is chosen again.
    """
    request, steps = swept.request, []
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
    whole = _value(best, request)
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
                    effect = float(_value({**best, name: taken}, request) / whole - 1.0)
                steps.append(Step(name, axis, float(values[own]), other, effect))
    return tuple(steps)


def _with_stages(swept: Swept, designs: Designs, key: str, stages: float, colocated: bool) -> float:
    """What the best design of a pool is worth with so many stages, evaluated for it."""
    setup = swept.prefill_setup if designs.phase == "prefill" else swept.setup
    scenario = setup.scenario(swept.request.only_workload)
    axes = {name: tuple(map(float, values)) for name, values in designs.axes.items()}
    batch = "prefill_batch" if designs.phase == "prefill" else "batch"
    space = Space(tp=axes["tp"], ep=axes["ep"], pp=(stages,), chunk=axes.get("chunk", ()))
    batches: dict[str, object] = {batch: axes["batch"]}
    space = replace(space, **batches)
    lengths = axes.get("isl", (1.0,)), axes.get("osl", (1.0,))
    staged = evaluate_phase(designs.phase, scenario, space, *lengths)
    pools = _pools(replace(swept, mean=replace(swept.mean, **{designs.phase: staged})), colocated)
    return float(pools[key][1].max(initial=0.0))


def _value(best: Mapping[str, float], request: PlanRequest) -> float:
    """Throughput per cost of the pools' bests; tokens per request cancel in ratios."""
    if "prefill" not in best:
        return next(iter(best.values()))
    prompt, token, ratio = best["prefill"], best["decode"], request.fixed_ratio
    if ratio is not None:
        return min(prompt * ratio, token) / (1.0 + ratio)
    return prompt * token / (prompt + token)


def _pools(swept: Swept, colocated: bool) -> dict[str, tuple[Designs, np.ndarray]]:
    """What every design is worth per unit of cost, 0 where it breaks a limit, by pool or mode."""
    request = swept.request
    pools = {}
    if colocated:
        designs = swept.colocated
        token = TTL_OUTPUTS[request.ttl_metric]
        for mode in MODES:
            fits = designs.full(f"{mode}_valid")
            fits = fits & (designs.full(f"{mode}_ftl_s") <= request.ftl_s)
            fits = fits & (designs.full(f"{mode}_{token}") <= request.ttl_s)
            rate = designs.full(f"{mode}_output_tokens_per_s_per_gpu")
            cost = gpu_weight(swept.setup, request.objective)
            pools[mode] = (designs, np.where(fits, rate / cost, 0.0))
        return pools
    link = float(swept.setup.hardware.hardware.scaleout.bytes_per_s)
    for name, latency, target, flow, most in (
        ("prefill", "ftl_s", request.ftl_s, "kv_link_frac", 1.0),
        ("decode", "ttl_s", request.ttl_s, "kv_ingress_bytes_per_s_per_gpu", link),
    ):
        designs = getattr(swept, name)
        own = swept.prefill_setup if name == "prefill" else swept.setup
        fits = designs.full("valid") & (designs.full(latency) <= target)
        fits = fits & (designs.full(flow) <= most)
        cost = gpu_weight(own, request.objective)
        pools[name] = (
            designs,
            np.where(fits, designs.full("requests_per_s") / designs.full("gpus") / cost, 0.0),
        )
    return pools


def best_on_grid(swept: Swept, colocated: bool) -> float:
    """Throughput per cost of the best designs of the grid, real numbers of instances."""
    worth = {name: float(w.max(initial=0.0)) for name, (_, w) in _pools(swept, colocated).items()}
    if colocated:
        return max(worth.values())
    if min(worth.values()) <= 0.0:
        return 0.0
    return (float(swept.request.only_workload.osl) - 1.0) * _value(worth, swept.request)


def domain_steps(swept: Swept, colocated: bool, space: Space | None) -> tuple[Step, ...]:
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
        with heard_by(None):
            again = sweep_phases(setup, swept.request, space, first)
        value = best_on_grid(again, colocated)
        effect = value / base - 1.0 if value > 0.0 and base > 0.0 else None
        steps.append(Step("", "domain", own, other, effect))
    return tuple(steps)


def budget_price(swept: Swept, gpus: int, more: int, colocated: bool) -> float | None:
    """Output tokens/s that each of `more` GPUs beyond `gpus` adds where all are used, exactly."""
    candidates, best = gather(swept), best_colocated if colocated else best_disaggregated
    totals = []
    for budget in (gpus, gpus + more):
        request = replace(swept.request, max_gpus=None, exact_gpus=budget)
        deployed, _ = best(replace(swept, request=request), candidates)
        if not isinstance(deployed, Deployed):
            return None
        totals.append(deployed.requests_per_s * (float(request.only_workload.osl) - 1.0))
    return (totals[1] - totals[0]) / more
