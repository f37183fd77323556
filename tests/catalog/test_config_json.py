"""Hugging Face configs: every architecture, its traps, its quantisation, and what is refused."""

import json
import math

import jax
import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_model
from jaxsim.catalog.model import GQA, MLA, DenseFFN, MoEFFN, SparseMLA
from jaxsim.catalog.parameters import parameters
from tests.narrow import of

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "hidden_act": "silu",
}
QWEN3 = {
    **LLAMA,
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 5120,
    "num_hidden_layers": 64,
    "num_attention_heads": 64,
    "head_dim": 128,
    "intermediate_size": 25600,
    "vocab_size": 151936,
    "sliding_window": 4096,
    "use_sliding_window": False,
    "max_window_layers": 64,
}
QWEN3_MOE = {
    **QWEN3,
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "intermediate_size": 6144,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}
MIXTRAL = {
    **LLAMA,
    "architectures": ["MixtralForCausalLM"],
    "model_type": "mixtral",
    "vocab_size": 32000,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "sliding_window": None,
}
GPT_OSS = {
    **LLAMA,
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "hidden_size": 2880,
    "num_hidden_layers": 24,
    "num_attention_heads": 64,
    "head_dim": 64,
    "intermediate_size": 2880,
    "vocab_size": 201088,
    "num_local_experts": 32,
    "experts_per_token": 4,
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "attention_bias": True,
    "quantization_config": {
        "quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.embed_tokens", "lm_head"],
    },
}
DEEPSEEK = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "vocab_size": 129280,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "num_nextn_predict_layers": 1,
    "max_position_embeddings": 163840,
    "quantization_config": {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "weight_block_size": [128, 128],
        "activation_scheme": "dynamic",
    },
}
INDEXER = {"index_n_heads": 64, "index_head_dim": 128, "index_topk": 2048}
DEEPSEEK_V32 = {**DEEPSEEK, "architectures": ["DeepseekV32ForCausalLM"], **INDEXER}
GLM5 = {
    **DEEPSEEK,
    "architectures": ["GlmMoeDsaForCausalLM"],
    "model_type": "glm_moe_dsa",
    "hidden_size": 6144,
    "num_hidden_layers": 78,
    "num_attention_heads": 64,
    "head_dim": 64,
    "qk_head_dim": 256,
    "qk_nope_head_dim": 192,
    "v_head_dim": 256,
    "q_lora_rank": 2048,
    "intermediate_size": 12288,
    "vocab_size": 154880,
    **INDEXER,
    "index_n_heads": 32,
    "quantization_config": None,
}
GLM45 = {
    **LLAMA,
    "architectures": ["Glm4MoeForCausalLM"],
    "model_type": "glm4_moe",
    "hidden_size": 5120,
    "num_hidden_layers": 92,
    "num_attention_heads": 96,
    "head_dim": 128,
    "intermediate_size": 12288,
    "moe_intermediate_size": 1536,
    "n_routed_experts": 160,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "vocab_size": 151552,
    "attention_bias": True,
    "use_qk_norm": True,
    "num_nextn_predict_layers": 1,
}
LLAMA4 = {
    "architectures": ["Llama4ForConditionalGeneration"],
    "model_type": "llama4",
    "vision_config": {"hidden_size": 1408},
    "text_config": {
        **LLAMA,
        "model_type": "llama4_text",
        "hidden_size": 5120,
        "num_hidden_layers": 48,
        "num_attention_heads": 40,
        "head_dim": 128,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16384,
        "interleave_moe_layer_step": 2,
        "num_local_experts": 128,
        "num_experts_per_tok": 1,
        "attention_chunk_size": 8192,
        "vocab_size": 202048,
    },
}
KIMI25 = {
    "architectures": ["KimiK25ForConditionalGeneration"],
    "model_type": "kimi_k25",
    "vision_config": {},
    "text_config": {
        **DEEPSEEK,
        "model_type": "kimi_k2",
        "num_attention_heads": 64,
        "n_routed_experts": 384,
        "first_k_dense_replace": 1,
        "vocab_size": 163840,
        "num_nextn_predict_layers": 0,
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "config_groups": {
                "group_0": {"weights": {"num_bits": 4, "group_size": 32, "type": "int"}}
            },
            "ignore": [
                "lm_head",
                "re:.*self_attn.*",
                "re:.*shared_experts.*",
                r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
            ],
            "kv_cache_scheme": None,
        },
    },
}
MINIMAX = {
    **LLAMA,
    "architectures": ["MiniMaxM2ForCausalLM"],
    "model_type": "minimax_m2",
    "hidden_size": 3072,
    "num_hidden_layers": 62,
    "num_attention_heads": 48,
    "head_dim": 128,
    "intermediate_size": 1536,
    "num_local_experts": 256,
    "num_experts_per_tok": 8,
    "vocab_size": 200064,
    "attn_type_list": [1] * 62,
    "use_mtp": True,
    "num_mtp_modules": 3,
    "quantization_config": {
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
        "modules_to_not_convert": ["gate", "e_score_correction_bias", "lm_head"],
    },
}


