"""Elasticities are what optimising again gives; laws, limits, and exact answers to questions."""

from dataclasses import replace

import numpy as np
import pytest

import jaxsim
from jaxsim.catalog.errors import InputError
from jaxsim.space.deploy.result import Deployed
from jaxsim.space.deploy.sweep import sweep_phases
from jaxsim.space.sensitivity.along import along_frontier, attributions_of
from jaxsim.space.sensitivity.attribution import attribution
from jaxsim.space.sensitivity.change import UNCHANGED, Change
from jaxsim.space.sensitivity.discrete import steps_of
from jaxsim.space.sensitivity.elasticity import multipliers, stacked
from jaxsim.space.sensitivity.inputs import change_of, goal_of, matching, ranges_of
from jaxsim.space.sensitivity.inverse import reach
from jaxsim.space.sensitivity.parameters import (
    HARDWARE,
    LAUNCH,
    LIMITS,
    hardware_levers,
    inputs_of,
    joined,
)
from jaxsim.space.sensitivity.plan_levers import at_deployment
from jaxsim.space.sensitivity.problem import problem_of
from jaxsim.space.sensitivity.request import SensitivityRequest, Times
from jaxsim.space.sensitivity.result import Sensitivity, best_of, sensitivity_of
from jaxsim.space.sensitivity.solve import run_searches
from jaxsim.space.sensitivity.sources import Source, sources_of
from jaxsim.space.sensitivity.study import (
    elasticities_at,
    levers_changes,
    study_lever,
)
from jaxsim.space.sensitivity.uncertainty import propagate
from tests.narrow import of, some

SPACE = jaxsim.Space(
    tp=(1, 2, 4),
    ep=(8, 32, 64),
    pp=(1, 2),
    batch=(*range(256, 4096, 256), 4096, 6144, 8192, 12288, 16384),
    chunk=(4096, 16384),
    prefill_batch=(1, 2, 4, 8, 16, 32, 64),
)
WORKLOAD = jaxsim.Workload(isl=16384.0, osl=2048.0)
KINDS = (False, True)


@pytest.fixture(scope="module")
def solved(swept):
    """The real-valued problem, its optimum and elasticities, of both kinds."""
    result = {}
    for colocated in KINDS:
        problem = problem_of(swept, colocated, SPACE)
        base = some(problem.solve(Change()))
        result[colocated] = problem, base, elasticities_at(swept, base)
    return result


@pytest.mark.parametrize("colocated", KINDS)
def test_elasticities_are_what_optimising_again_gives(solved, colocated):
    """0.05 % up and down, every limit kept: batch adapts; at 0.2 % another mapping takes over."""
    problem, _, result = solved[colocated]
    each = hardware_levers(result.by_input, result.by_limit)
    changes = levers_changes(result.by_input)
    assert len(each) == 13
    for title, slope in each.items():
        ends = [problem.solve(changes[title](factor)) for factor in (1.0005, 1 / 1.0005)]
        exact = np.log(ends[0].value / ends[1].value) / (2.0 * np.log(1.0005))
        assert float(slope[0]) == pytest.approx(exact, abs=1e-5), title


@pytest.mark.parametrize("colocated", KINDS)
def test_all_rates_k_times_as_large_give_k_times_the_throughput(solved, colocated):
    """Elasticities by rates, less those by times, targets included, sum to one."""
    _, _, result = solved[colocated]
    total = 0.0
    for path, slope in result.by_input.items():
        if path.startswith("workload") or "price" in path:
            continue
        if path.endswith("_per_s"):
            total += float(slope[0])
        elif path.endswith("_s"):
            total -= float(slope[0])
    total -= sum(float(result.by_limit[limit][0]) for limit in ("ttl", "ftl"))
    assert total == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("colocated", KINDS)
