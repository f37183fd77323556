"""Encoders on GPUs of their own: as many as the rate needs, their time in TTFT, all counted."""

import math

import pytest

import jaxsim
from jaxsim.catalog.cards import with_images
from jaxsim.catalog.errors import InputError
from jaxsim.space.deploy.result import Deployed
from jaxsim.view.files.plan_json import plan_dict

SPACE = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(2048,))
CARD = jaxsim.load_model("qwen3-vl-8b")
WORK = jaxsim.Workload(isl=2560.0, osl=128.0, images=2.0)


def planned(pooled: bool, **request) -> jaxsim.Plan:
    asked = jaxsim.PlanRequest(WORK, ftl_s=2.0, ttl_s=0.03, **request)
    return jaxsim.plan(with_images(CARD, pooled), "h100", asked, space=SPACE, precision="bf16")


def test_as_many_encoders_as_the_rate_needs():
    plan, within = planned(True), planned(False)
    assert isinstance(plan.disaggregated, Deployed)
    assert isinstance(within.disaggregated, Deployed)
    best, encoders = plan.disaggregated, plan.disaggregated.encoders
    assert encoders is not None
    assert within.disaggregated.encoders is None
    assert encoders.count == math.ceil(best.requests_per_s * encoders.latency_s)
    own = sum(shape.count * shape.gpus_per_instance for shape in best.instances)
    assert best.gpus == own + encoders.count
    tokens_per_s = best.requests_per_s * 127.0
    assert best.output_tokens_per_s_per_gpu == pytest.approx(tokens_per_s / best.gpus, rel=0.02)
    # Prefill is quicker without the encoder; its time is before the passes.
    prefill, with_encoder = best.instances[0], within.disaggregated.instances[0]
    assert best.host_s == pytest.approx(within.disaggregated.host_s + encoders.latency_s, rel=1e-3)
    assert prefill.requests_per_s > with_encoder.requests_per_s
    described = plan_dict(plan)["disaggregated"]
    assert isinstance(described, dict)
    assert described["encoders"]["count"] == encoders.count
    for curve, other in zip(plan.curves, within.curves, strict=True):
        assert curve.name == other.name
        assert (curve.low <= curve.output_tokens_per_s_per_gpu).all()


def test_a_cap_holds_with_encoders():
    plan = planned(True, max_gpus=6)
    assert plan.max_gpus == 6
    for one in (plan.disaggregated, plan.colocated):
        assert isinstance(one, Deployed)
        assert one.encoders is not None
        assert one.gpus <= 6


@pytest.mark.parametrize(
    "request_",
    [{"exact_gpus": 8}, {"requests_per_s": 2.0, "percentile": 95.0}],
    ids=["exactly", "arrivals"],
)
def test_what_encoders_are_not_counted_in_is_refused(request_):
    with pytest.raises(InputError, match="cannot be counted with"):
        planned(True, **request_)
