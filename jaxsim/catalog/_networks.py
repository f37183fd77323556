"""Which feed-forward network does a config.json give each layer?"""

from jaxsim.catalog._config_keys import Config
from jaxsim.catalog.model import AbstractFFN, DenseFFN, LatentMoEFFN, MoEFFN, NoFFN

GATED = ("silu", "swiglu", "swigluoai", "situ")
# Families whose network is gated by something else than a SiLU, and those without a gate.
_GEGLU = ("gemma", "t5gemma", "muse")
_PLAIN = ("falcon", "nemotron", "arcee", "apertus")


def matrices_of(config: Config) -> float:
    """3 matrices where one gates another, else 2; by the family and the activation."""
    activation, family = config.text("activation", "silu"), config.text("model_type")
    if family.startswith(_PLAIN) and "nas" not in family:
        return 2.0
    if activation in GATED or family.startswith(_GEGLU):
        return 3.0
    raise config.error(
        f"hidden_act {activation!r} is not supported; {', '.join(GATED)} are, and others in "
        f"families without a gate ({', '.join(_PLAIN)})."
    )


def dense_of(config: Config) -> DenseFFN:
    """The network of a dense layer."""
    for key in ("dense_intermediate_size", "intermediate_size_mlp", "ffn_hidden_size"):
        if config.get(key) is not None:
            return DenseFFN(config.positive(key), matrices_of(config))
    if config.get("intermediate_size") is None and config.get("shared_intermediate_size"):
        return DenseFFN(config.positive("shared_intermediate_size"), matrices_of(config))
    return DenseFFN(config.positive("intermediate_size"), matrices_of(config))


def experts_of(config: Config, shared: float | None = None) -> MoEFFN | LatentMoEFFN:
    """Routed experts, and shared ones: of a width of their own, or so many of the same width."""
    width = config.positive("expert_width")
    experts, topk = config.positive("experts"), config.positive("topk")
    if topk > experts:
        raise config.error(f"{topk:g} experts a token are more than the {experts:g} there are.")
    count = config.whole("shared", 0.0)
    for key in (
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
        "share_expert_dim",
    ):
        if shared is None and config.whole(key, 0.0) > 0.0:
            shared = config.whole(key)
    shared = count * width if shared is None else shared
    family = config.text("model_type")
    bias = experts if config.get("first_k_dense_replace") is not None else 0.0
    if family == "gpt_oss":
        bias = experts * (1.0 + 2.0 * width + config.positive("hidden_size"))
    if family == "qwen2_moe" or family.startswith(("qwen3_next", "qwen3_5")):
        bias = config.positive("hidden_size")  # of the shared expert's gate
    moe = MoEFFN(experts, topk, width, shared, matrices_of(config), bias)
    for key in ("moe_latent_size", "routed_expert_hidden_size", "moe_hidden_size"):
        if config.get(key) is not None:
            return LatentMoEFFN(moe, config.positive(key))
    return moe


def _sparse_layers(config: Config) -> list[bool]:
    """Whether each layer has experts, by whichever key says so."""
    count = len(config.layers())
    kinds = config.entries("mlp_layer_types", ("dense", "sparse"))
    first = int(config.whole("first_k_dense_replace", 0.0))
    frequency = config.get("moe_layer_freq", 1)
    listed = config.get("moe_layers_enum")
    step = int(config.positive("decoder_sparse_step", 1.0))
    dense_at = config.indices("mlp_only_layers")
    start = int(config.whole("moe_layer_start_index", 0.0))
    end = int(config.whole("moe_layer_end_index", count))
    interval = int(config.positive("moe_layer_interval", 1.0))
    if kinds is not None:
        return [kind == "sparse" for kind in kinds]
    if isinstance(listed, str):
        at = {int(word) for word in listed.split(",") if word.strip().isdigit()}
        return [i in at for i in range(count)]
    if isinstance(frequency, list):
        listed = config.entries("moe_layer_freq") or []
        return [bool(entry) for entry in listed]
    if not isinstance(frequency, int) or frequency < 1:
        raise config.error(f"moe_layer_freq {frequency!r} is not supported; 1 or a list is.")
    return [
        i >= max(first, start)
        and i <= end
        and (i - start) % interval == 0
        and i % frequency == 0
        and i not in dense_at
        and (i + 1) % step == 0
        for i in range(count)
    ]


def networks(config: Config) -> list[AbstractFFN]:
    """The network of every layer: experts where the config has any and the layer is sparse."""
    count = len(config.layers())
    if not config.whole("experts", 0.0):
        for key in ("topk", "experts", "moe_intermediate_size"):
            config.get(key)
        return [dense_of(config)] * count
    sparse = _sparse_layers(config)
    moe = experts_of(config) if any(sparse) else NoFFN()
    dense = NoFFN() if all(sparse) else dense_of(config)
    for key in ("intermediate_size", "dense_intermediate_size", "activation"):
        config.get(key)
    return [moe if here else dense for here in sparse]


def dense_networks(config: Config) -> list[AbstractFFN]:
    """The network of every layer of a family that has no experts."""
    return [dense_of(config)] * len(config.layers())


def gemma_networks(config: Config) -> list[AbstractFFN]:
    """Gemma 4: a dense network on every layer, with experts beside it where there are any."""
    count = len(config.layers())
    if not config.flag("enable_moe_block"):
        return [dense_of(config)] * count
    return [experts_of(config, shared=config.positive("intermediate_size"))] * count


def interleaved_networks(config: Config) -> list[AbstractFFN]:
    """Llama 4: experts every `interleave_moe_layer_step` layers, always one shared expert."""
    step = int(config.positive("interleave_moe_layer_step", 1.0))
    moe = experts_of(config, shared=config.positive("intermediate_size"))
    config.get("intermediate_size_mlp")
    chosen = config.indices("moe_layers")
    chosen = chosen or {i for i in config.layers() if (i + 1) % step == 0}
    some_dense = step > 1 or not chosen.issuperset(config.layers())
    dense = dense_of(config) if some_dense else NoFFN()
    return [moe if i in chosen else dense for i in config.layers()]


def block_networks(config: Config, blocks: list[str]) -> list[AbstractFFN]:
    """The network of every layer of Nemotron-H, NoFFN where it is a mixer."""
    kinds: dict[str, AbstractFFN | None] = {
        "moe": experts_of(config) if "moe" in blocks else None,
        "mlp": dense_of(config) if "mlp" in blocks else None,
    }
    config.get("intermediate_size")
    none = NoFFN()
    return [kinds.get(block) or none for block in blocks]
