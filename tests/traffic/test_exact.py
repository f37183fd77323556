"""Do macro-steps equal a plain simulation, step by step, request by request?"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from jaxsim.traffic.read.requests import Blocks
from jaxsim.traffic.simulate.initial import Start, initial
from jaxsim.traffic.simulate.loop import run_quickly
from jaxsim.traffic.simulate.records import Shape
from jaxsim.traffic.synthetic.load import load_of
from tests.reference.traffic import Plain
from tests.traffic.laws import client, law, links

SIZE, SLOTS, INSTANCES = 400, 64, 3
LENGTHS: dict[str, Any] = {"isl": "lognormal:1000:0.8", "osl": "lognormal:200:0.7"}
TIMES = {
    "scheduled_s": "scheduled", "first_s": "first", "sent_s": "sent", "joined_s": "joined",
    "finished_s": "finished", "prefiller": "prefiller", "decoder": "decoder",
    "preempted": "preempted", "hit": "hit",
}  # fmt: skip


def shared_prefixes(requests, tokens=128):
    """Requests of twelve families, each with up to four leading blocks of its own."""
    family = np.random.default_rng(0).integers(0, 12, len(requests))
    ids, start, fresh = [], [0], 1000
    for own, size in zip(family, requests.isl // tokens + 1, strict=True):
        shared = min(int(size) - 1, 4)  # the last block is no whole one
        ids += [own * 10 + j for j in range(shared)]
        ids += range(fresh, fresh + int(size) - shared)
        fresh += int(size)
        start.append(len(ids))
    _, renamed = np.unique(ids, return_inverse=True)
    return replace(requests, blocks=Blocks(renamed.astype(np.int32), np.array(start), tokens))


@pytest.fixture(scope="module")
def busy():
    """Requests that arrive faster than two instances serve them."""
    load = load_of(requests_per_s=12, duration_s=30, **LENGTHS)
    return shared_prefixes(load.drawn(1).first(SIZE))


def simulated(requests, roles, w, to, who, route, everything):
    shape = Shape(
        attempts=3 * SIZE if everything else SIZE,
        requests=SIZE,
        instances=INSTANCES,
        slots=SLOTS,
        unique_blocks=8192 if everything else 0,
        touches=8192 if everything else 0,
        route=route,
        patience=everything,
    )
    opened = np.ones(len(roles), bool)
    start = Start(np.asarray(roles, np.int32), opened, np.zeros(len(roles)))
    state = initial(requests, start, float(w.gain[0]), shape)
    return jax.tree.map(np.asarray, run_quickly(state, w, to, who, shape))


def agree(requests, roles, w, to, who, route="least_loaded", everything=False):
    result = simulated(requests, roles, w, to, who, route, everything)
    plain = Plain(requests, roles, w, to, who, route, cached=everything).run()
    rows = [*range(len(requests)), *range(SIZE, SIZE + len(plain.requests) - len(requests))]
    for ours, theirs in TIMES.items():
        expected = np.array([getattr(one, theirs) for one in plain.requests], float)
        got = getattr(result.attempts, ours)[rows].astype(float)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9, err_msg=ours)
    for ours, theirs in (("prefill_busy_s", "prefill_busy"), ("decode_busy_s", "decode_busy")):
        expected = [getattr(one, theirs) for one in plain.instances]
        got = getattr(result.instances, ours)[: len(roles)]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9, err_msg=ours)
    return result


def conserved(result, requests):
    """Every request has ended; nothing is left in a queue, a batch, a link or a cache."""
    one = result.instances
    for name in ("decoding", "prompts", "waiting", "prompt_blocks", "held_blocks", "assigned"):
        assert not getattr(one, name).any(), name
    assert (one.head < 0).all()
    assert (one.send_head < 0).all()
    assert int((result.attempts.status == 1).sum()) == int(result.served)
    for name in ("users", "shared"):
        assert not getattr(result.cache, name).any(), name


# ---- every kind of deployment ----

CASES = {
    "two instances": ([0, 0], law(SLOTS), links(), client()),
    "blocks run out": ([0, 0], law(SLOTS, 700, 30), links(), client()),
    "speculation": ([0, 0], law(SLOTS, 600, 30, gain=1.7), links(), client()),
    "prefill first": ([0], law(SLOTS, 3000, mixes=0.0), links(), client()),
    "pools, streamed": ([1, 2, 2], law(SLOTS, 900, stretch=0.6, chunk=512), links(), client()),
    "pools, after prefill": (
        [1, 1, 2],
        law(SLOTS, 900, reserves=1.0),
        links(streamed=0.0, token_s=2e-5, out_frac=0.5, segment_s=1e-5),
        client(),
    ),
    "ranks": ([0, 0], law(SLOTS, ranks=4.0, chunk=512, budget=2048), links(), client()),
}


@pytest.mark.parametrize("name", CASES)
def test_macro_steps_are_steps(name, busy):
    result = agree(busy, *CASES[name])
    conserved(result, busy)
    if name in ("blocks run out", "speculation", "pools, streamed"):
        assert result.attempts.preempted.sum() > 10


def test_a_closed_loop(busy):
    load = load_of(users=40, count=SIZE, think_s=0.5, **LENGTHS)
    who = client(users=40, think_s=0.5)
    result = agree(load.drawn(1), [0, 0], law(SLOTS, most=12), links(), who)
    conserved(result, busy)


@pytest.mark.parametrize("roles", [[0, 0, 0], [1, 1, 2]])
def test_caches_and_impatient_clients(roles, busy):
    who = client(
        patience_s=0.1, backoff_s=2.0, retries=2, prefix_tokens=128, host_blocks=60,
        load_token_s=1e-6,
    )  # fmt: skip
    w = law(SLOTS, 1000, budget=700, chunk=700)
    result = agree(busy, roles, w, links(), who, "kv_aware", everything=True)
    conserved(result, busy)
    assert result.attempts.hit.sum() > 1000
    if roles == [1, 1, 2]:
        assert (result.attempts.status == 2).sum() > 3


def test_requests_hold_the_blocks_they_share_once():
    """Where all begin with the same 1,024 tokens, memory for 2,400 serves more than two at once."""
    requests = load_of(requests_per_s=30, duration_s=12, isl="1100", osl="100").drawn(1)
    requests = requests.first(SIZE // 2)
    own = [[*range(8), 8 + i] for i in range(len(requests))]
    blocks = Blocks(np.array(own, np.int32).ravel(), 9 * np.arange(len(requests) + 1), 128)
    requests = replace(requests, blocks=blocks)
    w = law(SLOTS, 150, budget=700, chunk=700)
    result = agree(requests, [0], w, links(), client(prefix_tokens=128), everything=True)
    conserved(result, requests)
    one = result.attempts
    served = slice(len(requests))
    begun, ended = one.joined_s[served], one.finished_s[served]
    beside = [int(((begun <= t) & (ended > t)).sum()) for t in begun]
    assert max(beside) >= 6
    assert result.attempts.hit[served].sum() > 0.9 * 1024 * len(requests)
    assert one.preempted.sum() > 0


def test_a_run_in_parts_is_the_run(busy):
    """What a policy sees between two decisions is a state like any other."""
    w, to, who = law(SLOTS, 700, 30), links(), client()
    whole = simulated(busy, [0, 0], w, to, who, "least_loaded", False)
    shape = Shape(SIZE, SIZE, INSTANCES, SLOTS)
    start = Start(np.zeros(2, np.int32), np.ones(2, bool), np.zeros(2))
    state = initial(busy, start, 1.0, shape)
    for stop in (*np.arange(3.0, 60.0, 3.0), np.inf):
        state = run_quickly(replace(state, stop_s=np.float64(stop)), w, to, who, shape)
    np.testing.assert_array_equal(state.attempts.finished_s, whole.attempts.finished_s)
