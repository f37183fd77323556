"""Are evaluated designs used again where they may be, and only there?"""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import jaxsim
from jaxsim.api.stages import plan_stages
from jaxsim.catalog.setup import setup_of
from jaxsim.space.axes import complete
from jaxsim.space.deploy.choices import Choices
from jaxsim.space.deploy.held_sweeps import HeldSweeps
from jaxsim.space.designs import evaluate_phase
from jaxsim.space.match.prune import near_the_best

WORK = jaxsim.Workload(isl=2048, osl=256)
SPACE = jaxsim.Space(tp=(1, 2), pp=(1,), chunk=(2048,), prefill_batch=(1, 2))


def stages(held, ttl_s=0.02, work=WORK, hardware="h100", **limits):
    request = jaxsim.PlanRequest(work, ftl_s=1.0, ttl_s=ttl_s, **limits)
    result = plan_stages("llama-3.1-8b", hardware, request, space=SPACE, evaluate=held)
    return list(result)


def equal(one, other):
    """Whether two records hold the same numbers, arrays among them; not how long they took."""
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=True)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if hasattr(one, "__dataclass_fields__"):
        names = {field.name for field in fields(one)} - {"elapsed_s"}
        return all(equal(getattr(one, name), getattr(other, name)) for name in names)
    return one == other


@pytest.fixture(scope="module")
def held():
    return HeldSweeps()


@pytest.mark.parametrize("limits", [{}, {"objective": "cost", "max_gpus": 5}])
def test_the_last_stage_is_the_plan(held, limits):
    first, exact, last = stages(held, **limits)
    plan = jaxsim.plan(
        "llama-3.1-8b", "h100", WORK, ftl_s=1.0, ttl_s=0.02, space=SPACE, choices=True, **limits
    )
    assert equal(last, plan)
    assert equal(replace(exact, levers=plan.levers, headroom=plan.headroom, choices=None),
                 replace(plan, choices=None))  # fmt: skip
    best = [getattr(one.disaggregated, "output_tokens_per_s_per_gpu") for one in (first, exact)]  # noqa: B009
    assert 0.8 * best[1] < best[0] <= best[1] * (1 + 1e-9), "the grid's best, then that of all"
    for one in (first, exact):
        assert isinstance(one.choices, Choices)
        assert plan.choices is not None
        assert len(one.choices.rows["y"]) < len(plan.choices.rows["y"])
        assert one.choices.ftl_targets_s == (1.0,)


def test_targets_budgets_and_prices_evaluate_nothing(held):
    stages(held)
    before = held.evaluated
    card = jaxsim.load_hardware("h100")
    dear = replace(card, hardware=replace(card.hardware, price_usd_per_hour=9.0))
    changes: list[dict[str, Any]] = [
        {"ttl_s": 0.012}, {"max_gpus": 3}, {"objective": "cost", "hardware": dear},
    ]  # fmt: skip
    for change in changes:
        stages(held, **change)
    assert held.evaluated == before
    stages(held, work=replace(WORK, isl=1024))
    assert held.evaluated == before + 3


def test_a_price_is_no_input_of_an_evaluation():
    setup = setup_of("llama-3.1-8b", "h100")
    scenario = setup.scenario(WORK)
    dear = replace(scenario, hardware=replace(scenario.hardware, price_usd_per_hour=99.0))
    space = complete(SPACE, scenario.model, scenario.hardware, 2048.0)
    for phase in ("prefill", "decode", "colocated"):
        one, other = (
            evaluate_phase(phase, given, space, (2048.0,), (256.0,)) for given in (scenario, dear)
        )
        for name, (array, _) in one.outputs.items():
            assert np.array_equal(array, other.outputs[name][0], equal_nan=True), name


@pytest.mark.parametrize("groups", [None, 3])
@pytest.mark.parametrize("slack", [0.0, 0.04])
def test_the_filter_keeps_all_that_come_near_the_best(slack, groups):
    random = np.random.default_rng(0)
    latency = random.lognormal(0, 2, 5000).round(2) + 0.01
    value = (latency * random.lognormal(0, 0.5, 5000)).round(2)
    group = None if groups is None else random.integers(0, groups, 5000)
    own = np.zeros(5000, int) if group is None else group
    kept = near_the_best(latency, value, slack, group)
    quicker = (latency[None, :] <= latency[:, None]) & (own[None, :] == own[:, None])
    best = np.where(quicker, value[None, :], 0.0).max(axis=1)
    assert set(np.flatnonzero(value >= best * (1 - slack))) <= set(kept)
    assert len(kept) < 2500
