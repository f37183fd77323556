"""In which formats does a checkpoint ship, by its quantisation config?

Checkpoints say how their modules are stored: one scheme with a list of exceptions, several schemes
with targets, or a scheme for each module. Here every module gets its format, and a class of tensor
that of most of its weights; where its layers differ, with the bytes they take on average.
"""

from collections.abc import Callable

from jaxsim.catalog._modules import Module
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.patterns import Patterns
from jaxsim.catalog.precision import BYTES_PER_ELEMENT, Format, Precision

FormatOf = Callable[[Module], Format]
ADVICE = (
    "Load a copy of the file without quantization_config, and give --precision one of "
    "`jaxsim models`' presets (such as bf16, fp8, nvfp4 or int4)."
)

# ModelOpt's names.
_ALGORITHMS: dict[str, Format] = {
    "NVFP4": "nvfp4",
    "NVFP4_AWQ": "nvfp4",
    "W4A16_NVFP4": "nvfp4_weights",
    "FP8": "fp8",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8",
    "FP8_PB_WO": "fp8_block",
    "FP8_PB_REAL": "fp8_block",
    "W4A8_AWQ": "int4_fp8",
    "W4A16_AWQ": "int4_g128",
    "W8A8_SQ_PER_CHANNEL": "int8",
    "W8A16": "int8_weights",
    "MXFP4": "mxfp4",
    "MXFP8": "mxfp8",
}
# What a token is on the wire to its experts, by how these are stored; else 16 bits.
_WIRE: dict[Format, Format] = {
    "nvfp4": "nvfp4",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "int4_fp8": "fp8",
    "mxfp8": "fp8",
    "int8": "int8",
}
LISTS = (
    *("ignore", "exclude_modules", "modules_to_not_convert", "ignored_layers", "exclude"),
    *("modules_to_not_quantize", "ignored_modules"),
)
NARROW_GROUP = 32  # weights of four bits in groups up to this many count as such


def _refused(path: str, key: str, value: object, why: str) -> InputError:
    return InputError(f"{path}: {key} of the quantisation config is {value!r}: {why}. {ADVICE}")


def _algorithm(path: str, key: str, name: object) -> Format:
    if str(name).upper() not in _ALGORITHMS:
        known = ", ".join(_ALGORITHMS)
        raise _refused(path, key, name, f"not supported; supported are {known}")
    return _ALGORITHMS[str(name).upper()]


def _scheme(path: str, key: str, group: object) -> Format:
    """The format of a compressed-tensors scheme: its weights and its input activations."""
    weights = group.get("weights") if isinstance(group, dict) else None
    if not isinstance(group, dict) or not isinstance(weights, dict):
        raise _refused(path, key, group, "a scheme with weights is needed")
    inputs = group.get("input_activations")
    bits, kind = weights.get("num_bits"), weights.get("type", "int")
    size = weights.get("group_size") or 0
    taken = (inputs.get("num_bits"), inputs.get("type", "int")) if isinstance(inputs, dict) else 0
    format_name: Format | None = None
    if (bits, kind) == (4, "int"):
        if not taken:
            format_name = "int4" if 0 < size <= NARROW_GROUP else "int4_g128"
        elif taken == (8, "float"):
            format_name = "int4_fp8"
    elif (bits, kind) == (4, "float"):
        own: Format = "nvfp4" if taken else "nvfp4_weights"
        format_name = "mxfp4" if size == NARROW_GROUP else own
    elif (bits, kind) == (8, "float"):
        block = weights.get("strategy") == "block" or weights.get("block_structure")
        wide: Format = "mxfp8" if size == NARROW_GROUP else "fp8"
        format_name = "fp8_block" if block else wide if taken else "fp8_weights"
    elif (bits, kind) == (8, "int"):
        format_name = {0: "int8_weights", (8, "int"): "int8"}.get(taken)  # type: ignore[assignment]
    if format_name is None:
        raise _refused(path, key, group, "this pair of weights and activations is not supported")
    return format_name


def _listed(quantization: dict[str, object], path: str) -> list[str]:
    """Modules that are left unquantised."""
    spared: list[str] = []
    for key in LISTS:
        listed = quantization.get(key) or []
        if not isinstance(listed, list):
            raise InputError(f"{path}: {key} of the quantisation config must be a list.")
        spared += [str(entry) for entry in listed]
    return spared


