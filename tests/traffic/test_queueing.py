"""Queueing: what must hold whatever the numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsim.traffic.queueing import (
    Pools,
    Prompt,
    backlog_wait_s,
    closed_loop,
    clumped,
    open_loop,
    queue_wait_s,
    round_wait_s,
    with_start,
)

OSL = 513.0
positive = st.floats(0.01, 100.0)


def step_s(batch):
    """A step with a floor and a slope."""
    return 5e-3 + 1e-4 * batch


def pools(slots=256.0, shared=1.0, decoders=1.0, prefillers=1.0, **more):
    return Pools(decoders, slots, prefillers, shared, **more)


@jax.jit
def closed(concurrency, slots, busy_s, shared, prefillers):
    """A closed loop of one instance, compiled once."""
    prompt = Prompt(busy_s, 1.2 * busy_s, 0.01)
    return closed_loop(concurrency, step_s, prompt, pools(slots, shared, 1.0, prefillers), OSL)


@jax.jit
def in_units(seconds):
    """The same loop with every time multiplied."""
    prompt = Prompt(0.05 * seconds, 0.06 * seconds, 0.01 * seconds)
    return closed_loop(64.0, lambda b: seconds * step_s(b), prompt, pools(), OSL)


PROMPT = Prompt(busy_s=0.05, latency_s=0.06, fixed_s=0.01)


@settings(max_examples=25, deadline=None)
@given(
    concurrency=st.floats(1.0, 2000.0),
    slots=st.floats(1.0, 512.0),
    busy_s=st.floats(1e-3, 1.0),
    shared=st.sampled_from([0.0, 1.0]),
    prefillers=st.sampled_from([1.0, 4.0]),
)
def test_requests_in_the_system_are_throughput_times_latency(
    concurrency, slots, busy_s, shared, prefillers
):
    result = closed(concurrency, slots, busy_s, shared, prefillers)
    total_s = result.ttft_s + (OSL - 1.0) * result.tpot_s
    np.testing.assert_allclose(result.requests_per_s * total_s, concurrency, rtol=2e-3)
    assert result.decode_batch <= slots * 1.001
    assert result.prefill_busy_frac <= 1.001


def test_one_request_alone_waits_for_nobody():
    """Neither for prompts, its own included, nor for decode steps; two not for themselves."""
    result = closed_loop(1.0, step_s, PROMPT, pools(steps_waited=5.0), OSL)
    np.testing.assert_allclose(result.ttft_s, PROMPT.fixed_s + PROMPT.latency_s, rtol=1e-3)
    np.testing.assert_allclose(result.tpot_s, step_s(1.0), rtol=1e-3)
    both = closed_loop(2.0, step_s, PROMPT, pools(shared=0.0, steps_waited=5.0), OSL)
    # The other decodes half of the time at least: e^-b of one that decodes always is 0.37.
    assert 0.2 < float(both.waiting_s) / (5.0 * step_s(2.0)) < 1.0


def test_more_requests_are_never_faster_for_users_and_never_slower_in_all():
    sizes = jnp.asarray([1.0, 4.0, 16.0, 64.0, 256.0, 1024.0])
    result = jax.vmap(lambda n: closed_loop(n, step_s, PROMPT, pools(), OSL))(sizes)
    assert (jnp.diff(result.tpot_s) >= -1e-6).all()
    assert (jnp.diff(result.ttft_s) > 0).all()
    assert (jnp.diff(result.requests_per_s) >= -1e-5).all()


def test_full_slots_make_users_wait_for_a_place():
    roomy = closed_loop(512.0, step_s, PROMPT, pools(slots=512.0), OSL)
    tight = closed_loop(512.0, step_s, PROMPT, pools(slots=8.0), OSL)
    assert tight.tpot_s < roomy.tpot_s
    assert tight.waiting_s > 10.0 * roomy.waiting_s


def test_prompts_of_their_own_pool_do_not_slow_decoding():
    mixed = closed_loop(64.0, step_s, PROMPT, pools(shared=1.0), OSL)
    disaggregated = closed_loop(64.0, step_s, PROMPT, pools(shared=0.0, prefillers=4.0), OSL)
    np.testing.assert_allclose(disaggregated.tpot_s, step_s(disaggregated.decode_batch), rtol=1e-5)
    assert mixed.tpot_s > step_s(mixed.decode_batch)


def test_prefill_bounds_a_disaggregated_rate():
    slow = Prompt(busy_s=1.0, latency_s=1.0, fixed_s=0.0)
    result = closed_loop(1000.0, step_s, slow, pools(4096.0, 0.0, 1.0, 2.0), OSL)
    assert 1.9 < result.requests_per_s < 2.0
    assert result.ttft_s > 100.0


def test_the_wait_of_one_server_is_that_of_pollaczek_and_khinchine():
    busy, service_s = 0.7, 2.0
    exact = 0.5 * service_s * busy / (1.0 - busy)
    np.testing.assert_allclose(queue_wait_s(busy, service_s, 1.0, 0.5), exact, rtol=1e-6)


def test_many_servers_wait_like_erlang_c():
    """Sakasegawa's approximation against the exact mean of M/M/4."""
    servers, busy, service_s = 4, 0.8, 1.0
    offered = servers * busy
    terms = [offered**k / float(np.prod(range(1, k + 1))) for k in range(servers + 1)]
    last = terms[-1] / (1.0 - busy)
    waits = last / (sum(terms[:-1]) + last)
    exact = waits * service_s / (servers * (1.0 - busy))
    result = queue_wait_s(busy, service_s, float(servers), 1.0)
    np.testing.assert_allclose(result, exact, rtol=0.08)


