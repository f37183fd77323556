"""A plan is the best of what was evaluated, and says so."""

from dataclasses import replace

import numpy as np
import pytest

import jaxsim
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import limit_of, setup_of
from jaxsim.space.deploy.candidates import (
    colocated_candidates,
    decode_candidates,
    prefill_candidates,
)
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Deployed, Unmet
from jaxsim.space.deploy.sweep import sweep_phases
from jaxsim.space.plan import plan
from tests.narrow import of, some

SPACE = jaxsim.Space(
    tp=(1, 2, 4, 8),
    ep=(1, 8, 16, 32),
    pp=(1, 2),
    batch=(8, 32, 64, 128, 256, 512, 1024),
    chunk=(512, 2048, 16384),
    prefill_batch=(1, 4, 8),
)
WORKLOAD = jaxsim.Workload(isl=16384.0, osl=2048.0)


@pytest.fixture(scope="module")
def setup():
    return setup_of("deepseek-r1", "gb200-nvl72")


@pytest.fixture(scope="module")
def plan_request():
    return PlanRequest(WORKLOAD, ftl_s=5.0, ttl_s=0.05)


@pytest.fixture(scope="module")
def swept(setup, plan_request):
    return sweep_phases(setup, plan_request, SPACE)


@pytest.fixture(scope="module")
def plan_result(setup, plan_request):
    return plan(setup, plan_request, SPACE)


def test_headroom_is_what_the_same_widths_give_at_the_limit(setup, plan_request, plan_result):
    """By a sweep over those widths alone, with both pools in balance."""
    best = plan_result.disaggregated
    prompt, token = best.instances
    now = sum(s.gpus_per_instance / s.requests_per_s for s in (prompt, token))
    then = 0.0
    for shape in (prompt, token):
        one = replace(
            SPACE, tp=(shape.tp,), ep=(shape.ep,), pp=(shape.pp,), batch=(), chunk=(),
            prefill_batch=(),
        )  # fmt: skip
        own = sweep_phases(limit_of(setup), plan_request, replace(one, tp=(shape.tp,)))
        designs = getattr(own, shape.phase)
        target, latency = {"prefill": (5.0, "ftl_s"), "decode": (0.05, "ttl_s")}[shape.phase]
        met = designs.flat("valid") & (designs.flat(latency) <= target)
        then += shape.gpus_per_instance / designs.flat("requests_per_s")[met].max()
    assert plan_result.headroom["disaggregated"] == pytest.approx(now / then, rel=0.05)
    assert plan_result.headroom["disaggregated"] > 1.0 < plan_result.headroom["colocated"]


def test_both_modes_meet_the_targets(plan_result):
    for deployed in (plan_result.disaggregated, plan_result.colocated):
        assert isinstance(deployed, Deployed)
        assert deployed.ftl_s <= 5.0
        assert deployed.ttl_s <= 0.05
        low, high = deployed.interval
        assert low < deployed.output_tokens_per_s_per_gpu < high


def test_rates_are_conserved(plan_result, swept):
    """The slower pool decides, and counts times rates agree within the tolerance."""
    first, second = plan_result.disaggregated.instances
    supply = first.count * first.requests_per_s
    demand = second.count * second.requests_per_s
    assert min(supply, demand) == pytest.approx(plan_result.disaggregated.requests_per_s)
    assert supply == pytest.approx(demand, rel=0.035)
    gpus = first.count * first.gpus_per_instance + second.count * second.gpus_per_instance
    assert gpus == plan_result.disaggregated.gpus
    per_gpu = plan_result.disaggregated.requests_per_s * 2047 / gpus
    assert per_gpu == pytest.approx(plan_result.disaggregated.output_tokens_per_s_per_gpu)


def test_nothing_evaluated_beats_the_answer(plan_result, swept):
    """Brute force over pairs, with real-valued counts, and over co-located designs."""
    first = prefill_candidates(swept.prefill).pool
    second = decode_candidates(swept.decode, 5e10).pool
    p = first.requests_per_s / first.gpus
    d = second.requests_per_s / second.gpus
    p, d = p[first.latency_s <= 5.0], d[second.latency_s <= 0.05]
    best = 2047 / (1 / p[:, None] + 1 / d[None, :]).min()
    assert plan_result.disaggregated.certificate.upper_bound == pytest.approx(best, rel=1e-6)
    both = colocated_candidates(swept.colocated)
    met = (both.ftl_s <= 5.0) & (both.ttl_s <= 0.05)
    assert plan_result.colocated.output_tokens_per_s_per_gpu == pytest.approx(
        both.output_tokens_per_s_per_gpu[met].max()
    )


