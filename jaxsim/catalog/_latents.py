"""Which latent, selected or compressed attention does a config.json give each layer?"""

import math

from jaxsim.catalog._attentions import FULL, grouped
from jaxsim.catalog._config_keys import Config
from jaxsim.catalog.model import (
    MLA,
    AbstractAttention,
    BlockSparseGQA,
    CompressedMQA,
    DirectMLA,
    ReusedSparseMLA,
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
    """Latent attention on every layer; over selected tokens where the config has an indexer."""
    own = latent(config)
    count = len(config.layers())
    sources = config.entries("kv_source_layers")
    if sources is not None and sources != list(range(count)):
        raise config.error("kv_source_layers shares caches between layers, which is not supported.")
    config.entries("layer_types", (*FULL, "indexed_attention"))
    if config.get("index_topk") is None:
        return [own] * count
    if isinstance(own, DirectMLA):
        raise config.error("q_lora_rank is null: an indexer without it is not supported.")
    sparse = SparseMLA(
        latent=own,
        index_heads=config.positive("index_n_heads"),
        index_dim=config.positive("index_head_dim"),
        index_topk=config.positive("index_topk"),
    )
    kinds = config.entries("indexer_types", ("full", "shared")) or ["full"] * count
    reused = ReusedSparseMLA(own, sparse.index_topk)
    return [sparse if kind == "full" else reused for kind in kinds]


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
