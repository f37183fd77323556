"""Does the simulator queue as theory says, and do policies decide what they should?"""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.measure.outcome import outcome, users_of
from jaxsim.traffic.policy.matching import Elastic, Matched, divided
from jaxsim.traffic.policy.regret import cheapest, least_counts
from jaxsim.traffic.policy.view import Static
from jaxsim.traffic.read.requests import requests_of
from jaxsim.traffic.simulate.capacity import Lengths, lengths_of
from jaxsim.traffic.simulate.fleet import Fleet
from jaxsim.traffic.simulate.run import Service, simulate_run
from jaxsim.traffic.synthetic.load import load_of
from tests.narrow import untyped
from tests.traffic.laws import law, links

COUNT = 12_000
SLOTS = 63


def fleet(w, gpus, **rest):
    return Fleet(w, links(), gpus, 0.0, 0.0, **rest)


def one_by_one(seconds_per_token):
    """An instance that takes one prompt at a time, so long per token."""
    w = law(SLOTS, most=1, budget=16384)
    return replace(w, pass_s=seconds_per_token * w.pass_tokens, pass_slope=0.0 * w.pass_slope)


def mean_wait_s(requests, w):
    run = simulate_run(requests, fleet(w, {0: 1.0}), {0: 1}, Static())
    a, size = run.state.attempts, len(requests)
    return float((a.scheduled_s[:size] - a.arrival_s[:size]).mean())


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_server_waits_as_pollaczek_and_khinchine_say(load):
    """M/D/1 and M/G/1: W = λ E[S²] / (2 (1 - ρ))."""
    w, mean = one_by_one(1e-3), 100.0
    for law_of_isl, second in (("100", mean**2), ("uniform:1:199", mean**2 + (199**2 - 1) / 12)):
        rate = load / (1e-3 * mean)
        drawn = load_of(requests_per_s=rate, duration_s=COUNT / rate, isl=law_of_isl, osl=1).drawn(
            5
        )
        expected = rate * 1e-6 * second / (2.0 * (1.0 - load))
        assert mean_wait_s(drawn, w) == pytest.approx(expected, rel=0.12), law_of_isl


def test_many_places_wait_as_erlang_says():
    """M/M/c: sequences of geometric length in c places, whose step does not depend on them."""
    places, step_s, length, load = 8, 1e-3, 400.0, 0.85
    w = law(SLOTS, most=places)
    w = replace(
        w,
        decode_s=np.full_like(w.decode_s, step_s),
        decode_slope=0.0 * w.decode_slope,
        pass_s=1e-9 + 0.0 * w.pass_s,
        pass_slope=0.0 * w.pass_slope,
    )
    service = step_s * length
    rate = load * places / service
    drawn = load_of(
        requests_per_s=rate, duration_s=COUNT / rate, isl=1, osl=f"geometric:{length:.0f}"
    ).drawn(2)
    offered = rate * service
    tail = offered**places / math.factorial(places) / (1.0 - load)
    waits = tail / (sum(offered**k / math.factorial(k) for k in range(places)) + tail)
    expected = waits * service / (places * (1.0 - load))
    assert mean_wait_s(drawn, w) == pytest.approx(expected, rel=0.15)


def test_tokens_and_gpu_time_are_conserved():
    requests = load_of(requests_per_s=8, duration_s=60, isl=500, osl="uniform:20:200").drawn(0)
    run = simulate_run(requests, fleet(law(SLOTS), {1: 2.0, 2: 4.0}), {1: 1, 2: 2}, Static())
    result = untyped(outcome(run, 1.0, 1.0))
    assert result["served"] == len(requests)
    assert run.state.instances.tokens.sum() == requests.osl.sum()
    assert run.state.gaps.sum() == (requests.osl - 1).sum()
    assert result["gpu_seconds"] == pytest.approx((2.0 + 2 * 4.0) * run.end_s)
    # A pool that could be no smaller pays for the time after the last arrival alone.
    assert result["regret_gpu_seconds"] == pytest.approx(
        result["gpu_seconds"] - (2.0 + 4.0) * requests.duration_s
    )
    busy = sum(
        result[f"{name}_busy_frac"] * own for name, own in (("prefill", 0.2), ("decode", 0.8))
    )
    powered = replace(run, fleet=replace(run.fleet, power_w=700.0, idle_frac=0.25))
    assert outcome(powered, 1.0, 1.0)["joules"] == pytest.approx(
        700.0 * (0.25 + 0.75 * busy) * result["gpu_seconds"]
    )
    users = users_of(run)
    assert (users.ttft_s > 0).all()
    np.testing.assert_allclose(
        users.e2e_s, users.ttft_s + (requests.osl - 1) * users.tpot_s, rtol=1e-9
    )


