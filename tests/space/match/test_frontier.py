"""A matched frontier says at every latency what `match` says there."""

import numpy as np
import pytest

from jaxsim.point.balance import (
    algorithm1,
    fixed_ratio_tokens_per_s_per_gpu,
    matched_tokens_per_s_per_gpu,
)
from jaxsim.space.match.frontier import match_frontier, records
from jaxsim.space.match.records import Match, Pool
from jaxsim.space.match.solve import match
from tests.space.match.oracles import pool

OSL = 101
LIMITS = [
    {},
    {"ratio": 1.0},
    {"max_gpus": 40},
    {"exact_gpus": 40},
    {"max_gpus": 64, "ratio": 0.5, "ratio_tolerance": 0.1},
    {"max_gpus": 64, "prefill_instances": (2, 4)},
    {"max_cost": 50.0},
    {"max_gpus": 24, "domain_gpus": 12},
    {"exact_gpus": 24, "domain_gpus": (8, 4)},
    {"domain_gpus": 12, "tolerance": 0.1},
]


def pools(seed, count=40):
    rng = np.random.default_rng(seed)
    prefill = pool(rng, count)
    ttl = rng.lognormal(0, 0.8, count)
    gpus = rng.choice([1, 2, 4, 8], count)
    return prefill, Pool(gpus * ttl**0.5 * rng.lognormal(0, 0.3, count), gpus, ttl)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_point_is_the_match_at_its_latency(limits, seed):
    prefill, decode = pools(seed)
    front = match_frontier(prefill, decode, OSL, ftl_s=1.2, **limits)
    assert len(front.ttl_s) > 3
    assert np.all(np.diff(front.ttl_s) > 0)
    assert np.all(np.diff(front.output_tokens_per_s_per_gpu) > 0)
    options = {"ratio_tolerance": 0.0, **limits} if "ratio" in limits else limits
    for ttl_s in np.sort(decode.latency_s)[::3]:
        best = match(prefill, decode, OSL, ftl_s=1.2, ttl_s=ttl_s, **options)
        at = front.at(ttl_s)
        if not isinstance(best, Match):
            assert at < 0
            continue
        bound = best.certificate.upper_bound
        np.testing.assert_allclose(front.output_tokens_per_s_per_gpu[at], bound, rtol=1e-9)
        i, j = front.prefill_index[at], front.decode_index[at]
        assert prefill.latency_s[i] <= 1.2
        assert decode.latency_s[j] <= ttl_s
    rounded = front.rounded_output_tokens_per_s_per_gpu
    assert np.all(rounded <= front.output_tokens_per_s_per_gpu * (1 + 1e-9))
    assert np.all(rounded >= front.output_tokens_per_s_per_gpu * 0.9 * (1 - 1e-9))


def test_without_a_cap_algorithm_1_chooses_prefill_and_the_identities_hold():
    prefill, decode = pools(3)
    front = match_frontier(prefill, decode, OSL, ftl_s=1.2)
    chosen = algorithm1(
        prefill.requests_per_s * prefill.latency_s, prefill.gpus, prefill.latency_s, 1.2
    )
    assert np.all(front.prefill_index == chosen)
    p = (prefill.requests_per_s / prefill.gpus)[front.prefill_index]
    d = (decode.requests_per_s / decode.gpus)[front.decode_index]
    expected = matched_tokens_per_s_per_gpu(p, d, OSL)
    np.testing.assert_allclose(front.output_tokens_per_s_per_gpu, expected, rtol=1e-12)
    np.testing.assert_allclose(front.ctx_gen_ratio, d / p, rtol=0.031)
    fixed = match_frontier(prefill, decode, OSL, ftl_s=1.2, ratio=0.7)
    p = (prefill.requests_per_s / prefill.gpus)[fixed.prefill_index]
    d = (decode.requests_per_s / decode.gpus)[fixed.decode_index]
    expected = fixed_ratio_tokens_per_s_per_gpu(p, d, OSL, 0.7)
    np.testing.assert_allclose(fixed.output_tokens_per_s_per_gpu, expected, rtol=1e-9)
    np.testing.assert_allclose(fixed.ctx_gen_ratio, 0.7, rtol=1e-9)


def test_only_designs_faster_than_their_quicker_peers_are_kept():
    rng = np.random.default_rng(0)
    some = pool(rng, 200)
    kept = set(records(some, np.arange(200)).tolist())
    for k in range(200):
        peers = (some.gpus == some.gpus[k]) & (some.latency_s <= some.latency_s[k])
        beaten = np.any(some.requests_per_s[peers] > some.requests_per_s[k])
        assert (k in kept) is not beaten


def test_no_frontier_where_nothing_is_in_time():
    prefill, decode = pools(0)
    assert len(match_frontier(prefill, decode, OSL, ftl_s=0.0).ttl_s) == 0
    assert len(match_frontier(prefill, decode, OSL, max_gpus=1).ttl_s) == 0
    assert match_frontier(prefill, decode, OSL, ftl_s=0.0).at(1.0) == -1
