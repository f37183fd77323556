"""Which layers does a config.json give a model, by its architecture?

One function for each way of giving attention, and one for each way of giving the feed-forward
network; each returns an entry a layer, and layers of one kind share one record.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.model import GQA, MLA, DenseFFN, MoEFFN, SparseMLA

ALIASES = {
    "experts": ("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts"),
    "topk": (
        "num_experts_per_tok",
        "num_experts_per_token",
        "top_k_experts",
        "moe_topk",
        "moe_top_k",
        "experts_per_token",
    ),
    "shared": ("n_shared_experts", "moe_num_shared_experts"),
    "expert_width": ("moe_intermediate_size", "intermediate_size"),
    "kv_heads": (
        "num_key_value_heads",
        "num_kv_heads",
        "n_head_kv",
        "multi_query_group_num",
        "num_attention_groups",
    ),
    "mtp": ("num_nextn_predict_layers", "num_mtp_modules"),
}


class Config:
    """The keys of a config.json, with errors that name the file."""

    def __init__(self, path: Path, raw: dict[str, Any]):
        self.path, self.raw = path, raw

    def error(self, problem: str) -> InputError:
        """An error about this file."""
        return InputError(f"{self.path}: {problem}")

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or of the first of its aliases that is there and not null."""
        for name in ALIASES.get(key, (key,)):
            if self.raw.get(name) is not None:
                return self.raw[name]
        return default

    def number(self, key: str, default: float | None = None) -> float:
        """A whole number, 0 or more, as a float."""
        value = self.get(key, default)
        if value is None:
            raise self.error(f"{' or '.join(ALIASES.get(key, (key,)))} is missing.")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(f"{key} is {value!r}; a number is needed.")
        if not math.isfinite(value) or value < 0:
            raise self.error(f"{key} is {value}; it must be finite and 0 or more.")
        return float(value)

    def positive(self, key: str, default: float | None = None) -> float:
        """A number above 0."""
        value = self.number(key, default)
        if value == 0:
            raise self.error(f"{key} is 0; it must be more.")
        return value

    def layers(self) -> range:
        """The indices of the layers."""
        return range(int(self.positive("num_hidden_layers")))


# ---- attention, one function for each way of giving it -------------------------------------------


def _heads(config: Config) -> tuple[float, float, float]:
    """Query heads, key/value heads and their size."""
    heads = config.positive("num_attention_heads")
    if config.get("head_dim") is None:
        return heads, config.positive("kv_heads", heads), config.positive("hidden_size") / heads
    return heads, config.positive("kv_heads", heads), config.positive("head_dim")


def _gqa(config: Config, bias: float, window: float = math.inf) -> GQA:
    heads, kv_heads, head_dim = _heads(config)
    return GQA(heads, kv_heads, head_dim, window, bias)


def _projection_biases(config: Config, output: bool) -> float:
    heads, kv_heads, head_dim = _heads(config)
    qkv = (heads + 2.0 * kv_heads) * head_dim
    return qkv + (config.positive("hidden_size") if output else 0.0)


def _bias(config: Config) -> float:
    """Biases and query/key norms of one layer, by architecture."""
    heads, kv_heads, head_dim = _heads(config)
    family = config.get("model_type", "")
    flagged = bool(config.get("attention_bias", False))
    if family.startswith("qwen3"):
        return 2.0 * head_dim + (_projection_biases(config, True) if flagged else 0.0)
    if family.startswith("qwen2"):
        return _projection_biases(config, False)
    if family == "gpt_oss":  # biases, and one attention sink a head
        return _projection_biases(config, True) + heads
    if family == "glm4_moe":
        norms = 2.0 * head_dim if config.get("use_qk_norm", False) else 0.0
        return norms + (_projection_biases(config, False) if flagged else 0.0)
    if family == "minimax_m2":  # norms as wide as all heads together
        return (heads + kv_heads) * head_dim
    return _projection_biases(config, True) if flagged else 0.0


