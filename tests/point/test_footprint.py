"""Does memory hold every layer's weights and cache, and what a pass needs?"""

import dataclasses
import math

import jax
import numpy as np
import pytest

from jaxsim.catalog.model import DenseFFN
from jaxsim.catalog.parameters import parameters
from jaxsim.point.footprint import memory_of, weights_bytes_of
from jaxsim.point.forward import layers_of
from jaxsim.point.phases.colocated import colocated
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from jaxsim.point.ranks import ranks_of
from tests.narrow import of
from tests.point._against import MODELS, evaluated
from tests.reference import memory as reference
from tests.reference import phases
from tests.reference.layers import data_parallel
from tests.scenarios import ELEMENT, PLAIN_ENGINE, scenario


@pytest.mark.parametrize("model", MODELS)
def test_decode_holds_what_a_plain_count_gives(model):
    scenarios, got = evaluated(decode, model, 40, 1, True)
    for i, s in enumerate(scenarios):
        held = max(math.ceil(s.design.batch / data_parallel(s)), 1)
        context = s.workload.isl + s.workload.osl + s.workload.draft_tokens
        busiest = phases.busiest_stage_layers(s)
        weights = reference.weights_bytes(s, busiest)
        cache = reference.cache_bytes(s, held, context, busiest)
        np.testing.assert_allclose(got.memory.weights_bytes[i], weights, rtol=1e-9)
        np.testing.assert_allclose(got.memory.kv_bytes[i], cache, rtol=1e-9)
        reserve = s.engine.reserve_frac * s.hardware.chip.hbm_bytes
        total = weights + cache + got.memory.activation_bytes[i] + reserve
        np.testing.assert_allclose(got.memory.total_bytes[i], total, rtol=1e-9)
        assert got.rules.fits_memory[i] == (total <= s.hardware.chip.hbm_bytes)
        over = max(total - s.hardware.chip.hbm_bytes, 0)
        np.testing.assert_allclose(got.memory.over_bytes[i], over, rtol=1e-6, atol=1.0)


@pytest.mark.parametrize("model", MODELS)
def test_one_gpu_holds_every_parameter(model):
    """With one byte an element, weights are the parameter count, norms and router biases aside."""
    one = jax.tree.map(lambda _: 1.0, ELEMENT)
    s = dataclasses.replace(scenario(model, tp=1.0), element=one)
    counted = float(weights_bytes_of(s, ranks_of(s.design)))
    assert counted == pytest.approx(float(parameters(s.model).total), rel=2e-4)


@pytest.mark.parametrize("model", ["gqa_moe", "mla_moe"])
@pytest.mark.parametrize(("tp", "ep"), [(8, 8), (1, 8), (2, 8), (8, 2), (8, 1)])
def test_the_experts_of_a_stage_are_held_once(model, tp, ep):
    """However a stage is cut, all its GPUs together hold each routed expert once."""
    one = jax.tree.map(lambda _: 0.0, ELEMENT)
    one = dataclasses.replace(one, experts=1.0)
    s = dataclasses.replace(scenario(model, tp=float(tp), ep=float(ep)), element=one)
    ranks = ranks_of(s.design)
    stage = float(weights_bytes_of(s, ranks)) * float(ranks.width)
    assert stage == pytest.approx(float(parameters(s.model).routed_experts), rel=1e-5)


def test_a_latent_cache_is_576_elements_a_token_and_layer_on_every_rank():
    for tp in (1.0, 8.0):
        s = scenario("mla_moe", tp=tp, ep=8.0, batch=1.0, isl=8192.0, osl=1.0)
        memory = decode(s).memory
        expected = 576 * 24 * ELEMENT.kv * 8193
        assert float(memory.kv_bytes) == pytest.approx(expected, rel=1e-9)


def test_key_value_heads_are_split_over_their_number_and_copied_beyond():
    def kv(tp):
        s = scenario("gqa_dense", tp=tp, batch=1.0)
        return float(decode(s).memory.kv_bytes)

    assert kv(1.0) == pytest.approx(8 * kv(8.0))
    assert kv(32.0) == pytest.approx(kv(8.0))


def _projected(s, tokens):
    arguments = {"sequences": 0.0, "context": 0.0, "rows": 0.0, "head_rows": 0.0}
    with_them = memory_of(s, ranks_of(s.design), **arguments, projected=tokens)
    without = memory_of(s, ranks_of(s.design), **arguments, projected=0.0)
    return float(with_them.activation_bytes - without.activation_bytes)


def test_up_projected_keys_and_values_are_those_of_one_layer_unless_kept():
    """One layer runs at a time, whatever its kind; kept ones stay for all layers of the stage."""
    once = 32 * (128 + 64 + 128) * ELEMENT.wide * 1e4
    s = scenario("mla_moe", tp=1.0, ep=1.0)
    assert _projected(s, 1e4) == pytest.approx(once, rel=1e-9)
    kept = dataclasses.replace(s.options, keep_up_projected=1.0)
    s = dataclasses.replace(s, options=kept)
    assert _projected(s, 1e4) == pytest.approx(float(layers_of(s)) * once, rel=1e-9)
    assert _projected(scenario("gqa_dense", tp=1.0), 1e4) == 0.0


@pytest.mark.parametrize("tp", [1.0, 8.0])
def test_activations_hold_what_lies_between_the_products_of_a_network(tp):
    """Gate, up and their product of the widest layer, split over tp; beside the hidden copies."""
    s = scenario("gqa_dense", tp=tp, ep=1.0)
    dense = [of(DenseFFN, group.ffn) for group in s.model.groups]
    arguments = {"sequences": 0.0, "context": 0.0, "head_rows": 0.0, "projected": 0.0}
    result = memory_of(s, ranks_of(s.design), rows=1000.0, **arguments).activation_bytes
    widest = max(float(ffn.intermediate * ffn.matrices) for ffn in dense)
    hidden = 4 * float(s.model.hidden)
    assert float(result) == pytest.approx(1000 * (hidden + widest / tp) * float(ELEMENT.wide))


@pytest.mark.parametrize("phase", [prefill, decode, colocated])
def test_more_of_anything_needs_more_memory(phase):
    def total(**changes):
        s = scenario("mla_moe", tp=4.0, ep=4.0, engine=PLAIN_ENGINE, **changes)
        return float(phase(s).memory.total_bytes)

    base = total()
    assert total(batch=64.0) > base
    assert total(isl=16384.0) > base
    if phase is not decode:
        assert total(chunk=4096.0) > base
    if phase is not prefill:
        assert total(osl=4096.0) > base
