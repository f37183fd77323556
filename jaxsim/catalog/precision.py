"""In which number formats is a model stored and computed?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jaxsim._record import Record
from jaxsim._scalar import Scalar

Format = Literal[
    "nvfp4", "mxfp4", "int4", "fp8", "fp8_block", "bf16",
    "int4_g128", "int4_fp8", "nvfp4_weights", "mxfp8", "int8", "fp8_weights", "int8_weights",
]  # fmt: skip
Arithmetic = Literal["fp4", "fp8", "bf16"]

# Bytes of one stored element, block scales included: NVFP4 has an 8-bit scale per 16 elements,
# MXFP4 and MXFP8 one per 32, int4 a 16-bit scale per 32 (or 128: `int4_g128`, and `int4_fp8`, whose
# activations are FP8), block FP8 a 32-bit scale per 128 x 128. Those of `_weights` have 16-bit
# activations; 8-bit integers with 16-bit activations have a 16-bit scale per 128.
BYTES_PER_ELEMENT: dict[Format, float] = {
    "nvfp4": 0.5 + 1 / 16,
    "mxfp4": 0.5 + 1 / 32,
    "int4": 0.5 + 2 / 32,
    "fp8": 1.0,
    "fp8_block": 1.0 + 4 / 128**2,
    "bf16": 2.0,
    "int4_g128": 0.5 + 2 / 128,
    "int4_fp8": 0.5 + 2 / 128,
    "nvfp4_weights": 0.5 + 1 / 16,
    "mxfp8": 1.0 + 1 / 32,
    "int8": 1.0,
    "fp8_weights": 1.0,
    "int8_weights": 1.0 + 2 / 128,
}

# The formats that kernels were measured in, and which of them times each of the others: that of
# the same arithmetic. Weights are read at their own width in either case.
MEASURED: tuple[Format, ...] = ("nvfp4", "mxfp4", "int4", "fp8", "fp8_block", "bf16")
TIMED_AS: dict[Format, Format] = {
    **{own: own for own in MEASURED},
    "int4_g128": "int4",
    "int4_fp8": "fp8",
    "nvfp4_weights": "int4",
    "mxfp8": "fp8",
    "int8": "fp8",
    "fp8_weights": "bf16",
    "int8_weights": "bf16",
}


@dataclass(frozen=True)
class Precision:
    """The number format of every class of tensor.

    A projection's weights decide its arithmetic: activations are quantised to match before the
    GEMM, except for weight-only formats (int4), which compute in `bf16`. `attention` are the
    projections into attention and `attention_out` the one out of it, which some checkpoints alone
    quantise. `attention_math` is the arithmetic of the attention scores and their product with the
    values; `kv` is how the cache is stored; `dispatch` what a token looks like on the wire to its
    experts. `mean_bytes` has the bytes an element takes on average in a class whose layers differ:
    the class's format is then that of most of its weights.
    """

    attention: Format = "bf16"
    attention_out: Format = "bf16"
    ffn: Format = "bf16"  # dense feed-forward and shared experts
    experts: Format = "bf16"
    head: Format = "bf16"  # output head and embedding
    kv: Format = "bf16"
    attention_math: Arithmetic = "bf16"
    dispatch: Format = "bf16"
    mean_bytes: tuple[tuple[str, float], ...] = ()

    @property
    def formats(self) -> dict[str, str]:
        """The format of every class, by its name."""
        return {name: value for name, value in vars(self).items() if name != "mean_bytes"}


def spoken_formats(formats: Mapping[str, str]) -> str:
    """Formats of classes of tensor in a line: classes that share one together."""
    classes: dict[str, list[str]] = {}
    for name, value in formats.items():
        if name in SPOKEN:
            classes.setdefault(value, []).append(SPOKEN[name])
    parts = [f"{', '.join(names)} {value}" for value, names in classes.items()]
    return "; ".join([*parts, f"attention computed in {formats['attention_math']}"])


SPOKEN = {
    "attention": "attention projections",
    "attention_out": "attention output",
    "ffn": "dense and shared FFN",
    "experts": "experts",
    "head": "head and embedding",
    "kv": "KV cache",
}

# What an activation occupies as the input of a GEMM whose weights are stored so: the arithmetic's
# own width, except for weight-only formats, which compute in bf16.
ACTIVATION_FORMAT: dict[Format, Format] = {
    "nvfp4": "nvfp4",
    "mxfp4": "bf16",
    "int4": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "bf16": "bf16",
    "int4_g128": "bf16",
    "int4_fp8": "fp8",
    "nvfp4_weights": "bf16",
    "mxfp8": "mxfp8",
    "int8": "int8",
    "fp8_weights": "bf16",
    "int8_weights": "bf16",
}


class ElementBytes(Record):
    """Bytes of one element of every class of tensor, block scales included."""

    attention: Scalar
    attention_out: Scalar
    ffn: Scalar
    experts: Scalar
    head: Scalar
    kv: Scalar
    dispatch: Scalar
    attention_input: Scalar
    attention_out_input: Scalar
    ffn_input: Scalar
    experts_input: Scalar
    wide: Scalar  # residual stream, and whatever is left unquantised


def element_bytes(precision: Precision) -> ElementBytes:
    """Bytes per element of every class of tensor under a precision."""
    size = BYTES_PER_ELEMENT
    stored = {"attention", "attention_out", "ffn", "experts", "head", "kv", "dispatch"}
    means = dict(precision.mean_bytes)
    return ElementBytes(
        **{name: means.get(name, size[getattr(precision, name)]) for name in stored},
        attention_input=size[ACTIVATION_FORMAT[precision.attention]],
        attention_out_input=size[ACTIVATION_FORMAT[precision.attention_out]],
        ffn_input=size[ACTIVATION_FORMAT[precision.ffn]],
        experts_input=size[ACTIVATION_FORMAT[precision.experts]],
        wide=size["bf16"],
    )