def test_the_unit_of_data_does_not_matter(solved, colocated):
    """Twice the bytes of everything at twice the bytes per second and capacity: the same."""
    _, _, result = solved[colocated]
    data = (
        "hbm_bytes", "bytes_per_s", "spill_bytes", "cache_bytes", "token_bytes", "copy_bytes",
        "query_bytes", "pass_bytes",
    )  # fmt: skip
    total = 0.0
    for path, slope in result.by_input.items():
        name = path.rpartition(".")[2]
        counted = path.startswith("element.") or name.endswith(data)
        total += float(slope[0]) if counted else 0.0
    # Bytes of logits and of each dtype's own width are written in the code, not inputs.
    assert total == pytest.approx(0.0, abs=0.02)


def test_a_binding_target_is_worth_something_and_a_slack_one_nothing(swept, solved):
    _, base, _ = solved[False]
    plan_request = replace(swept.request, ftl_s=1e4, ttl_s=1e3)
    loose = elasticities_at(replace(swept, request=plan_request), base)
    assert float(loose.by_limit["ttl"][0]) == 0.0
    assert float(loose.by_limit["ftl"][0]) == 0.0
    tight = solved[False][2]
    assert float(tight.by_limit["ttl"][0]) > 0.0
    assert "ttl" in tight.binding[0]["decode"]


def test_memory_gets_a_multiplier_where_it_binds(setup, plan_request):
    """With half the memory the cache limits the batch, and more of it is worth throughput."""
    card = setup.hardware
    chip = replace(card.hardware.chip, hbm_bytes=float(card.hardware.chip.hbm_bytes) * 0.35)
    small = replace(setup, hardware=replace(card, hardware=replace(card.hardware, chip=chip)))
    few = replace(plan_request, ttl_s=0.5)
    swept = sweep_phases(small, few, SPACE)
    problem = problem_of(swept)
    base = some(problem.solve(Change()))
    result = elasticities_at(swept, base)
    assert "memory" in result.binding[0]["decode"]
    path = "hardware.chip.hbm_bytes"
    ends = [some(problem.solve(Change({path: f}))).value for f in (1.001, 1 / 1.001)]
    exact = np.log(ends[0] / ends[1]) / (2.0 * np.log(1.001))
    assert exact > 0.0
    assert float(result.by_input[path][0]) == pytest.approx(exact, rel=1e-3)


def test_multipliers_of_known_problems():
    """Limits on (ln batch, ln chunk): one binds; two bind; the nearer of two; none in reach."""
    one = multipliers(np.array([0.4, 0.0]), np.array([[0.8, 0.0]]), np.array([0.01]), 0.2)
    np.testing.assert_allclose(one, [0.5])
    steep = np.array([[1.0, 0.0], [0.2, 1.0]])
    both = multipliers(np.array([1.2, 1.0]), steep, np.zeros(2), 0.2)
    np.testing.assert_allclose(both @ steep, [1.2, 1.0])
    nearer = multipliers(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [1.0, 0.0]]),
                         np.array([0.3, 0.1]), 0.2)  # fmt: skip
    np.testing.assert_allclose(nearer, [0.0, 1.0])
    far = multipliers(np.array([1.0, 0.0]), np.array([[0.1, 0.0]]), np.array([3.0]), 0.2)
    np.testing.assert_allclose(far, [0.0])
    falling = multipliers(np.array([-0.1, 0.0]), np.array([[1.0, 0.0]]), np.array([0.0]), 0.2)
    np.testing.assert_allclose(falling, [0.0])


def test_multipliers_of_many_designs_are_those_of_each():
    random = np.random.default_rng(3)
    gain, steep = random.normal(size=(500, 2)), random.normal(size=(500, 3, 2))
    slack, step = 0.4 * random.random((500, 3)), random.random(500)
    result = multipliers(gain, steep, slack, step)
    assert set((result > 0.0).sum(axis=1)) == {0, 1, 2}
    for i in range(500):
        np.testing.assert_allclose(result[i], multipliers(gain[i], steep[i], slack[i], step[i]))
        if (result[i] > 0.0).sum() == 2:
            np.testing.assert_allclose(result[i] @ steep[i], gain[i])


