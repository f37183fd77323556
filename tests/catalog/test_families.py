"""Families of 2026: published sizes, what a sequence keeps, and how their configs are read."""

import datetime
import json
import math
import subprocess
import sys
from dataclasses import replace

import jax.numpy as jnp
import pytest

from jaxsim.catalog.attention_parameters import latent_of
from jaxsim.catalog.cards import with_images
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_hardware, load_model, read_model_file
from jaxsim.catalog.model import SharedCache
from jaxsim.catalog.parameters import parameters
from jaxsim.catalog.precision import BYTES_PER_ELEMENT, Precision, element_bytes
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.catalog.write import card_text
from jaxsim.point.layer_bytes import kv_bytes_per_gpu
from jaxsim.traffic.simulate.step_times import at_chunk
from jaxsim.view.cli.main import main
from jaxsim.view.files.sweep_config import read_sweep
from tests.catalog.test_config_json import DEEPSEEK, GLM5, LLAMA, QWEN3, QWEN3_MOE, read
from tests.narrow import some, untyped
from tests.view.written import checked_file

# Billions of parameters, and of those active in a token where published.
PUBLISHED = {
    "qwen3.5-397b-a17b": (396.4, None),
    "qwen3.5-122b-a10b": (122.1, None),
    "qwen3.5-35b-a3b": (34.7, None),
    "qwen3.5-27b": (26.9, None),
    "qwen3-next-80b-a3b": (79.7, None),
    "nemotron-3-nano-30b-a3b": (31.6, 3.2),
    "nemotron-3-super-120b-a12b": (120.7, 12.2),
    "nemotron-3-ultra-550b-a55b": (549.3, 55.0),
    "nemotron-h-56b": (56.3, None),
    "kimi-k3": (2779.0, 104.0),
    "deepseek-v4-flash": (284.3, 13.3),
    "deepseek-v4-pro": (1573.0, 48.9),
    "glm-5.2": (743.4, 40.3),
    "minimax-m3": (426.2, 24.7),
    "gemma-4-31b": (30.7, None),
    "gemma-4-26b-a4b": (25.2, 3.8),
    "gemma-3-27b": (27.0, None),
    "mimo-v2-flash": (308.8, None),
    "glm-4.7-flash": (29.9, None),
    "mistral-small-4": (119.0, None),
    "sarvam-105b": (106.0, None),
    "phi-4": (14.7, None),
    "devstral-2-123b": (125.0, None),
    "exaone-4.0-32b": (32.0, None),
    "olmo-3.1-32b": (32.2, None),
    "dbrx": (132.0, 36.0),
}
# Fixed megabytes of a sequence, and kB of each token of context, in 16 bits.
KEPT = {
    "qwen3.5-397b-a17b": (192.0, 30.7),
    "qwen3.5-122b-a10b": (154.0, 24.6),
    "qwen3.5-35b-a3b": (64.0, 20.5),
    "qwen3.5-27b": (154.0, 65.5),
    "qwen3-next-80b-a3b": (77.0, 24.6),
    "nemotron-3-nano-30b-a3b": (49.0, 6.1),
    "nemotron-3-super-120b-a12b": (170.0, 8.2),
    "nemotron-3-ultra-550b-a55b": (408.0, 12.3),
    "kimi-k3": (449.0, 27.6),
    "deepseek-v4-flash": (5.6, 6.9),
    "deepseek-v4-pro": (8.0, 9.9),
    "glm-5.2": (0.0, 95.2),
    "minimax-m3": (0.0, 137.5),
    "gemma-4-31b": (839.0, 82.0),
    "gemma-4-26b-a4b": (210.0, 20.5),
    "mimo-v2-flash": (25.6, 23.0),
    "glm-4.7-flash": (0.0, 54.1),
    "mistral-small-4": (0.0, 23.0),
    "sarvam-105b": (0.0, 36.9),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_those_published(name):
    total, active = PUBLISHED[name]
    result = parameters(load_model(name).model)
    assert float(result.total) / 1e9 == pytest.approx(total, rel=5e-3)
    if active is not None:
        assert float(result.active) / 1e9 == pytest.approx(active, rel=0.02)


@pytest.mark.parametrize("name", KEPT)
def test_a_sequence_keeps_what_its_layers_need(name):
    model, element = load_model(name).model, element_bytes(Precision())

    def kept(context):
        return sum(
            float(group.layers)
            * float(kv_bytes_per_gpu(group.attention, jnp.asarray(context), 1.0, element))
            for group in model.groups
        )

    fixed, each = KEPT[name]
    grown = (kept(4e5) - kept(2e5)) / 2e5
    assert grown / 1e3 == pytest.approx(each, rel=0.02)
    assert (kept(2e5) - 2e5 * grown) / 1e6 == pytest.approx(fixed, rel=0.06, abs=0.3)


# ---- configs -------------------------------------------------------------------------------------

HYBRID = {
    **QWEN3_MOE,
    "architectures": ["Qwen3_5MoeForCausalLM"],
    "model_type": "qwen3_5_moe_text",
    "num_hidden_layers": 8,
    "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 2,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "shared_expert_intermediate_size": 512,
}
BLOCKS = {
    **LLAMA,
    "architectures": ["NemotronHForCausalLM"],
    "model_type": "nemotron_h",
    "num_hidden_layers": 6,
    "hybrid_override_pattern": "ME*EM-",
    "mlp_hidden_act": "relu2",
    "mamba_num_heads": 64,
    "mamba_head_dim": 64,
    "n_groups": 8,
    "ssm_state_size": 128,
    "conv_kernel": 4,
    "n_routed_experts": 128,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 1856,
    "moe_latent_size": 1024,
}
del BLOCKS["hidden_act"]
COMPRESSED = {
    **{key: DEEPSEEK[key] for key in ("vocab_size", "n_routed_experts", "num_experts_per_tok")},
    "architectures": ["DeepseekV4ForCausalLM"],
    "model_type": "deepseek_v4",
    "hidden_size": 4096,
    "num_hidden_layers": 4,
    "num_attention_heads": 64,
    "num_key_value_heads": 1,
    "head_dim": 512,
    "qk_rope_head_dim": 64,
    "q_lora_rank": 1024,
    "o_groups": 8,
    "o_lora_rank": 1024,
    "sliding_window": 128,
    "compress_ratios": [0, 4, 128, 4, 0],
    "index_n_heads": 64,
    "index_head_dim": 128,
    "index_topk": 512,
    "hc_mult": 4,
    "moe_intermediate_size": 2048,
    "n_shared_experts": 1,
    "expert_dtype": "fp4",
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}
SELECTED = {
    **LLAMA,
    "architectures": ["MiniMaxM3ForCausalLM"],
    "model_type": "minimax_m3",
    "sparse_attention_config": {
        "sparse_attention_freq": [0] * 2 + [1] * 30,
        "sparse_num_index_heads": 4,
        "sparse_index_dim": 128,
        "sparse_block_size": 128,
        "sparse_topk_blocks": 16,
    },
}
GEMMA = {
    **LLAMA,
    "architectures": ["Gemma4ForCausalLM"],
    "model_type": "gemma4_text",
    "hidden_act": "gelu_pytorch_tanh",
    "num_hidden_layers": 4,
    "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
    "sliding_window": 1024,
    "head_dim": 256,
    "global_head_dim": 512,
    "num_global_key_value_heads": 2,
    "attention_k_eq_v": True,
}
KIMI = {
    **DEEPSEEK,
    "architectures": ["KimiLinearForCausalLM"],
    "model_type": "kimi_linear",
    "num_hidden_layers": 4,
    "q_lora_rank": None,
    "linear_attn_config": {
        "full_attn_layers": [4],
        "kda_layers": [1, 2, 3],
        "head_dim": 128,
        "num_heads": 32,
        "short_conv_kernel_size": 4,
    },
}
MIMO = {
    **QWEN3_MOE,
    "architectures": ["MiMoV2FlashForCausalLM"],
    "model_type": "mimo_v2_flash",
    "num_hidden_layers": 3,
    "head_dim": 192,
    "v_head_dim": 128,
    "swa_head_dim": 192,
    "swa_v_head_dim": 128,
    "swa_num_key_value_heads": 8,
    "use_sliding_window": True,
    "hybrid_layer_pattern": [0, 1, 1],
}
LIGHTNING = {
    **LLAMA,
    "architectures": ["MiniMaxText01ForCausalLM"],
    "model_type": "minimax_text_01",
    "attn_type_list": [0, 1] * 16,
}
SEARCHED = {
    **{key: LLAMA[key] for key in LLAMA if key not in ("intermediate_size", "num_key_value_heads")},
    "architectures": ["DeciLMForCausalLM"],
    "model_type": "nemotron-nas",
    "num_hidden_layers": 2,
    "block_configs": [
        {"attention": {"n_heads_in_group": 4, "no_op": False}, "ffn": {"ffn_mult": 3.5}},
        {"attention": {"n_heads_in_group": None, "no_op": True}, "ffn": {"no_op": True}},
    ],
}
STEP = {
    **QWEN3_MOE,
    "architectures": ["Step3p5ForCausalLM"],
    "model_type": "step3p5",
    "num_hidden_layers": 2,
    "layer_types": ["full_attention", "sliding_attention"],
    "use_sliding_window": True,
    "num_sliding_attention_heads": 48,
    "mlp_layer_types": ["dense", "sparse"],
    "use_head_wise_attn_gate": True,
}
SHARED = {**GLM5, "indexer_types": ["full", "shared", "shared"] * 26}
# Every layer rotates keys but each fourth; layers share caches in pairs of a kind.
LARGE4 = {
    **GLM5,
    "architectures": ["MistralLarge4ForConditionalGeneration"],
    "model_type": "mistral_large4_text",
    "num_hidden_layers": 8,
    "q_lora_rank": None,
    "first_k_dense_replace": 1,
    "index_topk_freq": 2,
    "index_skip_topk_offset": 1,
    "no_rope_layers": [1, 1, 1, 0] * 2,
    "kv_source_layers": [0, 0, 0, 3, 4, 4, 4, 3],
}
DBRX = {
    "architectures": ["DbrxForCausalLM"],
    "model_type": "dbrx",
    "d_model": 6144,
    "n_heads": 48,
    "n_layers": 40,
    "max_seq_len": 32768,
    "vocab_size": 100352,
    "attn_config": {"kv_n_heads": 8, "clip_qkv": 8},
    "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
}
# Each with the kinds of layer that it gives.
READ = {
    "hybrid": (HYBRID, {("GatedDelta", "MoEFFN"): 6, ("VariedGQA", "MoEFFN"): 2}),
    "blocks": (
        BLOCKS,
        {
            ("Mamba2", "LatentMoEFFN"): 1,
            ("GQA", "LatentMoEFFN"): 1,
            ("Mamba2", "DenseFFN"): 1,
        },
    ),
    "compressed": (COMPRESSED, {("CompressedMQA", "MoEFFN"): 4}),
    "selected": (SELECTED, {("GQA", "DenseFFN"): 2, ("BlockSparseGQA", "DenseFFN"): 30}),
    "gemma": (GEMMA, {("GQA", "DenseFFN"): 3, ("VariedGQA", "DenseFFN"): 1}),
    "kimi": (
        KIMI,
        {("KimiDelta", "DenseFFN"): 3, ("DirectMLA", "MoEFFN"): 1},
    ),
    "mimo": (MIMO, {("VariedGQA", "MoEFFN"): 3}),
    "lightning": (LIGHTNING, {("Lightning", "DenseFFN"): 16, ("GQA", "DenseFFN"): 16}),
    "searched": (SEARCHED, {("GQA", "DenseFFN"): 1, ("NoAttention", "NoFFN"): 1}),
    "step": (STEP, {("VariedGQA", "DenseFFN"): 1, ("VariedGQA", "MoEFFN"): 1}),
    "shared indexer": (
        SHARED,
        {
            ("SparseMLA", "DenseFFN"): 1,
            ("ReusedSparseMLA", "DenseFFN"): 2,
            ("SparseMLA", "MoEFFN"): 25,
            ("ReusedSparseMLA", "MoEFFN"): 50,
        },
    ),
    "shared caches": (
        LARGE4,
        {
            ("SparseMLA", "DenseFFN"): 1,
            ("ReusedSparseMLA", "MoEFFN"): 1,
            ("SparseMLA", "MoEFFN"): 1,
            ("SharedCache", "MoEFFN"): 5,
        },
    ),
    "dbrx": (DBRX, {("GQA", "MoEFFN"): 40}),
}


def kinds(card):
    result: dict[tuple[str, str], float] = {}
    for group in card.model.groups:
        key = (type(group.attention).__name__, type(group.ffn).__name__)
        result[key] = result.get(key, 0.0) + float(group.layers)
    return result


@pytest.mark.parametrize("name", READ)
def test_layers_of_a_config(tmp_path, name):
    config, expected = READ[name]
    assert kinds(read(tmp_path, config)) == expected


def test_numbers_that_only_some_families_have(tmp_path):
    whole = untyped(read(tmp_path, GEMMA).model.groups[1].attention)
    assert (whole.qk_dim, whole.kv_heads) == (512.0, 2.0)
    assert (whole.own_values, whole.window_tokens) == (0.0, math.inf)
    ratios = [untyped(group.attention).ratio for group in read(tmp_path, COMPRESSED).model.groups]
    assert ratios == [math.inf, 4.0, 128.0]
    sliding = untyped(read(tmp_path, STEP).model.groups[1].attention)
    assert (sliding.heads, sliding.gate_dim) == (48.0, 1.0)
    mimo = [untyped(group.attention) for group in read(tmp_path, MIMO).model.groups]
    assert [(kind.v_dim, kind.kv_heads) for kind in mimo] == [(128, 4), (128, 8)]
    moe = untyped(read(tmp_path, BLOCKS).model.groups[0].ffn)
    assert (moe.latent, moe.moe.matrices) == (1024.0, 2.0)
    delta = untyped(read(tmp_path, HYBRID).model.groups[0].attention)
    assert (delta.heads, delta.key_heads, delta.conv_width) == (32.0, 16.0, 4.0)


def test_layers_that_share_a_cache(tmp_path):
    """Which layers own theirs, and what those without one still have of their own."""
    kinds = ["sliding_attention", "full_attention"] * 4
    late = {"num_hidden_layers": 8, "layer_types": kinds, "num_kv_shared_layers": 3}
    groups = read(tmp_path, {**GEMMA, **late}).model.groups
    own = [(untyped(one.attention), float(one.layers)) for one in groups]
    assert [layers for _, layers in own] == [3.0, 2.0, 2.0, 1.0]  # full ones share from layer 5
    assert [getattr(a, "own_cache", 1.0) for a, _ in own] == [1.0, 1.0, 0.0, 0.0]
    pairs = {"architectures": ["HunYuanForCausalLM"], "use_cla": True, "cla_share_factor": 4}
    groups = read(tmp_path, {**LLAMA, **pairs}).model.groups
    assert [float(one.layers) for one in groups] == [8.0, 24.0]
    assert untyped(groups[1].attention).own_cache == 0.0
    shared = {}
    for one in read(tmp_path, LARGE4).model.groups:
        if isinstance(one.attention, SharedCache):
            key = (type(one.attention.own).__name__, float(latent_of(one.attention.own).rope_dim))
            shared[key] = float(one.layers)
    assert shared == {
        ("ReusedSparseMLA", 64.0): 2,
        ("SparseMLA", 64.0): 2,
        ("ReusedSparseMLA", 0.0): 1,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({**LARGE4, "kv_source_layers": [0, 0, 1, 3, 4, 4, 4, 3]}, r"kv_source_layers\[2\] is 1"),
        ({**LARGE4, "kv_source_layers": [0, 0, 5, 3, 4, 4, 4, 3]}, r"kv_source_layers\[2\] is 5"),
        ({**LARGE4, "kv_source_layers": [0, "0", 0, 3, 4, 4, 4, 3]}, r"kv_source_layers\[1\]"),
        ({**LARGE4, "kv_source_layers": [0] * 8}, "no_rope_layers rotates the keys of only one"),
        ({**LARGE4, "index_topk_pattern": "FSX"}, "one letter a layer, F or S"),
        ({**LARGE4, "indexer_types": ["shared"] * 8}, "before any layer that selects"),
        ({**GEMMA, "num_kv_shared_layers": 1}, "no layer of each kind with a cache"),
    ],
)
def test_caches_that_cannot_be_shared_are_refused(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        read(tmp_path, change)


@pytest.mark.parametrize(
    "name", ["blocks", "compressed", "gemma", "kimi", "selected", "shared caches"]
)
def test_a_card_is_written_and_read_again(tmp_path, name):
    card = read(tmp_path, READ[name][0])
    path = tmp_path / "card.toml"
    text = card_text(card, "a test", datetime.date(2026, 1, 2))
    path.write_text(text, encoding="utf-8")
    again = read_model_file(path)
    assert repr(again.model) == repr(card.model)
    assert again.precision == card.precision
    assert again.provenance["model.hidden"].source == "a test"


# ---- formats -------------------------------------------------------------------------------------


def scheme(weights, inputs=None, **more):
    group = {"weights": weights, "input_activations": inputs, "targets": ["Linear"]}
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        **more,
    }