def read(tmp_path, config, **beside):
    """Load a config from a folder, with other JSON files beside it."""
    folder = tmp_path / "org" / "A-Model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in beside.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return load_model(folder)


# What a config gives, and the entry of the catalogue that has the same record.
SAME = {
    "llama-3.1-8b": LLAMA,
    "qwen3-32b": QWEN3,
    "qwen3-30b-a3b": QWEN3_MOE,
    "mixtral-8x7b": MIXTRAL,
    "gpt-oss-20b": GPT_OSS,
    "deepseek-r1": DEEPSEEK,
    "deepseek-v3.2": DEEPSEEK_V32,
    "glm-5": GLM5,
    "glm-4.5": GLM45,
    "llama-4-maverick": LLAMA4,
    "kimi-k2.5": KIMI25,
    "minimax-m2.5": MINIMAX,
}


@pytest.mark.parametrize("name", SAME)
def test_a_config_gives_the_record_of_the_catalogue(tmp_path, name):
    card = read(tmp_path, SAME[name])
    listed = load_model(name)
    assert repr(card.model) == repr(listed.model)
    assert card.precision == listed.precision
    assert card.mtp_layers == listed.mtp_layers
    assert card.name == "A-Model"
    assert parameters(card.model).total > 0


def test_a_path_may_be_the_file_or_its_folder(tmp_path):
    by_folder = read(tmp_path, LLAMA)
    by_file = load_model(tmp_path / "org" / "A-Model" / "config.json")
    assert repr(by_folder.model) == repr(by_file.model)
    assert len(by_file.provenance) == len(jax.tree.leaves(by_file.model))
    datum = by_file.provenance["groups[0].attention.kv_heads"]
    assert (datum.value, datum.kind) == (8.0, "spec")
    assert "config.json (LlamaForCausalLM)" in datum.source


# ---- traps ---------------------------------------------------------------------------------------


def test_head_size_is_read_and_only_defaults_to_hidden_over_heads(tmp_path):
    assert of(GQA, read(tmp_path, QWEN3).model.groups[0].attention).head_dim == 128
    without = {key: value for key, value in QWEN3.items() if key != "head_dim"}
    assert of(GQA, read(tmp_path, without).model.groups[0].attention).head_dim == 80


def test_a_window_that_is_switched_off_is_none(tmp_path):
    assert of(GQA, read(tmp_path, QWEN3).model.groups[0].attention).window_tokens == math.inf
    on = {**QWEN3, "use_sliding_window": True, "max_window_layers": 16}
    groups = read(tmp_path, on).model.groups
    assert [(g.layers, of(GQA, g.attention).window_tokens) for g in groups] == [
        (16, math.inf),
        (48, 4096),
    ]


def test_key_value_heads_default_to_heads(tmp_path):
    without = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
    assert of(GQA, read(tmp_path, without).model.groups[0].attention).kv_heads == 32
    assert (
        of(GQA, read(tmp_path, {**without, "n_head_kv": 4}).model.groups[0].attention).kv_heads == 4
    )


def test_sparse_steps_and_dense_exceptions_of_qwen3_moe(tmp_path):
    config = {**QWEN3_MOE, "num_hidden_layers": 8, "decoder_sparse_step": 2, "mlp_only_layers": [3]}
    groups = read(tmp_path, config).model.groups
    assert [(type(g.ffn), g.layers) for g in groups] == [(DenseFFN, 5.0), (MoEFFN, 3.0)]


