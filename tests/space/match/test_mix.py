"""A mix of workloads against serving it request by request."""

import numpy as np
import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.space.match.mix import match_mix, mix_pools
from jaxsim.space.match.records import NoMatch, Pool
from jaxsim.space.match.solve import match
from tests.space.match.oracles import pool


def variants(rng, count=12):
    """The same designs under two workloads."""
    base = pool(rng, count)
    other = Pool(
        base.requests_per_s * rng.uniform(0.1, 0.9, count),
        base.gpus,
        base.latency_s * rng.uniform(1, 4, count),
    )
    return [base, other]


def test_one_workload_is_no_mix():
    rng = np.random.default_rng(0)
    (prefill, _), (decode, _) = variants(rng), variants(rng)
    alone = match(prefill, decode, 101, ftl_s=1.0, ttl_s=1.0, max_gpus=64)
    mixed = match_mix([prefill], [decode], [101], [3.0], ftl_s=[1.0], ttl_s=[1.0], max_gpus=64)
    assert (mixed.prefill_index, mixed.decode_index) == (alone.prefill_index, alone.decode_index)
    np.testing.assert_allclose(mixed.value, alone.value, rtol=1e-12)


def test_time_shared_instances_finish_the_mix():
    """Serve 10,000 requests of random kinds one after another, and count the time."""
    rng = np.random.default_rng(1)
    pools = variants(rng)
    mixed = mix_pools(pools, [0.3, 0.7], [1.0, 2.0])
    kinds = rng.random(10_000) < 0.7
    for k in range(3):
        each = 1 / pools[0].requests_per_s[k], 1 / pools[1].requests_per_s[k]
        seconds = np.where(kinds, each[1], each[0]).sum()
        np.testing.assert_allclose(mixed.requests_per_s[k], 10_000 / seconds, rtol=0.02)
        worst = max(pools[0].latency_s[k], pools[1].latency_s[k] / 2.0)
        assert mixed.latency_s[k] == worst


def test_every_workload_meets_its_own_targets():
    rng = np.random.default_rng(2)
    prefill, decode = variants(rng, 30), variants(rng, 30)
    ftl, ttl = [0.9, 2.0], [1.1, 1.9]
    got = match_mix(prefill, decode, [101, 1001], [0.8, 0.2], ftl_s=ftl, ttl_s=ttl, max_gpus=64)
    assert got
    for k in range(2):
        assert prefill[k].latency_s[got.prefill_index] <= ftl[k]
        assert decode[k].latency_s[got.decode_index] <= ttl[k]
    assert got.output_tokens_per_s == pytest.approx(got.requests_per_s * (0.8 * 100 + 0.2 * 1000))
    between = [
        match(prefill[k], decode[k], osl, ftl_s=ftl[k], ttl_s=ttl[k], max_gpus=64).requests_per_s
        for k, osl in enumerate([101, 1001])
    ]
    assert got.requests_per_s / got.gpus < max(between)


def test_a_design_that_one_workload_cannot_use_is_out():
    a = Pool([2.0, 1.0], [4, 4], [1.0, 1.0])
    b = Pool([0.0, 1.0], [4, 4], [1.0, 1.0])
    got = match_mix([a, b], [a, a], [11, 11], [1, 1], ftl_s=[2, 2], ttl_s=[2, 2], max_gpus=64)
    assert got.prefill_index == 1
    none = match_mix([a, b], [a, a], [11, 11], [1, 1], ftl_s=[2, 0.5], ttl_s=[2, 2])
    assert isinstance(none, NoMatch)
    assert none.ftl_s_at_ttl == 2.0  # twice the target


def test_mixes_that_make_no_sense_are_refused():
    a, b = Pool([1.0], [4], [1.0]), Pool([1.0], [8], [1.0])
    with pytest.raises(InputError, match="positive"):
        mix_pools([a], [0.0], [1.0])
    with pytest.raises(InputError, match="same designs"):
        mix_pools([a, b], [1, 1], [1.0, 1.0])
    with pytest.raises(InputError, match="for each workload"):
        mix_pools([a], [1, 1], [1.0, 1.0])
