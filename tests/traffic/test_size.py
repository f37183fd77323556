"""Do pools that are sized for arrivals hold their targets, and smaller ones not?"""

import re
from dataclasses import replace

import msgspec
import pytest

import jaxsim
from jaxsim._progress import heard_by
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of
from jaxsim.space.deploy.result import Deployed
from jaxsim.space.plan import plan
from jaxsim.traffic.simulate.records import DECODE, MIXED, PREFILL
from jaxsim.traffic.size import search
from jaxsim.traffic.size.shapes import ROLES, drawn, held, shapes_of
from jaxsim.traffic.size.trials import Trials
from jaxsim.view.cli.main import main
from jaxsim.view.files.plan_json import plan_dict
from jaxsim.view.files.schemas.plan import Plan, UnderRate
from jaxsim.view.text.layout import Page
from jaxsim.view.text.plan import render_plan
from tests.narrow import of, some

SETUP = setup_of("llama-3.1-8b", "h100", None, "vllm")
SPACE = jaxsim.Space(tp=(1,), ep=(1,), pp=(1,), batch=(1, 8, 32), chunk=(1024,))
ASKED = jaxsim.PlanRequest(
    jaxsim.Workload(isl=1000, osl=60), 0.25, 0.02, requests_per_s=45.0, percentile=95
)


@pytest.mark.parametrize("least", [1, 2, 7, 30])
@pytest.mark.parametrize("first", [1, 5, 29, 40])
def test_the_fewest_is_the_fewest(least, first):
    tried = []

    def enough(count):
        tried.append(count)
        return count >= least

    assert search.fewest(enough, first, 30) == least
    assert len(tried) <= 9
    assert set(tried) <= set(range(1, 30))


@pytest.fixture(scope="module")
def sized():
    """A plan for nearly what two of its prefill instances serve without queues."""
    own = plan(SETUP, replace(ASKED, requests_per_s=None, percentile=None), SPACE)
    rate = 1.95 * of(Deployed, own.disaggregated).instances[0].requests_per_s
    request = replace(ASKED, requests_per_s=rate)
    result = search.under_rate(own, request, (SETUP, SETUP), lambda ftl, ttl: own)
    return replace(own, under_rate=result), request


def test_targets_hold_and_with_one_instance_fewer_they_do_not(sized):
    own, request = sized
    result = own.under_rate
    by_role = {PREFILL: SETUP, DECODE: SETUP, MIXED: SETUP}
    draws = [drawn(request, seed) for seed in (0, search.FRESH_SEED)]
    for one, kind in ((result.sized, result.kind), (result.other, "")):
        assert one.holds
        assert one.ttft_s <= ASKED.ftl_s
        assert one.tpot_s <= ASKED.ttl_s
        kind = kind or ({"disaggregated", "colocated"} - {result.kind}).pop()
        shapes = shapes_of(getattr(own, kind), by_role, request, draws[0])
        counts = {ROLES[shape.phase]: shape.count for shape in one.instances}
        for role, count in counts.items():
            fewer = {**counts, role: count - 1}
            if count > 1:
                assert not all(held(shapes, fewer, draw).holds for draw in draws), role
    assert result.sized.gpus <= result.other.gpus
    # The plan's own instances, nearly full, leave nothing for queues.
    assert result.steady.instances[0].count == 2
    assert not result.steady.holds


def test_what_no_number_holds_is_given_up_after_two_runs(sized):
    own, request = sized
    request = replace(request, ftl_s=0.001)
    shapes = shapes_of(
        own.disaggregated, {PREFILL: SETUP, DECODE: SETUP}, request, drawn(request, 0)
    )
    told: list[str] = []
    trials = Trials(4)
    with heard_by(told.append):
        trials.begin("the first")
        assert search.least(shapes, trials) is None
        assert len(trials.known) == 2
        trials.held(shapes, shapes.least())  # known: no third run
        trials.begin("the next")
    assert len(told) == 4
    said = r"sizing 2 of 4, about \d+ s left: the next; [\d,]+ requests/s"
    assert re.fullmatch(said, told[-1])


def test_a_cap_says_what_its_instances_bear(sized):
    own, request = sized
    pair = [replace(one, count=1) for one in own.disaggregated.instances]
    own = replace(
        own,
        disaggregated=replace(own.disaggregated, instances=tuple(pair)),
        colocated=jaxsim.Unmet("left out", None, None),
    )
    request = replace(request, max_gpus=2)
    result = search.under_rate(own, request, (SETUP, SETUP), lambda ftl, ttl: own)
    assert result.other is None
    # One prefill instance bears less than half of what was nearly too much for two.
    assert (
        0.2 * request.requests_per_s < result.largest_requests_per_s < 0.5 * request.requests_per_s
    )


def test_what_came_closest_is_said_where_nothing_of_a_kind_holds(sized):
    own, request = sized
    trials = Trials()
    shapes = shapes_of(own.colocated, {MIXED: SETUP}, request, drawn(request, 0))
    misses = [replace(own.under_rate.steady, ttft_s=x * ASKED.ftl_s) for x in (3.0, 2.0, 4.0)]
    for i, one in enumerate(misses):
        trials.known[(i,)] = (shapes, shapes.requests, one)
    assert trials.nearest("colocated", request) is misses[1]
    assert trials.nearest("disaggregated", request) is None
    result = replace(own.under_rate, kind="disaggregated", other=None, nearest=misses[1])
    told = " ".join(render_plan(replace(own, under_rate=result), Page(100)).split())
    assert "No co-located deployment that was tried holds them" in told
    assert "come closest, TTFT 500 ms" in told
    written = msgspec.convert(plan_dict(replace(own, under_rate=result)), Plan)
    assert some(of(UnderRate, written.under_rate).nearest).ttft_s == misses[1].ttft_s


def test_scripts_read_it(sized):
    written = plan_dict(sized[0])
    read = msgspec.convert(written, Plan)
    under_rate = of(UnderRate, read.under_rate)
    assert some(under_rate.sized).holds
    assert under_rate.percentile == 95


def test_the_plan_says_what_holds_and_what_it_would_have_given(sized):
    own, _ = sized
    told = " ".join(render_plan(own, Page(100)).split())
    assert "requests/s (Poisson)" in told
    assert "The steady-state plan would give" in told
    assert "no request queues" not in told
    without = " ".join(render_plan(replace(own, under_rate=None), Page(100)).split())
    assert "no request queues" in without


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"percentile": None}, "percentile"),
        ({"percentile": 100.0}, "between 0 and 100"),
        ({"requests_per_s": float("nan")}, "rate"),
        ({"cv": -1.0}, "cv"),
    ],
)
def test_impossible_arrivals_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        replace(ASKED, **change)


def test_a_rate_beyond_all_instances_says_which_is_not(sized):
    own, _ = sized
    with pytest.raises(InputError, match=r"at most .* requests"):
        search.under_rate(
            own, replace(ASKED, requests_per_s=1e5), (SETUP, SETUP), lambda ftl, ttl: own
        )


def test_a_percentile_without_a_rate_is_refused(capsys):
    request = "plan llama-3.1-8b --hardware h100 --isl 9 --osl 9 --ftl 1s --ttl 1s --percentile 95"
    assert main(request.split()) == 2
    assert "rate" in capsys.readouterr().err