INT4 = {"num_bits": 4, "type": "int", "group_size": 128}
FLOAT8 = {"num_bits": 8, "type": "float"}


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        (scheme({**FLOAT8, "strategy": "block", "block_structure": [128, 128]}, FLOAT8),
         "fp8_block"),
        (scheme(FLOAT8, FLOAT8), "fp8"),
        (scheme(FLOAT8), "fp8_weights"),
        (scheme(INT4), "int4_g128"),
        (scheme({**INT4, "group_size": 32}), "int4"),
        (scheme(INT4, FLOAT8), "int4_fp8"),
        (scheme({"num_bits": 8, "type": "int"}, {"num_bits": 8, "type": "int"}), "int8"),
        (scheme({"num_bits": 8, "type": "int"}), "int8_weights"),
        (scheme({"num_bits": 4, "type": "float", "group_size": 16}, {"num_bits": 4}), "nvfp4"),
        (scheme({"num_bits": 4, "type": "float", "group_size": 16}), "nvfp4_weights"),
        ({"quant_method": "mxfp8"}, "mxfp8"),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8_weights"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}},
          "exclude": ["lm_head"]},
         "fp8"),
        ({"quant_algo": "W4A8_AWQ", "exclude_modules": ["lm_head"]}, "int4_fp8"),
        ({"quant_algo": "NVFP4"}, "nvfp4"),
    ],
)  # fmt: skip
def test_schemes_are_read_as_they_are(tmp_path, quantization, expected):
    precision = read(tmp_path, {**LLAMA, "quantization_config": quantization}).precision
    assert {precision.attention, precision.attention_out, precision.ffn} == {expected}
    assert precision.head == "bf16"