def _gqa_layers(config: Config) -> list[Any]:
    """One attention a layer, windowed where `layer_types` or `sliding_window` says so."""
    bias = _bias(config)
    full = _gqa(config, bias)
    count = len(config.layers())
    types = config.get("layer_types")
    window = config.get("sliding_window")
    if config.get("use_sliding_window", True) is False:
        window = None
    if types is None:
        if window is None:
            types = ["full_attention"] * count
        elif config.get("model_type") == "gpt_oss":
            types = ["sliding_attention", "full_attention"] * ((count + 1) // 2)
        else:
            first = int(config.number("max_window_layers", 0.0))
            types = ["full_attention"] * min(first, count)
            types += ["sliding_attention"] * (count - len(types))
    if not isinstance(types, list) or len(types) < count:
        raise config.error(f"layer_types must be a list of {count} entries.")
    unknown = sorted({str(t) for t in types} - {"full_attention", "sliding_attention"})
    if unknown:
        raise config.error(f"layer_types has {', '.join(unknown)}, which is not supported.")
    if "sliding_attention" in types and window is None:
        raise config.error("layer_types has sliding_attention, but sliding_window is not given.")
    sliding = full if window is None else _gqa(config, bias, float(window))
    return [sliding if kind == "sliding_attention" else full for kind in types[:count]]


def _chunked_layers(config: Config) -> list[Any]:
    """Llama 4: all but every fourth layer attend within chunks, taken as a window that wide."""
    chunk = config.positive("attention_chunk_size")
    step = int(config.positive("no_rope_layer_interval", 4.0))
    no_rope = config.get("no_rope_layers") or [(i + 1) % step != 0 for i in config.layers()]
    local, full = _gqa(config, 0.0, chunk), _gqa(config, 0.0)
    return [local if uses_rope else full for uses_rope in no_rope]


def _latent(config: Config) -> MLA:
    if config.get("q_lora_rank") is None:
        raise config.error("q_lora_rank is null: a latent query without rank is not supported.")
    return MLA(
        heads=config.positive("num_attention_heads"),
        q_rank=config.positive("q_lora_rank"),
        kv_rank=config.positive("kv_lora_rank"),
        nope_dim=config.positive("qk_nope_head_dim"),
        rope_dim=config.positive("qk_rope_head_dim"),
        v_dim=config.positive("v_head_dim"),
    )


def _latent_layers(config: Config) -> list[Any]:
    return [_latent(config)] * len(config.layers())


def _sparse_layers(config: Config) -> list[Any]:
    sparse = SparseMLA(
        latent=_latent(config),
        index_heads=config.positive("index_n_heads"),
        index_dim=config.positive("index_head_dim"),
        index_topk=config.positive("index_topk"),
    )
    return [sparse] * len(config.layers())


# ---- feed-forward networks -----------------------------------------------------------------------


def _matrices(config: Config) -> float:
    activation = str(config.get("hidden_act", "silu"))
    if activation not in ("silu", "swiglu", "swigluoai"):
        raise config.error(f"hidden_act {activation!r} is not supported; only gated silu is.")
    return 3.0


def _dense(config: Config, key: str = "intermediate_size") -> DenseFFN:
    return DenseFFN(intermediate=config.positive(key), matrices=_matrices(config))


def _moe(config: Config, width: str = "expert_width", bias: float = 0.0) -> MoEFFN:
    """Routed experts and, where `n_shared_experts` says so, shared ones of the same width."""
    intermediate = config.positive(width)
    shared = config.number("shared_expert_intermediate_size", 0.0)
    shared = shared or config.number("shared_intermediate_size", 0.0)
    moe = MoEFFN(
        experts=config.positive("experts"),
        topk=config.positive("topk"),
        intermediate=intermediate,
        shared_intermediate=shared or config.number("shared", 0.0) * intermediate,
        matrices=_matrices(config),
        bias_params=bias,
    )
    if config.positive("topk") > config.positive("experts"):
        raise config.error(f"{config.get('topk')} experts a token are more than there are.")
    return moe


def _all_dense(config: Config) -> list[Any]:
    return [_dense(config)] * len(config.layers())


def _all_moe(config: Config) -> list[Any]:
    """Every layer has experts, as wide as `intermediate_size` says."""
    return [_moe(config, "intermediate_size")] * len(config.layers())


def _gpt_oss_moe(config: Config) -> list[Any]:
    experts, width = config.positive("experts"), config.positive("intermediate_size")
    bias = experts * (1.0 + 2.0 * width + config.positive("hidden_size"))
    return [_moe(config, "intermediate_size", bias)] * len(config.layers())


def _stepped_moe(config: Config) -> list[Any]:
    """Qwen 3: layer i has experts unless listed dense, every `decoder_sparse_step` layers."""
    dense_at = set(config.get("mlp_only_layers", []))
    step = int(config.positive("decoder_sparse_step", 1.0))
    is_moe = [i not in dense_at and (i + 1) % step == 0 for i in config.layers()]
    moe = _moe(config, "moe_intermediate_size") if any(is_moe) else None
    dense = None if all(is_moe) else _dense(config)
    return [moe if here else dense for here in is_moe]


def _dense_first(config: Config) -> list[Any]:
    """DeepSeek and GLM: `first_k_dense_replace` dense layers, then experts."""
    first = config.number("first_k_dense_replace", 0.0)
    frequency = config.get("moe_layer_freq", 1)
    if frequency != 1:
        raise config.error(f"moe_layer_freq {frequency!r} is not supported; only 1 is.")
    moe = _moe(config, "moe_intermediate_size", config.positive("experts"))
    dense = _dense(config) if first else None
    return [dense if i < first else moe for i in config.layers()]


def _interleaved_moe(config: Config) -> list[Any]:
    """Llama 4: experts every `interleave_moe_layer_step` layers, always one shared expert."""
    step = int(config.positive("interleave_moe_layer_step", 1.0))
    shared = {**config.raw, "n_shared_experts": 1}
    moe = _moe(Config(config.path, shared), "intermediate_size")
    dense = _dense(config, "intermediate_size_mlp") if step > 1 else None
    chosen = config.get("moe_layers") or [i for i in config.layers() if (i + 1) % step == 0]
    return [moe if i in set(chosen) else dense for i in config.layers()]


Layers = Callable[[Config], list[Any]]
ARCHITECTURES: dict[str, tuple[Layers, Layers]] = {
    "LlamaForCausalLM": (_gqa_layers, _all_dense),
    "MistralForCausalLM": (_gqa_layers, _all_dense),
    "Qwen2ForCausalLM": (_gqa_layers, _all_dense),
    "Qwen3ForCausalLM": (_gqa_layers, _all_dense),
    "Qwen3MoeForCausalLM": (_gqa_layers, _stepped_moe),
    "Qwen3VLForConditionalGeneration": (_gqa_layers, _all_dense),
    "Qwen3VLMoeForConditionalGeneration": (_gqa_layers, _stepped_moe),
    "MixtralForCausalLM": (_gqa_layers, _all_moe),
    "MiniMaxM2ForCausalLM": (_gqa_layers, _all_moe),
    "GptOssForCausalLM": (_gqa_layers, _gpt_oss_moe),
    "Glm4MoeForCausalLM": (_gqa_layers, _dense_first),
    "DeepseekV3ForCausalLM": (_latent_layers, _dense_first),
    "KimiK25ForConditionalGeneration": (_latent_layers, _dense_first),
    "DeepseekV32ForCausalLM": (_sparse_layers, _dense_first),
    "GlmMoeDsaForCausalLM": (_sparse_layers, _dense_first),
    "Llama4ForConditionalGeneration": (_chunked_layers, _interleaved_moe),
    "Llama4ForCausalLM": (_chunked_layers, _interleaved_moe),
}