@pytest.mark.parametrize("colocated", KINDS)
def test_leaving_designs_out_changes_nothing(solved, colocated, monkeypatch):
    """The best of the designs kept is the best of all, whatever moves and however far."""
    problem, _, result = solved[colocated]
    moves = levers_changes(result.by_input)
    changes = [
        moves[title](factor)
        for title in (*HARDWARE.values(), LAUNCH, *LIMITS.values())
        for factor in (0.5, 0.8, 1.1, 2.0)
    ]
    changes.append(Change({"hardware.chip.hbm_bytes_per_s": 2.0}, ttl=0.5))
    kept = problem.solve_all(changes)
    monkeypatch.setattr("jaxsim.space.sensitivity.solve.MANY", 2.0)
    monkeypatch.setattr(
        "jaxsim.space.sensitivity.moves.Grid.near", lambda grid, *_: grid.rules.copy()
    )
    for change, own, everything in zip(changes, kept, problem.solve_all(changes), strict=True):
        assert (own is None) == (everything is None)
        if own is not None:
            assert own.value == pytest.approx(everything.value, rel=1e-12), change
            assert own.mapping == everything.mapping


@pytest.mark.parametrize("colocated", KINDS)
def test_evaluating_the_grid_again_changes_nothing(solved, colocated):
    """The same best, whether known from bounds or from the whole grid under the change."""
    problem, _, _ = solved[colocated]
    for change in (
        Change({"hardware.chip.hbm_bytes_per_s": 0.6}),
        Change({"hardware.chip.multiprocessors": 1.3}, ttl=0.8, ftl=1.2),
    ):
        near, again = problem.solve(change), problem.moved(change).solve(UNCHANGED)
        assert near.value == pytest.approx(again.value, rel=1e-9)
        assert near.mapping == again.mapping


def test_an_input_of_another_kind_moves_all_designs(setup, plan_request, solved):
    """Twice the prompt is what sweeping prompts of twice the length gives."""
    problem, _, _ = solved[False]
    longer = replace(plan_request, workload=replace(WORKLOAD, isl=2.0 * WORKLOAD.isl))
    again = problem_of(sweep_phases(setup, longer, SPACE)).solve(UNCHANGED)
    change = Change({"workload.isl": 2.0})
    assert change.bounds() is None
    moved = problem.solve(change)
    assert moved.value == pytest.approx(some(again).value, rel=1e-9)


def test_stable_ranges_end_where_the_design_changes(solved):
    problem, base, result = solved[False]
    change = levers_changes(result.by_input)["peak BF16 arithmetic"]
    (lever,) = run_searches(problem, [study_lever(base, "peak BF16 arithmetic", 0.4, change)])
    low, high = lever.stable
    for edge, outward in ((low, 1 / 1.05), (high, 1.05)):
        assert problem.solve(change(edge)).mapping == base.mapping
        if 0.5 < edge < 2.0:
            assert problem.solve(change(edge * outward)).mapping != base.mapping
    for effect in lever.effects:
        again = problem.solve(change(effect.factor))
        assert effect.exact == pytest.approx(again.value / base.value - 1.0)
        assert effect.changed == (again.mapping != base.mapping)


def test_whole_steps_never_beat_the_best(swept):
    for colocated in KINDS:
        steps = steps_of(swept, colocated)
        assert {step.axis for step in steps} == {"tp", "ep", "pp"}
        assert all(step.effect is None or step.effect <= 1e-6 for step in steps)


