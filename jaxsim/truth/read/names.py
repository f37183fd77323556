"""Which entries of the catalogue does a measured row mean?

Publishers write models, GPUs, engines and number formats each in their own way.
"""

import re
from dataclasses import dataclass, replace
from functools import cache

from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.known_engines import format_of, generation_of
from jaxsim.catalog.load import load_hardware, load_model, load_precision
from jaxsim.catalog.names import resolve_model
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.precision_presets import WITH_CACHE
from jaxsim.truth.read.rows import ServingRow

# How engines and their front ends are called, in the order in which they are looked for.
_ENGINES = (
    ("sglang", "sglang"),
    ("vllm", "vllm"),
    ("atom", "vllm"),  # AMD's engine speaks vLLM's interface and kernels
    ("tensorrt", "trtllm"),
    ("trt", "trtllm"),
)


@dataclass(frozen=True)
class Named:
    """The catalogue's entries for a row.

    `quant` is the precision preset that its label means, `format` that of most weights, `family`
    the accelerator's generation.
    """

    model: ModelCard
    hardware: HardwareCard
    engine: str
    family: str
    quant: str
    precision: Precision

    @property
    def format(self) -> str:
        return format_of(self.precision)


@cache
def _model(name: str) -> ModelCard:
    return load_model(name)


@cache
def _hardware(name: str) -> HardwareCard:
    return load_hardware(name)


def engine_name(framework: str) -> str:
    """The catalogue's engine for a framework's name, whatever front end is in it."""
    lower = framework.lower()
    for word, name in _ENGINES:
        if word in lower:
            return name
    known = "TensorRT-LLM (trt), vLLM, SGLang"
    raise InputError(f"engine {framework!r} is not among those that are fitted: {known}")


def resolve_preset(name: str) -> str | None:
    """The precision preset that a model's name implies, None where it implies none."""
    try:
        return resolve_model(name)[1]
    except InputError:
        return None  # a file of the caller's


def quant_name(row: ServingRow, model: ModelCard, hardware: HardwareCard) -> str:
    """The precision preset that a row's label means.

    A row without a label, or with that of a plan that says `checkpoint`, runs in what its model's
    name or its checkpoint says. gpt-oss ships in
    MXFP4 and is served so whatever the label says; "fp4" is NVFP4 on NVIDIA's
    and MXFP4 on AMD's accelerators; a weight-only label wins over the format of the others.
    """
    if model.precision.experts == "mxfp4":
        return "mxfp4"
    label = " ".join([row.precision.partition(WITH_CACHE)[0], *row.formats]).lower()
    if label.strip() in ("", "checkpoint"):
        label = resolve_preset(row.model) or model.precision.experts
    if "int4" in label or "awq" in label:
        return "int4"
    if "nvfp4" in label:
        return "nvfp4"
    if "mxfp4" in label or "fp4" in label:
        amd = "amd" in hardware.vendor.lower()
        return "mxfp4" if amd or "mxfp4" in label else "nvfp4"
    if "fp8" in label:
        return "fp8"
    if re.search(r"bf16|fp16|bfloat16|float16|half", label):
        return "bf16"
    raise InputError(f"precision {row.precision!r} has no preset; it needs fp4, fp8, int4 or bf16")


@cache
def _preset(name: str, model_name: str) -> Precision:
    return load_precision(name, _model(model_name))


def precision_of(
    row: ServingRow, quant: str, model_name: str, engine: str, family: str
) -> Precision:
    """The formats of a row, layer by layer: its preset, and what its label says beside it.

    Releases with block-scaled FP8 weights say nothing of the cache, which vLLM and SGLang then
    keep in 16 bits. On Blackwell, recipes give them a cache of 8 bits: runs there keep more
    requests at once, without a queue, than 16 bits have room for, and runs elsewhere do not.
    """
    precision = _preset(quant, model_name)
    label = row.precision.lower()
    silent = quant == "fp8" and precision.experts == "fp8_block" and engine in ("vllm", "sglang")
    if silent and family != "blackwell":
        precision = replace(precision, kv="bf16", attention_math="bf16")
    if "bf16 attention" in label:
        precision = replace(
            precision, attention="bf16", attention_out="bf16", attention_math="bf16", kv="bf16"
        )
    if "fp16 kv" in label or "kv=bf16" in label:
        precision = replace(precision, kv="bf16", attention_math="bf16")
    if any(text in label for text in ("fp8 kv", "kv=fp8", "fp8 attention")):
        precision = replace(precision, kv="fp8", attention_math="fp8")
    return precision


def names_of(row: ServingRow) -> Named:
    """The catalogue's entries that a row means, or an error that says what has none."""
    model, hardware = _model(row.model), _hardware(row.hardware)
    engine = engine_name(row.framework)
    quant = quant_name(row, model, hardware)
    family = generation_of(hardware.name)
    return Named(
        model=model,
        hardware=hardware,
        engine=engine,
        family=family,
        quant=quant,
        precision=precision_of(row, quant, row.model, engine, family),
    )
