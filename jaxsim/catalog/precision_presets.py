"""Which number formats do serving engines use for a model?

Presets are data: each names a format for every class of tensor, with exceptions for latent
attention, for mixture-of-experts models and for models whose FP8 release is block-scaled.
"""

import dataclasses
from typing import get_args

from jaxsim.catalog import names
from jaxsim.catalog._datum import DataFile, Table
from jaxsim.catalog.cards import ModelCard
from jaxsim.catalog.errors import InputError, unknown_name
from jaxsim.catalog.precision import Arithmetic, Format, Precision

CLASSES = tuple(Precision().formats)
# After a preset's name, the format of the cache: "fp8,kv=bf16".
WITH_CACHE = ",kv="
CACHES = ("bf16", "fp8")  # those that TensorRT-LLM, vLLM and SGLang have options for


def allowed_formats(name: str) -> tuple[str, ...]:
    """What a class of tensor may be stored in, or computed in for `attention_math`."""
    return get_args(Arithmetic) if name == "attention_math" else get_args(Format)


def read_precision(table: Table, base: Precision) -> Precision:
    """A precision whose classes are read from a table, and otherwise those of `base`.

    The projection out of attention is as those into it unless it is named.
    """
    formats = {name: table.choice(name, allowed_formats(name)) for name in CLASSES if name in table}
    means: tuple[tuple[str, float], ...] = ()
    if "mean_bytes" in table:
        stated = table.table("mean_bytes")
        means = tuple((name, stated.number(name)) for name in stated.raw)
    return dataclasses.replace(base, mean_bytes=means, **_with_output(formats))


def _with_output(classes: dict[str, str]) -> dict[str, object]:
    follows = {"attention_out": classes["attention"]} if "attention" in classes else {}
    return {**follows, **classes}


def load_precision(name: str, card: ModelCard) -> Precision:
    """The formats of a preset for a model; `checkpoint` is how the model ships.

    A preset's own formats come first, then its exceptions in the order moe, block_scaled, latent,
    each where it applies. `fp8,kv=bf16` is preset fp8 with a KV cache of 16 bits, which attention
    then computes in too.
    """
    name, _, cache = name.partition(WITH_CACHE)
    if cache:
        if cache not in CACHES:
            raise unknown_name("KV cache", cache, CACHES, f"Choose from {', '.join(CACHES)}.")
        formats = {"kv": cache, "attention_math": cache}
        return override_precision(load_precision(name, card), **formats)
    if name == "checkpoint":
        return card.precision
    file = DataFile(names.DATA / "precisions.toml")
    presets = file.root.table("presets")
    if name not in presets:
        hint = f"Choose from {', '.join(names.list_precisions())}."
        raise unknown_name("precision", name, ["checkpoint", *presets.raw], hint)
    preset = presets.table(name)
    precision = read_precision(preset.table("all"), Precision())
    applies = {
        "moe": card.is_moe,
        "block_scaled": card.fp8_format == "fp8_block",
        "latent": card.is_latent,
    }
    for condition, holds in applies.items():
        if condition in preset and holds:
            precision = read_precision(preset.table(condition), precision)
    return precision


def override_precision(precision: Precision, **classes: str) -> Precision:
    """The same precision with some classes in another format, for instance `kv="fp8"`."""
    for name, value in classes.items():
        if name not in CLASSES:
            raise unknown_name("class of tensor", name, CLASSES, f"Known: {', '.join(CLASSES)}.")
        if value not in allowed_formats(name):
            allowed = ", ".join(allowed_formats(name))
            raise InputError(f"Precision of {name} is {value!r}; allowed are {allowed}.")
    named = {*classes, *(("attention_out",) if "attention" in classes else ())}
    kept = tuple((name, mean) for name, mean in precision.mean_bytes if name not in named)
    return dataclasses.replace(precision, mean_bytes=kept, **_with_output(classes))