SPELLINGS = (
    "model.layers.{}.self_attn.o_proj",
    "model.language_model.layers.{}.self_attn.o_proj",
    "language_model.model.layers.{}.self_attn.o_proj*",
    "re:.*layers\\.{}\\.self_attn\\.o_proj",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_output_projection_has_a_format_of_its_own(tmp_path, spelling):
    spared = [spelling.format(layer) for layer in range(32)]
    quantization = {"quant_algo": "NVFP4", "exclude_modules": ["lm_head", *spared]}
    precision = read(tmp_path, {**LLAMA, "quantization_config": quantization}).precision
    assert (precision.attention, precision.attention_out) == ("nvfp4", "bf16")
    assert precision.mean_bytes == ()


def test_layers_that_differ_take_their_mean(tmp_path):
    """Two of 32 layers keep their network in 16 bits."""
    spared = [f"model.layers.{layer}.mlp" for layer in (0, 31)]
    quantization = {"quant_algo": "NVFP4", "exclude_modules": ["lm_head", *spared]}
    card = read(tmp_path, {**LLAMA, "quantization_config": quantization})
    assert card.precision.ffn == "nvfp4"
    mean = (30 * BYTES_PER_ELEMENT["nvfp4"] + 2 * 2.0) / 32
    assert dict(card.precision.mean_bytes) == {"ffn": pytest.approx(mean)}
    assert element_bytes(card.precision).ffn == pytest.approx(mean)
    notes = setup_of(card, "b200").notes
    assert any("Layers differ" in note for note in notes)


def test_mixed_precision_by_module(tmp_path):
    algorithms = {"self_attn.q_proj": "FP8", "self_attn.k_proj": "FP8", "self_attn.v_proj": "FP8",
                  "self_attn.o_proj": "FP8", "mlp.gate_proj": "W4A16_NVFP4",
                  "mlp.up_proj": "W4A16_NVFP4", "mlp.down_proj": "W4A16_NVFP4"}  # fmt: skip
    layers = {
        f"model.layers.{layer}.{name}": {"quant_algo": algorithm}
        for layer in range(32)
        for name, algorithm in algorithms.items()
    }
    quantization = {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
    card = read(tmp_path, {**LLAMA, "quantization_config": quantization})
    assert card.precision.attention == card.precision.attention_out == "fp8"
    assert (card.precision.ffn, card.precision.head) == ("nvfp4_weights", "bf16")
    layers["model.layers.3.mlp.up_proj"] = {"quant_algo": "W3A2"}
    with pytest.raises(InputError, match=r"layers\.3\.mlp\.up_proj.*W3A2.*--precision"):
        read(tmp_path, {**LLAMA, "quantization_config": quantization})


def test_fp4_experts_beside_fp8(tmp_path):
    card = read(tmp_path, COMPRESSED)
    assert (card.precision.attention, card.precision.experts) == ("fp8_block", "mxfp4")


def test_a_pattern_of_another_cannot_hang(tmp_path):
    """Such a pattern takes Python's own engine longer than the universe is old."""
    quantization = {"quant_algo": "NVFP4", "ignore": ["re:(.+)+~$", "re:(a*)*~", "lm_head"]}
    precision = read(tmp_path, {**LLAMA, "quantization_config": quantization}).precision
    assert precision.ffn == "nvfp4"
    quantization = {"quant_algo": "NVFP4", "ignore": ["re:(?=a)b"]}
    with pytest.raises(InputError, match="by name or by glob"):
        read(tmp_path, {**LLAMA, "quantization_config": quantization})


def test_the_default_is_the_checkpoint_where_hardware_has_its_arithmetic(tmp_path):
    def chosen(model, hardware):
        return setup_of(model, hardware).precision_name

    assert chosen("llama-3.1-70b", "h200") == "checkpoint"
    assert chosen("deepseek-r1", "gb200-nvl72") == "checkpoint"
    assert chosen("deepseek-r1", "a100") == "bf16"
    assert chosen("gpt-oss-120b", "h200") == "checkpoint"
    fp4 = {**LLAMA, "quantization_config": {"quant_algo": "NVFP4"}}
    card = read(tmp_path, fp4)
    setup = setup_of(card, "h200")
    assert (setup.precision_name, setup.formats["ffn"]) == ("checkpoint", "nvfp4")
    assert any("runs wider" in note for note in setup.notes)
    assert "experts" not in setup.formats
    assert chosen(load_model("nvidia/DeepSeek-R1-FP4"), "h200") == "checkpoint"


# ---- keys and odd values -------------------------------------------------------------------------


def test_a_key_that_may_change_the_structure_is_refused_or_ignored(tmp_path):
    config = {**LLAMA, "num_local_experts": 8, "hidden_dropout": 0.1, "eos_token_id": [1, 2]}
    with pytest.raises(InputError, match=r"num_local_experts .*--ignore-keys num_local_experts"):
        read(tmp_path, {**config, "architectures": ["LlamaForCausalLM"], "extra_layers": None})
    folder = tmp_path / "org" / "A-Model"
    card = load_model(folder, ["num_local_experts"])
    assert card.note == "keys left out: num_local_experts"
    assert any("left out" in note for note in setup_of(card, "h200").notes)
    with pytest.raises(InputError, match="has no key nonsense"):
        load_model(folder, ["nonsense"])
    with pytest.raises(InputError, match=r"config\.json"):
        load_model("llama-3.1-8b", ["nonsense"])


def test_an_unknown_architecture_names_the_nearest_and_what_stands_in_the_way(tmp_path):
    config = {**QWEN3, "architectures": ["Qwen33ForCausalLM"], "fancy_layers": 3}
    message = r"Qwen33ForCausalLM.*nearest supported is Qwen\w+.*fancy_layers.*--ignore-keys"
    with pytest.raises(InputError, match=message):
        read(tmp_path, config)
    card = load_model(tmp_path / "org" / "A-Model", ["architectures", "fancy_layers"])
    assert kinds(card) == {("GQA", "DenseFFN"): 64}


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": ["llama"]},
        {"model_type": {"a": 1}},
        {"num_hidden_layers": 1e30},
        {"num_hidden_layers": 400_000_000},
        {"num_hidden_layers": 2.5},
        {"num_attention_heads": 0.5},
        {"architectures": [["Llama"]]},
        {"architectures": {"a": 1}},
        {"hidden_act": ["silu"]},
        {"layer_types": 3},
        {"sliding_window": "wide"},
        {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": [1]}},
        {"quantization_config": {"config_groups": {"a": {"weights": 3}}, "quant_method": "x"}},
        {"max_position_embeddings": -1},
        {"hidden_size": [4096]},
    ],
)
def test_odd_values_get_a_message(tmp_path, changes):
    with pytest.raises(InputError, match=r".{30}"):
        read(tmp_path, {**LLAMA, **changes})


def test_odd_steps_get_a_message(tmp_path):
    for changes in ({"decoder_sparse_step": 0.5}, {"mlp_only_layers": "all"}):
        with pytest.raises(InputError, match=r"decoder_sparse_step|mlp_only_layers"):
            read(tmp_path, {**QWEN3_MOE, **changes})


# ---- images --------------------------------------------------------------------------------------


def test_encoders_of_images(tmp_path):
    vision = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16,
              "patch_size": 16, "spatial_merge_size": 2}  # fmt: skip
    card = read(tmp_path, {"architectures": ["Qwen3VLForConditionalGeneration"],
                           "text_config": QWEN3, "vision_config": vision})  # fmt: skip
    assert (some(card.encoder).patches, some(card.encoder).tokens) == (4096.0, 1024.0)
    assert card.model.encoders == ()
    assert with_images(card).model.encoders == (card.encoder,)
    with pytest.raises(InputError, match="no encoder"):
        with_images(load_model("llama-3.1-8b"))

    fixed = {**vision, "image_size": 896, "patch_size": 14}
    outer = {"architectures": ["Gemma3ForConditionalGeneration"], "mm_tokens_per_image": 256,
             "text_config": {**GEMMA, "model_type": "gemma3_text", "attention_k_eq_v": None,
                             "global_head_dim": None, "num_global_key_value_heads": None},
             "vision_config": fixed}  # fmt: skip
    own = read(tmp_path, outer).encoder
    assert (some(own).patches, some(own).tokens) == (4096.0, 256.0)


