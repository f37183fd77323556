"""In which formats does a checkpoint ship, by its quantisation config?

Checkpoints name what they quantise by module, with lists of exceptions: exact names, globs, or
regular expressions after `re:`. A class of tensor counts as quantised only where every module
that stands for it is.
"""

import fnmatch
import re
from dataclasses import dataclass
from typing import Any

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.model import MLA, DenseFFN, MoEFFN, SparseMLA
from jaxsim.catalog.precision import Format, Precision

_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Modules:
    """Modules that stand for each class of tensor: one layer of every kind."""

    attention: tuple[str, ...]
    ffn: tuple[str, ...]
    experts: tuple[str, ...]
    head: tuple[str, ...] = ("lm_head",)

    @classmethod
    def of(cls, groups: tuple) -> "Modules":
        """The modules of a middle layer of every group."""
        attention, ffn, experts = [], [], []
        before = 0
        for group in groups:
            layer = f"model.layers.{before + int(float(group.layers)) // 2}"
            before += int(float(group.layers))
            latent = isinstance(group.attention, MLA | SparseMLA)
            latent_names = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
            names = latent_names if latent else ("q_proj", "k_proj", "v_proj", "o_proj")
            attention += [f"{layer}.self_attn.{name}" for name in names]
            if isinstance(group.ffn, DenseFFN):
                ffn += [f"{layer}.mlp.{name}" for name in _PROJECTIONS]
            elif isinstance(group.ffn, MoEFFN):
                experts += [f"{layer}.mlp.experts.0.{name}" for name in _PROJECTIONS]
                if group.ffn.shared_intermediate > 0:
                    ffn += [f"{layer}.mlp.shared_experts.{name}" for name in _PROJECTIONS]
        return cls(tuple(attention), tuple(ffn), tuple(experts))


def _matches(module: str, pattern: str) -> bool:
    """Whether an exception names a module: by regular expression, glob, prefix or component."""
    if pattern.startswith("re:"):
        try:
            return re.match(pattern[3:], module) is not None
        except re.error as error:
            raise InputError(f"Pattern {pattern!r} of a quantisation config: {error}.") from None
    plain = re.sub(r"^(model\.)?language_model\.(?=model\.)", "", pattern)
    plain = re.sub(r"^model\.language_model\.", "model.", plain)
    plain = re.sub(r"^language_model\.", "", plain)
    if any(mark in plain for mark in "*?["):
        return fnmatch.fnmatchcase(module, plain) or fnmatch.fnmatchcase(module, plain + ".*")
    if "." not in plain:
        return plain in module.split(".")
    return module == plain or module.startswith(plain + ".")


def _with(fmt: Format, exceptions: list[str], modules: Modules, kv: Format) -> Precision:
    """Every class in `fmt` except where an exception names a module of it."""

    def stored(names: tuple[str, ...]) -> Format:
        spared = any(_matches(name, pattern) for name in names for pattern in exceptions)
        return "bf16" if spared or not names else fmt

    experts = stored(modules.experts)
    wire: dict[Format, Format] = {"nvfp4": "nvfp4", "fp8": "fp8", "fp8_block": "fp8"}
    return Precision(
        attention=stored(modules.attention),
        ffn=stored(modules.ffn),
        experts=experts,
        head=stored(modules.head),
        kv=kv,
        attention_math="fp8" if kv == "fp8" else "bf16",
        dispatch=wire.get(experts, "bf16"),
    )


def _kv(quantization: dict[str, Any]) -> Format:
    """How the cache is stored, where the checkpoint says: FP8, or else 16 bit."""
    stated = quantization.get("kv_cache_quant_algo")
    scheme = quantization.get("kv_cache_scheme")
    if isinstance(scheme, dict):
        stated = stated or {8: "FP8", 4: "NVFP4"}.get(scheme.get("num_bits", 0))
    elif isinstance(scheme, str):
        stated = stated or scheme
    formats: dict[str, Format] = {"FP8": "fp8", "NVFP4": "nvfp4"}
    return formats.get(str(stated).upper(), "bf16")


def _weights(quantization: dict[str, Any]) -> dict[str, Any]:
    """The weight scheme of the only config group."""
    groups = quantization.get("config_groups") or {}
    if not isinstance(groups, dict) or len(groups) != 1:
        return {}
    (group,) = groups.values()
    return group.get("weights") or {} if isinstance(group, dict) else {}


def precision_of(quantization: Any, modules: Modules, path: str) -> Precision:
    """The formats in which a checkpoint ships: bf16 without a quantisation config.

    Embedding and head stay 16-bit in the methods that never convert them (block FP8, MXFP4).
    """
    if not quantization:
        return Precision()
    if not isinstance(quantization, dict):
        raise InputError(f"{path}: quantization_config must be a JSON object.")
    method = str(quantization.get("quant_method", "")).lower()
    algorithm = str(quantization.get("quant_algo", "")).upper()
    spared: list[str] = []
    for key in ("ignore", "exclude_modules", "modules_to_not_convert", "ignored_layers"):
        listed = quantization.get(key) or []
        if not isinstance(listed, list):
            raise InputError(f"{path}: {key} of the quantisation config must be a list.")
        spared += [str(entry) for entry in listed]
    kv = _kv(quantization)
    weights = _weights(quantization)
    bits, kind = weights.get("num_bits"), str(weights.get("type", ""))
    refused = {"MIXED_PRECISION", "W4A8_AWQ", "W4A16_AWQ", "NVFP4_AWQ", "W4A8_MXFP4_FP8"}
    if algorithm in refused or "quantized_layers" in quantization:
        raise InputError(
            f"{path}: quantisation {algorithm or method} is not supported, since its layers "
            "differ. Load a copy of the file without quantization_config, with a precision preset."
        )
    if algorithm == "NVFP4":
        return _with("nvfp4", spared, modules, kv)
    if algorithm in ("FP8", "FP8_PB_WO", "FP8_PER_CHANNEL_PER_TOKEN"):
        return _with("fp8_block" if algorithm == "FP8_PB_WO" else "fp8", spared, modules, kv)
    if method == "fp8":
        block = quantization.get("weight_block_size")
        return _with("fp8_block" if block else "fp8", [*spared, "lm_head"], modules, kv)
    if method == "mxfp4":
        spared += ["self_attn", "shared_experts", "lm_head"]
        return _with("mxfp4", spared, modules, kv)
    if method == "compressed-tensors" and bits == 4 and kind == "int":
        return _with("int4", spared, modules, kv)
    if method == "compressed-tensors" and bits == 8 and kind == "float":
        return _with("fp8", spared, modules, kv)
    if method in ("awq", "gptq") and quantization.get("bits", 4) == 4:
        return _with("int4", [*spared, "lm_head"], modules, kv)
    raise InputError(
        f"{path}: quantisation {method or algorithm or 'without a method'} is not supported. "
        "Supported: block and per-tensor FP8, MXFP4, NVFP4 (modelopt), int4 (compressed-tensors, "
        "AWQ, GPTQ)."
    )
