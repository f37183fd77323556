"""How many GPUs encode images beside the pools, and what do they cost?

Images may be encoded on GPUs of their own (encode-prefill-decode disaggregation): a prompt's time
to first token holds the encoding (`point.forward.host_s`), and as many GPUs are added as its rate
needs.
"""

import math
from dataclasses import replace

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.point.encoder import encoder_weights
from jaxsim.point.forward import encoding_s
from jaxsim.space.deploy.encoder_pool import Encoders
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Deployed, FrontierCurve, Plan, Unmet
from jaxsim.space.deploy.select import SECONDS_PER_HOUR


def is_pooled(setup: Setup) -> bool:
    """Whether images are encoded on GPUs of their own."""
    return bool(setup.model.model.pooled_encoders)


def check_pooled(request: PlanRequest) -> None:
    """Refuse what encoders on GPUs of their own are not counted in."""
    for given, what in (
        (request.exact_gpus is not None, "exactly so many GPUs (give at most so many)"),
        (request.requests_per_s is not None, "a rate of arrivals"),
        (len(request.mix) > 1, "a mix of workloads"),
    ):
        if given:
            raise InputError(f"GPUs of their own for encoders cannot be counted with {what}.")


def encoders_for(requests_per_s: float, setup: Setup, request: PlanRequest) -> Encoders:
    """The GPUs that encode the images of so many requests a second."""
    scenario = setup.scenario(request.mix[0].workload)
    each_s = float(encoding_s(scenario))
    return Encoders(
        hardware=setup.hardware.name,
        count=math.ceil(requests_per_s * each_s),
        latency_s=each_s,
        requests_per_s=1.0 / each_s,
        weights_bytes=float(encoder_weights(scenario) * scenario.element.wide),
    )


def excess_gpus(plan: Plan, setup: Setup, request: PlanRequest) -> int:
    """GPUs beyond the cap of the request once encoders are counted; the more of both kinds."""
    if request.max_gpus is None:
        return 0
    over = [
        one.gpus + encoders_for(one.requests_per_s, setup, request).count - request.max_gpus
        for one in (plan.disaggregated, plan.colocated)
        if isinstance(one, Deployed)
    ]
    return max([0, *over])


def with_encoders(plan: Plan, setup: Setup, request: PlanRequest) -> Plan:
    """The plan with its encoders: GPUs, throughput, cost, energy and frontiers count them."""
    each_s = encoders_for(1.0, setup, request).latency_s
    token_s = each_s / float(request.mix[0].workload.osl)
    return replace(
        plan,
        max_gpus=request.cap,
        disaggregated=_counted(plan.disaggregated, setup, request),
        colocated=_counted(plan.colocated, setup, request),
        curves=tuple(_slower(curve, token_s) for curve in plan.curves),
    )


def _counted(one: Deployed | Unmet, setup: Setup, request: PlanRequest) -> Deployed | Unmet:
    if isinstance(one, Unmet):
        return one
    encoders = encoders_for(one.requests_per_s, setup, request)
    share = one.gpus / (one.gpus + encoders.count)
    tokens_per_s = one.output_tokens_per_s_per_gpu * one.gpus
    chip = setup.hardware.hardware
    usd = encoders.count * float(chip.price_usd_per_hour) / SECONDS_PER_HOUR / tokens_per_s * 1e6
    joules = 1.0 / one.output_tokens_per_joule + encoders.count * float(chip.power_w) / tokens_per_s
    low, high = one.interval
    return replace(
        one,
        output_tokens_per_s_per_gpu=one.output_tokens_per_s_per_gpu * share,
        interval=(low * share, high * share),
        gpus=one.gpus + encoders.count,
        cost_usd_per_million_output_tokens=one.cost_usd_per_million_output_tokens + usd,
        output_tokens_per_joule=1.0 / joules,
        encoders=encoders,
    )


def _slower(curve: FrontierCurve, token_s: float) -> FrontierCurve:
    """A frontier whose tokens each take `token_s` GPU-seconds more: 1/(1/y + t)."""

    def counted(y: np.ndarray) -> np.ndarray:
        return y / (1.0 + token_s * y)

    return replace(
        curve,
        output_tokens_per_s_per_gpu=counted(curve.output_tokens_per_s_per_gpu),
        low=counted(curve.low),
        high=counted(curve.high),
    )