def test_no_smaller_deployment_is_within_the_tolerance(plan_result, swept):
    """Fewest GPUs within 1 % of real counts: all counts of all pairs below are worse."""
    result = plan_result.disaggregated
    least = result.certificate.upper_bound * 0.99
    assert result.output_tokens_per_s_per_gpu >= least * (1 - 1e-9)
    first = prefill_candidates(swept.prefill).pool
    second = decode_candidates(swept.decode, 5e10).pool
    met = np.flatnonzero(first.latency_s <= 5.0), np.flatnonzero(second.latency_s <= 0.05)
    fastest = [
        {
            size: pool.requests_per_s[own[pool.gpus[own] == size]].max()
            for size in set(pool.gpus[own])
        }
        for pool, own in zip((first, second), met, strict=True)
    ]
    for g, r in fastest[0].items():
        for h, s in fastest[1].items():
            for n in range(1, int((result.gpus - 1 - h) // g) + 1):
                m = np.arange(1, int((result.gpus - 1 - n * g) // h) + 1)
                assert np.all(2047 * np.minimum(n * r, m * s) / (n * g + m * h) < least)
    assert result.certificate.near_frac == pytest.approx(
        0.01 + result.certificate.upper_bound / result.output_tokens_per_s_per_gpu - 1, rel=1e-5
    )


def test_co_location_is_tried_on_the_hardware_of_either_pool(plan_request):
    """With decode on the slower chip, the baseline runs on the faster one."""
    few = jaxsim.Space(tp=(8,), ep=(1, 8), pp=(1,), batch=(8, 32, 64), chunk=(2048,))
    slow, fast = (setup_of("deepseek-r1", name) for name in ("h200", "b300"))
    request = replace(plan_request, ftl_s=20.0, ttl_s=0.2)
    both = plan(slow, request, few, prefill_setup=fast)
    assert [one.hardware for one in of(Deployed, both.colocated).instances] == ["b300"]
    alone = plan(fast, request, few)
    assert of(Deployed, both.colocated).output_tokens_per_s_per_gpu == pytest.approx(
        of(Deployed, alone.colocated).output_tokens_per_s_per_gpu
    )
    back = plan(fast, request, few, prefill_setup=slow)
    assert [one.hardware for one in of(Deployed, back.colocated).instances] == ["b300"]


def test_kv_flows_obey_the_studys_identity(plan_result):
    """Egress times senders is ingress times receivers."""
    deployed = plan_result.disaggregated
    first, second = deployed.instances

    def holders(shape):
        return max(shape.tp, shape.ep) // shape.tp * shape.pp * shape.count

    assert deployed.kv_egress_bytes_per_s_per_gpu * holders(first) == pytest.approx(
        deployed.kv_ingress_bytes_per_s_per_gpu * holders(second), rel=1e-5
    )


def test_impossible_targets_say_what_is_near(setup):
    plan_result = plan(setup, PlanRequest(WORKLOAD, ftl_s=1e-4, ttl_s=0.05), SPACE)
    assert isinstance(plan_result.disaggregated, Unmet)
    assert isinstance(plan_result.colocated, Unmet)
    assert plan_result.recommended is None
    assert some(plan_result.disaggregated.ftl_s) > 1e-4
    assert some(plan_result.colocated.ftl_s) > 1e-4


def test_a_cap_never_helps_and_is_kept(setup, plan_result):
    capped = plan(setup, PlanRequest(WORKLOAD, ftl_s=5.0, ttl_s=0.05, max_gpus=40), SPACE)
    assert of(Deployed, capped.disaggregated).gpus <= 40
    assert of(
        Deployed, capped.disaggregated
    ).output_tokens_per_s_per_gpu <= plan_result.disaggregated.certificate.upper_bound * (1 + 1e-9)


@pytest.mark.parametrize(
    "limit", [{"max_gpus": 24}, {"exact_gpus": 24}, {"exact_gpus": 80, "pack": True}]
)
def test_frontiers_keep_to_the_budget(setup, plan_result, limit):
    """Every point fits and is what the plan at its TTL gives, per GPU that is paid."""
    capped = plan(setup, PlanRequest(WORKLOAD, ftl_s=5.0, ttl_s=0.05, **limit), SPACE)
    cap = capped.max_gpus
    free = {curve.name: curve for curve in plan_result.curves}
    for curve in capped.curves[1:]:
        widths = np.maximum(curve.designs["tp"], curve.designs["ep"]) * curve.designs["pp"]
        assert (widths <= cap).all()
        assert curve.output_tokens_per_s_per_gpu.max() < max(
            free[curve.name].output_tokens_per_s_per_gpu
        ) * (1 + 1e-9)
    for curve, kind in zip(capped.curves, ("disaggregated", "colocated"), strict=False):
        last = np.flatnonzero(curve.ttl_s <= 0.05)[-1]
        result = getattr(capped, kind).output_tokens_per_s_per_gpu
        assert curve.output_tokens_per_s_per_gpu[last] == pytest.approx(result, rel=1e-6)
    wide = max(free["co-located"].designs["ep"] * free["co-located"].designs["pp"])
    assert wide > 24  # without a budget, wider ones are on the frontier


@pytest.mark.parametrize("pack", [False, True])
def test_a_budget_is_filled_by_both_kinds(setup, pack):
    """As many whole units as fit; a cap of one unit gives the same throughput per GPU."""
    plan_request = PlanRequest(WORKLOAD, ftl_s=5.0, ttl_s=0.05, max_gpus=600, pack=pack)
    wide = plan(setup, plan_request, SPACE)
    for result in (wide.disaggregated, wide.colocated):
        assert isinstance(result, Deployed)
        unit = result.gpus // result.copies
        assert unit * result.copies == result.gpus
        assert all(shape.count % result.copies == 0 for shape in result.instances)
        served = result.requests_per_s * 2047
        if not pack:
            assert 0 <= 600 - result.gpus < unit
            assert served / result.gpus == pytest.approx(result.output_tokens_per_s_per_gpu)
    pools = of(Deployed, wide.disaggregated)
    first, second = pools.instances
    rates = (first.count * first.requests_per_s, second.count * second.requests_per_s)
    assert min(rates) == pytest.approx(pools.requests_per_s)
    if pack:
        return
    one = replace(plan_request, max_gpus=pools.gpus // pools.copies)
    small = plan(setup, one, SPACE).disaggregated
    for name in (
        "output_tokens_per_s_per_gpu",
        "kv_egress_bytes_per_s_per_gpu",
        "kv_ingress_bytes_per_s_per_gpu",
        "cost_usd_per_million_output_tokens",
        "output_tokens_per_joule",
    ):
        assert getattr(small, name) == pytest.approx(getattr(pools, name)), name


def test_a_budget_that_nothing_fits_draws_nothing(setup):
    small = plan(setup, PlanRequest(WORKLOAD, ftl_s=5.0, ttl_s=0.05, max_gpus=1), SPACE)
    assert (small.recommended, small.curves) == (None, ())


def test_relaxing_a_target_never_hurts(setup, plan_result):
    relaxed = plan(setup, PlanRequest(WORKLOAD, ftl_s=10.0, ttl_s=0.1), SPACE)
    assert (
        some(of(Deployed, relaxed.disaggregated).certificate).upper_bound
        >= plan_result.disaggregated.certificate.upper_bound
    )
    assert (
        of(Deployed, relaxed.colocated).output_tokens_per_s_per_gpu
        >= plan_result.colocated.output_tokens_per_s_per_gpu
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ftl_s": float("nan")}, "ftl_s"),
        ({"ttl_s": -1.0}, "ttl_s"),
        ({"objective": "joy"}, "objective"),
        ({"ttl_metric": "p99"}, "ttl_metric"),
        ({"max_gpus": 8, "exact_gpus": 8}, "not both"),
    ],
)
def test_bad_questions_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        PlanRequest(WORKLOAD, **{"ftl_s": 5.0, "ttl_s": 0.05, **wrong})


def test_curves_fall_as_the_target_tightens(plan_result):
    for curve in plan_result.curves:
        order = np.argsort(curve.ttl_s)
        assert (np.diff(curve.output_tokens_per_s_per_gpu[order]) >= -1e-9).all()
        assert (curve.low <= curve.output_tokens_per_s_per_gpu).all()


def test_a_model_that_fits_nowhere_says_by_how_much_and_what_would():
    setup = setup_of("llama-3.1-405b", "h100", "bf16")
    narrow = jaxsim.Space(tp=(1, 2), pp=(1,), batch=(1,), chunk=(512,), prefill_batch=(1,))
    with pytest.raises(InputError, match=r"lacks \d+\.\d GB a GPU of 8\d GB.* The smallest shape"):
        plan(setup, PlanRequest(WORKLOAD, ftl_s=5.0, ttl_s=0.05), narrow)


@pytest.mark.parametrize("limit", [{}, {"max_gpus": 144}, {"exact_gpus": 144}])
def test_packed_domains_are_paid_whole_and_never_help(setup, plan_result, limit):
    packed = plan(setup, PlanRequest(WORKLOAD, ftl_s=5.0, ttl_s=0.05, pack=True, **limit), SPACE)
    free = plan(setup, PlanRequest(WORKLOAD, ftl_s=5.0, ttl_s=0.05, **limit), SPACE)
    for kind in ("disaggregated", "colocated"):
        ours = getattr(packed, kind).output_tokens_per_s_per_gpu
        bound = getattr(free, kind).output_tokens_per_s_per_gpu
        certificate = some(of(Deployed, free.disaggregated).certificate)
        if certificate.method != "exact" and kind == "disaggregated":
            bound = certificate.upper_bound
        assert ours <= bound * (1 + 1e-9)
    together = of(Deployed, packed.colocated)
    shape = together.instances[0]
    per_domain = 72 // (shape.gpus_per_instance // shape.pp)
    domains = -(-shape.count * shape.pp // per_domain)
    paid = together.requests_per_s * 2047 / together.output_tokens_per_s_per_gpu
    assert paid == pytest.approx(144 if "exact_gpus" in limit else min(domains * 72, 144), rel=1e-5)
