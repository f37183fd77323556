"""What does an engine add to the kernels of a pass?"""

import dataclasses

import pytest

from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from tests.scenarios import PLAIN_ENGINE, scenario


def with_engine(phase, **changes):
    pp = changes.pop("pp", 1.0)
    engine = dataclasses.replace(PLAIN_ENGINE, **changes)
    return phase(scenario("gqa_moe", tp=4.0, ep=4.0, pp=pp, engine=engine))


@pytest.mark.parametrize("pp", [1.0, 2.0, 4.0])
def test_every_stage_takes_a_step_of_its_own(pp):
    """The engine's cost of a step does not shrink with the stages it is paid on."""
    added = with_engine(decode, pp=pp, decode_step_s=1e-3).ttl_s - with_engine(decode, pp=pp).ttl_s
    assert float(added) == pytest.approx(pp * 1e-3, rel=1e-6)
    slow, fast = with_engine(prefill, pp=pp, prefill_step_s=1e-3), with_engine(prefill, pp=pp)
    period = 32.0 / slow.requests_per_s - 32.0 / fast.requests_per_s
    assert float(period) == pytest.approx(4 * 1e-3, rel=1e-6)  # four chunks, whatever the stages


def test_factors_multiply_the_work_of_their_parts():
    """At a factor of 0 a part has only its launch floors, which no factor multiplies."""
    floors = with_engine(decode, attention_factor=0.0, network_factor=0.0).parts
    base = with_engine(decode).parts
    got = with_engine(decode, attention_factor=2.0, network_factor=3.0).parts
    for name, factor in (("attention_s", 2.0), ("network_s", 3.0)):
        floor, measured = float(getattr(floors, name)), float(getattr(base, name))
        assert 0.0 < floor < measured
        assert float(getattr(got, name)) == pytest.approx(floor + factor * (measured - floor))
    assert float(got.experts_s) == pytest.approx(float(base.experts_s))


def test_without_graphs_the_host_sets_the_pace():
    """A pass is never shorter than its launches, and graphs hide them all."""
    graphs = with_engine(decode, host_launch_s=1e-3, decode_graph_frac=1.0)
    eager = with_engine(decode, host_launch_s=1e-3, decode_graph_frac=0.0)
    assert float(graphs.parts.overhead_s) == 0.0
    launches = float(eager.parts.total_s) / 1e-3
    assert launches == pytest.approx(round(launches))
    assert float(eager.parts.total_s) > float(graphs.parts.total_s)


def test_hidden_communication_leaves_the_network_part():
    s = scenario("gqa_moe", tp=1.0, ep=8.0)
    half = dataclasses.replace(s, options=dataclasses.replace(s.options, comm_overlap_frac=0.5))
    network_s = float(decode(s).parts.network_s)
    assert float(decode(half).parts.network_s) == pytest.approx(0.5 * network_s)
    assert network_s > 0
