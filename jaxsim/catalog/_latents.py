"""Which latent, selected or compressed attention does a config.json give each layer?"""

import math
from collections.abc import Hashable
from dataclasses import replace

from jaxsim.catalog._attentions import FULL, cache_sources, grouped
from jaxsim.catalog._config_keys import Config
from jaxsim.catalog.model import (
    MLA,
    AbstractAttention,
    BlockSparseGQA,
    CompressedMQA,
    DirectMLA,
    ReusedSparseMLA,
    SharedCache,
    SparseMLA,
)


def latent(config: Config) -> MLA | DirectMLA:
    """Latent attention, with a rank for queries or without."""
    config.get("kv_heads")
    config.get("head_dim")
    config.get("qk_head_dim")
    parts = {
        "heads": config.positive("num_attention_heads"),
        "kv_rank": config.positive("kv_lora_rank"),
        "nope_dim": config.positive("qk_nope_head_dim"),
        "rope_dim": config.positive("qk_rope_head_dim"),
        "v_dim": config.positive("v_head_dim"),
    }
    if config.get("q_lora_rank") is None:
        return DirectMLA(**parts)
    return MLA(q_rank=config.positive("q_lora_rank"), **parts)


def latent_layers(config: Config) -> list[AbstractAttention]:
    """Latent attention on every layer; over selected tokens where the config has an indexer.

    Layers of which `kv_source_layers` names another have that one's cache.
    """
    own = latent(config)
    rotated = _rotated(config)
    config.entries("layer_types", (*FULL, "indexed_attention"))
    topk = config.positive("index_topk") if config.get("index_topk") is not None else None
    if topk is not None and isinstance(own, DirectMLA) and not _is_large4(config):
        raise config.error("q_lora_rank is null: an indexer without it is not supported.")
    indexers = _indexers(config) if topk is not None else ["none"] * len(rotated)
    kept: dict[Hashable, AbstractAttention] = {}
    attentions: list[AbstractAttention] = []
    for key in zip(rotated, indexers, _sources(config, rotated), strict=True):
        if key not in kept:
            rotates, indexer, shares = key
            whole = own if rotates else unrotated(own)
            layer: MLA | DirectMLA | SparseMLA | ReusedSparseMLA = whole
            if topk is not None and indexer == "full":
                heads, dim = config.positive("index_n_heads"), config.positive("index_head_dim")
                layer = SparseMLA(whole, heads, dim, topk)
            elif topk is not None:
                layer = ReusedSparseMLA(whole, topk)
            kept[key] = SharedCache(layer) if shares else layer
        attentions.append(kept[key])
    return attentions


def _indexers(config: Config) -> list[str]:
    """`full` where a layer's own indexer selects, `shared` where the last such one's does.

    Listed, or every `index_topk_freq` layers from the `index_skip_topk_offset`-th on.
    """
    listed = config.entries("indexer_types", ("full", "shared"))
    pattern = config.get("index_topk_pattern")
    often = int(config.positive("index_topk_freq", 1.0))
    first = int(config.whole("index_skip_topk_offset", 2.0))
    if listed is None and isinstance(pattern, str):
        if set(pattern) - set("FS") or len(pattern) != len(config.layers()):
            raise config.error("index_topk_pattern needs one letter a layer, F or S.")
        return ["full" if letter == "F" else "shared" for letter in pattern]
    if listed is None:
        due = [max(layer - first + 1, 0) % often == 0 for layer in config.layers()]
        return ["full" if own else "shared" for own in due]
    if listed[0] != "full":
        raise config.error("indexer_types begins with 'shared', before any layer that selects.")
    return [str(kind) for kind in listed]


def _is_large4(config: Config) -> bool:
    """Mistral Large 4, whose queries have no rank, nor those of its indexer."""
    return config.text("model_type").startswith("mistral_large4")


def _rotated(config: Config) -> list[bool]:
    """Whether each layer rotates a part of its keys: all do but some of Mistral Large 4."""
    if not _is_large4(config):
        return [True] * len(config.layers())
    step = int(config.positive("no_rope_layer_interval", 4.0))
    listed = config.entries("no_rope_layers")
    return [
        (layer + 1) % step != 0 if listed is None else bool(listed[layer])
        for layer in config.layers()
    ]


def unrotated(latent: MLA | DirectMLA) -> MLA | DirectMLA:
    """The same attention with keys as wide, all of which come from the latent."""
    return replace(latent, nope_dim=latent.nope_dim + latent.rope_dim, rope_dim=0.0)


def _sources(config: Config, rotated: list[bool]) -> list[bool]:
    """Whether each layer looks back at an earlier one's cache."""
    sources = cache_sources(config)
    for layer, source in enumerate(sources):
        if rotated[source] != rotated[layer]:
            raise config.error(
                f"kv_source_layers[{layer}] is {source}, but no_rope_layers rotates the keys of "
                "only one of them."
            )
    return [source != layer for layer, source in enumerate(sources)]


def block_sparse_layers(config: Config) -> list[AbstractAttention]:
    """MiniMax-M3: blocks of keys selected by an indexer, but for the layers that see everything."""
    full = grouped(config)
    stated = config.table("sparse_attention_config")
    if not stated.raw:
        keys = Config(config.path, config.raw, config.read)
        often = [1] * len(config.layers())
        names = ("index_n_heads", "index_head_dim", "index_block_size", "index_topk_blocks")
        config.get("index_local_blocks")
    else:
        keys = stated
        often = keys.get("sparse_attention_freq") or [1] * len(config.layers())
        names = (
            "sparse_num_index_heads",
            "sparse_index_dim",
            "sparse_block_size",
            "sparse_topk_blocks",
        )
    if not isinstance(often, list) or len(often) < len(config.layers()):
        raise config.error("sparse_attention_config.sparse_attention_freq needs an entry a layer.")
    config.entries("layer_types", FULL)
    parts = [keys.positive(name) for name in names]
    sparse = BlockSparseGQA(full, *parts)
    return [sparse if often[layer] else full for layer in config.layers()]


def compressed_layers(config: Config) -> list[AbstractAttention]:
    """DeepSeek-V4: windows, and beside them every so many tokens in one entry."""
    ratios = config.entries("compress_ratios")
    if ratios is None:
        raise config.error("compress_ratios is missing.")
    config.get("kv_heads")
    kinds = {}
    for ratio in set(ratios):
        if not isinstance(ratio, int) or ratio < 0:
            raise config.error(f"compress_ratios has {ratio!r}; whole numbers are needed.")
        indexed = 0 < ratio <= INDEXED_UP_TO
        kinds[ratio] = CompressedMQA(
            heads=config.positive("num_attention_heads"),
            head_dim=config.positive("head_dim"),
            q_rank=config.positive("q_lora_rank"),
            window_tokens=config.positive("sliding_window"),
            ratio=float(ratio) if ratio else math.inf,
            index_topk=config.positive("index_topk") if indexed else math.inf,
            index_heads=config.positive("index_n_heads") if indexed else 0.0,
            index_dim=config.positive("index_head_dim") if indexed else 0.0,
            out_groups=config.positive("o_groups"),
            out_rank=config.positive("o_lora_rank"),
            streams=config.positive("hc_mult", 1.0),
        )
    config.get("qk_rope_head_dim")
    return [kinds[ratio] for ratio in ratios]


# Compressed more than this, entries are few enough to look at all of them, without an indexer.
INDEXED_UP_TO = 4
