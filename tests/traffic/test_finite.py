"""A run with a start and an end, against a count of every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim.traffic.finite import finite_run
from jaxsim.traffic.queueing import Pools, Prompt


def step_s(batch):
    return 0.01 + 1e-4 * batch


@jax.jit
def followed(prompts, cap, slots, apart, jitter):
    """A run of prompts of 20 ms and outputs of 101 tokens, compiled once."""
    prompt = Prompt(busy_s=0.02, latency_s=0.02, fixed_s=0.0)
    pools = Pools(
        decoders=1.0, slots=slots, prefillers=1.0, shared=1.0, apart=apart,
        round_prompts=cap, round_jitter=jitter,
    )  # fmt: skip
    return finite_run(prompts, cap, step_s, prompt, pools, 101.0, 8.0)


def counted(prompts, cap, slots, busy_s, osl, prompts_per_pass, apart=False):
    """Step by step: at most `prompts_per_pass` prompts a step; osl - 1 decode steps.

    A request is sent at the start, or when one of `cap` in flight has ended. Prompts ride in
    decode steps, or all that find a place have passes of their own before the next of them.
    """
    left, now, ttft, tpot = prompts, 0.0, [], []
    sent = [0.0] * min(prompts, cap)
    running: list[tuple[float, float]] = []  # steps to go, and when the first token came
    while left or running:
        while new := min(left, int(min(slots, cap)) - len(running), prompts_per_pass):
            left -= new
            now += new * busy_s
            if not apart:
                now += float(step_s(len(running) + new))
                running = [(steps - 1, first) for steps, first in running]
            ttft += [now - sent[len(ttft) + k] for k in range(new)]
            running += [(osl - 1.0, now)] * new
            if not apart:
                break
        if apart or not new:
            now += float(step_s(len(running)))
            running = [(steps - 1, first) for steps, first in running]
        ended = [first for steps, first in running if steps <= 0]
        tpot += [(now - first) / (osl - 1.0) for first in ended]
        sent += [now] * min(len(ended), prompts - len(sent))
        running = [entry for entry in running if entry[0] > 0]
    return np.mean(ttft), np.mean(tpot), prompts / now


@pytest.mark.parametrize(
    ("prompts", "cap", "slots", "apart"),
    [
        (200, 200, 64.0, False),
        (200, 50, 1e9, False),
        (64, 64, 1e9, False),
        (40, 4, 1e9, False),
        (200, 200, 64.0, True),
        (40, 40, 4.0, True),
        (8, 8, 1.0, False),
    ],
)
def test_a_run_is_what_its_steps_add_up_to(prompts, cap, slots, apart):
    result = followed(float(prompts), float(cap), slots, apart, 0.0)
    ttft_s, tpot_s, rate = counted(prompts, cap, slots, 0.02, 101, 8, apart)
    assert bool(result.followed)
    assert float(result.requests_per_s) == pytest.approx(rate, rel=0.06)
    assert float(result.tpot_s) == pytest.approx(tpot_s, rel=0.05)
    assert float(result.ttft_s) == pytest.approx(ttft_s, rel=0.15)


def test_prompts_that_follow_wait_for_others_of_their_round():
    """36 of 40 requests follow one of 4 that ended: for as long as the rounds' law says, where
    that is longer than the three others of their pass take."""
    alone, little, much = (followed(40.0, 4.0, 1e9, False, jitter) for jitter in (0.0, 0.5, 4.0))
    assert float(little.ttft_s) == float(alone.ttft_s)
    waited_s = float(much.ttft_s - alone.ttft_s)
    assert waited_s == pytest.approx(0.9 * (4.0 * 0.02 * 3.0**0.5 - 3 * 0.02), rel=0.1)
    assert float(much.tpot_s) == float(alone.tpot_s)


def test_two_pools_start_as_fast_as_prompts_are_processed():
    prompt = Prompt(busy_s=0.5, latency_s=0.5, fixed_s=0.1)
    pools = Pools(decoders=1.0, slots=1e9, prefillers=2.0, shared=0.0)
    result = finite_run(jnp.asarray(40.0), jnp.asarray(40.0), step_s, prompt, pools, 21.0, 8.0)
    # 40 prompts by two servers of half a second: 10 s, then the last one's 20 steps.
    assert float(result.duration_s) == pytest.approx(10.0 + 0.6 + 20 * 0.0105, rel=0.1)
    assert float(result.ttft_s) == pytest.approx(5.6, rel=0.1)


def test_a_prompt_of_several_passes_takes_as_many_steps():
    """Prompts of four passes each: others decode on while one of them is processed."""
    prompt = Prompt(busy_s=0.4, latency_s=0.4, fixed_s=0.0)
    pools = Pools(decoders=1.0, slots=1e9, prefillers=1.0, shared=1.0)
    run = [
        finite_run(jnp.asarray(400.0), jnp.asarray(400.0), step_s, prompt, pools, 101.0, each)
        for each in (1.0, 0.25)
    ]
    whole, cut = (float(one.tpot_s) for one in run)
    # A request decodes in 100 steps, in which others' prompts take 0.4 s each, or 0.1 s.
    assert cut < 0.45 * whole
    assert float(run[1].duration_s) == pytest.approx(400 * 0.4 + 1700 * 0.01, rel=0.1)


def test_a_run_too_long_to_follow_says_so():
    prompt = Prompt(busy_s=0.02, latency_s=0.0, fixed_s=0.0)
    pools = Pools(decoders=1.0, slots=2.0, prefillers=1.0, shared=1.0)
    result = finite_run(jnp.asarray(1e5), jnp.asarray(1e5), step_s, prompt, pools, 101.0, 8.0)
    assert not bool(result.followed)


def test_outputs_of_unlike_lengths_end_one_by_one():
    """Against a count of every step of requests whose lengths are exponential."""
    prompt = Prompt(busy_s=0.0, latency_s=0.0, fixed_s=0.0)
    pools = Pools(decoders=1.0, slots=1e9, prefillers=1.0, shared=1.0)
    args = [jnp.asarray(400.0), jnp.asarray(400.0), step_s, prompt, pools, 201.0, 1e3]
    result = finite_run(*args, spread=1.0)
    rng = np.random.default_rng(7)
    lasts, each = [], []
    for _ in range(40):
        lengths = np.ceil(np.sort(rng.exponential(200.0, 400)))
        left = 400 - np.searchsorted(lengths, np.arange(lengths[-1]), side="right")
        now = np.cumsum(step_s(left))
        lasts.append(now[-1])
        each.append(np.mean(now[lengths.astype(int) - 1] / lengths))
    assert bool(result.followed)
    assert float(result.duration_s) == pytest.approx(np.mean(lasts), rel=0.06)
    assert float(result.tpot_s) == pytest.approx(np.mean(each), rel=0.06)
    alike = finite_run(*args)
    # All at 0.05 s a step, or the most of them gone while the longest goes on.
    assert float(alike.tpot_s) == pytest.approx(0.05, rel=1e-3)
    assert float(result.duration_s) > 2.0 * float(alike.duration_s)