SEES = "qwen3.5-27b"


def test_a_workload_with_images_has_the_encoder_it_needs():
    """In Python as on the command line; a prompt's passes share its images by their tokens."""
    work = Workload(isl=8192.0, osl=128.0, hit_frac=0.25, images=3.0)
    setup = setup_of(SEES, "h200")
    scenario = setup.scenario(work)
    assert scenario.model.encoders == (setup.model.encoder,)
    assert setup.scenario(replace(work, images=0.0)).model.encoders == ()
    parts = [at_chunk(scenario, 2048.0, past).workload.images for past in (2048.0, 4096.0, 6144.0)]
    assert sum(parts) == pytest.approx(3.0)
    with pytest.raises(InputError, match="no encoder for images"):
        setup_of("llama-3.1-8b", "h200").scenario(work)


def test_every_verb_with_a_workload_takes_images(tmp_path, monkeypatch, capsys):
    """Their tokens are added to ISL, but for traffic, whose requests have all tokens."""
    seen: dict[str, object] = {}

    def caught(phase, scenarios, space, isl, osl, **rest):
        seen["search"] = (isl, scenarios[0].workload.images, len(scenarios[0].model.encoders))
        raise InputError("seen")

    monkeypatch.setattr("jaxsim.space.search.search", caught)
    case = [SEES, "--hardware", "h200", "--images", "2"]
    assert main(["search", *case, "--phase", "decode", "--isl", "1000,3000", "--osl", "64"]) == 2
    assert seen["search"] == ((1000.0 + 2048.0, 3000.0 + 2048.0), 2.0, 1)

    def simulated(*given, **keywords):
        seen["traffic"] = keywords["images"]
        raise InputError("seen")

    monkeypatch.setattr("jaxsim.api.simulate.simulate", simulated)
    load = ["--poisson", "1", "--duration", "9s", "--isl", "3000", "--osl", "64"]
    assert main(["traffic", *case, *load, "--ftl", "5s", "--ttl", "50ms"]) == 2
    assert seen["traffic"] == 2.0
    assert capsys.readouterr().err.count("seen") == 2
    path = tmp_path / "sweep.yaml"
    text = "model: qwen3.5-27b\nhardware: h200\nworkload: {isl: 1000, osl: 64, images: 2}\n"
    path.write_text(text)
    asked = read_sweep(path)
    assert (asked.isl, asked.workload.images) == ((3048.0,), 2.0)
    assert len(asked.setup.model.model.encoders) == 1
    for wrong, said in (("2.5", "no whole number"), ("-1", "0 or more")):
        path.write_text(text.replace("images: 2", f"images: {wrong}"))
        with pytest.raises(InputError, match=said):
            read_sweep(path)


def test_import_writes_a_file_that_plans(tmp_path):
    folder = tmp_path / "org" / "A-Model"
    read(tmp_path, READ["gemma"][0])
    out = tmp_path / "mine.toml"
    words = [sys.executable, "-m", "jaxsim", "import", "model", str(folder), "-o", str(out)]
    ran = subprocess.run([*words, "--format", "json"], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["formats"]["ffn"] == "bf16"
    checked_file("model-file", out)
    assert load_model(out).named_formats
    again = tmp_path / "again.toml"
    assert main(["run", str(out), "-o", str(again)]) == 0
    assert again.read_text() == out.read_text()
    assert "#: path: " in again.read_text()
    assert load_hardware("h200").name == "h200"
