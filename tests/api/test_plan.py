"""What `jaxsim.plan` and `jaxsim.sensitivity` take, and how they refuse what they cannot."""

import pytest

import jaxsim
from jaxsim.api.request import plan_request
from jaxsim.catalog.errors import InputError

WORK = jaxsim.Workload(isl=1024.0, osl=64.0)
MIX = (jaxsim.Share(WORK, 1.0), jaxsim.Share(jaxsim.Workload(isl=64.0, osl=64.0), 1.0))


def test_a_workload_with_targets_is_a_request():
    whole = jaxsim.PlanRequest(WORK, ftl_s=1.0, ttl_s=0.1, max_gpus=8)
    targets = {"ftl_s": 1.0, "ttl_s": 0.1}
    assert plan_request("plan", WORK, targets | {"gpus": 8}) == whole
    assert plan_request("plan", WORK, targets | {"max_gpus": 8, "engine": "ideal"}) == whole
    assert plan_request("plan", whole, {"gpus": None, "engine": "ideal"}) is whole


@pytest.mark.parametrize(
    ("work", "given", "message"),
    [
        (WORK, {"ttl_s": 0.1}, "ftl_s: missing"),
        (WORK, {}, "ftl_s, ttl_s: missing"),
        (
            jaxsim.PlanRequest(WORK, 1.0, 0.1),
            {"ttl_s": 0.2, "gpus": 8},
            "ttl_s, gpus: the PlanRequest has",
        ),
    ],
)
def test_targets_are_given_once(work, given, message):
    with pytest.raises(InputError, match=message):
        plan_request("plan", work, given)


def test_a_sensitivity_is_of_one_workload():
    mix = jaxsim.PlanRequest(MIX, ftl_s=1.0, ttl_s=0.1)
    with pytest.raises(InputError, match="one workload, and a mix of 2"):
        jaxsim.sensitivity("llama-3.1-8b", "h200", mix)


@pytest.mark.parametrize("verb", [jaxsim.plan, jaxsim.sensitivity])
def test_a_misspelt_option_is_named_with_the_function_that_was_called(verb):
    with pytest.raises(TypeError, match=rf"{verb.__name__}\(\).*'objectiv'"):
        verb("llama-3.1-8b", "h200", WORK, ftl_s=1.0, ttl_s=0.1, objectiv="cost")


def test_results_and_requests_have_public_types():
    plan = jaxsim.plan(
        "llama-3.1-8b", "h200",
        jaxsim.PlanRequest(WORK, ftl_s=1.0, ttl_s=0.1, exact_gpus=4, objective="cost"),
        space=jaxsim.Space(tp=(1, 2), pp=(1,), batch=(8, 32), chunk=(512,), prefill_batch=(1, 4)),
    )  # fmt: skip
    assert isinstance(plan, jaxsim.Plan)
    assert isinstance(plan.colocated, jaxsim.Deployed)
    assert plan.objective == "cost"
    assert isinstance(plan.disaggregated, jaxsim.Deployed | jaxsim.Unmet)


@pytest.mark.parametrize("ratio", [1e19, 0.0, float("nan")])
def test_a_ratio_that_no_pools_can_have_is_refused(ratio):
    with pytest.raises(InputError, match="prefill GPUs per decode GPU are allowed"):
        jaxsim.PlanRequest(WORK, ftl_s=1.0, ttl_s=0.1, fixed_ratio=ratio)