def test_latent_and_sparse_attention(tmp_path):
    latent = read(tmp_path, DEEPSEEK).model.groups[0].attention
    assert isinstance(latent, MLA)
    assert latent.kv_rank + latent.rope_dim == 576
    sparse = read(tmp_path, GLM5).model.groups[1].attention
    assert isinstance(sparse, SparseMLA)
    assert sparse.latent.nope_dim + sparse.latent.rope_dim == 256
    assert sparse.index_topk == 2048


def test_llama4_interleaves_and_chunks(tmp_path):
    card = read(tmp_path, LLAMA4)
    layers = {
        (type(g.ffn).__name__, of(GQA, g.attention).window_tokens): g.layers
        for g in card.model.groups
    }
    assert layers == {
        ("DenseFFN", 8192.0): 24.0,
        ("MoEFFN", 8192.0): 12.0,
        ("MoEFFN", math.inf): 12.0,
    }
    moe = next(g.ffn for g in card.model.groups if isinstance(g.ffn, MoEFFN))
    assert (moe.shared_intermediate, moe.topk) == (8192, 1)
    assert card.note.endswith("text part only")


def test_sliding_layers_of_gpt_oss(tmp_path):
    card = read(tmp_path, GPT_OSS)
    attentions = [of(GQA, group.attention) for group in card.model.groups]
    assert [attention.window_tokens for attention in attentions] == [128.0, math.inf]
    without = {key: value for key, value in GPT_OSS.items() if key != "layer_types"}
    assert repr(read(tmp_path, without).model) == repr(card.model)


def test_tied_embeddings(tmp_path):
    assert read(tmp_path, LLAMA).model.tied == 0.0
    assert read(tmp_path, {**LLAMA, "tie_word_embeddings": True}).model.tied == 1.0


@pytest.mark.parametrize(
    ("alias", "usual"),
    [
        ("moe_num_experts", "num_experts"),
        ("n_routed_experts", "num_experts"),
        ("top_k_experts", "num_experts_per_tok"),
        ("moe_topk", "num_experts_per_tok"),
    ],
)
def test_aliases_of_keys(tmp_path, alias, usual):
    renamed = {alias if key == usual else key: value for key, value in QWEN3_MOE.items()}
    assert repr(read(tmp_path, renamed).model) == repr(read(tmp_path, QWEN3_MOE).model)


# ---- quantisation --------------------------------------------------------------------------------


def formats(card):
    p = card.precision
    return (p.attention, p.ffn, p.experts, p.head, p.kv)


