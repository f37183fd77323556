"""Rate matching against oracles, and the laws that every answer obeys."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsim.catalog.errors import InputError
from jaxsim.space.match.exact import Limits, best_counts, upper_bound
from jaxsim.space.match.frontier import match_frontier
from jaxsim.space.match.prune import Pairs, pairs_of
from jaxsim.space.match.records import Match, NoMatch, Pool
from jaxsim.space.match.solve import match
from tests.narrow import of, some
from tests.space.match.oracles import best_by_milp, every_plan, matched, pool, pool_of

OSL = 101
seeds = st.integers(0, 2**32 - 1)
TARGETS: dict[str, Any] = {"ftl_s": 1.5, "ttl_s": 1.5}


def pools(seed, count=6, prefill_weight=1.0, decode_weight=1.0, **options):
    rng = np.random.default_rng(seed)
    skew = 10 ** rng.uniform(-1, 1)
    return (
        pool(rng, count, 1.0, prefill_weight, **options),
        pool(rng, count, skew, decode_weight, **options),
        int(rng.integers(8, 41)),
    )


def check(got: Match | NoMatch, plans, tokens=OSL - 1):
    """`got` is the best of all `plans`, and its runner-up the best of any other pair."""
    plans = list(plans)
    if not plans:
        assert isinstance(got, NoMatch)
        return
    assert isinstance(got, Match)
    best = max(p[0] for p in plans) * tokens
    np.testing.assert_allclose(got.value, best, rtol=1e-9)
    assert got.certificate.gap == 0.0
    np.testing.assert_allclose(got.certificate.upper_bound, best, rtol=1e-9)
    ours = (got.prefill_index, got.decode_index)
    others = [p[0] for p in plans if (p[1], p[2]) != ours]
    if others:
        np.testing.assert_allclose(
            some(got.certificate.runner_up).value, max(others) * tokens, rtol=1e-9
        )
    else:
        assert got.certificate.runner_up is None


@settings(max_examples=120, deadline=None)
@given(seeds)
def test_at_most_g_gpus_is_the_best_of_every_plan(seed):
    prefill, decode, gpus = pools(seed)
    got = match(prefill, decode, OSL, max_gpus=gpus, **TARGETS)
    check(got, every_plan(prefill, decode, 1.5, 1.5, gpus))
    if got:
        assert got.gpus <= gpus
        assert got.copies == gpus // got.gpus


@settings(max_examples=80, deadline=None)
@given(seeds, st.sampled_from([(1.0, 1.0), (1.0, 2.5), (3.0, 1.0)]))
def test_exactly_g_gpus_pays_the_idle_ones(seed, weights):
    prefill, decode, gpus = pools(seed, 5, *weights)

    def paid(i, j, n, m):
        used = n * prefill.gpus[i], m * decode.gpus[j]
        idle = gpus - sum(used)
        return used[0] * weights[0] + used[1] * weights[1] + idle * min(weights)

    got = match(prefill, decode, OSL, exact_gpus=gpus, **TARGETS)
    check(got, every_plan(prefill, decode, 1.5, 1.5, gpus, paid=paid))
    if got:
        assert got.paid_gpus == gpus


@settings(max_examples=60, deadline=None)
@given(seeds, st.booleans())
def test_unlike_hardware_at_equal_cost(seed, exact):
    prefill, decode, gpus = pools(seed, 5, 1.7, 0.9)
    cost = 1.3 * gpus
    cap: dict[str, Any] = {"exact_cost" if exact else "max_cost": cost}
    got = match(prefill, decode, OSL, **TARGETS, **cap)
    most = int(cost / 0.9)
    plans = every_plan(
        prefill, decode, 1.5, 1.5, most, cost=cost, paid=(lambda *_: cost) if exact else None
    )
    check(got, plans)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(["max_gpus", "max_cost"]))
def test_a_pool_of_several_kinds_of_hardware(seed, name):
    """Each candidate has its own price; designs of one size and two prices are both kept."""
    rng = np.random.default_rng(seed)
    prices = [rng.choice([0.8, 1.0, 1.7], 6) for _ in range(2)]
    prefill, decode = pool(rng, 6, 1.0, prices[0]), pool(rng, 6, 1.0, prices[1])
    gpus = int(rng.integers(8, 41))
    cost = gpus if name == "max_cost" else None
    limits: dict[str, Any] = {name: gpus, **TARGETS}
    got = match(prefill, decode, OSL, **limits)
    most = int(gpus / 0.8) if cost else gpus
    check(got, every_plan(prefill, decode, 1.5, 1.5, most, cost=cost))


def test_the_best_rates_per_gpu_of_each_size_are_not_enough():
    """The design of 3 is beaten in rate per GPU by a smaller one, and is in the optimum."""
    prefill, decode = pool_of([2.1, 3.0], [2, 3], [1.0, 1.0]), pool_of([3.0], [4], [1.0])
    got = matched(prefill, decode, 2, max_gpus=7)
    assert got.prefill_index == 1
    assert got.value == 3.0 / 7.0


@settings(max_examples=60, deadline=None)
@given(seeds, st.booleans(), st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.0, 0.03, 0.3]))
def test_a_fixed_ratio_of_gpus(seed, exact, ratio, tolerance):
    prefill, decode, gpus = pools(seed, 5)
    name = "exact_gpus" if exact else "max_gpus"
    limits: dict[str, Any] = {name: gpus, "ratio": ratio, "ratio_tolerance": tolerance}
    got = match(prefill, decode, OSL, **TARGETS, **limits)
    cone = ratio * (1 - tolerance), ratio * (1 + tolerance)
    paid = (lambda *_: gpus) if exact else None
    check(got, every_plan(prefill, decode, 1.5, 1.5, gpus, ratio=cone, paid=paid))


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_as_many_prefill_as_decode_instances(seed, exact):
    prefill, decode, gpus = pools(seed, 5)
    limits: dict[str, Any] = {"exact_gpus" if exact else "max_gpus": gpus, "paired": True}
    got = match(prefill, decode, OSL, **TARGETS, **limits)
    paid = (lambda *_: gpus) if exact else None
    equal = every_plan(prefill, decode, 1.5, 1.5, gpus, paid=paid, fits=lambda i, j, n, m: n == m)
    check(got, equal)
    free = match(prefill, decode, OSL, **TARGETS, paired=True)
    if isinstance(free, Match):
        assert free.prefill_instances == free.decode_instances == 1
        front = match_frontier(prefill, decode, OSL, ftl_s=1.5, paired=True)
        assert (front.prefill_instances == front.decode_instances).all()


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(0, 3), st.integers(1, 4), st.integers(0, 3))
def test_ranges_of_instances(seed, least_p, more_p, least_d, more_d):
    prefill, decode, gpus = pools(seed, 5)
    counts = (least_p, least_p + more_p), (least_d, least_d + more_d)
    ranges: dict[str, Any] = {"prefill_instances": counts[0], "decode_instances": counts[1]}
    got = match(prefill, decode, OSL, max_gpus=gpus, **TARGETS, **ranges)
    check(got, every_plan(prefill, decode, 1.5, 1.5, gpus, counts=counts))
    everything = 16 * max(c for _, c in counts)  # ranges alone are a cap
    got = match(prefill, decode, OSL, **TARGETS, **ranges)
    check(got, every_plan(prefill, decode, 1.5, 1.5, everything, counts=counts))


@pytest.mark.parametrize("seed", range(12))
def test_an_integer_program_finds_nothing_better(seed):
    rng = np.random.default_rng(seed)
    prefill, decode, gpus = (
        *pools(seed, 12, sizes=(2, 4, 8, 16, 24))[:2],
        int(rng.integers(60, 300)),
    )
    got = match(prefill, decode, OSL, exact_gpus=gpus, **TARGETS)
    best = best_by_milp(prefill, decode, 1.5, 1.5, gpus)
    assert got
    np.testing.assert_allclose(got.requests_per_s, best, rtol=1e-6)


@settings(max_examples=100, deadline=None)
@given(seeds, st.integers(2, 1500))
def test_the_gallop_agrees_with_counting(seed, cap):
    """One million GPUs or ten: nearest fractions, and every count tried, give the same value."""
    rng = np.random.default_rng(seed)
    prefill, decode = pool(rng, 5), pool(rng, 5, 10 ** rng.uniform(-2, 2))
    pairs = pairs_of(prefill, decode, np.arange(5), np.arange(5))
    n, m, value = best_counts(pairs, Limits(float(cap)))
    counted = best_counts(pairs, Limits(float(cap), prefill_instances=(1, cap)))
    np.testing.assert_allclose(value, counted[2], rtol=1e-11)
    np.testing.assert_array_equal(n[value > 0], counted[0][value > 0])
    np.testing.assert_array_equal(m[value > 0], counted[1][value > 0])
    assert np.all(value <= upper_bound(pairs, Limits(float(cap))) * (1 + 1e-12))


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(["max_gpus", "exact_gpus"]))
def test_the_answer_is_the_best_inside_its_range_of_rates_and_not_outside(seed, name):
    prefill, decode, gpus = pools(seed, 5)
    got = match(prefill, decode, OSL, **{name: gpus}, **TARGETS)
    if not got:
        return
    n, m, i, j = (
        got.prefill_instances, got.decode_instances, got.prefill_index, got.decode_index
    )  # fmt: skip

    def lead(factor):
        """The best value over ours, all prefill rates scaled."""
        scaled = Pool(prefill.requests_per_s * factor, prefill.gpus, prefill.latency_s)
        best = matched(scaled, decode, OSL, **{name: gpus}, **TARGETS)
        ours = min(n * scaled.requests_per_s[i], m * decode.requests_per_s[j]) * (OSL - 1)
        return best.value / (ours / got.paid_gpus)

    low, high = got.certificate.prefill_rate_range
    assert low <= 1.0 <= high
    for factor in (low * 1.0001, high * 0.9999):
        if low < factor < high and np.isfinite(factor):
            np.testing.assert_allclose(lead(factor), 1.0, rtol=1e-9)
    for factor in (low * 0.999, high * 1.001):
        if 0 < factor < np.inf:
            assert lead(factor) > 1.0 + 1e-9
    near = got.certificate.near_prefill_rate_range
    assert near[0] <= low * (1 + 1e-12)
    assert near[1] >= high * (1 - 1e-12)
    if near[0] > 0:
        assert lead(near[0] * 1.0001) <= 1.01 * (1 + 1e-6)
        assert lead(near[0] * 0.999) > 1.01
    d_low, d_high = got.certificate.decode_rate_range
    assert d_low == (1 / high if np.isfinite(high) else 0.0)
    assert d_high == (1 / low if low > 0 else np.inf)


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0.02, 0.3))
def test_without_a_cap_integers_approach_real_counts(seed, tolerance):
    prefill, decode, _ = pools(seed)
    got = match(prefill, decode, OSL, tolerance=tolerance, **TARGETS)
    p, d = prefill.latency_s <= 1.5, decode.latency_s <= 1.5
    if not (p.any() and d.any()):
        assert isinstance(got, NoMatch)
        return
    assert isinstance(got, Match)
    supremum = (OSL - 1) / (
        (prefill.gpus / prefill.requests_per_s)[p].min()
        + (decode.gpus / decode.requests_per_s)[d].min()
    )
    np.testing.assert_allclose(got.certificate.upper_bound, supremum, rtol=1e-9)
    np.testing.assert_allclose(got.certificate.gap, 1 - got.value / supremum, atol=1e-9)
    assert 0 <= got.certificate.gap <= tolerance * (1 + 1e-9)
    least = supremum * (1 - tolerance)
    smaller = every_plan(prefill, decode, 1.5, 1.5, min(got.gpus, 40) - 1)
    assert all(value * (OSL - 1) < least for value, *_ in smaller)
    capped = matched(prefill, decode, OSL, max_gpus=10**6, **TARGETS)
    assert capped.value <= supremum * (1 + 1e-12)
    assert capped.value >= supremum * (1 - 1e-3)


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0.005, 0.3), st.sampled_from([None, 24]))
def test_without_a_cap_the_stable_range_holds_against_any_counts(seed, tolerance, domain):
    """While rates change within the range, nothing is better by more than `near_frac`."""
    prefill, decode, _ = pools(seed)
    got = matched(prefill, decode, OSL, tolerance=tolerance, domain_gpus=domain)
    cost = got.paid_gpus
    ours = (
        got.prefill_instances * prefill.requests_per_s[got.prefill_index] / cost,
        got.decode_instances * decode.requests_per_s[got.decode_index] / cost,
    )
    each = (
        (prefill.gpus / prefill.requests_per_s).min(),
        (decode.gpus / decode.requests_per_s).min(),
    )

    def lead(factor):
        return 1 / (each[0] / factor + each[1]) / min(ours[0] * factor, ours[1])

    low, high = got.certificate.near_prefill_rate_range
    near = got.certificate.near_frac
    assert low < 1.0 < high
    assert near >= 0.01
    assert domain or near <= 0.01 + tolerance / (1 - tolerance) + 1e-9
    for factor in (low * 1.0001, 1.0, min(high, 1e6) * 0.9999):
        if factor > 0:
            assert lead(factor) <= (1 + near) * (1 + 1e-6)
    if low > 0:
        assert lead(low * 0.999) > 1 + near
    if np.isfinite(high):
        assert lead(high * 1.001) > 1 + near


def test_the_fewest_gpus_within_the_tolerance_and_of_equals_the_quickest():
    """Real counts ask for 1,000 : 999 of the best pair; one of each loses 0.1 %."""
    prefill = pool_of([9.99, 10.2, 9.99, 4.0], [8, 8, 8, 8], [0.8, 0.9, 0.2, 0.1])
    decode = pool_of([10.0, 2.0], [8, 2], [0.05, 0.05])
    got = matched(prefill, decode, OSL, tolerance=0.03)
    # The prefill instance of 10.2 would serve no more than decode can take in: its gain is 0.
    assert (got.prefill_instances, got.decode_instances, got.gpus) == (1, 1, 16)
    assert got.prefill_index == 1
    exact = matched(prefill, decode, OSL, tolerance=1e-4)
    assert exact.gpus > 500
    # Where decode is the slower pool, the quicker of two prefill designs serves as much.
    slower = matched(prefill, pool_of([9.0], [8], [0.05]), OSL, exact_gpus=16, quickest=True)
    assert (slower.prefill_index, slower.ftl_s) == (2, 0.2)


def test_a_fixed_ratio_without_a_cap_is_the_identity():
    prefill, decode = pool_of([12.0], [8], [1.0]), pool_of([3.0], [4], [1.0])
    for ratio in (0.5, 1.0, 2.0):
        got = matched(prefill, decode, OSL, ratio=ratio, ratio_tolerance=0.0)
        expected = (OSL - 1) * min(12 / 8 * ratio, 3 / 4) / (1 + ratio)
        np.testing.assert_allclose(got.value, expected, rtol=1e-12)
        assert got.ctx_gen_ratio == ratio


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_more_gpus_are_never_worse(seed):
    prefill, decode, gpus = pools(seed, 20)
    values = [match(prefill, decode, OSL, max_gpus=g) for g in (gpus, gpus + 1, 2 * gpus, 1024)]
    values = [v.value if v else 0.0 for v in values]
    assert all(b >= a * (1 - 1e-12) for a, b in itertools.pairwise(values))


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([{"max_gpus": 48}, {"exact_gpus": 48}, {}]))
def test_the_order_of_candidates_changes_nothing(seed, cap):
    prefill, decode, _ = pools(seed, 20)
    rng = np.random.default_rng(seed)
    p, d = rng.permutation(20), rng.permutation(20)

    def shuffled(pool, order):
        return Pool(pool.requests_per_s[order], pool.gpus[order], pool.latency_s[order])

    one = matched(prefill, decode, OSL, **cap)
    two = matched(shuffled(prefill, p), shuffled(decode, d), OSL, **cap)
    assert (one.prefill_index, one.decode_index) == (p[two.prefill_index], d[two.decode_index])
    assert (one.prefill_instances, one.decode_instances, one.value) == (
        two.prefill_instances, two.decode_instances, two.value
    )  # fmt: skip
    assert some(one.certificate.runner_up).value == some(two.certificate.runner_up).value


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(-20, 20))
def test_rates_in_other_units_change_nothing_but_the_unit(seed, power):
    prefill, decode, gpus = pools(seed, 20)
    one = matched(prefill, decode, OSL, max_gpus=gpus)
    factor = 2.0**power
    two = matched(
        Pool(prefill.requests_per_s * factor, prefill.gpus, prefill.latency_s),
        Pool(decode.requests_per_s * factor, decode.gpus, decode.latency_s),
        OSL, max_gpus=gpus,
    )  # fmt: skip
    assert (one.prefill_index, one.decode_index) == (two.prefill_index, two.decode_index)
    assert (one.prefill_instances, one.decode_instances) == (
        two.prefill_instances, two.decode_instances
    )  # fmt: skip
    assert two.value == one.value * factor


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_matched_points_conserve_requests(seed):
    prefill, decode, gpus = pools(seed, 20)
    got = matched(prefill, decode, OSL, max_gpus=gpus)
    r = prefill.requests_per_s[got.prefill_index]
    s = decode.requests_per_s[got.decode_index]
    n, m = got.prefill_instances, got.decode_instances
    assert got.requests_per_s == min(n * r, m * s)
    assert got.output_tokens_per_s == got.requests_per_s * (OSL - 1)
    assert got.gpus == n * prefill.gpus[got.prefill_index] + m * decode.gpus[got.decode_index]
    np.testing.assert_allclose(got.output_tokens_per_s_per_gpu * got.gpus, got.output_tokens_per_s)
    assert got.value <= got.relaxed_value * (1 + 1e-12)


def test_ties_go_to_the_fewest_gpus_then_latency_then_order():
    prefill = pool_of([4.0, 2.0, 2.0, 2.0], [4, 2, 2, 2], [0.1, 0.5, 0.4, 0.4])
    decode = pool_of([2.0, 1.0], [2, 1], [0.1, 0.1])
    got = matched(prefill, decode, OSL, max_gpus=64)
    assert (got.prefill_index, got.decode_index, got.gpus) == (2, 0, 4)
    assert got.certificate.margin == 0.0
    assert some(got.certificate.runner_up).prefill_index == 3


def test_nothing_in_time_names_the_nearest_targets():
    prefill = pool_of([1.0, 5.0], [4, 8], [2.0, 1.0])
    decode = pool_of([1.0, 5.0], [4, 8], [0.05, 0.02])
    none = match(prefill, decode, OSL, ftl_s=0.5, ttl_s=0.03)
    assert isinstance(none, NoMatch)
    assert not none
    assert (none.ftl_s_at_ttl, none.ttl_s_at_ftl, none.nearest) == (1.0, None, (1.0, 0.02))
    capped = of(NoMatch, match(prefill, decode, OSL, ftl_s=0.5, ttl_s=0.03, max_gpus=12))
    assert capped.attainable == [(1.0, 0.05), (2.0, 0.02)]
    assert capped.ftl_s_at_ttl == 2.0
    assert "2" in capped.reason
    tiny = match(prefill, decode, OSL, max_gpus=7)
    assert isinstance(tiny, NoMatch)
    assert tiny.nearest is None
    assert "raise the cap" in tiny.reason
    assert isinstance(match(pool_of([], [], []), decode, OSL), NoMatch)


def test_the_nearest_targets_can_be_met():
    rng = np.random.default_rng(5)
    for _ in range(20):
        prefill, decode = pool(rng, 10), pool(rng, 10)
        none = of(NoMatch, match(prefill, decode, OSL, ftl_s=0.01, ttl_s=0.01, max_gpus=10))
        for ftl_s, ttl_s in none.attainable:
            assert match(prefill, decode, OSL, ftl_s=ftl_s, ttl_s=ttl_s, max_gpus=10)
            assert not match(prefill, decode, OSL, ftl_s=ftl_s * 0.99, ttl_s=ttl_s, max_gpus=10)
            assert not match(prefill, decode, OSL, ftl_s=ftl_s, ttl_s=ttl_s * 0.99, max_gpus=10)


def test_designs_that_serve_nothing_are_never_chosen():
    prefill = pool_of([np.nan, 0.0, 1.0, np.inf], [1, 1, 4, 1], [0.1, 0.1, 0.1, 0.1])
    decode = pool_of([1.0, 9.0], [4, 1], [0.1, np.nan])
    got = matched(prefill, decode, OSL, max_gpus=8)
    assert (got.prefill_index, got.decode_index) == (2, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_gpus": 8, "exact_gpus": 8}, "give one of them"),
        ({"max_gpus": 0}, "must be positive"),
        ({"ratio": -1.0}, "must be positive"),
        ({"ratio": 1.0, "ratio_tolerance": 1.0}, "tolerance"),
        ({"prefill_instances": (3, 2)}, "least <= most"),
        ({"tolerance": 0.0}, "strictly between"),
        ({"domain_gpus": 0}, "at least one GPU"),
    ],
)
def test_bad_limits_are_refused(arguments, message):
    one = pool_of([1.0], [1], [1.0])
    with pytest.raises(InputError, match=message):
        match(one, one, OSL, **arguments)


def test_bad_pools_are_refused():
    one = pool_of([1.0], [1], [1.0])
    with pytest.raises(InputError, match="osl is 1"):
        match(one, one, 1)
    with pytest.raises(InputError, match="equal length"):
        pool_of([1.0, 2.0], [1], [1.0])
    with pytest.raises(InputError, match="at least 1"):
        pool_of([1.0], [0], [1.0])
    with pytest.raises(InputError, match="positive and finite"):
        pool_of([1.0], [1], [1.0], weight=0.0)
    with pytest.raises(InputError, match="one-dimensional"):
        pool_of([[1.0]], [[1]], [[1.0]])


def test_swapping_the_pools_swaps_the_answer():
    prefill, decode, gpus = pools(3, 10)
    pairs = pairs_of(prefill, decode, np.arange(10), np.arange(10))
    swapped = pairs.swapped().swapped()
    assert isinstance(swapped, Pairs)
    np.testing.assert_array_equal(swapped.r, pairs.r)
    one = matched(prefill, decode, OSL, max_gpus=gpus)
    two = matched(decode, prefill, OSL, max_gpus=gpus)
    np.testing.assert_allclose(one.value, two.value, rtol=1e-12)