def _by_module(rules: list[tuple[Patterns, Format]], base: Format, spared: Patterns) -> FormatOf:
    """The format of the first rule that names a module; `base` where none does or it is spared."""

    def found(module: Module) -> Format:
        rest: Format = "bf16" if module.tensor == "head" else base
        if spared and spared.match(module.spellings):
            return rest
        for patterns, own in rules:
            if patterns.match(module.spellings):
                return own
        return rest

    return found


def _one(own: Format, spared: list[str], path: str) -> FormatOf:
    """One format for all but what is spared."""
    exceptions = Patterns(spared, path)
    return lambda module: "bf16" if exceptions.match(module.spellings) else own


def _groups(quantization: dict[str, object], path: str) -> FormatOf | None:
    """Schemes with targets, of compressed-tensors and of ModelOpt."""
    groups = quantization.get("config_groups")
    if not isinstance(groups, dict) or not groups:
        return None
    spared = Patterns(_listed(quantization, path), path)
    rules: list[tuple[Patterns, Format]] = []
    base: Format = "bf16"
    for name, group in groups.items():
        own = _scheme(path, f"config_groups.{name}", group)
        targets = group.get("targets") or ["Linear"]
        if not isinstance(targets, list):
            raise InputError(f"{path}: config_groups.{name}.targets must be a list.")
        if "Linear" in targets:
            base = own
        else:
            rules.append((Patterns([str(target) for target in targets], path), own))

    def found(module: Module) -> Format:
        if spared and spared.match(module.spellings):
            return "bf16"
        for patterns, own in rules:
            if patterns.match(module.spellings):
                return own
        return base

    return found


def _mixed(quantization: dict[str, object], path: str, base: Format) -> FormatOf:
    """ModelOpt's mixed precision: an algorithm for each module; `base` for the rest."""
    listed = quantization.get("quantized_layers")
    if not isinstance(listed, dict) or not listed:
        raise _refused(path, "quant_algo", "MIXED_PRECISION", "quantized_layers is missing")
    names: dict[Format, list[str]] = {}
    for module, entry in listed.items():
        algorithm = entry.get("quant_algo") if isinstance(entry, dict) else entry
        own = _algorithm(path, f"quantized_layers.{module}.quant_algo", algorithm)
        names.setdefault(own, []).append(str(module))
    rules: list[tuple[Patterns, Format]] = [
        (Patterns(modules, path), own) for own, modules in names.items()
    ]
    return _by_module(rules, base, Patterns(_listed(quantization, path), path))


def _gptq(quantization: dict[str, object], path: str, method: str) -> FormatOf:
    """Weight-only integers, with exceptions by pattern."""
    bits = quantization.get("bits", 4)
    size = quantization.get("group_size", 128)
    if bits not in (4, 8):
        raise _refused(path, "bits", bits, f"{method} is read with 4 or 8")
    spared = _listed(quantization, path)
    exceptions = quantization.get("dynamic")
    for pattern in exceptions if isinstance(exceptions, dict | list) else ():
        if not str(pattern).startswith("-:"):
            raise _refused(path, "dynamic", pattern, "only patterns that spare (-:) are supported")
        spared.append(f"re:{str(pattern)[2:]}")
    if not quantization.get("lm_head", False):
        spared.append("lm_head")
    narrow = isinstance(size, int) and 0 < size <= NARROW_GROUP
    four: Format = "int4" if narrow else "int4_g128"
    return _one(four if bits == 4 else "int8_weights", spared, path)


def _quark(quantization: dict[str, object], path: str) -> FormatOf:
    """AMD's Quark: one scheme for all, exceptions by name."""
    whole = quantization.get("global_quant_config")
    weight = whole.get("weight") if isinstance(whole, dict) else None
    weight = weight[-1] if isinstance(weight, list) and weight else weight
    dtype = weight.get("dtype") if isinstance(weight, dict) else None
    known: dict[object, Format] = {"fp8_e4m3": "fp8", "fp4": "mxfp4", "mxfp4": "mxfp4"}
    if dtype not in known:
        raise _refused(path, "global_quant_config.weight", weight, "fp8_e4m3 and fp4 are supported")
    if quantization.get("layer_quant_config"):
        raise _refused(path, "layer_quant_config", "…", "schemes by layer are not supported")
    return _one(known[dtype], _listed(quantization, path), path)