def test_the_answer_and_the_frontier(swept):
    """Elasticities at integers are near those at the real-valued optimum; all points are finite."""
    deployed = of(Deployed, best_of(swept, "disaggregated"))
    by_input = at_deployment(swept, deployed).by_input
    assert 0.0 < float(by_input["hardware.chip.multiprocessors"][0]) < 1.5
    along = along_frontier(swept)
    for slopes in along.levers.values():
        assert np.isfinite(slopes).all()
    for own in along.attributions.values():
        np.testing.assert_allclose(own.by_resource.sum(axis=1), 1.0)


@pytest.mark.parametrize("phase", ["prefill", "decode", "ifb", "piggybacked"])
def test_resources_sum_to_the_time(setup, phase):
    """By Euler's theorem, exactly, whatever the design, and no resource gives time back."""
    designs = stacked([
        {"tp": 2, "ep": 8, "pp": 2, "batch": 48, "chunk": 3000},
        {"tp": 1, "ep": 64, "pp": 1, "batch": 1024, "chunk": 16384},
        {"tp": 4, "ep": 1, "pp": 1, "batch": 1, "chunk": 512},
    ])  # fmt: skip
    mode = "" if phase in ("prefill", "decode") else phase
    own = attribution("colocated" if mode else phase, setup, WORKLOAD, designs, mode)
    from jaxsim.quantities import PARTS
    from jaxsim.space.designs import PHASES
    from jaxsim.space.gradient.derivative import values_of
    from jaxsim.space.sensitivity.elasticity import points_on_axes

    outputs = [f"{mode}_{part}_s" if mode else f"{part}_s" for part in PARTS]
    axes = points_on_axes(own.phase, WORKLOAD, designs)
    times = values_of(PHASES[own.phase], setup.scenario(WORKLOAD), axes, outputs)
    for row, output in enumerate(outputs):
        np.testing.assert_allclose(own.seconds[:, row].sum(axis=1), times[output], rtol=1e-9)
    assert own.seconds.min() >= -1e-12


def test_reaching_a_goal_takes_just_enough(solved):
    problem, base, result = solved[False]
    changes = levers_changes(result.by_input)
    goal = 1.04 * base.value
    for title in ("HBM bandwidth", "multiprocessors and peak", "kernel launch floors"):
        slope = float(hardware_levers(result.by_input, result.by_limit)[title][0])
        (reached,) = run_searches(problem, [reach(base, title, slope, changes[title], goal)])
        if reached.factor is None:
            assert problem.solve(changes[title](16.0 if slope > 0 else 1 / 16)).value < goal
            continue
        assert some(reached.optimum).value >= goal
        less = problem.solve(changes[title](reached.factor**0.99))
        assert less.value < goal * (1.0 + 1e-6)


def test_delta_method_and_samples_agree_where_linear(solved):
    """One small known spread: both give |elasticity| · sigma, and the source explains it all."""
    problem, base, result = solved[False]
    path = "hardware.chip.hbm_bytes_per_s"
    sources = [
        Source("memory", ((path,),), np.array([[0.02]])),
        Source("links", (("hardware.scaleup.bytes_per_s",),), np.array([[0.0002]])),
    ]
    unsure = propagate(problem, base, result, sources, samples=256)
    assert unsure.delta_sigma == pytest.approx(
        abs(float(result.by_input[path][0])) * 0.02, rel=0.01
    )
    assert unsure.linear
    assert unsure.sample_sigma == pytest.approx(unsure.delta_sigma, rel=0.1)
    assert unsure.lost == 0.0
    assert unsure.worth_measuring[0].name == "memory"
    assert unsure.shares[0].total == pytest.approx(1.0, abs=0.1)
    assert unsure.shares[0].first == pytest.approx(1.0, abs=0.1)


def test_a_wide_spread_is_said_not_to_be_linear(solved):
    """A range from an eighth to eight times: the delta method is off, and does not hide it."""
    problem, base, result = solved[False]
    span = (-np.log(8.0), np.log(8.0))
    source = Source("links", (("hardware.chip.hbm_bytes_per_s",),), np.eye(1), span)
    assert not propagate(problem, base, result, [source], samples=256).linear


