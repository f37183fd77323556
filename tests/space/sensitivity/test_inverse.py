"""Inverse questions: chips, the cheapest change and crossovers, against brute force."""

from dataclasses import replace

import numpy as np
import pytest

import jaxsim
from jaxsim.catalog.chip_parts import load_chip_parts
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.plan import plan
from jaxsim.space.sensitivity.change import UNCHANGED, Change
from jaxsim.space.sensitivity.cheapest import cheapest
from jaxsim.space.sensitivity.chips import Budget, best_chips, change_of
from jaxsim.space.sensitivity.inverse import crossover
from jaxsim.space.sensitivity.inverse_requests import priors_of, shares_of
from jaxsim.space.sensitivity.problem import problem_of, with_own_prefill
from jaxsim.space.sensitivity.request import SensitivityRequest
from tests.narrow import some

SPACE = jaxsim.Space(
    tp=(1, 2), ep=(8, 32), pp=(1, 2), batch=(*range(256, 4096, 512), 4096, 6144, 8192),
    chunk=(4096, 16384), prefill_batch=(1, 2, 4, 8, 16),
)  # fmt: skip
PEAK, HBM, LINK = (
    "hardware.chip.multiprocessors", "hardware.chip.hbm_bytes_per_s",
    "hardware.scaleup.bytes_per_s",
)  # fmt: skip


@pytest.fixture
def together(monkeypatch):
    """All designs that may be best are listed, however many: quicker for many changes at once."""
    monkeypatch.setattr("jaxsim.space.sensitivity.solve.MANY", 2.0)


@pytest.fixture(scope="module")
def problem(swept):
    return problem_of(swept, space=SPACE)


def on_the_budget(budget, values):
    """Chips whose last part takes all that the others leave, at most four times itself."""
    paths = budget.paths
    result = []
    for own in np.stack(np.meshgrid(*values), axis=-1).reshape(-1, len(values)):
        factors = dict(zip(paths[1:], own, strict=True))
        low, high = 1.0 / 16.0, 4.0
        if not budget.fits({**factors, paths[0]: low}):
            continue
        for _ in range(40):
            middle = float(np.sqrt(low * high))
            fits = budget.fits({**factors, paths[0]: middle})
            low, high = (middle, high) if fits else (low, middle)
        result.append({**factors, paths[0]: low})
    return result


def test_chips_are_those_of_brute_force(swept, problem, plan_request, together):
    """Pools without a ratio are apart: each chip against a fine grid of chips on its budget."""
    budget = Budget({
        "cost": {PEAK: 0.5, HBM: 0.2, LINK: 0.2},
        "power": {PEAK: 0.7, HBM: 0.2, LINK: 0.05},
    })  # fmt: skip
    base = problem.solve(UNCHANGED)
    result = best_chips(swept, problem, base, budget, space=SPACE)
    for pool in ("prefill", ""):
        assert budget.fits(result.factors[pool])
    alone = with_own_prefill(problem, plan_request, SPACE)
    again = alone.solve(change_of(result.factors))
    assert some(again).value / base.value - 1.0 == pytest.approx(result.gain, rel=1e-6)
    grid = on_the_budget(budget, (np.geomspace(0.3, 2.5, 10), np.geomspace(0.1, 1.6, 8)))
    best = {}
    for pool in ("prefill", ""):
        other = {"": "prefill", "prefill": ""}[pool]
        changes = [change_of({pool: own, other: result.factors[other]}) for own in grid]
        best[pool] = max(one.value for one in alone.solve_all(changes) if one is not None)
    # The grid is coarse: the search must be no worse than it, but for the size of its last moves.
    assert some(again).value >= max(best.values()) * (1.0 - 1e-3)
    assert result.gain > 0.0


def test_one_chip_is_no_better_than_two(swept, problem, together):
    base = problem.solve(UNCHANGED)
    budget = Budget(load_chip_parts().shares, {"cost": 1.05, "power": 1.05, "area": 1.05})
    two = best_chips(swept, problem, base, budget, space=SPACE, smallest=0.15)
    one = best_chips(swept, problem, base, budget, unlike=False, space=SPACE, smallest=0.15)
    assert two.gain >= one.gain - 2e-3
    assert one.gain > 0.0
    assert all(budget.fits(own) for own in (*two.factors.values(), *one.factors.values()))


def test_a_smaller_budget_is_kept_to(swept, problem, together):
    base = problem.solve(UNCHANGED)
    budget = Budget(load_chip_parts().shares, {"cost": 0.9})
    result = best_chips(swept, problem, base, budget, space=SPACE, smallest=0.2)
    assert all(budget.fits(own) for own in result.factors.values())
    with pytest.raises(InputError, match="give more"):
        best_chips(
            swept, problem, base, Budget(load_chip_parts().shares, {"cost": 0.01}), space=SPACE
        )