def quadratic(w):
    """The same with passes whose time is mostly that of pairs that attend."""
    return replace(w, pass_slope=30.0 * w.pass_slope)


RANKS = law(SLOTS, ranks=8.0, budget=16384.0, chunk=2048.0)


@pytest.mark.parametrize(
    ("w", "isl", "within"),
    [
        (RANKS, "lognormal:700:0.8", 0.03),
        (RANKS, "lognormal:6000:0.9", 0.03),
        (quadratic(RANKS), "lognormal:6000:0.9", 0.05),
        (quadratic(law(SLOTS)), "lognormal:3000:0.9", 0.001),
    ],
)
def test_a_prefill_instance_serves_what_its_capacity_says(w, isl, within):
    """Also where a pass lasts as long as the longest piece of any data-parallel rank."""
    requests = load_of(requests_per_s=1e4, duration_s=0.2, isl=isl, osl=2).drawn(3)
    pools = fleet(w, {1: 1.0, 2: 1.0})
    run = simulate_run(requests, pools, {1: 1, 2: 1}, Static())
    result = len(requests) / run.state.attempts.passed_s[: len(requests)].max()
    said = pools.capacity(1, lengths_of(requests.isl, requests.osl))
    assert said == pytest.approx(result, rel=within)


@pytest.mark.parametrize(("role", "most"), [(0, None), (2, None), (2, 20)])
def test_an_instance_that_decodes_serves_what_its_capacity_says(role, most):
    """Where places limit the batch, and where blocks do; the last few sequences left out."""
    isl, osl = "lognormal:600:0.6", "lognormal:150:0.7"
    requests = load_of(requests_per_s=1e4, duration_s=0.2, isl=isl, osl=osl).drawn(3)
    gpus, counts = ({0: 1.0}, {0: 1}) if role == 0 else ({1: 1.0, 2: 1.0}, {1: 4, 2: 1})
    pools = fleet(law(SLOTS, 3000, most=most), gpus)
    run = simulate_run(requests, pools, counts, Static())
    ended_s = run.state.attempts.finished_s[: len(requests)]
    result = 0.97 * len(requests) / np.quantile(ended_s, 0.97)
    said = pools.capacity(role, lengths_of(requests.isl, requests.osl))
    assert said == pytest.approx(result, rel=0.03)


def exposed_s(**changed):
    """From the end of each prompt to the arrival of its cache, and its tokens; links are free."""
    requests = load_of(requests_per_s=0.4, duration_s=150, isl="uniform:500:1500", osl=5).drawn(0)
    pools = Fleet(law(SLOTS), links(**changed), {1: 1.0, 2: 1.0}, 0.0, 0.0)
    a = simulate_run(requests, pools, {1: 1, 2: 1}, Static()).state.attempts
    count = len(requests)
    return a.sent_s[:count] - a.passed_s[:count], requests.isl


def test_the_mode_of_a_transfer_sets_what_of_it_users_wait_for():
    """Behind the passes layer by layer, pushed or pulled after them, in blocks or reshaped."""
    after, isl = exposed_s(streamed=0.0, setup_s=0.0)
    np.testing.assert_allclose(after, 1e-7 * isl, rtol=1e-6)
    pulled, _ = exposed_s(streamed=0.0, setup_s=0.003)
    np.testing.assert_allclose(pulled - after, 0.003, rtol=1e-6)
    blocks, _ = exposed_s(streamed=0.0, setup_s=0.0, segment_s=1e-3)
    np.testing.assert_allclose(blocks - after, 1e-3 * np.ceil(isl / 64.0), rtol=1e-6)
    reshaped, _ = exposed_s(streamed=0.0, setup_s=0.0, segment_s=1e-3, segment_tokens=1e9)
    assert (1.0 - reshaped / blocks).mean() > 0.9  # FlowKV reports 96 to 98 % less
    streamed, _ = exposed_s(setup_s=0.0, segment_s=1e-3)
    np.testing.assert_allclose(streamed, blocks / 60.0, rtol=1e-5)  # the last of 60 layers


