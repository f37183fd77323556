"""Are the deployments of a report the best under other targets?"""

import numpy as np
import pytest

import jaxsim
from jaxsim.space.deploy.other_targets import FTL_FACTORS, ttl_targets
from jaxsim.space.deploy.result import Deployed
from tests.narrow import of, some

WORK = jaxsim.Workload(isl=1024, osl=128)
SPACE = jaxsim.Space(tp=(1, 2), pp=(1,))  # batches and chunks are free


@pytest.fixture(scope="module")
def result():
    return jaxsim.plan(
        "llama-3.1-8b", "h100", WORK, ftl_s=1.0, ttl_s=0.02, space=SPACE, choices=True
    )


def test_nothing_held_beats_the_plan_under_its_own_targets(result):
    """The plan refined whole batches for its targets: others are equal within what that leaves."""
    rows = result.choices.rows
    meets = (rows["ftl_s"] <= 1.0) & (rows["ttl_s"] <= 0.02)
    for kind, deployed in enumerate((result.disaggregated, result.colocated)):
        best = rows["bound"][meets & (rows["kind"] == kind)].max()
        bound = deployed.certificate.upper_bound if kind == 0 else deployed.worth("gpu")
        assert best == pytest.approx(bound, rel=2e-3), kind


def test_intervals_and_designs_are_whole(result):
    choices = result.choices
    rows, designs = choices.rows, choices.designs
    assert choices.ftl_targets_s == tuple(factor * 1.0 for factor in FTL_FACTORS)
    assert (rows["low"] < rows["y"]).all()
    assert (rows["y"] < rows["high"]).all()
    for phase, column, kind in (("prefill", "first", 0), ("decode", "second", 0),
                                ("colocated", "first", 1)):  # fmt: skip
        named = rows[column][rows["kind"] == kind].astype(int)
        assert named.min() == 0
        assert named.max() == len(designs[phase]["gpus"]) - 1, "every design is of some row"
        parts = np.array([designs[phase][name] for name in designs[phase] if name.endswith("_s")])
        assert np.isfinite(parts).all()


def test_a_row_gives_what_its_designs_do(result):
    rows, designs = result.choices.rows, result.choices.designs
    own = rows["kind"] == 0
    i, j = (rows[name][own].astype(int) for name in ("first", "second"))
    prefill, decode = designs["prefill"], designs["decode"]
    n, m = rows["first_count"][own], rows["second_count"][own]
    served = np.minimum(n * prefill["requests_per_s"][i], m * decode["requests_per_s"][j])
    gpus = n * prefill["gpus"][i] + m * decode["gpus"][j]
    np.testing.assert_allclose(gpus, rows["gpus"][own])
    np.testing.assert_allclose(served * (WORK.osl - 1) / gpus, rows["worth"][own], rtol=1e-5)
    assert (rows["worth"][own] <= rows["bound"][own] * (1 + 1e-6)).all()
    np.testing.assert_allclose(decode["latency_s"][j], rows["ttl_s"][own], rtol=1e-6)


def test_targets_cover_the_frontier():
    ttl = np.geomspace(0.001, 1.0, 200)
    result = ttl_targets(ttl, 0.02)
    assert 0.02 in result
    assert (result[0], result[-1]) == (ttl[0], ttl[-1])
    assert result == sorted(result)


@pytest.mark.parametrize(
    "limits", [{"gpus": 8}, {"pack": True}, {"fixed_ratio": 0.5}, {"mix": True}], ids=str
)
def test_other_limits_have_choices_too(limits):
    mixed = limits.pop("mix", False)
    short = jaxsim.Workload(isl=512, osl=128)
    work = [jaxsim.Share(WORK, 0.5), jaxsim.Share(short, 0.5)] if mixed else WORK
    space = jaxsim.Space(tp=(1, 2), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    plan = jaxsim.plan(
        "llama-3.1-8b", "h100", work, ftl_s=1.0, ttl_s=0.02, space=space, choices=True, **limits
    )
    choices = some(plan.choices)
    rows, prefill = choices.rows, choices.designs["prefill"]
    meets = (rows["ftl_s"] <= 1.0) & (rows["ttl_s"] <= 0.02) & (rows["kind"] == 0)
    best = of(Deployed, plan.disaggregated)
    assert rows["worth"][meets].max() >= best.output_tokens_per_s_per_gpu * (1 - 1e-6)
    assert (prefill["flow_bytes_per_s"] > 0).all()
    own = best.instances[0]
    same = np.all([prefill[n] == getattr(own, n) for n in ("tp", "pp", "batch", "chunk")], axis=0)
    flow = prefill["flow_bytes_per_s"][same]
    used = best.requests_per_s / (own.count * own.requests_per_s)
    assert flow * used == pytest.approx(best.kv_egress_bytes_per_s_per_gpu, rel=1e-5)
