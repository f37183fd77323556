"""Do prompts and decoding share a pool as a count of every step and chunk says?"""

import numpy as np
import pytest

from jaxsim.point.phases.colocated import colocated
from tests.point._against import clock, evaluated
from tests.reference import phases as reference

TOLERANCE = [("gqa_dense", 1e-3), ("mla_moe", 1e-3), ("sparse_moe", 0.02), ("sliding", 0.01)]


@pytest.mark.parametrize(("model", "rtol"), TOLERANCE)
def test_in_flight_batching_equals_a_run_of_steps_and_prompts(model, rtol):
    scenarios, got = evaluated(colocated, model, 25, 5, False)
    for i, s in enumerate(scenarios):
        expected = reference.in_flight(s, clock(False))
        np.testing.assert_allclose(got.ifb.ttl_s[i], expected.ttl_s, rtol=rtol)
        np.testing.assert_allclose(got.ifb.ftl_s[i], expected.ftl_s, rtol=rtol)
        np.testing.assert_allclose(got.ifb.prompt_share[i], min(expected.per_step, 1), rtol=1e-9)
        np.testing.assert_allclose(
            got.ifb.output_tokens_per_s_per_gpu[i], expected.tokens_per_s_per_gpu, rtol=rtol
        )


@pytest.mark.parametrize(("model", "rtol"), TOLERANCE)
def test_piggybacking_equals_every_chunk_in_its_own_step(model, rtol):
    """One mixed step at the mean past stands for the steps of all chunks."""
    scenarios, got = evaluated(colocated, model, 25, 5, False)
    for i, s in enumerate(scenarios):
        expected = reference.piggybacked(s, clock(False))
        np.testing.assert_allclose(got.piggybacked.ttl_s[i], expected.ttl_s, rtol=rtol)
        np.testing.assert_allclose(got.piggybacked.ftl_s[i], expected.ftl_s, rtol=rtol)
        np.testing.assert_allclose(got.piggybacked.prompt_share[i], expected.often, rtol=1e-9)
        if not expected.sustained:
            assert not got.piggybacked.valid[i]


def test_the_mean_gap_is_what_the_rate_says():
    """batch / TTL is the output rate: Little's law for the sequences being decoded."""
    scenarios, got = evaluated(colocated, "mla_moe", 25, 5, False)
    for i, s in enumerate(scenarios):
        for mode in (got.ifb, got.piggybacked):
            rate = mode.output_tokens_per_s_per_gpu[i] * got.gpus[i]
            np.testing.assert_allclose(rate * mode.ttl_s[i], s.design.batch, rtol=1e-9)


def test_parts_add_up_to_the_mean_gap():
    """On one stage, the parts of a mode are those of a mean step."""
    scenarios, got = evaluated(colocated, "gqa_dense", 25, 5, False)
    for i, s in enumerate(scenarios):
        if s.design.pp > 1:
            continue
        for mode in (got.ifb, got.piggybacked):
            total = sum(getattr(mode.parts, f"{part}_s")[i] for part in reference.PARTS)
            step_s = mode.ttl_s[i] * reference.per_step(s)
            np.testing.assert_allclose(total, step_s, rtol=1e-9)
