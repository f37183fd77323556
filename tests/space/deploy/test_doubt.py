"""Is the gain as sure as what was measured allows, and less beyond it?"""

import math

import pytest

from jaxsim.catalog.gain_errors import GainError
from jaxsim.space.deploy.doubt import doubt_of

KNOWN = GainError(0.3, 0.15, {"isl": 8192.0, "osl": 1024.0}, ("h200",), "test")
WITHIN = {"isl": 4096.0, "osl": 1024.0}


def test_within_what_was_measured_the_pairs_say_how_sure():
    result = doubt_of(0.05, WITHIN, ("h200", "h200"), KNOWN)
    assert result.log_sigma == pytest.approx(0.3)
    assert result.beyond == ()
    assert result.probability(1.0) == pytest.approx(0.5)
    assert result.probability(math.exp(0.3)) == pytest.approx(0.8413, abs=1e-3)
    low, high = result.interval(2.0)
    assert low * high == pytest.approx(4.0)
    assert math.log(high / 2.0) == pytest.approx(1.2816 * 0.3, rel=1e-3)


def test_kernels_that_are_less_sure_than_pairs_count():
    assert doubt_of(0.5, WITHIN, ("h200",), KNOWN).log_sigma == pytest.approx(0.5)


def test_beyond_it_the_interval_widens_and_the_answer_says_so():
    twice = doubt_of(0.0, {**WITHIN, "isl": 16384.0}, ("h200",), KNOWN)
    more = doubt_of(0.0, {**WITHIN, "isl": 65536.0}, ("h200",), KNOWN)
    other = doubt_of(0.0, WITHIN, ("h100", "h200"), KNOWN)
    assert 0.3 < twice.log_sigma < more.log_sigma
    assert twice.beyond == ("ISL 16,384 (up to 8,192 was)",)
    assert other.log_sigma == pytest.approx(math.hypot(0.3, 0.15))
    assert "h100" in other.beyond[0]
