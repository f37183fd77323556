"""What measured launches does a CSV file hold?

The columns are `op shape dtype gpu metric value unit url kind notes`, one measurement a line. A
shape is a list of `name=value`, or of a number and a name, separated by commas or semicolons:

    gemm                  m=64,n=8192,k=8192
    gqa_prefill_attention batch=1,len=4096,64 q heads,8 kv heads,d128,causal
    gqa_decode_attention  batch=16,kv_len=4096,64 q heads,8 kv heads,d128
    mla_decode_attention  batch=32,kv_len=4096,128 heads
    custom_all_reduce     8 GPUs; message_size=4194304    (elements of two bytes)

Lines of `kind` other than `measured`, of metrics other than `latency`, of other operations and of
other GPUs are passed over: they hold no launch of this chip that a kernel form describes.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

from jaxsim.catalog.cards import HardwareCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.precision import ACTIVATION_FORMAT, BYTES_PER_ELEMENT, Format
from jaxsim.point.work import (
    AbstractMessage,
    AbstractWork,
    AllGather,
    AllReduce,
    AllToAll,
    ContextAttention,
    DecodeAttention,
    Gemm,
    ReduceScatter,
)
from jaxsim.truth.kernels.rows import KernelRows, is_unseen, shape_of, stacked
from jaxsim.truth.read.table import Line, check_columns, read_lines

_REQUIRED = {"op", "shape", "dtype", "gpu", "metric", "value", "unit", "kind"}
_OPTIONAL = {"url", "notes"}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_RATES = {"GB/s", "TFLOP/s"}
_FORMATS: dict[str, Format] = {
    "bfloat16": "bf16",
    "bf16": "bf16",
    "half": "bf16",
    "fp16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8_block",
    "nvfp4": "nvfp4",
    "mxfp4": "mxfp4",
    "int4": "int4",
}
_WIDE = 2.0
_PAIR = re.compile(r"^(?P<name>[a-z_]+)\s*=\s*(?P<value>[0-9.e+]+)(\s+elements)?$", re.IGNORECASE)
_COUNT = re.compile(r"^(?P<value>\d+)\s+(?P<name>q heads|kv heads|heads|gpus)$", re.IGNORECASE)
_DIM = re.compile(r"^d(?P<value>\d+)$")

Shape = dict[str, float]
Work = AbstractWork | AbstractMessage
# Family, number format, one launch, and the dimensions that tell rows apart.
Read = tuple[str, str, Work, Shape]


_MOST = 1e15  # bytes of a message, or a length, that no launch has


def _shape(line: Line) -> Shape:
    """The numbers of a shape, by name; words without a number are ignored."""
    shape: Shape = {}
    for part in re.split(r"[,;]", line.need("shape")):
        word = part.strip()
        if match := _PAIR.match(word) or _COUNT.match(word):
            try:
                shape[match["name"].lower().replace(" ", "_")] = float(match["value"])
            except ValueError:
                raise line.error("shape", f"has {word!r}; a number is needed") from None
        elif match := _DIM.match(word):
            shape["head_dim"] = float(match["value"])
    if over := [name for name, value in shape.items() if not abs(value) <= _MOST]:
        raise line.error("shape", f"has {over[0]} beyond 1e15; a size of a launch is needed")
    return shape


def _need(line: Line, shape: Shape, *names: str) -> list[float]:
    missing = [name for name in names if not shape.get(name, 0.0) > 0.0]
    if missing:
        raise line.error("shape", f"{line.text('shape')!r} does not give {missing[0]}, above 0")
    return [shape[name] for name in names]


def _format(line: Line, cache: bool = False) -> Format:
    """The number format of a line; of the cache where a dtype is written `bfloat16/kv fp8`."""
    word = line.need("dtype").lower()
    if cache and "kv" in word:
        word = word.rsplit("kv", 1)[1]
    name = re.split(r"[/ ,]", word.strip())[0]
    if name not in _FORMATS:
        raise line.error("dtype", f"is {name!r}; known are {', '.join(sorted(_FORMATS))}")
    return _FORMATS[name]


def _gemm(line: Line) -> Read:
    ours = _format(line)
    m, n, k = _need(line, shape := _shape(line), "m", "n", "k")
    inputs = BYTES_PER_ELEMENT[ACTIVATION_FORMAT[ours]]
    work = Gemm(m, n, k, BYTES_PER_ELEMENT[ours], inputs)
    return "gemm", ours, work, {name: shape[name] for name in ("n", "k")}


def _prefill(line: Line) -> Read:
    ours = "fp8" if _format(line) == "fp8" else "bf16"
    shape = _shape(line)
    batch, length, heads, kv_heads, dim = _need(
        line, shape, "batch", "len", "q_heads", "kv_heads", "head_dim"
    )
    pairs = length * (length + 1.0) / 2.0
    size = BYTES_PER_ELEMENT[ours]
    work = ContextAttention(batch, length, 0.0, pairs, heads, kv_heads, dim, dim, size, _WIDE)
    dims = {"num_heads": heads, "num_key_value_heads": kv_heads, "head_dim": dim}
    return "context", ours, work, {**dims, "window_size": 0}


def _decode(line: Line) -> Read:
    ours = "fp8" if _format(line, cache=True) == "fp8" else "bf16"
    batch, length, heads, kv_heads, dim = _need(
        line, _shape(line), "batch", "kv_len", "q_heads", "kv_heads", "head_dim"
    )
    size = BYTES_PER_ELEMENT[ours]
    work = DecodeAttention(batch, 1.0, length, heads, kv_heads, dim, dim, 2.0 * dim, size)
    dims = {"num_heads": heads, "num_key_value_heads": kv_heads, "head_dim": dim}
    return "decode", ours, work, {**dims, "window_size": 0}


def _latent(line: Line) -> Read:
    ours = "fp8" if _format(line, cache=True) == "fp8" else "bf16"
    batch, length, heads = _need(line, _shape(line), "batch", "kv_len", "heads")
    size = BYTES_PER_ELEMENT[ours]
    work = DecodeAttention(batch, 1.0, length, heads, 1.0, 576.0, 512.0, 576.0, size)
    return "decode_latent", ours, work, {"num_heads": heads}


def _message(kind: str, form: Callable[..., AbstractMessage]) -> Callable[[Line], Read]:
    def read(line: Line) -> Read:
        ranks, size = _need(line, _shape(line), "gpus", "message_size")
        return kind, "any", form(_WIDE * size, ranks), {"num_gpus": ranks}

    return read


# The tables' own name of each operation, which the split hashes, and how a line becomes work.
_OPS: dict[str, tuple[str, Callable[[Line], Read]]] = {
    "gemm": ("gemm", _gemm),
    "gqa_prefill_attention": ("context_attention", _prefill),
    "gqa_decode_attention": ("generation_attention", _decode),
    "mla_decode_attention": ("mla_generation", _latent),
    "custom_all_reduce": ("all_reduce", _message("all_reduce", AllReduce)),
    "nccl_all_gather": ("all_gather", _message("all_gather", AllGather)),
    "nccl_reduce_scatter": ("reduce_scatter", _message("reduce_scatter", ReduceScatter)),
    "nccl_alltoall": ("alltoall", _message("all_to_all", AllToAll)),
}


def csv_rows(path: Path, card: HardwareCard) -> Iterator[KernelRows]:
    """Measured launches on one chip, by family and format."""
    columns, lines = read_lines(path)
    check_columns(path, columns, _REQUIRED, _OPTIONAL, "kernel measurements")
    launches: dict[tuple[str, str], list[tuple[Work, float, bool]]] = defaultdict(list)
    for line in lines:
        seconds = _seconds(line)
        if seconds is None or line.need("op") not in _OPS or not _is_chip(line, card):
            continue
        op, read = _OPS[line.need("op")]
        kind, number_format, work, dims = read(line)
        launches[kind, number_format].append((work, seconds, is_unseen(op, shape_of(dims))))
    if not launches:
        raise InputError(
            f"{path}: no measured latency of a known operation on {card.name}. Known operations: "
            f"{', '.join(sorted(_OPS))}; the column gpu must name the chip, such as 'B200 SXM'."
        )
    for (kind, number_format), rows in sorted(launches.items()):
        yield KernelRows(
            kind,
            number_format,
            _joined([work for work, _, _ in rows]),
            np.asarray([seconds for _, seconds, _ in rows]),
            np.asarray([unseen for _, _, unseen in rows]),
            path.name,
        )


def _seconds(line: Line) -> float | None:
    """Seconds of a measured latency; None for another metric. Every value is checked."""
    unit = line.need("unit")
    if unit not in _SECONDS and unit not in _RATES:
        known = ", ".join([*_SECONDS, *sorted(_RATES)])
        raise line.error("unit", f"is {unit!r}; known are {known}")
    value = line.number_of("value")
    if value is None:
        raise line.error("value", "is blank; a number is needed")
    if line.need("metric") != "latency" or line.need("kind") != "measured":
        return None
    if unit not in _SECONDS:
        raise line.error("unit", f"is {unit!r} for a latency; {', '.join(_SECONDS)} are allowed")
    if value == 0.0:
        raise line.error("value", "is 0; a latency must be more than 0")
    return value * _SECONDS[unit]


def _is_chip(line: Line, card: HardwareCard) -> bool:
    """Whether a line is about this chip: the first word of either name, spaces and case aside."""
    theirs = line.need("gpu").lower().replace("-", " ").split()
    ours = card.name.lower().replace("-", " ").split()
    return theirs[:1] == ours[:1]


def _joined(works: list[AbstractWork | AbstractMessage]) -> AbstractWork | AbstractMessage:
    """Records of one launch each as one record with an entry per launch."""
    names = [field.name for field in fields(works[0])]
    return stacked(type(works[0]), **{name: [getattr(w, name) for w in works] for name in names})
