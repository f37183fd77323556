"""Which layers of a config.json have a state instead of a cache, and how large is it?"""

from jaxsim.catalog._attentions import FULL, grouped, varied, window_of
from jaxsim.catalog._config_keys import Config
from jaxsim.catalog._latents import latent
from jaxsim.catalog.model import (
    MLA,
    AbstractAttention,
    GatedDelta,
    GatedMLA,
    KimiDelta,
    Lightning,
    Mamba2,
    NoAttention,
)

LINEAR = ("linear_attention", "mamba", "linear", "kda")


def _is_linear(config: Config) -> list[bool]:
    """Whether each layer is recurrent: by `layer_types`, or all but every so many."""
    listed = config.entries("layer_types", (*FULL, *LINEAR))
    interval = config.get("full_attention_interval")
    if listed is not None:
        return [kind in LINEAR for kind in listed]
    if interval is None:
        raise config.error("layer_types or full_attention_interval is needed.")
    step = int(config.positive("full_attention_interval"))
    return [(i + 1) % step != 0 for i in config.layers()]


def delta_layers(config: Config) -> list[AbstractAttention]:
    """Qwen3-Next, Qwen3.5 and hybrids like them: gated delta nets, and gated full attention."""
    delta = GatedDelta(
        heads=config.positive("linear_num_value_heads"),
        key_heads=config.positive("linear_num_key_heads"),
        key_dim=config.positive("linear_key_head_dim"),
        value_dim=config.positive("linear_value_head_dim"),
        conv_width=config.positive("linear_conv_kernel_dim", 4.0),
    )
    full: AbstractAttention = grouped(config)
    if window_of(config) is not None:
        raise config.error("sliding_window beside recurrent layers is not supported.")
    if config.flag("attn_output_gate", config.text("model_type").startswith("qwen3")):
        full = varied(full, gate_dim=float(full.head_dim))
    return [delta if linear else full for linear in _is_linear(config)]


def kimi_layers(config: Config) -> list[AbstractAttention]:
    """Kimi-Linear and Kimi-K3 (layers counted from 1), and Ling-3.0: delta nets and latents."""
    stated = config.table("linear_attn_config")
    full: AbstractAttention = latent(config)
    if config.flag("mla_use_output_gate"):
        if not isinstance(full, MLA):
            raise config.error("q_lora_rank is null: an output gate without it is not supported.")
        full = GatedMLA(full)
    if stated.raw:
        heads, dim = stated.positive("num_heads"), stated.positive("head_dim")
        width = stated.positive("short_conv_kernel_size", 4.0)
        gate = 1.0 if stated.flag("use_full_rank_gate") else 0.0
        at = {i - 1 for i in stated.indices("full_attn_layers")}
        linear = [i not in at for i in config.layers()]
    else:
        heads, dim = config.positive("linear_num_heads"), config.positive("linear_head_dim")
        width, gate = config.positive("linear_conv_kernel_dim", 4.0), 0.0
        config.get("short_conv_kernel_size")
        config.get("layer_group_size")
        linear = _is_linear(config)
    if config.get("attn_res_block_size") is not None:
        config.notes.append("residual connections between blocks of layers are left out")
    delta = KimiDelta(heads, heads, dim, dim, width, gate_rank=dim, full_gate=gate)
    return [delta if here else full for here in linear]


def mamba_of(config: Config) -> Mamba2:
    """Mamba-2 of the keys of Nemotron-H, or of Bamba and Granite."""
    if config.get("mamba_num_heads") is not None:
        names = ("mamba_num_heads", "n_groups", "ssm_state_size", "mamba_head_dim", "conv_kernel")
    else:
        names = (
            "mamba_n_heads",
            "mamba_n_groups",
            "mamba_d_state",
            "mamba_d_head",
            "mamba_d_conv",
        )
    for key in ("expand", "mamba_expand", "chunk_size", "mamba_chunk_size", "use_conv_bias",
                "mamba_conv_bias", "mamba_hidden_act", "time_step_rank"):  # fmt: skip
        config.get(key)
    return Mamba2(*(config.positive(name) for name in names))


def mamba_layers(config: Config) -> list[AbstractAttention]:
    """Bamba and Granite hybrids: Mamba-2, with attention where listed."""
    mamba, full = mamba_of(config), grouped(config)
    if config.get("attn_layer_indices") is not None or config.get("layer_types") is None:
        at = config.indices("attn_layer_indices")
        return [full if i in at else mamba for i in config.layers()]
    return [mamba if linear else full for linear in _is_linear(config)]


def lightning_layers(config: Config) -> list[AbstractAttention]:
    """MiniMax-01: lightning attention, and full attention where the list says so."""
    full = grouped(config)
    lightning = Lightning(full.heads, full.heads, full.head_dim, full.head_dim, 1.0)
    if config.get("attn_type_list") is not None:
        kinds = config.entries("attn_type_list", ("0", "1")) or []
        return [full if kind else lightning for kind in kinds]
    return [lightning if linear else full for linear in _is_linear(config)]


_BLOCKS = {"M": "mamba", "*": "attention", "E": "moe", "-": "mlp"}


def blocks_of(config: Config) -> list[str]:
    """Nemotron-H: what each layer is, `mamba`, `attention`, `moe` or `mlp`."""
    listed = config.get("layers_block_type") or config.get("layer_types")
    pattern = config.get("hybrid_override_pattern")
    if listed is None:
        if not isinstance(pattern, str) or not pattern or set(pattern) - set(_BLOCKS):
            raise config.error(
                f"hybrid_override_pattern is {pattern!r}; letters of {' '.join(_BLOCKS)} are "
                "needed, or layers_block_type."
            )
        listed = [_BLOCKS[letter] for letter in pattern]
    if not isinstance(listed, list) or any(kind not in _BLOCKS.values() for kind in listed):
        raise config.error(
            f"layers_block_type must be a list of {', '.join(_BLOCKS.values())}, one a layer."
        )
    return listed


def block_mixers(config: Config, blocks: list[str]) -> list[AbstractAttention]:
    """The mixer of every layer of Nemotron-H, NoAttention where it is a network."""
    kinds: dict[str, AbstractAttention] = {"attention": grouped(config)}
    if "mamba" in blocks:
        kinds["mamba"] = mamba_of(config)
    none = NoAttention()
    return [kinds.get(block, none) for block in blocks]
