"""The study's algorithms against brute force, and the identities of matched points."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsim.catalog.errors import InputError
from jaxsim.point import balance

rates = st.floats(0.01, 100.0)
tolerances = st.floats(0.001, 0.5)


def simplest(low: float, high: float) -> Fraction:
    """The fraction of least denominator, then least numerator, by trying denominators in turn."""
    denominator = 1
    while True:
        numerator = max(1, math.ceil(Fraction(low) * denominator))
        if Fraction(numerator, denominator) <= Fraction(high):
            return Fraction(numerator, denominator)
        denominator += 1


@settings(max_examples=300, deadline=None)
@given(rates, tolerances)
def test_the_simplest_fraction_is_that_of_brute_force(ratio, tolerance):
    low, high = ratio * (1 - tolerance), ratio * (1 + tolerance)
    n, m = balance.simplest_fraction(low, high)
    # An end that is itself a simple fraction may count as inside or not, to rounding.
    nearly = [(low * (1 - e), high * (1 + e)) for e in (0.0, 1e-12, -1e-12)]
    assert Fraction(int(n), int(m)) in [simplest(*ends) for ends in nearly]


def test_the_simplest_fraction_of_many_intervals_at_once():
    ratio = np.geomspace(0.01, 100, 501)
    n, m = balance.simplest_fraction(0.97 * ratio, 1.03 * ratio)
    each = [simplest(0.97 * r, 1.03 * r) for r in ratio]
    assert [Fraction(int(a), int(b)) for a, b in zip(n, m, strict=True)] == each
    assert np.all(np.abs(n / m / ratio - 1) <= 0.03 + 1e-12)


def test_the_ends_of_an_interval_belong_to_it():
    assert tuple(int(a) for a in balance.simplest_fraction(1.5, 1.5)) == (3, 2)
    assert tuple(int(a) for a in balance.simplest_fraction(2.0, np.inf)) == (2, 1)
    n, m = balance.counts_within(1 / 1.03, 0.03)  # |1 − r| / r is 0.03 but for rounding
    assert (n, m) == (1, 1)


def test_no_interval_without_a_positive_number():
    with pytest.raises(InputError, match="0 < low <= high"):
        balance.simplest_fraction(0.0, 1.0)
    with pytest.raises(InputError, match="tolerance of 0"):
        balance.counts_within(1.0, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 64), st.integers(1, 64), rates), min_size=1, max_size=20))
def test_algorithm_1_takes_the_most_requests_per_gpu_in_time(designs):
    batch, gpus, ftl = (np.array(column) for column in zip(*designs, strict=True))
    chosen = balance.algorithm1(batch, gpus, ftl, 10.0)
    values = [b / (t * g) if t <= 10.0 else 0.0 for b, g, t in designs]
    if chosen is None:
        assert max(values) == 0.0
    else:
        assert values[chosen] == max(values)


@settings(max_examples=100, deadline=None)
@given(rates, st.integers(1, 64), st.integers(1, 512), st.integers(1, 64), rates, tolerances)
def test_algorithm_2_conserves_requests(prefill, prefill_gpus, batch, gpus, ttl_s, tolerance):
    osl = 129
    decode_columns = np.array([batch]), np.array([gpus]), np.array([ttl_s])
    got = balance.algorithm2(prefill, prefill_gpus, *decode_columns, osl, np.inf, tolerance)
    n, m = int(got.prefill_instances[0]), int(got.decode_instances[0])
    decode = batch / (ttl_s * 128)
    assert abs(n / m - decode / prefill) <= tolerance * decode / prefill * (1 + 1e-9)
    assert got.requests_per_s[0] == min(n * prefill, m * decode)
    total = n * prefill_gpus + m * gpus
    np.testing.assert_allclose(
        got.output_tokens_per_s_per_gpu[0] * total, got.requests_per_s[0] * 128, rtol=1e-12
    )
    ideal = balance.matched_tokens_per_s_per_gpu(prefill / prefill_gpus, decode / gpus, osl)
    assert ideal * (1 - tolerance) <= got.output_tokens_per_s_per_gpu[0] * (1 + 1e-9)
    assert got.output_tokens_per_s_per_gpu[0] <= ideal * (1 + 1e-9)


def test_algorithm_2_leaves_out_what_is_too_slow():
    columns = np.array([64, 64]), np.array([8, 8]), np.array([0.02, 0.2])
    got = balance.algorithm2(2.0, 8, *columns, 1025, 0.05)
    assert got.met.tolist() == [True, False]
    assert got.output_tokens_per_s_per_gpu[1] == 0.0


@settings(max_examples=100, deadline=None)
@given(rates, rates)
def test_a_fixed_ratio_is_best_at_balance(prefill, decode):
    best = balance.matched_tokens_per_s_per_gpu(prefill, decode, 101)
    ratio = balance.matched_ctx_gen_ratio(prefill, decode)
    at = balance.fixed_ratio_tokens_per_s_per_gpu(prefill, decode, 101, ratio)
    np.testing.assert_allclose(at, best, rtol=1e-12)
    for off in (0.5, 0.9, 1.1, 2.0):
        other = balance.fixed_ratio_tokens_per_s_per_gpu(prefill, decode, 101, ratio * off)
        assert other < best
