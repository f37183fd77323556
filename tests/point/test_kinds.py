"""Kinds of layer beside plain grouped and latent attention: work, weights and caches."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim._record import replace_leaf
from jaxsim.catalog.attention_parameters import attention_params
from jaxsim.catalog.model import (
    GQA,
    MLA,
    AbstractAttention,
    AbstractFFN,
    AbstractRecurrent,
    BlockSparseGQA,
    CompressedMQA,
    DenseFFN,
    DirectMLA,
    GatedDelta,
    GatedMLA,
    KimiDelta,
    LatentMoEFFN,
    LayerGroup,
    Lightning,
    Mamba2,
    Model,
    MoEFFN,
    NoAttention,
    NoFFN,
    ReusedSparseMLA,
    SharedCache,
    SparseMLA,
    VariedGQA,
    core_of,
)
from jaxsim.catalog.parameters import ffn_params
from jaxsim.catalog.precision import ElementBytes
from jaxsim.point.attention.kinds import context_items, decode_items, projection_items
from jaxsim.point.ffn import FFNTokens, ffn_items
from jaxsim.point.footprint import ffn_weight_bytes
from jaxsim.point.items import ContextTokens, DecodeTokens
from jaxsim.point.layer_bytes import attention_weight_bytes, kv_bytes_per_gpu
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import chunks_of, prefill
from jaxsim.point.ranks import Ranks
from jaxsim.point.selected import SelectedAttention
from jaxsim.point.transfer import cached_bytes, distinct_shards
from jaxsim.space.program.interpret import at_many
from tests.narrow import untyped
from tests.reference import kinds as reference
from tests.scenarios import DENSE, EXPERTS, GROUPED, LATENT, SPARSE, scenario

HIDDEN = 4096.0
ONE = ElementBytes(**dict.fromkeys(ElementBytes.__dataclass_fields__, 1.0))
KV = replace_leaf(lambda e: (e.kv, e.wide), ONE, (1.25, 2.0))

VARIED = VariedGQA(32.0, 8.0, 192.0, 128.0, 512.0, 0.0, 128.0, 1.0, 1.0)
DIRECT = DirectMLA(32.0, 512.0, 128.0, 64.0, 128.0)
BLOCKS = BlockSparseGQA(replace_leaf(lambda g: g.bias_params, GROUPED, 0.0), 4.0, 128.0, 128.0, 4.0)
SELECTED = CompressedMQA(64.0, 512.0, 1024.0, 128.0, 4.0, 256.0, 64.0, 128.0, 8.0, 1024.0, 4.0)
WHOLE = CompressedMQA(64.0, 512.0, 1024.0, 128.0, 128.0, math.inf, 0.0, 0.0, 8.0, 1024.0, 4.0)
WINDOW = CompressedMQA(64.0, 512.0, 1024.0, 128.0, math.inf, math.inf, 0.0, 0.0, 8.0, 1024.0, 1.0)
DELTA = GatedDelta(32.0, 16.0, 128.0, 128.0, 4.0)
MAMBA = Mamba2(64.0, 8.0, 128.0, 64.0, 4.0)
KIMI = KimiDelta(32.0, 32.0, 128.0, 128.0, 4.0, 128.0, 0.0)
FAST = Lightning(64.0, 64.0, 128.0, 128.0, 1.0)
ATTENTION = {
    "varied": VARIED,
    "keys are values": replace_leaf(lambda a: (a.own_values, a.v_dim), VARIED, (0.0, 192.0)),
    "another layer's cache": replace_leaf(lambda a: a.own_cache, VARIED, 0.0),
    "direct": DIRECT,
    "gated": GatedMLA(LATENT),
    "reused": ReusedSparseMLA(LATENT, 2048.0),
    "selected without a rank": SparseMLA(DIRECT, 32.0, 128.0, 2048.0),
    "another layer's latents": SharedCache(LATENT),
    "another layer's latents, without a rank": SharedCache(DIRECT),
    "another layer's latents and selection": SharedCache(ReusedSparseMLA(DIRECT, 2048.0)),
    "another layer's latents, selected": SharedCache(SparseMLA(LATENT, 32.0, 128.0, 2048.0)),
    "blocks": BLOCKS,
    "selected": SELECTED,
    "whole": WHOLE,
    "window": WINDOW,
    "delta": DELTA,
    "mamba": MAMBA,
    "kimi": KIMI,
    "lightning": FAST,
    "none": NoAttention(),
}
FFN = {"latent": LatentMoEFFN(EXPERTS, 1024.0), "none": NoFFN()}
FLOP_PER_STATE = {GatedDelta: 7, KimiDelta: 7, Mamba2: 5, Lightning: 5}
CHUNK = {GatedDelta: 64, KimiDelta: 64, Mamba2: 128, Lightning: 256}
PRODUCTS = {GatedDelta: 2, KimiDelta: 2, Mamba2: 1, Lightning: 1}


def ranks(tp=1.0, ep=1.0):
    width = max(tp, ep)
    return Ranks(*(jnp.asarray(x) for x in (width, tp, ep, 1.0, width / tp, width / ep)))


def flop(items, *names):
    chosen = [item for item in items if not names or item.name in names]
    return sum(float(item.count * item.work.flop) for item in chosen)


def moved(items, *names):
    chosen = [item for item in items if not names or item.name in names]
    return sum(float(item.count * item.work.hbm_bytes) for item in chosen)


def test_every_kind_is_tried_somewhere():
    def concrete(base):
        below = base.__subclasses__()
        own = {kind for kind in below if not kind.__name__.startswith("Abstract")}
        return own.union(*(concrete(kind) for kind in below))

    tried = {type(a) for a in (*ATTENTION.values(), GROUPED, LATENT, SPARSE)}
    assert tried == concrete(AbstractAttention)
    assert {type(f) for f in (*FFN.values(), DENSE, EXPERTS)} == concrete(AbstractFFN)
    assert {GQA, MLA, SparseMLA, DenseFFN, MoEFFN} & tried


@pytest.mark.parametrize("name", ATTENTION)
def test_a_token_is_multiplied_with_every_parameter_once(name):
    """But with biases, norms, convolutions, decays, mixes of streams; and a latent's up-projection,
    which decoding absorbs."""
    attention = ATTENTION[name]
    own = attention_params(attention, jnp.asarray(HIDDEN))
    counted = flop(projection_items(attention, HIDDEN, 1.0, ranks(), ONE)) / 2.0
    expected = float(own.total - own.kv_up)
    small = 0.012 * expected if isinstance(attention, AbstractRecurrent) else 300.0
    if isinstance(attention, CompressedMQA):
        small = 4000.0
        if attention.streams > 1.0:
            expected -= 2.0 * attention.streams**2 * (attention.streams + 2.0) * HIDDEN
    if isinstance(core_of(attention), MLA | DirectMLA):
        small = 3000.0
        if isinstance(getattr(attention, "latent", None), DirectMLA):
            expected -= 2.0 * HIDDEN  # the norm before the indexer
    assert counted == pytest.approx(expected, abs=small)


@pytest.mark.parametrize("name", ATTENTION)
def test_weights_on_one_gpu_are_all_parameters_and_split_over_heads(name):
    attention = ATTENTION[name]
    own = attention_params(attention, jnp.asarray(HIDDEN))
    alone = float(attention_weight_bytes(attention, HIDDEN, 1.0, ONE))
    assert alone == pytest.approx(float(own.total), rel=2e-3, abs=1.0)
    shared = float(attention_weight_bytes(attention, HIDDEN, 4.0, ONE))
    split = float(own.by_head + own.by_kv_head) / 4.0 + float(own.replicated)
    assert shared == pytest.approx(split, rel=2e-3, abs=1.0)


@pytest.mark.parametrize("context", [100.0, 5000.0])
def test_decoded_tokens_look_back_as_counted(context):
    batch = 3.0
    tokens = DecodeTokens(batch, 1.0, context)
    for attention, counted in (
        (VARIED, reference.grouped_decode),
        (BLOCKS, reference.blocks_decode),
        (SELECTED, reference.compressed_decode),
        (WHOLE, reference.compressed_decode),
        (WINDOW, reference.compressed_decode),
        (ReusedSparseMLA(LATENT, 2048.0), reference.selected_decode),
        (SharedCache(ReusedSparseMLA(DIRECT, 2048.0)), reference.selected_decode),
    ):
        items = decode_items(attention, tokens, ranks(), KV)
        expected_flop, expected_bytes = counted(attention, batch, context, KV.kv)
        assert flop(items, "decode_attention") == pytest.approx(expected_flop, rel=1e-5)
        (work,) = [untyped(item.work) for item in items if item.name == "decode_attention"]
        read = float(work.hbm_bytes)
        if isinstance(work, SelectedAttention):
            read -= float(work.query_elements) * KV.wide
        assert read == pytest.approx(expected_bytes, rel=1e-5)


@pytest.mark.parametrize("past", [0.0, 3000.0])
def test_prompts_look_back_as_counted(past):
    queries = 300
    tokens = ContextTokens(2.0, float(queries), past, past)
    for attention, counted in (
        (VARIED, reference.grouped_context),
        (BLOCKS, reference.blocks_context),
        (SELECTED, reference.compressed_context),
        (WHOLE, reference.compressed_context),
        (WINDOW, reference.compressed_context),
    ):
        items = context_items(attention, tokens, ranks(), KV)
        assert flop(items) == pytest.approx(2.0 * counted(attention, queries, past), rel=2e-3)


@pytest.mark.parametrize("name", ["delta", "mamba", "kimi", "lightning"])
def test_states_are_passed_as_counted(name):
    attention = ATTENTION[name]
    kind = type(attention)
    per_state = FLOP_PER_STATE[kind]
    tokens = DecodeTokens(5.0, 2.0, 1e4)
    items = decode_items(attention, tokens, ranks(), KV)
    (work,) = [untyped(item.work) for item in items if item.name == "state_step"]
    expected_flop, expected_bytes = reference.step(attention, per_state, 5, 2)
    assert float(work.flop) == pytest.approx(expected_flop)
    assert float(work.hbm_bytes - work.token_bytes) == pytest.approx(expected_bytes)
    assert float(work.token_bytes) < 0.1 * expected_bytes
    chunk, products = CHUNK[kind], PRODUCTS[kind]
    prompt = ContextTokens(1.0, 4.0 * chunk, 1e4, 0.0)
    (scan,) = [
        untyped(item.work)
        for item in context_items(attention, prompt, ranks(), KV)
        if item.name == "state_scan"
    ]
    counted = reference.scan(attention, per_state, chunk, products, 4 * chunk)
    assert float(scan.flop) == pytest.approx(counted)
    held = reference.held_bytes(kind.__name__, attention)
    for context in (1.0, 1e6):
        own = kv_bytes_per_gpu(attention, jnp.asarray(context), 1.0, KV)
        assert float(own) == pytest.approx(held)
    assert float(cached_bytes(attention, jnp.asarray(1e6), KV)) == pytest.approx(held)
    assert float(distinct_shards(attention, jnp.asarray(4.0))) == 4.0
    # Queries and keys of fewer heads than ranks are on several.
    split = float(kv_bytes_per_gpu(attention, jnp.asarray(1.0), 4.0, KV))
    assert split == pytest.approx(held / 4.0)


def test_what_is_cached_of_a_token():
    def more(attention):
        long, short = (
            float(kv_bytes_per_gpu(attention, jnp.asarray(c), 1.0, ONE)) for c in (2e4, 1e4)
        )
        return (long - short) / 1e4

    assert more(replace_leaf(lambda a: a.window_tokens, VARIED, math.inf)) == 8 * (192 + 128)
    assert more(VARIED) == 0.0
    assert more(ATTENTION["another layer's cache"]) == 0.0
    assert more(DIRECT) == more(GatedMLA(LATENT)) == more(ReusedSparseMLA(LATENT, 64.0)) == 576
    for shared in (LATENT, DIRECT, ReusedSparseMLA(DIRECT, 64.0)):
        assert more(SharedCache(shared)) == 0.0
    assert more(SharedCache(SparseMLA(DIRECT, 32.0, 128.0, 64.0))) == 128
    assert more(BLOCKS) == 2 * 8 * 128 + 128
    assert more(SELECTED) == pytest.approx((512 + 128) / 4)
    assert more(WHOLE) == pytest.approx(512 / 128)
    assert more(WINDOW) == 0.0
    at_once = float(kv_bytes_per_gpu(WINDOW, jnp.asarray(1e6), 1.0, ONE))
    assert at_once == 128 * 512


def test_experts_of_a_latent():
    """As narrower experts, and two projections; the router and shared experts are as before."""
    own = ffn_params(FFN["latent"], jnp.asarray(HIDDEN))
    narrow = ffn_params(EXPERTS, jnp.asarray(1024.0))
    wide = ffn_params(EXPERTS, jnp.asarray(HIDDEN))
    assert float(own.per_expert) == float(narrow.per_expert)
    assert float(own.router) == float(wide.router)
    assert float(own.dense) == float(wide.dense) + 2 * 1024 * HIDDEN
    bytes_ = float(ffn_weight_bytes(FFN["latent"], HIDDEN, ranks(), ONE))
    assert bytes_ == pytest.approx(float(own.total) - EXPERTS.bias_params, rel=1e-6)
    items = ffn_items(FFN["latent"], HIDDEN, FFNTokens(8.0, 8.0), ranks(), ONE)
    (experts,) = [untyped(item.work) for item in items if item.name == "experts"]
    assert float(experts.hidden) == 1024.0
    down_and_up = flop(items, "latent_down", "latent_up")
    assert down_and_up == pytest.approx(8 * 2 * 2 * 1024 * HIDDEN)
    apart = ffn_items(FFN["latent"], HIDDEN, FFNTokens(8.0, 64.0), ranks(1.0, 8.0), ONE)
    whole = ffn_items(EXPERTS, HIDDEN, FFNTokens(8.0, 64.0), ranks(1.0, 8.0), ONE)
    sent = [
        next(float(untyped(i.work).data_bytes) for i in items if i.name == "dispatch")
        for items in (apart, whole)
    ]
    assert sent[0] / sent[1] == pytest.approx(1024.0 / HIDDEN)


def _layers(*attentions) -> Model:
    """One layer of each, two with networks of their own kinds."""
    ffns = [FFN["latent"], DENSE, *[NoFFN()] * len(attentions)]
    pairs = zip(attentions, ffns, strict=False)
    groups = tuple(LayerGroup(attention, ffn, 2.0) for attention, ffn in pairs)
    return Model(hidden=4096.0, vocab=128256.0, tied=0.0, groups=groups)


HYBRIDS = {
    decode: _layers(DELTA, KIMI, VARIED, DIRECT, BLOCKS, SELECTED, NoAttention()),
    prefill: _layers(
        MAMBA,
        KIMI,
        GatedMLA(LATENT),
        BLOCKS,
        SELECTED,
        ReusedSparseMLA(LATENT, 99.0),
        SharedCache(SparseMLA(DIRECT, 32.0, 128.0, 99.0)),
    ),
}


@pytest.mark.parametrize("phase", [decode, prefill])
def test_all_kinds_together_are_finite_monotone_and_have_gradients(phase):
    """More context or batch is never faster, more bandwidth never slower."""
    base = replace(scenario("gqa_dense", tp=4.0, batch=32.0), model=HYBRIDS[phase])

    def seconds(context, batch, bandwidth):
        chosen = replace_leaf(
            lambda s: (s.workload.isl, s.design.batch, s.hardware.chip.hbm_bytes_per_s),
            base,
            (context, batch, bandwidth),
        )
        return phase(chosen).parts.total_s

    # In NumPy: compiling takes four times as long as tracing.
    points = tuple(np.array(x) for x in ((500.0, 20000.0), (8.0, 64.0), (8e12, 8e12)))
    grad = jax.value_and_grad(seconds, (0, 1, 2))
    value, (by_context, by_batch, by_bandwidth) = at_many(lambda own: grad(*own), points)
    for numbers in (value, by_context, by_batch, by_bandwidth):
        assert numbers.shape == (2,)
        assert np.isfinite(numbers).all()
    assert (by_context >= 0.0).all()
    assert (by_batch >= -1e-12).all()
    assert (by_bandwidth <= 0.0).all()


def test_a_prefix_of_a_recurrent_model_ends_at_a_snapshot():
    for model, expected in (("delta", 4096.0), ("varied", 4915.2)):
        own = Model(4096.0, 1e5, 0.0, (LayerGroup(ATTENTION[model], DENSE, 2.0),))
        base = replace(scenario("gqa_dense", isl=8192.0, hit_frac=0.6), model=own)
        chunks = chunks_of(base)
        assert float(chunks.cached) == pytest.approx(expected)
        assert float(chunks.cached + chunks.count * chunks.tokens) == pytest.approx(8192.0)


SELECTING = {
    "blocks": (BLOCKS, BLOCKS.block_tokens * BLOCKS.topk_blocks),
    "latents": (SparseMLA(LATENT, 32.0, 128.0, 2048.0), 2048.0),
    "entries": (SELECTED, SELECTED.ratio * SELECTED.index_topk),
}


@pytest.mark.parametrize("name", SELECTING)
def test_layers_select_only_where_there_is_more_than_they_choose(name):
    """Scores of everything earlier; then no more keys, however long the context."""
    attention, chosen = SELECTING[name]

    def work(context):
        items = decode_items(attention, DecodeTokens(2.0, 1.0, context), ranks(), KV)
        (own,) = [untyped(item.work) for item in items if item.name == "decode_attention"]
        return own

    at, beyond, far = work(chosen), work(chosen + 64.0), work(8.0 * chosen)
    assert (float(at.selects), float(beyond.selects), float(far.selects)) == (0.0, 1.0, 1.0)
    assert float(far.pairs) == pytest.approx(float(beyond.pairs))
    assert float(far.scored) == pytest.approx(8.0 * float(at.scored))
    assert float(far.index_flop) > 0.0
    # A prompt's first queries have fewer keys than there are slots for.
    (item,) = [
        item
        for item in context_items(
            attention, ContextTokens(1.0, 2.0 * chosen, 0.0, 0.0), ranks(), KV
        )
        if item.name == "context_attention"
    ]
    own = untyped(item.work)
    assert 0.0 < float(own.missing) < 1.0
    assert float(own.keys) <= float(own.pairs)


def test_layers_without_an_indexer_score_nothing():
    for attention in (WHOLE, WINDOW, ReusedSparseMLA(LATENT, 2048.0)):
        items = decode_items(attention, DecodeTokens(2.0, 1.0, 1e5), ranks(), KV)
        (own,) = [untyped(item.work) for item in items if item.name == "decode_attention"]
        for value in (own.index_flop, own.index_bytes, own.indexes, own.selects, own.missing):
            assert float(value) == 0.0
