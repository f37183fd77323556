"""Is the work that a layer asks for what the model's own numbers say?"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.load import load_model
from jaxsim.catalog.model import MLA
from jaxsim.catalog.names import list_models
from jaxsim.catalog.parameters import parameters
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.point.attention.kinds import causal_pairs
from jaxsim.point.forward import common_items, context_only_items, decode_only_items
from jaxsim.point.items import ContextTokens, DecodeTokens
from jaxsim.point.phases.decode import tokens_per_step
from jaxsim.point.ranks import busiest_share, ranks_of
from jaxsim.point.routing import active_experts
from jaxsim.point.work import AbstractMessage
from tests.narrow import of
from tests.reference.layers import attended, expected_experts
from tests.scenarios import MODELS, scenario

whole = st.integers(1, 400).map(float)


def flop(items, part=None, name=None) -> float:
    return sum(
        float(item.count * item.work.flop)
        for item in items
        if not isinstance(item.work, AbstractMessage)
        and (part is None or item.part == part)
        and (name is None or item.name == name)
    )


def gemm_flop(items) -> float:
    return sum(flop(items, part) for part in ("projections", "ffn", "experts", "head"))


# ---- closed forms against counting ----


@given(queries=whole, past=st.integers(0, 900).map(float), limit=st.integers(1, 900).map(float))
def test_causal_pairs_are_counted_right(queries, past, limit):
    assert float(causal_pairs(queries, past, limit)) == attended(queries, past, limit)
    assert float(causal_pairs(queries, past, math.inf)) == attended(queries, past, math.inf)


@given(
    experts=st.integers(9, 512).map(float),
    tokens=st.floats(1, 1e6),
    variance=st.sampled_from([0.0, 0.01, 1.0]),
)
def test_distinct_experts_run_from_topk_to_all(experts, tokens, variance):
    topk = 8.0
    result = float(active_experts(experts, topk, tokens, variance))
    assert result == pytest.approx(expected_experts(experts, topk, tokens, variance), rel=1e-9)
    assert topk * (1 - 1e-9) <= result <= min(experts, topk * tokens) * (1 + 1e-9)
    assert result <= float(active_experts(experts, topk, tokens)) * (1 + 1e-9)
    assert float(active_experts(experts, topk, 1.0, variance)) == pytest.approx(topk)
    assert float(active_experts(experts, topk, 1e12, variance)) == pytest.approx(experts, rel=1e-6)
    assert float(active_experts(experts, topk, tokens * 1.5, variance)) >= result


@given(drafts=st.integers(0, 8), accept=st.floats(0, 1))
def test_speculation_yields_the_accepted_and_one(drafts, accept):
    expected = sum(accept**k for k in range(drafts + 1))
    assert float(tokens_per_step(float(drafts), accept)) == pytest.approx(expected, rel=1e-4)


@given(layers=st.integers(1, 126), stages=st.integers(1, 64))
def test_the_busiest_stage_holds_the_whole_layers_of_its_share(layers, stages):
    share = float(busiest_share(float(layers), float(stages)))
    assert share * layers == pytest.approx(math.ceil(layers / stages))


@given(tp=st.sampled_from([1, 2, 4, 8, 16]), ep=st.sampled_from([1, 2, 4, 8, 16]))
def test_widths_of_a_stage(tp, ep):
    ranks = ranks_of(Deployment(tp=float(tp), ep=float(ep), pp=3.0, batch=1.0, chunk=1.0))
    assert float(ranks.attention_dp) * tp == float(ranks.width) == max(tp, ep)
    assert float(ranks.expert_tp) * ep == float(ranks.width)
    assert float(ranks.gpus) == 3 * max(tp, ep)


# ---- flop against parameters ----


def decoded(s, sequences=1.0, context=0.0):
    ranks = ranks_of(s.design)
    rows = sequences
    tokens = DecodeTokens(sequences, 1.0, context)
    return common_items(s, ranks, rows, rows, rows * ranks.attention_dp) + decode_only_items(
        s, ranks, tokens
    )


@pytest.mark.parametrize("name", list_models())
def test_a_token_costs_two_flop_for_every_active_parameter(name):
    s = setup_of(name, "gb200-nvl72").scenario(Workload(isl=1.0, osl=2.0))
    assert gemm_flop(decoded(s)) == pytest.approx(2 * float(parameters(s.model).active), rel=0.01)


@pytest.mark.parametrize("model", MODELS)
def test_prefill_and_decode_do_the_same_to_a_token(model):
    """Whichever way a latent is unfolded, each weight meets each token once."""
    s = scenario(model, tp=1.0)
    ranks = ranks_of(s.design)
    prompt = ContextTokens(1.0, 256.0, 0.0, 0.0)
    items = common_items(s, ranks, 256.0, 256.0, 256.0 * ranks.attention_dp) + context_only_items(
        s, ranks, prompt
    )
    assert gemm_flop(items) == pytest.approx(256 * gemm_flop(decoded(s)), rel=1e-6)


@pytest.mark.parametrize("model", ["gqa_dense", "mla_moe", "gqa_moe"])
def test_tensor_parallel_ranks_share_the_flop(model):
    """All ranks together do what one would, but for what each does whole.

    Router and latent down-projections are done by every rank.
    """
    alone, split = scenario(model, tp=1.0), scenario(model, tp=8.0)
    whole_on_each = {"router", "qkv_down"}

    def shared(s):
        items = [item for item in decoded(s, 64.0, 4096.0) if item.name not in whole_on_each]
        return flop(items) * float(ranks_of(s.design).width)

    assert shared(split) == pytest.approx(shared(alone), rel=1e-9)


def test_expert_parallel_ranks_share_the_experts():
    """However a stage of eight is cut, its GPUs together multiply each token copy once.

    The busiest of them has more than its share of few tokens, and its share of many.
    """
    few, many = [], []
    for tp, ep in ((8.0, 1.0), (8.0, 8.0), (1.0, 8.0), (2.0, 8.0), (8.0, 2.0)):
        s = scenario("mla_moe", tp=tp, ep=ep)
        ranks = float(ranks_of(s.design).attention_dp)
        few.append(8 * flop(decoded(s, 64.0 / ranks, 100.0), name="experts"))
        many.append(8 * flop(decoded(s, 64e9 / ranks, 100.0), name="experts"))
    np.testing.assert_allclose(many, many[0], rtol=1e-4)
    assert few[0] == pytest.approx(many[0] / 1e9)
    assert all(one > 1.02 * few[0] for one in few[1:])


# ---- the study's latent attention ----


@pytest.mark.parametrize(("chunk", "overhead"), [(2048, 0.10), (512, 0.43), (256, 0.88)])
def test_projecting_earlier_latents_again_costs_what_the_study_says(chunk, overhead):
    """(C - 1)/2 · 2.05 GFLOP a token of DeepSeek-R1 at 16k, over its GEMM work."""
    isl = 16384.0
    s = setup_of("deepseek-r1", "gb200-nvl72").scenario(Workload(isl=isl, osl=2.0))
    ranks, chunks = ranks_of(s.design), int(isl / chunk)

    def all_chunks(projects: float) -> float:
        pasts = [float(k * chunk) for k in range(chunks)]
        tokens = [ContextTokens(1.0, float(chunk), past, past * projects) for past in pasts]
        return sum(flop(context_only_items(s, ranks, own)) for own in tokens)

    per_token = (all_chunks(1.0) - all_chunks(0.0)) / isl
    assert per_token == pytest.approx((chunks - 1) / 2 * 2.05e9, rel=0.002)
    assert per_token / gemm_flop(decoded(s)) == pytest.approx(overhead, abs=0.02)


def test_kept_keys_and_values_are_not_projected_again():
    s = scenario("mla_moe")
    kept = context_only_items(s, ranks_of(s.design), ContextTokens(1.0, 512.0, 4096.0, 0.0))
    first = context_only_items(s, ranks_of(s.design), ContextTokens(1.0, 512.0, 0.0, 0.0))
    assert flop(kept, name="kv_up") == flop(first, name="kv_up")


def test_the_catalogue_names_deepseek_r1_as_the_study_does():
    attention = of(MLA, load_model("deepseek-r1").model.groups[0].attention)
    assert (attention.kv_rank + attention.rope_dim) == 576