def test_the_cheapest_change_is_that_of_brute_force(swept, problem, together):
    """No point of a fine grid of three factors reaches the goal for less."""
    base = problem.solve(UNCHANGED)
    goal = 1.12 * base.value
    costs = {PEAK: 0.5, HBM: 0.1, LINK: 0.02}
    singles = [{PEAK: 1.4}, {PEAK: 1.2, HBM: 2.0, LINK: 2.0}]
    result = cheapest(swept, problem, base, costs, goal, singles)
    solved = problem.solve(Change(dict(result.factors)))
    assert solved.value >= goal
    assert result.cost == pytest.approx(
        sum(c * (result.factors[p] - 1.0) for p, c in costs.items())
    )
    grid = np.stack(
        np.meshgrid(
            np.geomspace(1.0, 1.3, 7), np.geomspace(1.0, 2.5, 7), np.geomspace(1.0, 3.0, 4)
        ),
        axis=-1,
    ).reshape(-1, 3)
    changes = [Change(dict(zip(costs, map(float, own), strict=True))) for own in grid]
    prices = (grid - 1.0) @ np.array(list(costs.values()))
    met = [
        price
        for price, one in zip(prices, problem.solve_all(changes), strict=True)
        if one is not None and one.value >= goal
    ]
    assert result.cost <= min(met) + 1e-3
    nothing = cheapest(swept, problem, base, costs, 100.0 * base.value, singles)
    assert nothing.cost is None


def test_a_crossover_is_where_plans_cross(setup, plan_request):
    """The gain of plans is on either side of one at the neighbours, and only there in between."""
    model = setup_of("llama-3.1-70b", "h200", engine="trtllm")
    plan_request = PlanRequest(jaxsim.Workload(isl=4096.0, osl=512.0), ftl_s=2.0, ttl_s=0.03)
    few = jaxsim.Space(
        tp=(1, 2, 4, 8), pp=(1,), batch=(16, 32, 64, 128, 256), chunk=(64, 256, 1024, 4096),
        prefill_batch=(1, 2, 4, 8),
    )  # fmt: skip
    result = crossover(model, plan_request, "isl", 32, 8192, few)
    assert result.crossings

    def gain(isl):
        work = replace(plan_request.only_workload, isl=float(isl))
        return plan(model, replace(plan_request, workload=work, tolerance=1e-4), few).gain

    for one in result.crossings:
        assert one.high - one.low == 1.0 or one.high / one.low <= 1.0101
        assert (some(one.gain_low) > 1.0) != (some(one.gain_high) > 1.0)
        for isl, own in ((one.low, one.gain_low), (one.high, one.gain_high)):
            # Plans have whole instances, within the tolerance of real numbers of them.
            assert gain(isl) == pytest.approx(own, rel=5e-4)
    edges = [one.value for one in result.crossings]
    first = result.gains[0][1] > result.gains[0][2]
    for value, pools, both in result.gains:
        crossed = sum(edge < value for edge in edges) % 2 == 1
        assert (pools > both) == (first != crossed)


def test_parts_replace_those_of_the_catalogue():
    shares = shares_of({"hbm_bytes_per_s": {"cost": 0.3, "power": 0.25}})
    assert shares["cost"][HBM] == 0.3
    assert shares["power"][HBM] == 0.25
    assert shares["area"] == load_chip_parts().shares["area"]
    with pytest.raises(InputError, match="did you mean"):
        shares_of({"hbm_bytes_per_z": {"cost": 0.01}})
    with pytest.raises(InputError, match="sum to"):
        Budget(shares_of({"hbm_bytes": {"cost": 0.9}}))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"kind": "pooled"}, "disaggregated or colocated"),
        ({"levers": -1}, "at least 0"),
        ({"parts": {"hbm_bytes": {"cost": 1.3}}}, "is no share"),
        ({"parts": {"hbm_bytes": {"prize": 0.13}}}, "did you mean 'price'|no kind of budget"),
        ({"chips": {"money": 1.1}}, "no kind of budget"),
        ({"chips": {"cost": -1.0}}, "positive"),
        ({"crossovers": [("batch", 1, 2)]}, "isl or osl"),
        ({"crossovers": [("isl", 1.5, 20)]}, "whole numbers"),
        ({"crossovers": [("osl", 1, 20)]}, "at least 2"),
        ({"crossovers": [("isl", 200, 20)]}, "the second larger"),
        ({"prior_sigma": 0.0}, "is no deviation"),
        ({"prior_sigmas": {"wave_power": 9.0}}, "prior of wave_power: 9 is no deviation"),
    ],
)
def test_bad_requests_are_refused(keywords, message):
    with pytest.raises(InputError, match=message):
        SensitivityRequest(**keywords)


def test_priors_can_be_given():
    own = priors_of(0.3, {"wave_power": 0.7})
    assert own.of("tile_s") == 0.3
    assert own.of("wave_power") == 0.7
    assert own.source("wave_power") == own.source("tile_s") == "user"
    assert priors_of(None, {}).source("wave_power") == "derived"
    with pytest.raises(InputError, match="no fit has such a constant"):
        priors_of(None, {"nothing": 0.3})
