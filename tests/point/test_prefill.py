"""Is prefill what its chunks give, one by one, on a pipeline played event by event?"""

import numpy as np
import pytest

from jaxsim.point.phases.prefill import prefill
from tests.point._against import assert_parts, clock, evaluated
from tests.reference import phases as reference


@pytest.mark.parametrize("model", ["gqa_dense", "mla_moe", "gqa_moe"])
def test_it_is_exact_where_time_is_linear_in_work(model):
    """Without a window, work is quadratic in a chunk's place: two points give its mean."""
    scenarios, got = evaluated(prefill, model, 30, 2, True)
    for i, s in enumerate(scenarios):
        expected = reference.prefill(s, clock(True))
        assert got.chunks[i] == expected.chunks
        assert_parts(got.parts, expected.parts, i, 1e-9)
        np.testing.assert_allclose(got.compute_s[i], expected.compute_s, rtol=1e-9)
        np.testing.assert_allclose(got.requests_per_s[i], expected.requests_per_s, rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "rtol"),
    [("gqa_dense", 3e-4), ("mla_moe", 3e-4), ("sparse_moe", 0.015), ("sliding", 3e-3)],
)
def test_two_points_stand_for_all_chunks(model, rtol):
    """With a roofline, windows and top-k, two points stand for the chunks within `rtol`."""
    scenarios, got = evaluated(prefill, model, 30, 3, False)
    for i, s in enumerate(scenarios):
        expected = reference.prefill(s, clock(False))
        np.testing.assert_allclose(got.compute_s[i], expected.compute_s, rtol=rtol)
        np.testing.assert_allclose(got.requests_per_s[i], expected.requests_per_s, rtol=rtol)


def test_a_prompt_that_chunks_do_not_divide(monkeypatch):
    """Equal chunks stand for whole ones and a shorter last one: the same queries, within 5 %.

    The count of chunks is exact, and a chunk is never larger than asked for.
    """
    scenarios, got = evaluated(prefill, "gqa_dense", 30, 4, True, whole_chunks=False)
    for i, s in enumerate(scenarios):
        fresh = s.workload.isl * (1 - s.workload.hit_frac)
        assert got.chunks[i] == max(np.ceil(fresh / s.design.chunk), 1)
        assert fresh / got.chunks[i] <= s.design.chunk * (1 + 1e-9)
        monkeypatch.setattr(reference, "cut", _whole_cut)
        expected = reference.prefill(s, clock(True))
        np.testing.assert_allclose(got.requests_per_s[i], expected.requests_per_s, rtol=0.05)


def _whole_cut(s):
    """Chunks of the size asked for, and what is left."""
    past = round(s.workload.isl * s.workload.hit_frac)
    chunks = []
    while past < s.workload.isl:
        chunks.append((min(s.design.chunk, s.workload.isl - past), float(past)))
        past += chunks[-1][0]
    return chunks
