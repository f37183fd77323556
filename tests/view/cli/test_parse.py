"""Durations, fractions and lists as users type them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import parse


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("2s", 2.0),
        ("0.05", 0.05),
        (" 5 s ", 5.0),
        ("1.5min", 90.0),
        ("5e-2", 0.05),
        ("5e1ms", 0.05),
        ("800us", 8e-4),
        ("800µs", 8e-4),
        (".5s", 0.5),
        ("1h", 3600.0),
        ("3sec", 3.0),
    ],
)
def test_a_duration_is_read_in_its_unit(text, seconds):
    assert parse.parse_duration(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5m", "ambiguous: write 5min or 5ms"),
        ("1,5s", "not a duration"),
        ("", "not a duration"),
        ("fast", "not a duration"),
        ("nan", "not a duration"),
        ("inf", "not a duration"),
        ("1e999s", "not finite"),
        ("-2s", "more than 0"),
        ("0ms", "more than 0"),
        ("250Ms", "unknown unit 'Ms'"),
        ("2 days", "unknown unit 'days'"),
        ("1.2.3", "not a duration"),
    ],
)
def test_a_bad_duration_says_what_is_wrong(text, says):
    with pytest.raises(InputError, match=says):
        parse.parse_duration(text, "--ttl")


def test_a_bare_number_that_was_likely_milliseconds_is_refused():
    assert parse.parse_duration("0.05", "--ttl", 1.0) == 0.05
    assert parse.parse_duration("50ms", "--ttl", 1.0) == 0.05
    with pytest.raises(InputError, match="write 50ms or 50s"):
        parse.parse_duration("50", "--ttl", 1.0)


@given(st.floats(1e-3, 1e6), st.sampled_from(sorted(parse.SECONDS)))
def test_any_positive_number_with_a_unit_is_a_duration(number, unit):
    seconds = parse.parse_duration(f"{number!r}{unit}")
    assert math.isclose(seconds, number * parse.SECONDS[unit], rel_tol=1e-12)


@pytest.mark.parametrize(
    ("text", "frac"), [("3%", 0.03), ("0.03", 0.03), ("100%", 1.0), ("0", 0.0)]
)
def test_a_fraction(text, frac):
    assert parse.parse_frac(text) == pytest.approx(frac, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("text", ["3", "-1%", "101%", "nan", "x", "", "%"])
def test_a_bad_fraction(text):
    with pytest.raises(InputError, match="fraction"):
        parse.parse_frac(text)


def test_the_likely_percentage_is_offered():
    with pytest.raises(InputError, match="3% may be meant"):
        parse.parse_frac("3")


def test_whole_numbers():
    assert parse.parse_whole("16_384") == 16384
    with pytest.raises(InputError, match="write 16000 or 16384"):
        parse.parse_whole("16k", "--isl")
    for text in ("16,384", "1.5", "-3", "0", "", "1e4", "nan"):
        with pytest.raises(InputError):
            parse.parse_whole(text)


def test_axes_and_budgets():
    assert parse.parse_axis("1,2,4", "--tp") == (1.0, 2.0, 4.0)
    assert parse.parse_gpus("64") == (64, False)
    assert parse.parse_gpus("exactly:64") == (64, True)
    for text in ("", ",", "1,x", "1,0"):
        with pytest.raises(InputError, match="--tp"):
            parse.parse_axis(text, "--tp")
    for text in ("about:64", ":64", "exactly:", "0", "64:exactly"):
        with pytest.raises(InputError):
            parse.parse_gpus(text)
