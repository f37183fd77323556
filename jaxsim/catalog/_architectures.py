"""How is a config.json of each architecture read?"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxsim.catalog._attentions import (
    chunked_layers,
    gemma_layers,
    grouped,
    grouped_layers,
    unequal_layers,
)
from jaxsim.catalog._config_keys import Config
from jaxsim.catalog._latents import block_sparse_layers, compressed_layers, latent_layers
from jaxsim.catalog._networks import (
    block_networks,
    dense_networks,
    gemma_networks,
    interleaved_networks,
    networks,
)
from jaxsim.catalog._recurrents import (
    block_mixers,
    blocks_of,
    delta_layers,
    kimi_layers,
    lightning_layers,
    mamba_layers,
)
from jaxsim.catalog.model import AbstractAttention, AbstractFFN, DenseFFN, NoAttention, NoFFN


@dataclass(frozen=True)
class Layer:
    """A mixer and the network after it, with their places in the checkpoint."""

    attention: AbstractAttention
    ffn: AbstractFFN
    attention_index: int
    ffn_index: int


Reader = Callable[[Config], list[Layer]]


def _both(
    attentions: Callable[[Config], list[AbstractAttention]],
    ffns: Callable[[Config], list[AbstractFFN]] = networks,
) -> Reader:
    def read(config: Config) -> list[Layer]:
        pairs = zip(attentions(config), ffns(config), strict=True)
        return [Layer(attention, ffn, i, i) for i, (attention, ffn) in enumerate(pairs)]

    return read


def _blocks(config: Config) -> list[Layer]:
    """Nemotron-H: layers that are a mixer or a network; a network joins the mixer before it."""
    blocks = blocks_of(config)
    config.get("num_hidden_layers")
    config.raw = {**config.raw, "num_hidden_layers": float(len(blocks))}
    mixers, ffns = block_mixers(config, blocks), block_networks(config, blocks)
    layers: list[Layer] = []
    for i, (mixer, ffn) in enumerate(zip(mixers, ffns, strict=True)):
        if isinstance(mixer, NoAttention) and layers and isinstance(layers[-1].ffn, NoFFN):
            before = layers.pop()
            layers.append(Layer(before.attention, ffn, before.attention_index, i))
        else:
            layers.append(Layer(mixer, ffn, i, i))
    return layers


def _dbrx(config: Config) -> list[Layer]:
    """DBRX: keys of attention and experts in objects of their own."""
    attn, ffn = config.table("attn_config").raw, config.table("ffn_config").raw
    flat = {
        **config.raw,
        "num_key_value_heads": attn.get("kv_n_heads"),
        "moe_num_experts": ffn.get("moe_num_experts"),
        "moe_top_k": ffn.get("moe_top_k"),
        "intermediate_size": ffn.get("ffn_hidden_size"),
    }
    return _both(grouped_layers)(Config(config.path, flat, config.read))


def _searched(config: Config) -> list[Layer]:
    """Nemotron by architecture search: each block has its own width, or leaves a part out."""
    listed = config.entries("block_configs") or []
    hidden, heads = config.positive("hidden_size"), config.positive("num_attention_heads")
    config.get("activation")
    mixers: dict[float | None, AbstractAttention] = {None: NoAttention()}
    widths: dict[float | None, AbstractFFN] = {None: NoFFN()}
    layers: list[Layer] = []
    for i, block in enumerate(listed):
        parts = Config(config.path, block if isinstance(block, dict) else {})
        attention, ffn = parts.table("attention"), parts.table("ffn")
        for part, name in ((attention, "attention"), (ffn, "ffn")):
            if part.flag("replace_with_linear") or part.get("sparsify"):
                raise config.error(f"block_configs[{i}].{name} is linear or sparse: not supported.")
        if attention.get("window_length") is not None:
            raise config.error(f"block_configs[{i}].attention has a window: not supported.")
        kv_heads = width = None
        if not attention.flag("no_op"):
            kv_heads = heads / attention.positive("n_heads_in_group")
            if kv_heads not in mixers:
                mixers[kv_heads] = grouped(config, kv_heads=kv_heads)
        if not ffn.flag("no_op"):
            stated = 2.0 * ffn.number("ffn_mult", 1.0) * hidden / 3.0
            width = float(-(-int(stated) // SEARCHED_MULTIPLE) * SEARCHED_MULTIPLE)
            if width not in widths:
                widths[width] = DenseFFN(width, 3.0)
        layers.append(Layer(mixers[kv_heads], widths[width], i, i))
    return layers


# The searched family rounds the width of a network up to a multiple of this.
SEARCHED_MULTIPLE = 256

_DENSE, _GROUPED = _both(grouped_layers, dense_networks), _both(grouped_layers)
_LATENT = _both(latent_layers)
_DELTA, _GEMMA = _both(delta_layers), _both(gemma_layers, gemma_networks)

ARCHITECTURES: dict[str, Reader] = {
    **dict.fromkeys(
        (
            "LlamaForCausalLM", "MistralForCausalLM", "Phi3ForCausalLM",
            "Phi4MultimodalForCausalLM", "Phi4MMForCausalLM", "Ministral3ForCausalLM",
            "MinistralForCausalLM", "Mistral3ForConditionalGeneration",
            "VoxtralForConditionalGeneration", "PixtralForConditionalGeneration",
            "LlavaForConditionalGeneration", "Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration",
            "Qwen2_5_VLForConditionalGeneration", "Qwen3ForCausalLM",
            "Qwen3VLForConditionalGeneration", "Glm4ForCausalLM", "GlmForCausalLM",
            "Glm4vForConditionalGeneration", "OlmoForCausalLM", "Olmo2ForCausalLM",
            "Olmo3ForCausalLM", "ExaoneForCausalLM", "Exaone4ForCausalLM", "GraniteForCausalLM",
            "SeedOssForCausalLM", "Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM",
            "Gemma2ForCausalLM", "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration",
            "SmolLM3ForCausalLM", "ApertusForCausalLM", "ArceeForCausalLM", "NemotronForCausalLM",
            "CohereForCausalLM", "Cohere2ForCausalLM", "Cohere2VisionForConditionalGeneration",
            "FalconForCausalLM", "HunYuanDenseV1ForCausalLM", "MiMoForCausalLM",
            "InternLM3ForCausalLM",
        ),
        _DENSE,
    ),
    **dict.fromkeys(
        (
            "MixtralForCausalLM", "PhimoeForCausalLM", "PhiMoEForCausalLM", "Qwen2MoeForCausalLM",
            "Qwen3MoeForCausalLM", "Qwen3VLMoeForConditionalGeneration", "MiniMaxM2ForCausalLM",
            "GptOssForCausalLM", "Glm4MoeForCausalLM", "Glm4vMoeForConditionalGeneration",
            "OlmoeForCausalLM", "ExaoneMoEForCausalLM", "GraniteMoeForCausalLM",
            "GraniteMoeSharedForCausalLM", "Ernie4_5_MoeForCausalLM", "Ernie4_5MoeForCausalLM",
            "Step3p5ForCausalLM", "Step3p7FlashForCausalLM", "Step3p7ForConditionalGeneration",
            "Cohere2MoeForCausalLM", "Dots1ForCausalLM", "HunYuanMoEV1ForCausalLM",
            "HunYuanForCausalLM",
            "HYV3ForCausalLM", "InternVLForConditionalGeneration", "LagunaForCausalLM",
            "SolarOpenForCausalLM", "BailingMoeV2ForCausalLM", "BailingMoeForCausalLM",
        ),
        _GROUPED,
    ),
    **dict.fromkeys(
        (
            "DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "KimiK25ForConditionalGeneration",
            "DeepseekV32ForCausalLM", "GlmMoeDsaForCausalLM", "Glm4MoeLiteForCausalLM",
            "Mistral4ForCausalLM", "MistralLarge3ForCausalLM", "SarvamMLAForCausalLM",
            "YoutuForCausalLM",
            "MistralLarge4ForConditionalGeneration",
        ),
        _LATENT,
    ),
    **dict.fromkeys(
        (
            "Qwen3NextForCausalLM", "Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration",
            "Qwen3_5MoeForCausalLM", "Qwen3_5MoeForConditionalGeneration",
            "OlmoHybridForCausalLM",
        ),
        _DELTA,
    ),
    **dict.fromkeys(
        (
            "Gemma4ForCausalLM", "Gemma4ForConditionalGeneration",
            "Gemma4UnifiedForConditionalGeneration",
        ),
        _GEMMA,
    ),
    **dict.fromkeys(
        (
            "KimiLinearForCausalLM", "KimiK3ForConditionalGeneration",
            "BailingHybridForCausalLM",
        ),
        _both(kimi_layers),
    ),
    **dict.fromkeys(
        ("Llama4ForConditionalGeneration", "Llama4ForCausalLM"),
        _both(chunked_layers, interleaved_networks),
    ),
    **dict.fromkeys(
        (
            "MiniMaxM3ForCausalLM", "MiniMaxM3SparseForConditionalGeneration",
            "MiniMaxM3ForConditionalGeneration",
        ),
        _both(block_sparse_layers),
    ),
    **dict.fromkeys(
        ("MiniMaxForCausalLM", "MiniMaxText01ForCausalLM", "MiniMaxM1ForCausalLM"),
        _both(lightning_layers),
    ),
    **dict.fromkeys(("BambaForCausalLM", "GraniteMoeHybridForCausalLM"), _both(mamba_layers)),
    **dict.fromkeys(("MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM"), _both(unequal_layers)),
    "DeepseekV4ForCausalLM": _both(compressed_layers),
    "NemotronHForCausalLM": _blocks,
    "DbrxForCausalLM": _dbrx,
    "DeciLMForCausalLM": _searched,
}  # fmt: skip


def by_structure(config: Config) -> Reader:
    """A reader for an architecture without a name here, by the keys that its config has."""
    return _LATENT if config.raw.get("kv_lora_rank") is not None else _GROUPED
