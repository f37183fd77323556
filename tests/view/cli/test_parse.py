"""Durations, fractions and lists as users type them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsim.catalog.errors import InputError
from jaxsim.space.sensitivity.request import Times
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


def test_changes_as_people_write_them():
    assert parse.parse_changes("hbm_bytes_per_s=+20%, ttl=40ms,isl = x2,osl=-5 %") == {
        "hbm_bytes_per_s": Times(1.2), "ttl": pytest.approx(0.04), "isl": Times(2.0),
        "osl": Times(0.95),
    }  # fmt: skip
    assert parse.parse_range("imbalance=1..+20%") == ("imbalance", (1.0, Times(1.2)))
    assert parse.parse_prior("0.3") == ("", 0.3)
    assert parse.parse_prior("wave_power=0.7") == ("wave_power", 0.7)
    assert parse.parse_budgets("cost=+10%,area=-5%,power=1.2") == pytest.approx(
        {"cost": 1.1, "area": 0.95, "power": 1.2}
    )
    assert parse.parse_part("hbm_bytes=cost:30%,power:0.25") == (
        "hbm_bytes", {"cost": pytest.approx(0.3), "power": 0.25}
    )  # fmt: skip
    assert parse.parse_crossover("ISL=256..32,768") == ("isl", 256.0, 32768.0)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (parse.parse_changes, "hbm_bytes_per_s", "write NAME=CHANGE"),
        (parse.parse_changes, "hbm_bytes_per_s=lots", "the change is"),
        (parse.parse_changes, "hbm_bytes_per_s=-150%", "must stay positive"),
        (parse.parse_changes, "isl=x2,isl=x3", "there twice"),
        (parse.parse_changes, "ttl=40lightyears", "the change is"),
        (parse.parse_range, "isl=3", "LOW..HIGH"),
        (parse.parse_prior, "much", "is not a number"),
        (parse.parse_budgets, "cost", "write KIND=CHANGE"),
        (parse.parse_budgets, "cost=-200%", "positive"),
        (parse.parse_part, "hbm_bytes_per_s", "write NAME=KIND:SHARE"),
        (parse.parse_part, "hbm_bytes=cost", "write KIND:SHARE"),
        (parse.parse_part, "hbm_bytes=cost:130%", "between 0 and 1"),
        (parse.parse_crossover, "isl=256", "isl=LOW..HIGH"),
        (parse.parse_crossover, "isl=1.5..20", "not a whole number"),
    ],
)
def test_what_is_no_change_is_refused(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)
