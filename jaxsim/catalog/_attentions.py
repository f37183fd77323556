"""Which attention does a config.json give each layer?

One function for each way of giving it; each returns an entry a layer, and layers of one kind share
one record.
"""

import math
from collections.abc import Hashable

from jaxsim.catalog._config_keys import Config
from jaxsim.catalog.documents import quoted
from jaxsim.catalog.model import GQA, AbstractAttention, VariedGQA

FULL = ("full_attention", "attention", "global_attention", "full", "global")
SLIDING = ("sliding_attention", "chunked_attention", "sliding", "local", "hybrid_sliding")

# Families with a norm for queries and keys: as wide as a head, or as all heads together.
_HEAD_NORMS = (
    "qwen3", "gemma3", "gemma4", "exaone", "hunyuan", "dots1", "apertus", "minimax_m3", "step3",
    "laguna", "hy_v3", "lfm",
)  # fmt: skip
_WIDE_NORMS = ("olmo", "minimax_m2")
# Families whose `attention_bias` is of queries, keys and values, or which always have those.
_INPUT_BIAS = ("glm4", "mimo", "seed_oss", "qwen2", "dots1")
_ALWAYS_BIAS = ("qwen2", "internvl", "mimo")


def _heads(config: Config) -> tuple[float, float, float]:
    """Query heads, key/value heads and their size."""
    heads = config.positive("num_attention_heads")
    if config.flag("multi_query") and not config.flag("new_decoder_architecture"):
        kv_heads = 1.0
        config.get("kv_heads")
    else:
        kv_heads = config.positive("kv_heads", heads)
    if config.get("head_dim") is None:
        dim = config.positive("hidden_size") / heads
        if dim != math.floor(dim):
            raise config.error(
                f"head_dim is missing, and hidden_size / num_attention_heads = {dim:g} is no whole "
                "number."
            )
        return heads, kv_heads, dim
    return heads, kv_heads, config.positive("head_dim")


def bias_params(config: Config, heads: float, kv_heads: float, head_dim: float) -> float:
    """Biases and query/key norms of one layer, by family."""
    family = config.text("model_type")
    flagged = config.flag("attention_bias") or config.flag("qkv_bias")
    output = config.flag("attention_out_bias", not family.startswith(_INPUT_BIAS))
    qk_norm = config.get("use_qk_norm")
    total = 0.0
    if family.startswith(_ALWAYS_BIAS) or flagged:
        total += (heads + 2.0 * kv_heads) * head_dim
        total += config.positive("hidden_size") if output and flagged else 0.0
    if family == "gpt_oss":  # one attention sink a head
        total += heads
    if family.startswith(_WIDE_NORMS):
        total += (heads + kv_heads) * head_dim
    elif family.startswith(_HEAD_NORMS) or (family.startswith("glm4") and qk_norm):
        total += 2.0 * head_dim
    return total


def grouped(config: Config, window: float = math.inf, **other: float) -> GQA:
    """Grouped-query attention of the ordinary keys, or with `other` heads, kv_heads or head_dim."""
    heads, kv_heads, head_dim = _heads(config)
    heads, kv_heads = other.get("heads", heads), other.get("kv_heads", kv_heads)
    head_dim = other.get("head_dim", head_dim)
    return GQA(heads, kv_heads, head_dim, window, bias_params(config, heads, kv_heads, head_dim))


def varied(attention: GQA, **parts: float) -> VariedGQA:
    """The same attention with a gate, other values or another layer's cache."""
    return VariedGQA(
        heads=attention.heads,
        kv_heads=attention.kv_heads,
        qk_dim=attention.head_dim,
        v_dim=parts.get("v_dim", attention.head_dim),
        window_tokens=attention.window_tokens,
        bias_params=attention.bias_params,
        gate_dim=parts.get("gate_dim", 0.0),
        own_values=parts.get("own_values", 1.0),
        own_cache=parts.get("own_cache", 1.0),
    )


def window_of(config: Config) -> float | None:
    """Tokens of the sliding window, None where there is none."""
    value = config.get("sliding_window")
    if value is None or value is False or not config.flag("use_sliding_window", True):
        return None
    return config.positive("sliding_window")


