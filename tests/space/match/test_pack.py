"""Packing into scale-up domains against placing every part by hand."""

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsim.catalog.errors import InputError
from jaxsim.space.match.pack import Shape, mixture_bound, shared_cells
from jaxsim.space.match.records import Match, NoMatch, Pool
from jaxsim.space.match.solve import match
from tests.narrow import some
from tests.space.match.oracles import every_plan, matched, pool, pool_of

OSL = 101
seeds = st.integers(0, 2**32 - 1)


@functools.cache
def placed(parts_a, size_a, parts_b, size_b, bins):
    """Whether so many parts of two sizes go into `bins`, filling one after another."""
    if parts_a == 0 and parts_b == 0:
        return True
    if not bins:
        return False
    for a in range(min(parts_a, bins[0] // size_a) + 1):
        b = min(parts_b, (bins[0] - a * size_a) // size_b)
        if placed(parts_a - a, size_a, parts_b - b, size_b, bins[1:]):
            return True
    return False


def purchases(gpus, domain):
    """Every set of domains a cluster of `gpus` can be bought as, cheapest first."""
    whole, rest = divmod(gpus, domain)
    sets = [(domain,) * k for k in range(1, whole + 1)]
    if rest:
        sets += [(domain,) * k + (rest,) for k in range(whole + 1)]
    return sorted(sets, key=sum)


def with_parts(pool_, rng):
    parts = rng.choice([1, 1, 2], len(pool_))
    confined = pool_.gpus / np.where(pool_.gpus % parts == 0, parts, 1)
    return Pool(pool_.requests_per_s, pool_.gpus, pool_.latency_s, pool_.weight, confined)


def problem(seed, domain, weights=(1.0, 1.0)):
    rng = np.random.default_rng(seed)
    skew = 10 ** rng.uniform(-0.7, 0.7)
    sizes = (1, 2, 3, 4, 6)
    prefill = with_parts(pool(rng, 4, 1.0, weights[0], sizes), rng)
    decode = with_parts(pool(rng, 4, skew, weights[1], sizes), rng)
    return prefill, decode, int(rng.integers(domain, 3 * domain + 2))


def parts_of(pool_, index, count):
    part = int(pool_.confined_gpus[index])
    return int(count * pool_.gpus[index]) // part, part


def compare(got: Match | NoMatch, plans):
    plans = [p for p in plans if p[0] > 0]  # what cannot be placed is paid without end
    if not plans:
        assert isinstance(got, NoMatch)
        return
    assert isinstance(got, Match)
    best = max(p[0] for p in plans) * (OSL - 1)
    np.testing.assert_allclose(got.value, best, rtol=1e-9)
    others = [p[0] for p in plans if p[1:3] != (got.prefill_index, got.decode_index)]
    if others:
        runner = some(got.certificate.runner_up).value
        np.testing.assert_allclose(runner, max(others) * (OSL - 1), rtol=1e-9)


@settings(max_examples=50, deadline=None)
@given(seeds, st.sampled_from([5, 6, 8]), st.booleans(), st.booleans())
def test_shared_domains_are_packed_at_best(seed, domain, exact, with_ratio):
    prefill, decode, gpus = problem(seed, domain)

    def paid(i, j, n, m):
        parts = *parts_of(prefill, i, n), *parts_of(decode, j, m)
        for bins in purchases(gpus, domain):
            if placed(*parts, bins):
                return gpus if exact else sum(bins)
        return np.inf

    ratio: dict[str, Any] = {"ratio": 1.0, "ratio_tolerance": 0.4} if with_ratio else {}
    cap: dict[str, Any] = {"exact_gpus" if exact else "max_gpus": gpus}
    got = match(prefill, decode, OSL, domain_gpus=domain, ftl_s=1.5, ttl_s=1.5, **cap, **ratio)
    cone = (0.6, 1.4) if with_ratio else None
    compare(got, every_plan(prefill, decode, 1.5, 1.5, gpus, paid=paid, ratio=cone))
    if got:
        assert got.paid_gpus >= got.gpus


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([(4, 6), (8, 4)]), st.booleans())
def test_separate_domains_are_bought_whole(seed, domains, exact):
    weights = (1.0, 1.6)
    prefill, decode, gpus = problem(seed, max(domains), weights)

    def paid(i, j, n, m):
        bought = []
        for pool_, index, count, domain in (
            (prefill, i, n, domains[0]),
            (decode, j, m, domains[1]),
        ):
            parts, part = parts_of(pool_, index, count)
            if part > domain:
                return np.inf
            bought.append(-(-parts // (domain // part)) * domain)
        if sum(bought) > gpus:
            return np.inf
        idle = gpus - sum(bought) if exact else 0
        return bought[0] * weights[0] + bought[1] * weights[1] + idle * min(weights)

    cap: dict[str, Any] = {"exact_gpus" if exact else "max_gpus": gpus}
    got = match(prefill, decode, OSL, domain_gpus=domains, ftl_s=1.5, ttl_s=1.5, **cap)
    compare(got, every_plan(prefill, decode, 1.5, 1.5, gpus, paid=paid))


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([5, 8]), st.booleans())
def test_domains_never_help(seed, domain, exact):
    prefill, decode, gpus = problem(seed, domain)
    cap: dict[str, Any] = {"exact_gpus" if exact else "max_gpus": gpus}
    packed = match(prefill, decode, OSL, domain_gpus=domain, **cap)
    loose = match(prefill, decode, OSL, **cap)
    if packed:
        assert loose
        assert packed.value <= loose.value * (1 + 1e-12)
        low, high = packed.certificate.prefill_rate_range
        assert low <= 1 <= high


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([5, 8, (4, 6)]))
def test_without_a_cap_enough_domains_come_within_the_tolerance(seed, domain):
    prefill, decode, _ = problem(seed, 8)
    got = matched(prefill, decode, OSL, domain_gpus=domain, tolerance=0.1)
    assert 0 <= got.certificate.gap <= 0.1 + 1e-12
    large = matched(prefill, decode, OSL, domain_gpus=domain, max_gpus=240)
    assert large.value <= got.certificate.upper_bound * (1 + 1e-9)
    assert large.value >= got.value * (1 - 1e-9) or got.paid_gpus > 240


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_the_linear_bound_holds_and_is_tight(seed):
    """Mixtures of domains do no better, and many domains come near."""
    rng = np.random.default_rng(seed)
    alpha, beta = rng.random((2, 6))
    bound = mixture_bound(alpha, beta)
    mixes = rng.dirichlet(np.full(6, 0.3), 2000)
    assert np.minimum(mixes @ alpha, mixes @ beta).max() <= bound * (1 + 1e-12)
    pairs = [
        max(min(t * alpha[a] + (1 - t) * alpha[b], t * beta[a] + (1 - t) * beta[b]) for t in grid)
        for grid in [np.linspace(0, 1, 201)]
        for a in range(6)
        for b in range(6)
    ]
    assert max(pairs) >= bound * (1 - 0.02)


def test_the_classic_leftover_of_72():
    """Two instances of 32 leave 8 GPUs of a domain of 72; decode of 8 can use them."""
    cells = shared_cells(Shape(32, 1, 8, 1), 72, 72)
    assert dict(zip(cells.n.astype(int).tolist(), cells.m.astype(int).tolist(), strict=True)) == {
        0: 9, 1: 5, 2: 1,
    }  # fmt: skip
    prefill, decode = pool_of([1.0], [32], [1.0]), pool_of([2.0], [8], [1.0])
    got = matched(prefill, decode, OSL, max_gpus=72, domain_gpus=72)
    assert (got.prefill_instances, got.decode_instances, got.paid_gpus, got.domains) == (
        2,
        1,
        72,
        1,
    )


def test_what_cannot_be_packed_is_refused_or_reported():
    big = pool_of([1.0], [16], [1.0])
    none = match(big, big, OSL, max_gpus=64, domain_gpus=8)
    assert isinstance(none, NoMatch)
    staged = pool_of([1.0], [16], [1.0], confined_gpus=[8])
    assert matched(staged, staged, OSL, max_gpus=64, domain_gpus=8).domains == 4
    odd, small = pool_of([1.0], [16], [1.0], confined_gpus=[5]), pool_of([1.0], [1], [1.0])
    with pytest.raises(InputError, match="whole multiples"):
        match(odd, odd, OSL, max_gpus=64, domain_gpus=8)
    with pytest.raises(InputError, match="cannot share domains"):
        match(big, pool_of([1.0], [8], [1.0], 2.0), OSL, max_gpus=64, domain_gpus=72)
    with pytest.raises(InputError, match="Packing this cluster"):
        match(small, small, OSL, max_gpus=10**6, domain_gpus=8)