def test_unknowns_of_the_answer(swept, solved):
    problem, base, result = solved[True]
    parts = {
        pool: dict(zip(own.parts, own.seconds[0].sum(axis=1), strict=True))
        for pool, own in attributions_of(swept, base).items()
    }
    sources = sources_of(swept, result, parts, {"workload.imbalance": (1.0, 1.5)})
    assert any(source.name.startswith("fit of") for source in sources)
    unsure = propagate(problem, base, result, sources, samples=64)
    assert np.isfinite([unsure.delta_sigma, unsure.sample_sigma, *unsure.interval80]).all()
    assert unsure.interval80[0] < 1.0
    assert len(unsure.worth_measuring) == 3


def test_inputs_of_one_fit_are_joined(setup, solved):
    """The same constant behind several kernels is one input, and the sum of theirs."""
    _, _, result = solved[False]
    inputs = inputs_of(list(result.by_input), setup.precision)
    names = [own.name for own in inputs]
    assert len(set(names)) == len(names)
    assert not any("multiprocessors" in n and n.startswith("calibration") for n in names)
    shared = next(own for own in inputs if len(own.paths) > 1)
    assert joined(shared, result.by_input)[0] == pytest.approx(
        sum(result.by_input[path][0] for path in shared.paths)
    )


def test_what_if(setup, plan_request):
    result = sensitivity_of(
        setup, plan_request, SPACE, None,
        SensitivityRequest(
            kind="disaggregated", levers=1, domains=False,
            what_if=[
                {"hbm_bytes_per_s": Times(1.2)}, {"scaleup.bytes_per_s": Times(2.0), "ttl": 0.03},
            ],
        ),
    )  # fmt: skip
    assert isinstance(result, Sensitivity)
    first, second = result.what_if
    assert 0.0 < some(first.exact) < 0.2
    assert first.local == pytest.approx(first.exact, abs=0.02)
    assert second.exact is not None
    assert result.levers[0].elasticity == pytest.approx(
        max(lever.elasticity for lever in result.levers)
    )
    assert [price.name for price in result.prices][:2] == ["TTL target", "FTL target"]


VALUES = {
    "hardware.chip.hbm_bytes_per_s": 8e12,
    "hardware.scaleup.bytes_per_s": 9e11,
    "hardware.scaleout.bytes_per_s": 5e10,
    "kernels.experts.peak_frac": 0.6,
    "kernels.head_gemm.peak_frac": 0.7,
    "workload.hit_frac": 0.0,
}
TARGETS = {"ttl": 0.05, "ftl": 5.0}


def test_moves_by_name():
    change = change_of({"hbm_bytes_per_s": Times(1.2), "ttl": 0.04}, VALUES, TARGETS)
    assert change.inputs == {"hardware.chip.hbm_bytes_per_s": pytest.approx(1.2)}
    assert change.ttl == pytest.approx(0.8)
    assert change_of({"peak_frac": Times(0.9)}, VALUES, TARGETS).inputs == {
        "kernels.experts.peak_frac": pytest.approx(0.9),
        "kernels.head_gemm.peak_frac": pytest.approx(0.9),
    }
    assert change_of({"HBM bandwidth": 1.6e13}, VALUES, TARGETS).inputs == {
        "hardware.chip.hbm_bytes_per_s": pytest.approx(2.0)
    }
    assert goal_of(Times(1.2), 1000.0) == goal_of(1200.0, 1000.0) == pytest.approx(1200.0)
    ends = (Times(0.9), Times(1.1))
    assert ranges_of({"peak_frac": ends}, VALUES)["kernels.experts.peak_frac"] == (
        pytest.approx(0.9), pytest.approx(1.1)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bytes_per_s", Times(2.0), "may be"),
        ("hbm_bytes_per", Times(2.0), "is no input"),
        ("hbm_bytes_per_s", Times(-0.5), "must stay positive"),
        ("hbm_bytes_per_s", float("nan"), "must stay positive"),
        ("hit_frac", 0.5, "is 0 now"),
    ],
)
def test_bad_moves_are_refused(name, value, message):
    with pytest.raises(InputError, match=message):
        change_of({name: value}, VALUES, TARGETS)


