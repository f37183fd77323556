"""Do requests survive instances that die, and how much sooner with a copy of the cache?"""

from dataclasses import replace

import numpy as np
import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.measure.outcome import outcome, users_of
from jaxsim.traffic.policy.matching import Elastic
from jaxsim.traffic.policy.view import Static
from jaxsim.traffic.simulate.faults import RESUMES, Fault, recovery_s
from jaxsim.traffic.simulate.fleet import Fleet
from jaxsim.traffic.simulate.run import Service, simulate_run
from jaxsim.traffic.synthetic.load import load_of
from tests.narrow import untyped
from tests.traffic.laws import law, links

FLEET = Fleet(law(63), links(), {1: 1.0, 2: 1.0}, 0.0, 0.0, startup_s=3.0)
REQUESTS = load_of(requests_per_s=10, duration_s=80, isl=600, osl="uniform:50:400").drawn(0)
DIES = Fault(30.0, 2, 1, repair_s=20.0, notice_s=1.0)


def run_with(*faults, resume="restart", counts=None, policy=None, limits=None):
    return simulate_run(
        REQUESTS, FLEET, counts or {1: 2, 2: 2}, policy or Static(), limits=limits,
        service=Service(faults=faults, resume=resume), targets_s=(1.0, 0.05),
    )  # fmt: skip


def lost_of(run):
    """The requests that an instance took with it."""
    later = np.arange(run.shape.requests, int(run.state.retries_end))
    return np.unique(run.state.attempts.origin[later])


@pytest.fixture(scope="module")
def runs():
    return {resume: run_with(DIES, resume=resume) for resume in RESUMES}


def empty(run):
    """Nothing is left in a queue, a batch, a link or a cache."""
    for name in ("decoding", "prompts", "waiting", "prompt_blocks", "held_blocks", "assigned"):
        assert not getattr(run.state.instances, name).any(), name
    assert (run.state.instances.send_head < 0).all()


@pytest.mark.parametrize("resume", RESUMES)
def test_every_request_is_served_though_an_instance_dies(runs, resume):
    run = runs[resume]
    result = outcome(run, 1.0, 0.05)
    assert result["served"] == len(REQUESTS)
    assert result["interrupted"] == len(lost_of(run)) > 5
    empty(run)


def test_nothing_changes_before_a_fault(runs):
    plain = run_with(replace(DIES, time_s=1e6))
    assert not len(lost_of(plain))
    ended = plain.state.attempts.finished_s[: len(REQUESTS)]
    early = ended < DIES.time_s
    assert early.sum() > 100
    np.testing.assert_array_equal(
        runs["restart"].state.attempts.finished_s[: len(REQUESTS)][early], ended[early]
    )


def test_a_copy_of_the_cache_is_quicker_than_computing_it_and_that_than_starting_anew(runs):
    # Which were lost is the same: until the fault, the runs are.
    lost = lost_of(runs["restart"])
    e2e = {}
    for resume, run in runs.items():
        np.testing.assert_array_equal(lost_of(run), lost)
        users = users_of(run)
        e2e[resume] = users.e2e_s[lost].mean()
        assert (users.e2e_s[lost] > DIES.notice_s).all()
    assert e2e["kv"] < e2e["recompute"] < e2e["restart"]
    # Who kept what was sent sees no later first token.
    seen = users_of(runs["recompute"]).ttft_s[lost] < users_of(runs["restart"]).ttft_s[lost]
    assert seen.mean() > 0.9


def test_spare_instances_and_elastic_pools_shorten_the_recovery(runs):
    def recovery(run):
        users = users_of(run)
        good = (users.ttft_s <= 1.0) & (users.tpot_s <= 0.05)
        return recovery_s(users.arrival_s, good, DIES.time_s)

    alone = recovery(run_with(replace(DIES, repair_s=40.0), counts={1: 2, 2: 1}))
    spare = recovery(run_with(replace(DIES, repair_s=40.0), counts={1: 2, 2: 3}))
    assert spare < alone
    told = outcome(runs["restart"], 1.0, 0.05)
    assert told["recovery_s"] == recovery(runs["restart"])
    limits = {1: (1, 4), 2: (1, 4)}
    grown = run_with(DIES, policy=Elastic(interval_s=5.0), limits=limits)
    assert outcome(grown, 1.0, 0.05)["served"] == len(REQUESTS)
    empty(grown)


def test_a_domain_that_dies_loses_what_arrives_meanwhile():
    both = [replace(DIES, role=role, count=2, repair_s=10.0) for role in (1, 2)]
    run = run_with(*both)
    result = untyped(outcome(run, 1.0, 0.05))
    assert result["served"] + result["refused"] == len(REQUESTS)
    away = (REQUESTS.arrival_s > 30.0) & (REQUESTS.arrival_s < 40.0)
    assert not users_of(run).served[away].any()
    assert users_of(run).served[REQUESTS.arrival_s > 40.0].all()
    empty(run)


def test_recovery_is_the_end_of_the_last_bad_bin():
    arrival = np.arange(0.0, 100.0, 0.5)
    good = ~((arrival >= 50.0) & (arrival < 73.0))
    assert recovery_s(arrival, good, 50.0) == 30.0
    assert recovery_s(arrival, np.ones(200, bool), 50.0) == 0.0
    assert recovery_s(arrival, arrival < 50.0, 50.0) == np.inf


def test_impossible_faults_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        Fault(1.0, 2, 0)
    with pytest.raises(InputError, match="time"):
        Fault(float("nan"), 2)
    with pytest.raises(InputError, match="role"):
        run_with(replace(DIES, role=0))
    with pytest.raises(InputError, match="resume"):
        run_with(DIES, resume="luck")
    with pytest.raises(InputError, match="at 30 s the last open instance"):
        run_with(replace(DIES, count=2, repair_s=100.0))
