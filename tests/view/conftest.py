"""Plans made by hand, in round numbers, for whatever shows one."""

import dataclasses

import numpy as np
import pytest

from jaxsim.catalog.workload import Share, Workload
from jaxsim.space.deploy.result import (
    Certificate,
    Deployed,
    FrontierCurve,
    InstanceShape,
    Lever,
    Plan,
    Unmet,
)

PREFILL_PARTS = {
    "projections": 0.21,
    "attention": 0.49,
    "ffn": 0.04,
    "experts": 0.55,
    "network": 0.18,
    "elementwise": 0.06,
    "head": 0.001,
    "overhead": 0.0,
}
DECODE_PARTS = {
    "projections": 0.0052,
    "attention": 0.0113,
    "ffn": 0.0011,
    "experts": 0.0139,
    "network": 0.0071,
    "elementwise": 0.0022,
    "head": 0.0004,
    "overhead": 0.0,
}
MEMORY = {
    "weights": 5.2e10,
    "kv": 8.8e10,
    "activation": 3.1e9,
    "reserve": 1.86e10,
    "capacity": 1.86e11,
}


def shape(phase, count, latency_s, parts_s, **axes):
    axes = {"mode": "", "tp": 1, "ep": 8, "pp": 1, "batch": 8, "chunk": 4096} | axes
    return InstanceShape(
        phase=phase,
        hardware="gb200-nvl72",
        gpus_per_instance=max(axes["tp"], axes["ep"]) * axes["pp"],
        count=count,
        latency_s=latency_s,
        requests_per_s=4.0 / count,
        parts_s=parts_s,
        memory_bytes=MEMORY,
        **axes,
    )


def curve(name, scale, fastest_ttl_s):
    ttl_s = np.geomspace(fastest_ttl_s, 0.2, 24)
    y = scale * np.log(ttl_s / fastest_ttl_s + 1.0) / np.log(0.2 / fastest_ttl_s + 1.0)
    designs = {
        "tp": np.full(24, 1.0),
        "ep": np.where(ttl_s < 0.02, 32.0, 16.0),
        "pp": np.full(24, 1.0),
        "batch": np.round(np.geomspace(4, 1024, 24)),
    }
    return FrontierCurve(name, ttl_s, y, 0.88 * y, 1.12 * y, designs)


@pytest.fixture
def plan() -> Plan:
    """A plan whose two deployments meet their targets."""
    return Plan(
        model="deepseek-r1",
        hardware="gb200-nvl72",
        prefill_hardware="gb200-nvl72",
        precision="nvfp4",
        engine="ideal",
        calibration="gb200",
        mix=(Share(Workload(isl=16384, osl=2048), 1.0),),
        ftl_target_s=5.0,
        ttl_target_s=0.05,
        max_gpus=None,
        points_evaluated=1234567,
        valid_points={"prefill": 3456, "decode": 7890, "colocated": 123456},
        elapsed_s=3.21,
        disaggregated=Deployed(
            output_tokens_per_s_per_gpu=1234.5,
            interval=(1100.0, 1390.0),
            ftl_s=1.934,
            ttl_s=0.0412,
            ttl_median_s=None,
            gpus=112,
            requests_per_s=67.5,
            instances=(
                shape("prefill", 6, 1.934, PREFILL_PARTS, pp=2, chunk=8192),
                shape("decode", 1, 0.0412, DECODE_PARTS, ep=16, batch=1024),
            ),
            cost_usd_per_million_output_tokens=0.612,
            output_tokens_per_joule=0.71,
            ctx_gen_ratio=6.0,
            kv_egress_bytes_per_s_per_gpu=4.1e8,
            kv_ingress_bytes_per_s_per_gpu=1.93e9,
            certificate=Certificate(
                gap=0.0,
                upper_bound=1234.5,
                runner_up=1229.0,
                stable_range={"prefill_rate": (0.97, 1.04), "decode_rate": (0.96, 1.03)},
                method="branch and bound over 51 pairs",
            ),
        ),
        colocated=Deployed(
            output_tokens_per_s_per_gpu=987.0,
            interval=(860.0, 1120.0),
            ftl_s=3.1,
            ttl_s=0.0488,
            ttl_median_s=0.0321,
            gpus=16,
            requests_per_s=7.7,
            instances=(
                shape("colocated", 1, 0.0488, DECODE_PARTS, mode="piggybacked", ep=16, batch=512),
            ),
            cost_usd_per_million_output_tokens=0.766,
            output_tokens_per_joule=0.57,
        ),
        probability=0.93,
        curves=(
            curve("disaggregated", 1500.0, 0.006),
            curve("co-located", 1300.0, 0.008),
            curve("co-located, piggybacked", 1000.0, 0.012),
        ),
        levers=(
            Lever("HBM bandwidth", 0.42),
            Lever("peak arithmetic, FP4", 0.31),
            Lever("scale-up bandwidth", 0.12),
            Lever("FTL target", 0.02),
            Lever("HBM capacity", -0.004),
        ),
        notes=("The calibration of this chip is scaled from B200.",),
    )


@pytest.fixture
def unmet_plan(plan) -> Plan:
    """A plan that nothing meets."""
    why = "no design answers within 1 ms a token"
    return dataclasses.replace(
        plan,
        ttl_target_s=0.001,
        disaggregated=Unmet(why, None, 0.0061),
        colocated=Unmet(why, 0.42, 0.0082),
        probability=None,
        levers=(),
    )


@pytest.fixture
def half_met_plan(plan) -> Plan:
    """A plan that only disaggregated pools meet."""
    return dataclasses.replace(
        plan, colocated=Unmet("no co-located design is fast enough", 0.9, 0.06), probability=None
    )
