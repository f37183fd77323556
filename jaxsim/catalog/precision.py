"""In which number formats is a model stored and computed?"""

from dataclasses import dataclass
from typing import Literal

from jaxsim._record import Record
from jaxsim._scalar import Scalar

Format = Literal["nvfp4", "mxfp4", "int4", "fp8", "fp8_block", "bf16"]
Arithmetic = Literal["fp4", "fp8", "bf16"]

# Bytes of one stored element, block scales included: NVFP4 has an 8-bit scale per 16 elements,
# MXFP4 one per 32, int4 (group 32) a 16-bit scale, block FP8 a 32-bit scale per 128 x 128.
BYTES_PER_ELEMENT: dict[Format, float] = {
    "nvfp4": 0.5 + 1 / 16,
    "mxfp4": 0.5 + 1 / 32,
    "int4": 0.5 + 2 / 32,
    "fp8": 1.0,
    "fp8_block": 1.0 + 4 / 128**2,
    "bf16": 2.0,
}


@dataclass(frozen=True)
class Precision:
    """The number format of every class of tensor.

    A projection's weights decide its arithmetic: activations are quantised to match before the
    GEMM, except for weight-only formats (int4), which compute in `bf16`. `attention_math` is the
    arithmetic of the attention scores and their product with the values; `kv` is how the cache is
    stored; `dispatch` what a token looks like on the wire to its experts.
    """

    attention: Format = "bf16"
    ffn: Format = "bf16"  # dense feed-forward and shared experts
    experts: Format = "bf16"
    head: Format = "bf16"  # output head and embedding
    kv: Format = "bf16"
    attention_math: Arithmetic = "bf16"
    dispatch: Format = "bf16"


# What an activation occupies as the input of a GEMM whose weights are stored so: the arithmetic's
# own width, except for weight-only formats, which compute in bf16.
ACTIVATION_FORMAT: dict[Format, Format] = {
    "nvfp4": "nvfp4",
    "mxfp4": "bf16",
    "int4": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "bf16": "bf16",
}


class ElementBytes(Record):
    """Bytes of one element of every class of tensor, block scales included."""

    attention: Scalar
    ffn: Scalar
    experts: Scalar
    head: Scalar
    kv: Scalar
    dispatch: Scalar
    attention_input: Scalar
    ffn_input: Scalar
    experts_input: Scalar
    wide: Scalar  # residual stream, and whatever is left unquantised


def element_bytes(precision: Precision) -> ElementBytes:
    """Bytes per element of every class of tensor under a precision."""
    size = BYTES_PER_ELEMENT
    return ElementBytes(
        attention=size[precision.attention],
        ffn=size[precision.ffn],
        experts=size[precision.experts],
        head=size[precision.head],
        kv=size[precision.kv],
        dispatch=size[precision.dispatch],
        attention_input=size[ACTIVATION_FORMAT[precision.attention]],
        ffn_input=size[ACTIVATION_FORMAT[precision.ffn]],
        experts_input=size[ACTIVATION_FORMAT[precision.experts]],
        wide=size["bf16"],
    )