# ---- policies ----


def shifting():
    """Long prompts first, then long outputs."""
    first = load_of(requests_per_s=20, duration_s=150, isl=3000, osl=20).drawn(0)
    second = load_of(requests_per_s=20, duration_s=150, isl=200, osl=300).drawn(1)
    return requests_of(
        np.concatenate([first.arrival_s, 150.0 + second.arrival_s]),
        np.concatenate([first.isl, second.isl]),
        np.concatenate([first.osl, second.osl]),
        name="shifting",
    )


POOLS = fleet(law(SLOTS, most=24), {1: 1.0, 2: 1.0}, startup_s=10.0, convert_s=2.0)


def test_a_division_is_the_best_of_all():
    for isl, osl in ((3000.0, 20.0), (200.0, 300.0), (900.0, 90.0)):
        lengths = Lengths(np.array([isl]), np.array([osl]))
        rates = [POOLS.capacity(role, lengths, 0.05) for role in (1, 2)]
        result = divided(POOLS, 6.0, lengths, 0.05)
        assert result is not None
        served = min(result[1] * rates[0], result[2] * rates[1])
        best = max(min(n * rates[0], (6 - n) * rates[1]) for n in range(1, 6))
        assert served == pytest.approx(best)


def test_matched_pools_follow_the_mix_and_elastic_ones_the_load():
    requests, start = shifting(), {1: 2, 2: 2}
    limits = {1: (1, 4), 2: (1, 4)}
    runs = {
        policy.name: simulate_run(
            requests, POOLS, start, policy, limits=limits, targets_s=(1.0, 0.05)
        )
        for policy in (Static(), Matched(interval_s=15.0), Elastic(interval_s=15.0))
    }
    result = {name: untyped(outcome(run, 1.0, 0.05)) for name, run in runs.items()}
    for one in result.values():
        assert one["served"] == len(requests)
    assert runs["matched"].changes
    assert result["matched"]["attainment"] > result["static"]["attainment"]
    assert result["matched"]["gpu_seconds"] <= 4.0 * runs["matched"].end_s + 1e-6
    series = runs["matched"].series
    total = series["instances_1"] + series["instances_2"]
    assert total.max() <= 4
    early, late = series["instances_1"][4], series["instances_1"][-4]
    assert early > late
    assert result["elastic"]["attainment"] > result["static"]["attainment"]
    for instance, role, begins, ends in runs["elastic"].spans:
        assert 0.0 <= begins <= ends, (instance, role)


def test_the_programme_is_the_cheapest_of_all_sequences():
    generator = np.random.default_rng(0)
    for _ in range(5):
        load = generator.uniform(0.0, 3.5, 5)
        costs: dict[str, Any] = {"hold_cost": 1.0, "switch_cost": 0.7, "miss_cost": 2.0}
        value, path = cheapest(load, 1.0, 3, **costs)

        def cost(counts, load=load):
            moves = np.abs(np.diff([1, *counts])).sum()
            missed = np.maximum(load - np.array(counts), 0.0).sum()
            return sum(counts) + 0.7 * moves + 2.0 * missed

        every = itertools.product((1, 2, 3), repeat=5)
        assert value == pytest.approx(min(cost(counts) for counts in every))
        assert cost(path.tolist()) == pytest.approx(value)
    assert least_counts(np.array([0.0, 1.0, 1.01]), np.array([1.0, 1.0, 1.0])).tolist() == [1, 1, 2]


def test_impossible_pools_are_refused():
    requests = load_of(requests_per_s=1, duration_s=10, isl=10, osl=10).drawn(0)
    with pytest.raises(InputError, match="bounds"):
        simulate_run(requests, POOLS, {1: 2, 2: 2}, Static(), limits={1: (3, 4), 2: (1, 4)})
    with pytest.raises(InputError, match="routing"):
        simulate_run(requests, POOLS, {1: 1, 2: 1}, Static(), service=Service(route="luck"))
    with pytest.raises(InputError, match="other roles"):
        simulate_run(requests, POOLS, {0: 1}, Static())