def test_bad_goals_are_refused():
    with pytest.raises(InputError, match="ask for more"):
        goal_of(900.0, 1000.0)
    with pytest.raises(InputError, match="below the high one"):
        ranges_of({"peak_frac": (Times(1.1), Times(0.9))}, VALUES)


@pytest.mark.parametrize("colocated", KINDS)
def test_prices_count_where_cost_is_the_objective(setup, plan_request, colocated):
    """Twice the price is half the throughput per dollar, exactly and by the elasticity."""
    swept = sweep_phases(setup, replace(plan_request, objective="cost"), SPACE)
    problem = problem_of(swept, colocated, SPACE)
    base, path = some(problem.solve(UNCHANGED)), "hardware.price_usd_per_hour"
    assert float(elasticities_at(swept, base).by_input[path][0]) == pytest.approx(-1.0)
    dear = some(problem.solve(Change({path: 2.0})))
    assert dear.value == pytest.approx(0.5 * base.value, rel=1e-9)
    spread = problem.sampled(base, Change({path: np.array([1.0, 4.0])}))
    assert spread[0] - spread[1] == pytest.approx(np.log(4.0))


def test_a_pool_is_named_before_its_input():
    values = ["hardware.chip.hbm_bytes", "prefill:hardware.chip.hbm_bytes"]
    assert matching("hbm_bytes", values) == values
    assert matching("prefill:hbm_bytes", values) == values[1:]
    with pytest.raises(InputError, match="no 'first' pool"):
        matching("first:hbm_bytes", values)


def test_what_both_pools_share_moves_both():
    """An input without a pool moves the shared ones of a prefill pool, not its own hardware."""
    change = Change({"workload.isl": 2.0, "hardware.chip.hbm_bytes": 3.0,
                     "prefill:hardware.chip.hbm_bytes": 5.0})  # fmt: skip
    assert change.within("") == {"workload.isl": 2.0, "hardware.chip.hbm_bytes": 3.0}
    assert change.within("prefill") == {"workload.isl": 2.0, "hardware.chip.hbm_bytes": 5.0}


@pytest.mark.parametrize("colocated", KINDS)
def test_every_input_against_solving_again(solved, colocated):
    """Elasticities of all inputs, of model, workload, calibration and engine too: 0.01 % both ways.

    Batch adapts. Left out is what is counted in whole numbers on the way, or divided by widths: a
    fraction of a head breaks a rule (`gradient/test_derivative` checks their slopes themselves).
    """
    problem, base, result = solved[colocated]
    rounded = (
        "layers", "isl", "hit_frac", "domain_gpus", "heads", "experts", "intermediate",
    )  # fmt: skip
    paths = [p for p in result.by_input if not p.endswith(rounded)]
    held = next(iter(result.pools.values())).slopes.numbers
    paths = [p for p in paths if float(held[p][0] if p in held else 1.0) != 0.0]
    step, count = 1e-4, 2 * len(paths)
    factors = {path: np.ones(count) for path in paths}
    for i, path in enumerate(paths):
        factors[path][2 * i : 2 * i + 2] = 1.0 + step, 1.0 / (1.0 + step)
    ends = problem.sampled(base, Change(factors)).reshape(-1, 2)
    exact = (ends[:, 0] - ends[:, 1]) / (2.0 * np.log(1.0 + step))
    mine = np.array([float(result.by_input[path][0]) for path in paths])
    wrong = [
        (p, a, b)
        for p, a, b in zip(paths, mine, exact, strict=True)
        if not abs(a - b) <= 2e-4 + 2e-4 * abs(b)
    ]
    assert not wrong, wrong