def nvfp4(*ignore, kv=None):
    return {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": list(ignore), **(kv or {})}


def test_modelopt_beside_the_config(tmp_path):
    """DeepSeek's NVFP4 release: four of the five projections of latent attention stay 16-bit."""
    spared = [
        f"model.layers.{i}.self_attn.{name}"
        for i in range(61)
        for name in ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj")
    ]
    plain = {**DEEPSEEK, "quantization_config": None}
    beside = {"quantization": nvfp4("lm_head", *spared, kv={"kv_cache_quant_algo": "FP8"})}
    card = read(tmp_path, plain, hf_quant_config=beside)
    assert formats(card) == ("bf16", "nvfp4", "nvfp4", "bf16", "fp8")
    assert card.precision.attention_math == "fp8"
    assert card.precision.dispatch == "nvfp4"


def test_globs_and_nested_prefixes(tmp_path):
    text = {**KIMI25["text_config"]}
    text["quantization_config"] = {
        "quant_method": "modelopt",
        **nvfp4("language_model.lm_head", kv={"kv_cache_scheme": {"num_bits": 8}}),
    }
    text["quantization_config"]["exclude_modules"] += [
        "language_model.model.layers.*.self_attn*",
        "language_model.model.layers.0*",
        "language_model.model.layers.*.mlp.shared_experts*",
    ]
    card = read(tmp_path, {**KIMI25, "text_config": text})
    assert formats(card) == ("bf16", "bf16", "nvfp4", "bf16", "fp8")


def test_a_component_spares_only_modules_of_that_name(tmp_path):
    """`gate` is the router, not the gate projection."""
    assert read(tmp_path, MINIMAX).precision.experts == "fp8_block"


@pytest.mark.parametrize(
    ("quantization", "attention", "ffn"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8_block", "fp8_block"),
        ({"quant_method": "fp8"}, "fp8", "fp8"),
        ({"quant_algo": "FP8", "exclude_modules": ["lm_head"]}, "fp8", "fp8"),
        ({"quant_algo": "FP8_PB_WO", "exclude_modules": ["lm_head"]}, "fp8_block", "fp8_block"),
        ({"quant_method": "modelopt", **nvfp4("lm_head")}, "nvfp4", "nvfp4"),
        ({"quant_method": "modelopt", **nvfp4("lm_head", "*self_attn*")}, "bf16", "nvfp4"),
        ({"quant_method": "awq", "bits": 4}, "int4_g128", "int4_g128"),
        (None, "bf16", "bf16"),
    ],
)
def test_methods(tmp_path, quantization, attention, ffn):
    precision = read(tmp_path, {**LLAMA, "quantization_config": quantization}).precision
    assert (precision.attention, precision.ffn, precision.head) == (attention, ffn, "bf16")


@pytest.mark.parametrize(
    "quantization",
    [
        {"quant_algo": "MIXED_PRECISION", "quantized_layers": {}},
        {"quant_algo": "W4A8_MXFP4_FP8"},
        {"quant_method": "bitsandbytes"},
        {"quant_method": "compressed-tensors", "config_groups": {"a": {}, "b": {}}},
        ["fp8"],
        {"quant_method": "fp8", "ignored_layers": "lm_head"},
        {"quant_method": "modelopt", **nvfp4("re:[")},
    ],
)
def test_quantisation_that_is_not_understood_is_refused(tmp_path, quantization):
    with pytest.raises(InputError, match=r"[Qq]uantisation|quantization_config"):
        read(tmp_path, {**LLAMA, "quantization_config": quantization})


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["Mamba2ForCausalLM"], "state_size": 128}, r"Mamba2.*state_size"),
        (
            {"linear_num_key_heads": 16},
            r"linear_num_key_heads .*--ignore-keys linear_num_key_heads",
        ),
        ({"compress_ratios": [4, 128]}, r"compress_ratios"),
        ({"hybrid_override_pattern": "M*"}, r"hybrid_override_pattern"),
        ({"attn_type_list": [0, 1]}, r"attn_type_list"),
        ({"indexer_types": ["full", "shared"]}, r"indexer_types"),
        ({"layer_types": ["linear_attention"] * 32}, r"layer_types has linear_attention"),
        ({"layer_types": ["full_attention"]}, r"layer_types must be a list of 32"),
        ({"layer_types": ["sliding_attention"] * 32}, r"no sliding_window is given"),
        ({"hidden_act": "gelu"}, r"hidden_act 'gelu' is not supported"),
        ({"hidden_size": None}, r"hidden_size or .* is missing"),
        ({"hidden_size": -1}, r"hidden_size is -1; it must be"),
        ({"hidden_size": 0}, r"hidden_size is 0"),
        ({"hidden_size": "4096"}, r"hidden_size is '4096'; a number is needed"),
        ({"vocab_size": math.nan}, r"vocab_size is nan"),
        ({"num_hidden_layers": True}, r"num_hidden_layers is True"),
        ({"text_config": 3}, r"text_config must be"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, {**LLAMA, **changes})


def test_more_experts_a_token_than_there_are(tmp_path):
    with pytest.raises(InputError, match="9 experts a token are more than the 8"):
        read(tmp_path, {**MIXTRAL, "num_experts_per_tok": 9})


def test_an_indexer_needs_queries_with_a_rank(tmp_path):
    with pytest.raises(InputError, match="q_lora_rank is null"):
        read(tmp_path, {**DEEPSEEK_V32, "q_lora_rank": None})


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"text"', "\x00", "{" * 50000])
def test_files_that_are_not_configs(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"config\.json: (not valid JSON|must be a JSON object)"):
        load_model(path)
