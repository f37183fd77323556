"""Do prompts and decoding share a pool as a count of every step and chunk says?"""

import numpy as np
import pytest

from jaxsim.point.phases.colocated import colocated
from jaxsim.space.axes import chunks_for, geometric
from jaxsim.space.program.interpret import interpreted
from tests.point._against import clock, evaluated
from tests.reference import phases as reference
from tests.scenarios import scenario

# Prompts that are cut into chunks, and several whole ones packed into a chunk.
TOLERANCE = [
    ("gqa_dense", 1e-3, False),
    ("mla_moe", 1e-3, False),
    ("sparse_moe", 0.02, False),
    ("sliding", 0.01, False),
    ("gqa_dense", 1e-3, True),
    ("mla_moe", 1e-3, True),
]


@pytest.mark.parametrize(("model", "rtol", "packed"), TOLERANCE)
def test_in_flight_batching_equals_a_run_of_steps_and_prompts(model, rtol, packed):
    scenarios, got = evaluated(colocated, model, 25, 5, False, packed=packed)
    for i, s in enumerate(scenarios):
        expected = reference.in_flight(s, clock(False))
        np.testing.assert_allclose(got.ifb.ttl_s[i], expected.ttl_s, rtol=rtol)
        np.testing.assert_allclose(got.ifb.ftl_s[i], expected.ftl_s, rtol=rtol)
        np.testing.assert_allclose(got.ifb.prompt_share[i], min(expected.per_step, 1), rtol=1e-9)
        np.testing.assert_allclose(
            got.ifb.output_tokens_per_s_per_gpu[i], expected.tokens_per_s_per_gpu, rtol=rtol
        )


@pytest.mark.parametrize(("model", "rtol", "packed"), TOLERANCE)
def test_piggybacking_equals_every_chunk_in_its_own_step(model, rtol, packed):
    """One mixed step at the mean past stands for the steps of all chunks."""
    scenarios, got = evaluated(colocated, model, 25, 5, False, packed=packed)
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


@pytest.mark.parametrize("model", ["gqa_dense", "gqa_moe"])
def test_a_shorter_prompt_is_never_served_slower(model):
    """Output tokens/s/GPU of the best batch and chunk, within 0.2 % for the steps of both.

    Lengths are primes, powers of two and their neighbours: no chunk may suit only some of them.
    """
    best = []
    for isl in (150, 211, 256, 257, 499, 512, 1000, 1023, 1024, 1025, 1531, 2048, 4093, 4096):
        one = scenario(model, tp=1.0, ep=8.0 if "moe" in model else 1.0, isl=float(isl), osl=256.0)
        axes = [
            ("chunk", lambda s: s.design.chunk, np.array(chunks_for(isl, 4), float)),
            ("batch", lambda s: s.design.batch, np.array(geometric(1024, 4), float)),
        ]
        result, _ = interpreted(colocated, one, axes)
        rates = []
        for mode in (result.ifb, result.piggybacked):
            met = mode.valid & (mode.ttl_s <= 0.05) & (mode.ftl_s <= 2.0)
            rates.append(np.max(np.where(met, mode.output_tokens_per_s_per_gpu, 0.0)))
        best.append(rates)
    gained = np.array(best[1:]) / np.array(best[:-1])
    assert np.all(np.array(best) > 0)
    assert np.all(gained <= 1.002), gained
