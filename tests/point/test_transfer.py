"""Does a prompt's cache move as a plain count says, and obey the study's identities?"""

from dataclasses import replace

import numpy as np
import pytest

from jaxsim._record import replace_leaf
from jaxsim.catalog.model import LayerGroup, SharedCache
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from tests.point._against import MODELS, clock, evaluated
from tests.reference import memory as reference
from tests.reference import phases
from tests.scenarios import ELEMENT, LATENT, scenario


@pytest.mark.parametrize("model", MODELS)
def test_time_and_rate_equal_the_plain_count(model):
    scenarios, got = evaluated(prefill, model, 30, 2, True)
    for i, s in enumerate(scenarios):
        run = phases.prefill(s, clock(True))
        compute_s, rate = float(got.compute_s[i]), float(got.requests_per_s[i])
        expected = reference.transfer(s, run.prompts, rate, compute_s)
        one = got.transfer
        np.testing.assert_allclose(one.kv_prompt_bytes[i], expected.kv_prompt_bytes, rtol=1e-9)
        np.testing.assert_allclose(one.kv_transfer_s[i], expected.kv_transfer_s, rtol=1e-9)
        np.testing.assert_allclose(one.kv_exposed_s[i], expected.kv_exposed_s, rtol=1e-9)
        np.testing.assert_allclose(one.kv_egress_bytes_per_s_per_gpu[i], expected.egress, rtol=1e-9)
        np.testing.assert_allclose(got.ftl_s[i], compute_s + expected.kv_exposed_s, rtol=1e-9)


def test_ingress_is_the_rate_times_the_prompt_over_the_gpus_with_distinct_cache():
    for model, tp, holders in (("gqa_dense", 4.0, 4), ("gqa_dense", 32.0, 8), ("mla_moe", 8.0, 1)):
        s = scenario(model, tp=tp, ep=1.0, pp=2.0)
        got = decode(s)
        prompt = float(prefill(s).transfer.kv_prompt_bytes)
        expected = float(got.requests_per_s) * prompt / (holders * 2)
        assert float(got.kv_ingress_bytes_per_s_per_gpu) == pytest.approx(expected, rel=1e-9)


def test_a_prompt_of_grouped_and_of_latent_attention():
    s = scenario("gqa_dense", isl=1000.0)
    got = prefill(s)
    assert float(got.transfer.kv_prompt_bytes) == pytest.approx(2 * 8 * 128 * 32 * 1e3 * ELEMENT.kv)
    got = prefill(scenario("mla_moe", isl=1000.0))
    assert float(got.transfer.kv_prompt_bytes) == pytest.approx(576 * 24 * 1e3 * ELEMENT.kv)


def test_layers_that_share_a_cache_send_and_hold_it_once():
    """Bytes, blocks and memory are those of the layers with a cache, however the rest attend."""
    s = scenario("mla_moe", isl=1000.0)
    s = replace_leaf(lambda one: one.options.kv_segment_s, s, 1e-5)
    (group, *rest) = s.model.groups
    shared = LayerGroup(SharedCache(LATENT), group.ffn, 24.0)
    model = replace(s.model, groups=(group, *rest, shared))
    whole = replace(s.model, groups=(group, *rest, replace(shared, attention=LATENT)))
    alone, with_shared, apart = (prefill(replace(s, model=one)) for one in (s.model, model, whole))
    for name in ("kv_prompt_bytes", "kv_transfer_s"):
        expected = float(getattr(alone.transfer, name))
        assert float(getattr(with_shared.transfer, name)) == pytest.approx(expected, rel=1e-9)
        assert float(getattr(apart.transfer, name)) > 1.2 * expected
    kept = float(with_shared.memory.kv_bytes)
    assert kept == pytest.approx(float(alone.memory.kv_bytes), rel=1e-9)
    assert kept < 0.9 * float(apart.memory.kv_bytes)
    assert float(alone.compute_s) < float(with_shared.compute_s) < float(apart.compute_s)


def test_a_transfer_that_does_not_fit_is_flagged():
    """On both sides of the network's rate, in both pools."""
    for phase, flow in (
        (prefill, lambda got: got.transfer.kv_egress_bytes_per_s_per_gpu),
        (decode, lambda got: got.kv_ingress_bytes_per_s_per_gpu),
    ):
        s = scenario("gqa_dense")
        needed = float(flow(phase(s)))
        for factor, fits in ((1.01, True), (0.99, False)):
            network = replace_leaf(
                lambda one: one.hardware.scaleout.bytes_per_s, s, factor * needed
            )
            assert bool(phase(network).transfer_fits) is fits