def format_reader(quantization: dict[str, object], path: str) -> FormatOf:
    """The format of every module, by whichever method the config names."""
    method = str(quantization.get("quant_method", "")).lower()
    algorithm = str(quantization.get("quant_algo", "")).upper()
    spared = _listed(quantization, path)
    if algorithm == "MIXED_PRECISION" or "quantized_layers" in quantization:
        # Beside modules of another format, those of a block-scaled FP8 release stay as they were.
        return _mixed(quantization, path, "fp8_block" if method == "fp8" else "bf16")
    if algorithm:
        # ModelOpt leaves the head as it is unless told otherwise, and lists what it leaves.
        spared = spared if any(key in quantization for key in LISTS) else ["lm_head"]
        return _one(_algorithm(path, "quant_algo", algorithm), spared, path)
    if method == "fp8" or method == "fbgemm_fp8":
        block = quantization.get("weight_block_size")
        return _one("fp8_block" if block else "fp8", [*spared, "lm_head"], path)
    if method == "mxfp8":
        return _one("mxfp8", [*spared, "lm_head"], path)
    if method == "mxfp4":
        return _one("mxfp4", [*spared, "self_attn", "shared_experts", "lm_head"], path)
    if method in ("awq", "gptq", "gptq_marlin", "awq_marlin", "auto-round"):
        return _gptq(quantization, path, method)
    if method == "quark":
        return _quark(quantization, path)
    if groups := _groups(quantization, path):
        return groups
    raise _refused(
        path,
        "quant_method",
        method or "missing",
        "not supported; supported are fp8, mxfp4, mxfp8, modelopt, compressed-tensors, awq, gptq "
        "and quark",
    )


def cache_format(quantization: dict[str, object]) -> Format:
    """How the cache is stored, where the checkpoint says: FP8, NVFP4, or else 16 bit."""
    stated = quantization.get("kv_cache_quant_algo")
    scheme = quantization.get("kv_cache_scheme")
    if isinstance(scheme, dict):
        stated = stated or {8: "FP8", 4: "NVFP4"}.get(scheme.get("num_bits", 0))
    elif isinstance(scheme, str):
        stated = stated or scheme
    formats: dict[str, Format] = {"FP8": "fp8", "NVFP4": "nvfp4"}
    return formats.get(str(stated).upper(), "bf16")


def precision_of(
    quantization: object, modules: list[Module], path: str, expert_dtype: str = ""
) -> Precision:
    """The formats in which a checkpoint ships: bf16 without a quantisation config.

    `expert_dtype` is what a config says of routed experts alone (`fp4`: DeepSeek-V4).
    """
    if not quantization:
        return Precision()
    if not isinstance(quantization, dict):
        raise InputError(f"{path}: quantization_config must be a JSON object.")
    format_of = format_reader(quantization, path)
    held: dict[str, dict[Format, float]] = {}
    for module in modules:
        own = format_of(module)
        if module.tensor == "experts" and expert_dtype == "fp4" and own == "fp8_block":
            own = "mxfp4"
        by_format = held.setdefault(module.tensor, {})
        by_format[own] = by_format.get(own, 0.0) + float(module.elements)
    classes: dict[str, Format] = {}
    means = []
    for tensor, by_format in held.items():
        classes[tensor] = max(by_format, key=lambda name: by_format[name])
        if len(by_format) > 1:
            total = sum(by_format.values())
            bytes_ = sum(BYTES_PER_ELEMENT[name] * count for name, count in by_format.items())
            means.append((tensor, bytes_ / total))
    kv = cache_format(quantization)
    return Precision(
        **classes,  # type: ignore[arg-type]
        kv=kv,
        attention_math="fp8" if kv == "fp8" else "bf16",
        dispatch=_WIRE.get(classes.get("experts", "bf16"), "bf16"),
        mean_bytes=tuple(sorted(means)),
    )
