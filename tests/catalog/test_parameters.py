"""Parameter counts against those of independent implementations of the same models."""

import jax
import jax.numpy as jnp
import pytest

from jaxsim.catalog.load import list_models, load_model
from jaxsim.catalog.model import (
    GQA,
    AbstractAttention,
    AbstractFFN,
    DenseFFN,
    LayerGroup,
    Model,
    MoEFFN,
)
from jaxsim.catalog.parameters import attention_params, ffn_params, parameters

# Billions: in all, in routed experts, in embedding and head. Counted with Transformers on the meta
# device, without multi-token prediction (text part where there is a vision tower).
COUNTED = {
    "llama-3.1-8b": (8.030, 0.0, 1.051),
    "llama-3.1-70b": (70.554, 0.0, 2.101),
    "llama-3.3-70b": (70.554, 0.0, 2.101),
    "llama-3.1-405b": (405.853, 0.0, 4.203),
    "qwen3-0.6b": (0.596, 0.0, 0.156),
    "qwen3-32b": (32.762, 0.0, 1.556),
    "qwen3-30b-a3b": (30.532, 28.991, 0.622),
    "qwen3-235b-a22b": (235.094, 227.096, 1.245),
    "qwen3-14b": (14.768, 0.0, 1.556),
    "mixtral-8x7b": (46.703, 45.097, 0.262),
    "mixtral-8x22b": (140.621, 135.291, 0.393),
    "gpt-oss-20b": (20.915, 19.117, 1.158),
    "gpt-oss-120b": (116.829, 114.702, 1.158),
    "deepseek-v3": (671.026, 653.909, 1.853),
    "deepseek-r1": (671.026, 653.909, 1.853),
    "deepseek-v3.2": (671.878, 653.909, 1.853),
    "kimi-k2": (1026.408, 1014.686, 2.349),
    "glm-4.5": (352.798, 335.964, 1.552),
    "glm-5": (743.911, 724.776, 1.903),
    "llama-4-scout": (107.770, 96.637, 2.069),
    "llama-4-maverick": (400.712, 386.547, 2.069),
}

# Billions active for a token, as publishers name their models (A3B, A22B, "37B activated").
ACTIVE = {
    "qwen3-30b-a3b": 3.0,
    "qwen3-235b-a22b": 22.0,
    "qwen3-coder-480b": 35.0,
    "deepseek-r1": 37.0,
    "kimi-k2": 32.0,
    "glm-4.5": 32.0,
    "glm-4.5-air": 12.0,
    "gpt-oss-120b": 5.1,
    "gpt-oss-20b": 3.6,
    "llama-4-scout": 17.0,
    "mixtral-8x7b": 12.9,
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_count_is_that_of_an_independent_implementation(name):
    counted = parameters(load_model(name).model)
    result = [counted.total / 1e9, counted.routed_experts / 1e9, counted.embed_and_head / 1e9]
    assert result == pytest.approx(COUNTED[name], rel=1e-3, abs=5e-4)


@pytest.mark.parametrize("name", ACTIVE)
def test_active_parameters_are_near_what_publishers_say(name):
    assert parameters(load_model(name).model).active / 1e9 == pytest.approx(ACTIVE[name], rel=0.08)


@pytest.mark.parametrize("name", list_models())
def test_classes_add_up(name):
    model = load_model(name).model
    counted = parameters(model)
    layers = sum(group.layers for group in model.groups)
    norms = (2 * layers + 1) * model.hidden
    parts = counted.attention + counted.dense_ffn + counted.routed_experts + counted.embed_and_head
    assert float(counted.total) == pytest.approx(float(parts + norms), rel=1e-9)
    assert 0 < counted.active <= counted.total


def _kinds(base):
    below = set(base.__subclasses__())
    return below.union(*(_kinds(kind) for kind in below))


def test_every_kind_of_layer_is_counted():
    for kind in _kinds(AbstractAttention):
        assert attention_params.dispatch(kind) is not attention_params.dispatch(object), kind
    for kind in _kinds(AbstractFFN):
        assert ffn_params.dispatch(kind) is not ffn_params.dispatch(object), kind


def test_a_small_model_by_hand():
    """Hidden 4, two heads of 3, one key/value head, three experts of width 5: counted on paper."""
    attention = GQA(2.0, 1.0, 3.0, float("inf"), 6.0)
    moe = MoEFFN(3.0, 2.0, 5.0, 7.0, 3.0, 3.0)
    model = Model(
        4.0,
        10.0,
        1.0,
        (LayerGroup(attention, moe, 2.0), LayerGroup(attention, DenseFFN(8.0, 2.0), 1.0)),
    )
    per_attention = 4 * 6 + 2 * 4 * 3 + 6 * 4 + 6
    per_moe = 3 * (3 * 4 * 5) + 3 + 3 * 4 * 7 + 4 * 3
    norms = 3 * 2 * 4 + 4
    counted = parameters(model)
    assert counted.total == 3 * per_attention + 2 * per_moe + 2 * 4 * 8 + norms + 10 * 4
    idle = 2 * (3 * 4 * 5 + 1)
    assert counted.active == pytest.approx(counted.total - idle, rel=1e-12)


def test_counts_can_be_traced_stacked_and_differentiated():
    cards = [load_model("llama-3.1-8b").model, load_model("llama-3.1-70b").model]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *cards)
    totals = jax.jit(jax.vmap(parameters))(stacked).total
    assert totals == pytest.approx([8.030e9, 70.554e9], rel=1e-3)
    slope = jax.grad(lambda model: parameters(model).total)(jax.tree.map(jnp.asarray, cards[0]))
    assert slope.groups[0].layers == pytest.approx(218.1e6, rel=1e-3)
