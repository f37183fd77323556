"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsim.view.text import units


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0162, "16.2 ms"),
        (1.934, "1.93 s"),
        (5.0, "5 s"),
        (0.05, "50 ms"),
        (0.9996, "1 s"),
        (4.2e-6, "4.20 µs"),
        (3e-10, "0.300 ns"),
        (0.0, "0 s"),
        (119.0, "119 s"),
        (720.0, "12 min"),
        (7200.0, "2 h"),
        (math.nan, "n/a"),
        (None, "n/a"),
    ],
)
def test_seconds(seconds, text):
    assert units.seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.93e9, "1.93 GB"), (1.92e11, "192 GB"), (999.9e6, "1.00 GB"), (12.0, "12.0 B"), (0, "0 B")],
)
def test_prefixes(value, text):
    assert units.prefixed(value, "B") == text


@given(st.floats(1e-9, 1e18))
def test_three_digits_are_within_half_a_percent(value):
    shown = float(units.plain(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.00501)


@given(st.floats(1.0, 1e20))
def test_a_prefixed_number_is_the_number(value):
    number, unit = units.prefixed(value, "B").split()
    scale = {prefix + "B": scale for scale, prefix in units.DECIMAL}[unit]
    assert float(number.replace(",", "")) * scale == pytest.approx(value, rel=0.00501)


def test_other_units():
    assert units.count(1234567.4) == "1,234,567"
    assert units.percent(0.0312) == "3.1 %"
    assert units.percent(-0.004, signed=True) == "-0.4 %"
    assert units.percent(0.25) == "25 %"
    assert units.usd(0.6123) == "$0.612"
    assert units.times(1.2507) == "1.25×"
    assert [units.probability(p) for p in (0.93, 0.9999, 0.001)] == ["0.93", "> 0.99", "< 0.01"]