def test_an_even_flow_is_not_clumped_and_clumps_are_busier():
    np.testing.assert_allclose(clumped(0.3, 1.0), 0.3, rtol=1e-6)
    assert clumped(0.3, 0.4) > 0.3
    assert clumped(0.9, 0.1) < 1.0


def test_open_loop_at_the_rate_of_a_closed_one_finds_its_state():
    closed = closed_loop(64.0, step_s, PROMPT, pools(), OSL)
    met = pools(others_frac=63.0 / 64.0, beside_frac=63.0 / 64.0)  # a closed loop's own part
    result, sustained = open_loop(closed.requests_per_s, step_s, PROMPT, met, OSL)
    assert sustained
    np.testing.assert_allclose(result.decode_batch, closed.decode_batch, rtol=1e-3)
    np.testing.assert_allclose(result.ttft_s, closed.ttft_s, rtol=5e-3)


def test_requests_that_come_too_fast_wait_as_long_as_the_queue_has_grown():
    """Against a count: 300 requests at 2/s, of which one a second finds a place after the fifth."""
    came, order = np.arange(300) / 2.0, np.arange(300)
    placed = np.where(order < 5, came, came[4] + order - 4.0)
    wait_s = float(backlog_wait_s(300.0, 5.0, 2.0, 1.0))
    np.testing.assert_allclose(wait_s, np.mean(placed - came), rtol=0.01)
    assert float(backlog_wait_s(30.0, 5.0, 1.0, 2.0)) == 0.0
    assert float(backlog_wait_s(3.0, 5.0, 2.0, 1.0)) == 0.0


def test_a_rate_beyond_the_slots_is_not_sustained():
    result, sustained = open_loop(1e3, step_s, PROMPT, pools(), OSL)
    assert not sustained
    assert np.isfinite(result.ttft_s)


def test_a_burst_at_the_start_counts_once_in_its_runs():
    steady = closed_loop(64.0, step_s, PROMPT, pools(), OSL)
    long = with_start(steady, 64.0, PROMPT, pools(), 1e9)
    short = with_start(steady, 64.0, PROMPT, pools(), 1.0)
    np.testing.assert_allclose(long, steady.ttft_s, rtol=1e-6)
    assert short > long


