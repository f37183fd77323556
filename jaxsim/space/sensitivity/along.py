"""What limits each point of a frontier, and where does the time of each design go?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jaxsim.space.deploy.candidates import gather
from jaxsim.space.deploy.curves import curves_of
from jaxsim.space.deploy.result import FrontierCurve
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.sensitivity.attribution import Attribution, attribution
from jaxsim.space.sensitivity.elasticity import stacked
from jaxsim.space.sensitivity.parameters import hardware_levers
from jaxsim.space.sensitivity.plan_levers import along_curve
from jaxsim.space.sensitivity.solve import Optimum


@dataclass(frozen=True)
class Along:
    """What limits each point of a frontier: elasticities by lever, and shares by resource."""

    ttl_s: np.ndarray
    output_tokens_per_s_per_gpu: np.ndarray
    levers: Mapping[str, np.ndarray]
    binding: tuple[Mapping[str, tuple[str, ...]], ...]
    attributions: Mapping[str, Attribution]


def attributions_of(swept: Swept, optimum: Optimum) -> dict[str, Attribution]:
    """Where the time of each pool goes, at an optimum."""
    return {
        pool: attribution(
            pool,
            swept.prefill_setup if pool == "prefill" else swept.setup,
            swept.request.only_workload,
            stacked([design]),
            optimum.mode,
        )
        for pool, design in optimum.designs.items()
    }


def along_frontier(swept: Swept) -> Along:
    """What limits every point of the disaggregated frontier; each point's TTL is its target."""
    curves = curves_of(swept, gather(swept))
    curve: FrontierCurve = next(c for c in curves if c.name == "disaggregated")
    slopes = along_curve(swept, curve)
    workload = swept.request.only_workload
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
        hardware_levers(slopes.by_input, slopes.by_limit),
        tuple(slopes.binding),
        attributions,
    )
