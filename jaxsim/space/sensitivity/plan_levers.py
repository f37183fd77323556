"""What limits the deployments of a plan?  Elasticities at them, and along the frontiers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.setup import Setup
from jaxsim.space.deploy.result import Deployed, FrontierCurve, InstanceShape, Lever
from jaxsim.space.sensitivity.change import UNCHANGED, Change
from jaxsim.space.sensitivity.elasticity import (
    Elasticities,
    PoolSlopes,
    alone,
    limits_of,
    matched,
    pool_slopes,
    stacked,
)
from jaxsim.space.sensitivity.parameters import hardware_levers

if TYPE_CHECKING:
    from jaxsim.space.deploy.sweep import Swept


def batch_step(axis: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """ln of the next batch of an axis over each batch; 0 at its end."""
    axis = np.asarray(axis, float)
    after = np.searchsorted(axis, np.asarray(batch, float), side="right")
    following = axis[np.minimum(after, len(axis) - 1)]
    return np.log(np.maximum(following / batch, 1.0))


def _cost(setup: Setup, objective: str) -> float:
    from jaxsim.space.deploy.request import gpu_weight

    return gpu_weight(setup, objective)


def _gpus(designs: Deployment) -> np.ndarray:
    return np.maximum(designs.tp, designs.ep) * np.asarray(designs.pp)


def of_disaggregated(
    swept: "Swept",
    prefill_designs: Deployment,
    decode_designs: Deployment,
    ttl_s: np.ndarray | float,
    change: Change = UNCHANGED,
) -> Elasticities:
    """Elasticities of matched pools of given designs, under the request's FTL and these TTLs.

    With a `change`, at inputs and targets moved by it.
    """
    request, prefill_setup, decode_setup = swept.request, swept.prefill_setup, swept.setup
    same = prefill_setup is decode_setup
    prefill_scenario = change.of(
        prefill_setup.scenario(request.only_workload), "" if same else "prefill"
    )
    decode_scenario = change.of(decode_setup.scenario(request.only_workload))
    prefill = pool_slopes(
        "prefill", prefill_scenario, prefill_designs,
        limits_of("prefill", prefill_scenario, ftl_s=request.ftl_s * change.ftl),
        step=batch_step(swept.prefill.axes["batch"], np.asarray(prefill_designs.batch)),
    )  # fmt: skip
    decode = pool_slopes(
        "decode", decode_scenario, decode_designs,
        limits_of("decode", decode_scenario, ttl_s=ttl_s * change.ttl),
        step=batch_step(swept.decode.axes["batch"], np.asarray(decode_designs.batch)),
    )  # fmt: skip
    return matched(
        prefill,
        decode,
        _cost(prefill_setup, request.objective) * _gpus(prefill_designs),
        _cost(decode_setup, request.objective) * _gpus(decode_designs),
        float(np.asarray(decode_scenario.workload.osl)),
        same_hardware=same,
        ratio=_gpus(prefill_designs) / _gpus(decode_designs)
        if request.paired
        else request.fixed_ratio,
    )


def of_colocated(
    swept: "Swept",
    designs: Deployment,
    mode: str,
    ttl_s: np.ndarray | float,
    change: Change = UNCHANGED,
) -> Elasticities:
    """Elasticities of co-located instances in one mode, under the request's FTL and these TTLs."""
    request = swept.request
    scenario = change.of(swept.setup.scenario(request.only_workload))
    limits = limits_of(
        "colocated", scenario,
        ftl_s=request.ftl_s * change.ftl, ttl_s=ttl_s * change.ttl,
        mode=mode, ttl=request.ttl_metric,
    )  # fmt: skip
    step = batch_step(swept.colocated.axes["batch"], np.asarray(designs.batch))
    slopes: PoolSlopes = pool_slopes("colocated", scenario, designs, limits, mode=mode, step=step)
    return alone(slopes)


def _design(shapes: Sequence[InstanceShape]) -> Deployment:
    return stacked([
        {name: getattr(shape, name) for name in ("tp", "ep", "pp", "batch", "chunk")}
        for shape in shapes
    ])  # fmt: skip


def at_deployment(swept: "Swept", deployed: Deployed) -> Elasticities:
    """Elasticities of one deployment of a plan, at the request's targets."""
    shapes = deployed.instances
    target = swept.request.ttl_s
    if len(shapes) == 1:
        return of_colocated(swept, _design(shapes), shapes[0].mode, target)
    return of_disaggregated(swept, _design(shapes[:1]), _design(shapes[1:]), target)


def along_curve(swept: "Swept", curve: FrontierCurve) -> Elasticities:
    """Elasticities at every point of a disaggregated frontier, each point's TTL its target."""
    pools = [
        [
            {name.removeprefix(prefix): values[i] for name, values in curve.designs.items()}
            for i in range(len(curve.ttl_s))
        ]
        for prefix in ("prefill_", "decode_")
    ]
    return of_disaggregated(swept, stacked(pools[0]), stacked(pools[1]), curve.ttl_s)


def levers(swept: "Swept", deployed: Deployed | None) -> tuple[Lever, ...]:
    """What buys most throughput: percent for one percent more of each resource or target."""
    if deployed is None:
        return ()
    elasticities = at_deployment(swept, deployed)
    each = hardware_levers(elasticities.by_input, elasticities.by_limit)
    ranked = sorted(each.items(), key=lambda item: -abs(float(item[1][0])))
    return tuple(Lever(name, float(slope[0])) for name, slope in ranked)
