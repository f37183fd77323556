"""Is a decode step what a plain count of its layers gives?"""

import numpy as np
import pytest

from jaxsim.point.phases.decode import decode
from tests.point._against import MODELS, assert_parts, clock, evaluated
from tests.reference import phases as reference


@pytest.mark.parametrize("linear", [True, False], ids=["linear", "roofline"])
@pytest.mark.parametrize("model", MODELS)
def test_a_step_equals_the_plain_count(model, linear):
    scenarios, got = evaluated(decode, model, 60, 1, linear)
    for i, s in enumerate(scenarios):
        expected = reference.decode(s, clock(linear))
        assert_parts(got.parts, expected.parts, i, 1e-9)
        np.testing.assert_allclose(got.ttl_s[i], expected.ttl_s, rtol=1e-9)
        np.testing.assert_allclose(got.ttl_end_s[i], expected.ttl_end_s, rtol=1e-9)
        np.testing.assert_allclose(got.requests_per_s[i], expected.requests_per_s, rtol=1e-9)