def layer_kinds(config: Config) -> list[str]:
    """`full_attention` or `sliding_attention` for every layer."""
    count = len(config.layers())
    window = window_of(config)
    listed = config.entries("layer_types", (*FULL, *SLIDING))
    if listed is not None:
        kinds = ["sliding_attention" if kind in SLIDING else FULL[0] for kind in listed]
        if SLIDING[0] in kinds and window is None:
            raise config.error("layer_types has sliding_attention, but no sliding_window is given.")
        return kinds
    pattern = config.get("sliding_window_pattern") or config.get("_sliding_window_pattern")
    if window is None:
        return [FULL[0]] * count
    if isinstance(pattern, str) and pattern and set(pattern) <= set("LG"):
        return [SLIDING[0] if pattern[i % len(pattern)] == "L" else FULL[0] for i in range(count)]
    if isinstance(pattern, int) and pattern > 1:
        return [FULL[0] if (i + 1) % pattern == 0 else SLIDING[0] for i in range(count)]
    if config.text("model_type") == "gpt_oss":
        return (["sliding_attention", "full_attention"] * ((count + 1) // 2))[:count]
    first = min(int(config.number("max_window_layers", 0.0)), count)
    return [FULL[0]] * first + [SLIDING[0]] * (count - first)


def _other_heads(config: Config) -> dict[str, float]:
    """What sliding layers have otherwise than full ones."""
    names = {
        "heads": ("swa_num_attention_heads", "num_sliding_attention_heads"),
        "kv_heads": ("swa_num_key_value_heads",),
        "head_dim": ("swa_head_dim",),
    }
    setting = config.table("attention_other_setting")
    config.get("per_layer_config")
    other = {
        name: config.positive(key)
        for name, keys in names.items()
        for key in keys
        if config.get(key) is not None
    }
    for name, key in (("heads", "num_attention_heads"), ("kv_heads", "num_attention_groups")):
        if setting.raw.get(key) is not None:
            other[name] = setting.positive(key)
    return other


def cache_sources(config: Config) -> list[int]:
    """The layer whose cache each layer looks back at: its own, or an earlier one's.

    `kv_source_layers` lists them; of `cla_share_factor` layers the first has a cache for all.
    """
    own = list(config.layers())
    listed = config.entries("kv_source_layers")
    if config.flag("use_cla"):
        factor = int(config.positive("cla_share_factor"))
        return [layer - layer % factor for layer in own]
    if listed is None:
        return own
    sources = [at if isinstance(at, int) and not isinstance(at, bool) else -1 for at in listed]
    for layer, source in enumerate(sources):
        if not 0 <= source <= layer or sources[source] != source:
            raise config.error(
                f"kv_source_layers[{layer}] is {quoted(listed[layer])}; layer {layer} itself, or "
                "an earlier one with a cache of its own, is needed."
            )
    return sources


def shared_caches(config: Config, kinds: list[str]) -> list[bool]:
    """Whether each layer looks back at an earlier one's cache, which must be of its kind.

    The last `num_kv_shared_layers` do: at that of the last layer of their kind before them.
    """
    sources = cache_sources(config)
    last = len(kinds) - int(config.whole("num_kv_shared_layers", 0.0))
    if last < len(kinds) and (last < 1 or not set(kinds[last:]) <= set(kinds[:last])):
        raise config.error("num_kv_shared_layers leaves no layer of each kind with a cache.")
    for layer, source in enumerate(sources):
        if kinds[source] != kinds[layer]:
            raise config.error(
                f"layer {layer} is of {kinds[layer]}, but the cache that it is to have of layer "
                f"{source} is of {kinds[source]}."
            )
    return [source != layer or layer >= last for layer, source in enumerate(sources)]


def grouped_layers(config: Config) -> list[AbstractAttention]:
    """One attention a layer, windowed where `layer_types` or `sliding_window` says so."""
    kinds = layer_kinds(config)
    window = window_of(config)
    window_heads = _other_heads(config)
    gate = 0.0
    if config.flag("use_head_wise_attn_gate") or config.flag("gating"):
        gate = 1.0
    if config.flag("use_attention_gate"):
        gate = _heads(config)[2]
    each = config.numbers("num_attention_heads_per_layer")
    config.entries("attn_type_list", ("1",))
    shared = shared_caches(config, kinds)
    kept: dict[Hashable, AbstractAttention] = {}
    attentions: list[AbstractAttention] = []
    for layer, kind in enumerate(kinds):
        sliding = kind == SLIDING[0]
        other = dict(window_heads) if sliding else {}
        if each is not None:
            other["heads"] = each[layer]
        caches = 0.0 if shared[layer] else 1.0
        key = (sliding, caches, *sorted(other.items()))
        if key not in kept:
            made = grouped(config, float(window) if sliding and window else math.inf, **other)
            plain = caches == 1.0 and not gate
            kept[key] = made if plain else varied(made, gate_dim=gate, own_cache=caches)
        attentions.append(kept[key])
    return attentions


def chunked_layers(config: Config) -> list[AbstractAttention]:
    """Llama 4: all but every fourth layer attend within chunks, taken as a window that wide."""
    chunk = config.positive("attention_chunk_size")
    step = int(config.positive("no_rope_layer_interval", 4.0))
    no_rope = config.entries("no_rope_layers") if config.get("no_rope_layers") else None
    no_rope = no_rope or [(i + 1) % step != 0 for i in config.layers()]
    config.get("layer_types")
    config.notes.append("chunks of attention are taken as windows as wide")
    local, full = grouped(config, chunk), grouped(config)
    return [local if uses_rope else full for uses_rope in no_rope]


def gemma_layers(config: Config) -> list[AbstractAttention]:
    """Gemma 4: full layers have their own head size and heads, and keys that are values too.

    Layers of `num_kv_shared_layers` use the keys and values of an earlier one of their kind.
    """
    kinds = layer_kinds(config)
    window = window_of(config)
    _, kv_heads, head_dim = _heads(config)
    wide = {
        "head_dim": config.positive("global_head_dim", head_dim),
        "kv_heads": config.positive("num_global_key_value_heads", kv_heads),
    }
    own_values = 0.0 if config.flag("attention_k_eq_v") else 1.0
    each = config.table("per_layer_config")
    for layer, entry in each.raw.items():
        if not isinstance(entry, dict):
            raise config.error(f"per_layer_config.{layer} is {entry!r}; an object is needed.")
        extra = sorted(set(entry) - {"head_dim", "num_key_value_heads"})
        if extra or not str(layer).isdigit():
            raise config.error(f"per_layer_config.{layer} has {extra}, which is not supported.")
    shared = shared_caches(config, kinds)
    kept: dict[Hashable, AbstractAttention] = {}
    attentions: list[AbstractAttention] = []
    for layer, kind in enumerate(kinds):
        sliding = kind == SLIDING[0]
        own = each.table(str(layer) if str(layer) in each.raw else f"{layer:02d}")
        other = {} if sliding else dict(wide)
        if "head_dim" in own.raw:
            other["head_dim"] = own.positive("head_dim")
        if "num_key_value_heads" in own.raw:
            other["kv_heads"] = own.positive("num_key_value_heads")
        caches = 0.0 if shared[layer] else 1.0
        values = 1.0 if sliding else own_values
        key = (sliding, caches, *sorted(other.items()))
        if key not in kept:
            made = grouped(config, float(window) if sliding and window else math.inf, **other)
            plain = caches == 1.0 and values == 1.0
            kept[key] = made if plain else varied(made, own_values=values, own_cache=caches)
        attentions.append(kept[key])
    return attentions


def unequal_layers(config: Config) -> list[AbstractAttention]:
    """MiMo-V2: keys wider than values, and sliding layers with heads of their own."""
    pattern = config.entries("hybrid_layer_pattern")
    config.get("attention_chunk_size")  # as wide as the window
    window = window_of(config)
    if pattern is None or window is None:
        raise config.error("hybrid_layer_pattern and sliding_window are needed.")
    heads, kv_heads, dim = _heads(config)
    full = varied(grouped(config), v_dim=config.positive("v_head_dim", dim))
    sliding = varied(
        grouped(
            config,
            window,
            heads=config.positive("swa_num_attention_heads", heads),
            kv_heads=config.positive("swa_num_key_value_heads", kv_heads),
            head_dim=config.positive("swa_head_dim", dim),
        ),
        v_dim=config.positive("swa_v_head_dim", config.positive("v_head_dim", dim)),
    )
    return [sliding if kind else full for kind in pattern]
