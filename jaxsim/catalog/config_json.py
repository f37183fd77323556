"""What does a Hugging Face config.json say about a model?

The raw JSON is read, since libraries rewrite keys on the way in, and nothing in it is executed.
An architecture that the records cannot express is refused with the keys that stand in the way.
"""

import datetime
import json
import math
from pathlib import Path
from typing import Any

import jax

from jaxsim.catalog._architectures import ALIASES, ARCHITECTURES, Config
from jaxsim.catalog._datum import Datum
from jaxsim.catalog._quantization import Modules, precision_of
from jaxsim.catalog.cards import ModelCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.model import LayerGroup, Model

# Keys whose presence, unless empty or false, changes the structure in a way no record expresses.
FOREIGN_PARTS = (
    "compress_ratio",
    "linear_",
    "mamba",
    "ssm_",
    "hybrid_override_pattern",
    "hybrid_layer_pattern",
    "block_configs",
    "sparse_attention_config",
    "full_attention_interval",
    "expert_dtype",
    "swa_",
    "kv_shared",
    "num_kv_shared_layers",
    "shared_kv",
    "hyper_connection",
    "global_head_dim",
)

# Lists with an entry for every layer, of which the records express only the ordinary one.
UNIFORM_LISTS = {"attn_type_list": 1, "indexer_types": "full"}

# fmt: off
KNOWN_KEYS = {
    "architectures", "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads",
    "head_dim", "intermediate_size", "vocab_size", "tie_word_embeddings", "hidden_act", "dtype",
    "max_position_embeddings", "torch_dtype", "sliding_window", "layer_types", "rms_norm_eps",
    "rope_theta", "rope_scaling", "rope_parameters", "initializer_range", "use_cache", "auto_map",
    "bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "attention_dropout",
    "attention_bias", "quantization_config", "text_config", "vision_config", "norm_topk_prob",
    "use_sliding_window", "max_window_layers", "output_router_logits", "routed_scaling_factor",
    "router_aux_loss_coef", "scoring_func", "n_group", "topk_group", "topk_method", "rotary_dim",
    "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
    "first_k_dense_replace", "moe_layer_freq", "index_topk", "index_n_heads", "index_head_dim",
    "pretraining_tp", "ep_size", "qk_head_dim", "mlp_bias", "use_qk_norm", "partial_rotary_factor",
    *(alias for group in ALIASES.values() for alias in group),
}
# fmt: on


def _foreign(raw: dict[str, Any]) -> list[str]:
    """Keys that name a structure no record expresses, where they are set."""
    found = {key for key, value in raw.items() if value and any(p in key for p in FOREIGN_PARTS)}
    for key, ordinary in UNIFORM_LISTS.items():
        listed = raw.get(key)
        if isinstance(listed, list) and any(entry != ordinary for entry in listed):
            found.add(key)
    return sorted(found)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}.") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a JSON object.")
    return raw


def _grouped(layers: list[tuple[Any, Any]]) -> tuple[LayerGroup, ...]:
    """Layers of one kind (one object) together, in the order in which the kinds first appear."""
    counts: list[list[Any]] = []
    for attention, ffn in layers:
        for entry in counts:
            if entry[0] is attention and entry[1] is ffn:
                entry[2] += 1.0
                break
        else:
            counts.append([attention, ffn, 1.0])
    return tuple(LayerGroup(attention, ffn, count) for attention, ffn, count in counts)


def read_config(path: Path) -> ModelCard:
    """The card of the model that a config.json, or the folder that holds one, describes.

    In a folder, a hf_quant_config.json beside it says how the weights are quantised where the
    config itself does not.
    """
    path = path / "config.json" if path.is_dir() else path
    outer = _read_json(path)
    inner = outer.get("text_config", outer)
    if not isinstance(inner, dict):
        raise InputError(f"{path}: text_config must be a JSON object.")
    config = Config(path, inner)
    stated = outer.get("architectures") or inner.get("architectures") or ["unknown"]
    architecture = str(stated[0] if isinstance(stated, list) and stated else stated)
    foreign = _foreign(inner)
    if architecture not in ARCHITECTURES or foreign:
        keys = foreign or sorted(set(inner) - KNOWN_KEYS)
        raise config.error(
            f"architecture {architecture} (model_type {inner.get('model_type')!r}) is not "
            f"supported; keys that cannot be expressed: {', '.join(keys) or 'none known'}. "
            f"Supported: {', '.join(ARCHITECTURES)}."
        )
    attention, ffn = ARCHITECTURES[architecture]
    try:
        groups = _grouped(list(zip(attention(config), ffn(config), strict=True)))
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, InputError) else config.error(f"{error}.") from None
    quantization = outer.get("quantization_config") or inner.get("quantization_config")
    beside = path.parent / "hf_quant_config.json"
    if not quantization and beside.exists():
        quantization = _read_json(beside).get("quantization")
    precision = precision_of(quantization, Modules.of(groups), str(path))
    tied = outer.get("tie_word_embeddings", inner.get("tie_word_embeddings", False))
    stem = path.parent.name if path.name == "config.json" else path.stem
    text_only = "vision_config" in outer or "text_config" in outer
    stated_context = config.get("max_position_embeddings") is not None
    context = config.positive("max_position_embeddings") if stated_context else math.inf
    model = Model(
        hidden=config.positive("hidden_size"),
        vocab=config.positive("vocab_size"),
        tied=float(bool(tied)),
        groups=groups,
    )
    return ModelCard(
        name=stem or "config",
        model=model,
        precision=precision,
        max_context_tokens=context,
        mtp_layers=config.number("mtp", 0.0) if config.get("use_mtp", True) else 0.0,
        hf_id=str(outer.get("_name_or_path") or ""),
        fp8_format="fp8_block" if precision.experts == "fp8_block" else "fp8",
        note="text part only" if text_only else "",
        provenance=_provenance(model, f"{path} ({architecture})", path),
    )


def _provenance(model: Model, source: str, path: Path) -> dict[str, Datum]:
    """A datum for every number of a record: all come from one file, some by its architecture."""
    date = datetime.date.fromtimestamp(path.stat().st_mtime)
    leaves, _ = jax.tree_util.tree_flatten_with_path(model)
    return {
        (key := jax.tree_util.keystr(where).lstrip(".")): Datum(
            value, "derived" if key.endswith(("bias_params", "matrices")) else "spec", source, date
        )
        for where, value in leaves
    }