def test_the_gradient_is_that_of_the_implicit_function():
    def ttft(busy_s):
        return closed_loop(64.0, step_s, Prompt(busy_s, 0.06, 0.01), pools(), OSL).tpot_s

    slope = jax.grad(ttft)(0.05)
    # Central differences; the step balances rounding in single precision.
    difference = (ttft(0.06) - ttft(0.04)) / 0.02
    np.testing.assert_allclose(slope, difference, rtol=0.03)


@settings(max_examples=15, deadline=None)
@given(seconds=positive)
def test_restated_in_other_units_of_time(seconds):
    result, plain = in_units(seconds), in_units(1.0)
    np.testing.assert_allclose(result.ttft_s, seconds * plain.ttft_s, rtol=2e-3)
    np.testing.assert_allclose(result.tpot_s, seconds * plain.tpot_s, rtol=1e-3)


@pytest.mark.parametrize("batch", [0.5, 3.0, 40.0])
def test_a_concurrency_below_one_instance_each_is_fine(batch):
    result = closed_loop(batch, step_s, PROMPT, pools(decoders=8.0), OSL)
    assert np.isfinite(result.ttft_s)
    assert result.decode_batch < batch


def in_lockstep(requests, per_pass, busy_s, each_s, tokens):
    """Mean TTFT and TPOT of a round, token by token: prompts first, then all decode together."""
    waiting, decoding, now = [0.0] * requests, [], 0.0
    first, ended = [], []
    while len(ended) < requests:
        if waiting:
            size = min(per_pass, len(waiting))
            now += size * busy_s
            decoding += [[now, tokens] for _ in waiting[:size]]
            first += [now - arrived for arrived in waiting[:size]]
            waiting = waiting[size:]
            continue
        now += each_s
        for one in decoding:
            one[1] -= 1
            if one[1] == 0:
                ended.append((now - one[0]) / tokens)
    return np.mean(first), np.mean(ended)


@pytest.mark.parametrize(("requests", "per_pass"), [(1, 8), (16, 8), (64, 8), (12, 1)])
def test_requests_of_one_length_go_in_lockstep_where_prompts_have_passes_of_their_own(
    requests, per_pass
):
    """As counted token by token: half of a round's prompts in the TTFT, half in the TPOT."""
    prompt = Prompt(busy_s=0.05, latency_s=0.05, fixed_s=0.0)
    own = pools(
        round_prompts=float(requests), lockstep=True, prompts_per_pass=per_pass, steps_waited=0.0
    )
    result = closed_loop(float(requests), step_s, prompt, own, OSL)
    size = min(per_pass, requests)
    counted = in_lockstep(requests, size, 0.05, step_s(float(requests)), int(OSL) - 1)
    shown = float(result.ttft_s), float(result.tpot_s)
    np.testing.assert_allclose(shown, counted, rtol=1e-3)


def test_a_round_of_prompts_waits_as_a_reflected_walk_does():
    """Prompts that come as fast as they are served, each departing from the next one's time."""
    requests, spread = 64, 0.5
    steps = spread * np.random.default_rng(0).standard_normal((2000, requests))
    walk = np.concatenate([np.zeros((2000, 1)), np.cumsum(steps, axis=1)], axis=1)[:, :-1]
    counted = (walk - np.minimum.accumulate(walk, axis=1)).mean()
    jitter = 2.0 / 3.0 * np.sqrt(2.0 / np.pi) * spread
    own = pools(round_prompts=float(requests), round_jitter=jitter)
    np.testing.assert_allclose(round_wait_s(jnp.asarray(1.0), own), counted, rtol=0.15)
    # The load does not change it: one round comes as fast as the last was served.
    waits = [closed_loop(64.0, step_s, PROMPT, own, osl).waiting_s for osl in (4e3, 1.6e4)]
    np.testing.assert_allclose(*waits, rtol=0.1)
    np.testing.assert_allclose(
        jax.grad(lambda n: round_wait_s(1.0, pools(round_prompts=n)))(0.0), 0.0
    )
