"""What do the measured tables of routed experts and of messages hold, in this package's terms?"""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jaxsim.catalog.precision import BYTES_PER_ELEMENT, Format
from jaxsim.point.work import (
    AllGather,
    AllReduce,
    AllToAll,
    GroupedGemm,
    ReduceScatter,
    SendRecv,
    Stream,
)
from jaxsim.truth.kernels.doubts import doubtful_rows
from jaxsim.truth.kernels.frames import columns_of, distinct, pandas_module, rows_of
from jaxsim.truth.kernels.rows import KernelRows, stacked
from jaxsim.truth.kernels.tables import (
    Tables,
    input_bytes,
)

if TYPE_CHECKING:
    from pandas import DataFrame

_FORMATS: dict[str, Format] = {
    "bfloat16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8_block",
    "nvfp4": "nvfp4",
    "w4a16_mxfp4": "mxfp4",
    "int4_wo": "int4",
}
# With units for 4 bits, engines convert a token to 8 bits for MXFP4 experts, by default.
_NARROW_MXFP4, _WIDE_MXFP4 = "w4a8_mxfp4_mxfp8", "w4a16_mxfp4"
# TensorRT-LLM was not timed with weights in integers; vLLM was.
_INTEGER = "int4_wo"
_WIDE = 2.0  # bytes of bf16, and of an element of a message
# NVFP4 runs on the same library's kernel in every engine now. This table of it deals experts out in
# turn, but for the one model whose router keeps half of its expert groups.
_NVFP4_KERNEL = "sglang_flashinfer_trtllm_moe"
_GROUPED_MODEL = (7168, 256, 8)  # hidden size, experts, experts a token
_RACKS, _MEASURED_RACK, _NODE_GPUS = ("gb200-nvl72", "gb300-nvl72"), "gb200-nvl72", 8
_ROUTER_GROUPS, _KEPT_GROUPS = 8, 4
_FEWEST_COPIES = 4
_SHAPE = ["hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size"]


@functools.cache
def balanced_routing(tokens: int, experts: int, topk: int, ranks: int) -> tuple[float, float]:
    """Rows and distinct experts on the first rank when experts are dealt out in turn."""
    stride = -(-experts // topk)
    token = np.arange(tokens)[:, None]
    first = token if tokens >= stride else token * stride / tokens
    dealt = ((first + np.arange(topk)[None, :] * stride) % experts).astype(int).ravel()
    own = dealt[dealt < experts // ranks]
    return float(len(own)), float(len(np.unique(own)))


@functools.cache
def grouped_routing(tokens: int, experts: int, topk: int, ranks: int) -> tuple[float, float]:
    """The same where scores tie and only half of the expert groups are kept.

    Every group holds one of a token's experts, so all groups tie and the first half is kept, with
    half of the token's experts; the other picks tie as well and go to the first experts.
    """
    stride = experts // topk
    token = np.arange(tokens)
    place = (token if tokens >= stride else token * stride // tokens) % stride
    counts = np.zeros(experts)
    for group in range(_KEPT_GROUPS):
        np.add.at(counts, group * experts // _ROUTER_GROUPS + place, 1.0)
    spare = topk - _KEPT_GROUPS
    # A token whose own experts are among the first passes on to the next: at most one does.
    own_first = place < spare
    counts[:spare] += tokens
    for position in range(spare):
        skipped = float(np.sum(own_first & (place == position)))
        counts[position] -= skipped
        counts[spare] += skipped
    own = counts[: experts // ranks]
    return float(own.sum()), float(np.sum(own > 0))


def experts_rows(tables: Tables, hbm_bytes_per_s: float) -> Iterator[KernelRows]:
    """Routed experts with balanced routing, by format."""
    launches = tables.read("moe", "moe")
    if launches is None:
        return
    for theirs, ours in _FORMATS.items():
        source, where = launches
        if theirs == "nvfp4" and (other := tables.read("moe", "moe", "sglang")) is not None:
            source, where = other
            source = source.loc[source["kernel_source"] == _NVFP4_KERNEL]
        if theirs == _INTEGER and (other := tables.read("moe", "moe", "vllm")) is not None:
            source, where = other
        if theirs == _WIDE_MXFP4 and np.any(source["moe_dtype"] == _NARROW_MXFP4):
            theirs = _NARROW_MXFP4
        table = source.loc[(source["moe_dtype"] == theirs) & (source["distribution"] == "balanced")]
        if len(table):
            rows = _experts(table, ours, where, theirs == "nvfp4", hbm_bytes_per_s)
            yield replace(rows, arithmetic="fp8") if theirs == _NARROW_MXFP4 else rows


def _experts(
    table: "DataFrame",
    number_format: Format,
    where: str,
    grouped: bool,
    hbm_bytes_per_s: float,
) -> KernelRows:
    table = table.assign(
        matrices=np.where(table["kernel_source"].str.contains("nongated"), 2.0, 3.0)
    )
    table = distinct(table, ["num_tokens", "matrices", *_SHAPE])
    hidden, inter, topk, experts, split, ranks = columns_of(table, *_SHAPE)
    tokens, matrices = columns_of(table, "num_tokens", "matrices")
    routed = np.asarray(
        [
            (grouped_routing if grouped and (h, e, k) == _GROUPED_MODEL else balanced_routing)(
                int(t), int(e), int(k), int(r)
            )
            for t, h, e, k, r in zip(tokens, hidden, experts, topk, ranks, strict=True)
        ]
    )
    work = stacked(
        GroupedGemm,
        rows=routed[:, 0],
        active_experts=routed[:, 1],
        hidden=hidden,
        intermediate=inter / split,
        matrices=matrices,
        weight_bytes_per_element=BYTES_PER_ELEMENT[number_format],
        activation_bytes_per_element=input_bytes(number_format),
        tokens=tokens,
        experts=experts / ranks,
        picks=topk,
        expected_rows=tokens * topk * ranks / experts,
    )
    seconds = table["latency"].to_numpy(dtype=float) * 1e-3
    impossible = np.asarray(work.weight_bytes) / seconds > hbm_bytes_per_s
    model = _labels(hidden, inter, topk, experts, matrices)
    keep = ~np.isin(model, model[impossible]) & (routed[:, 1] > 0)
    kept = {name: getattr(work, name)[keep] for name in work.__dataclass_fields__}
    rows = rows_of(
        "experts",
        number_format,
        stacked(GroupedGemm, **kept),
        table.loc[keep],
        _SHAPE,
        where,
        op="moe",
    )
    doubtful = doubtful_rows(
        rows.seconds,
        more=[tokens[keep]],
        less=[split[keep], ranks[keep]],
        model=model[keep],
        split=_labels(model, split, ranks)[keep],
        judges=~rows.unseen,
    )
    return replace(rows, doubtful=doubtful)


def _labels(*columns: np.ndarray) -> np.ndarray:
    """A number for each distinct row of some columns."""
    return np.unique(np.stack(columns), axis=1, return_inverse=True)[1].ravel()


def stream_rows(tables: Tables) -> Iterator[KernelRows]:
    """Quantising a matrix: reads two bytes an element and writes one."""
    if (launches := tables.read("quantize", "scale_matrix")) is None:
        return
    table = distinct(launches[0], ["m", "k"])
    m, k = columns_of(table, "m", "k")
    yield rows_of(
        "stream",
        "any",
        stacked(Stream, hbm_bytes=3.0 * m * k, launches=1.0),
        table,
        ["k"],
        launches[1],
    )


def message_rows(tables: Tables) -> Iterator[KernelRows]:
    """Collectives: the engine's own all-reduce, the library's others, and expert dispatch."""
    if (launches := tables.read("comm", "custom_allreduce")) is not None:
        table = distinct(launches[0], ["num_gpus", "message_size"])
        ranks, size = columns_of(table, "num_gpus", "message_size")
        work = stacked(AllReduce, data_bytes=_WIDE * size, ranks=ranks)
        yield rows_of("all_reduce", "any", work, table, ["num_gpus"], launches[1])
    yield from _library_rows(tables)
    yield from _dispatch_rows(tables)


def _library_rows(tables: Tables) -> Iterator[KernelRows]:
    """Gather, scatter and sends of the collective library."""
    if (launches := tables.read("comm", "nccl", "nccl")) is None:
        return
    table = launches[0].loc[launches[0]["nccl_dtype"] == "half"]
    table = distinct(table, ["num_gpus", "message_size"])
    forms = (
        ("all_gather", "all_gather", AllGather),
        ("reduce_scatter", "reduce_scatter", ReduceScatter),
        ("alltoall", "send_recv", SendRecv),
    )
    of_kind: dict[str, KernelRows] = {}
    for theirs, kind, form in forms:
        some = table.loc[table["op_name"] == theirs]
        if kind == "send_recv":  # between two ranks, half of the data goes to the other
            some = some.loc[some["num_gpus"] == 2]
        ranks, size = columns_of(some, "num_gpus", "message_size")
        part = 0.5 if kind == "send_recv" else 1.0
        work = stacked(form, data_bytes=part * _WIDE * size, ranks=ranks)
        of_kind[kind] = rows_of(kind, "any", work, some, ["num_gpus"], launches[1])
    # A scatter sends the parts of a gather round the same ring in opposite order, and the tables
    # agree within a few percent: the gather's rows tell how a scatter grows with ranks.
    scatter, gather = of_kind["reduce_scatter"], of_kind["all_gather"]
    of_kind["reduce_scatter"] = replace(
        scatter,
        work=stacked(
            ReduceScatter,
            **{
                name: np.concatenate([getattr(scatter.work, name), getattr(gather.work, name)])
                for name in ("data_bytes", "ranks")
            },
        ),
        seconds=np.concatenate([scatter.seconds, gather.seconds]),
        unseen=np.concatenate([scatter.unseen, gather.unseen]),
    )
    yield from of_kind.values()


def _dispatch_rows(tables: Tables) -> Iterator[KernelRows]:
    """Dispatch and combine: over NVLink from one side in a rack, DeepEP in a node.

    A combine sends bf16, a dispatch what its format says. A rank gets each token once, however
    many of the token's experts it holds.
    """
    rack = tables.chip in _RACKS
    table, where = _rack_dispatch(tables) if rack else _node_dispatch(tables)
    if table is None:
        return
    shape = ["hidden_size", "topk", "num_experts", "ranks"]
    table = distinct(table, ["element_bytes", "num_tokens", *shape])
    hidden, topk, _, ranks = columns_of(table, *shape)
    tokens, element = columns_of(table, "num_tokens", "element_bytes")
    # The rack's test deals experts out in turn, to as many ranks as a token has experts; DeepEP's
    # draws them, and some fall on the same rank.
    drawn = ranks * -np.expm1(topk * np.log1p(-1.0 / ranks))
    copies = np.minimum(topk, ranks) if rack else drawn
    sent = tokens * copies
    work = stacked(AllToAll, data_bytes=sent * hidden * element, ranks=ranks, pieces=sent)
    yield rows_of("all_to_all", "any", work, table, shape, where)


def _rack_dispatch(tables: Tables) -> "tuple[DataFrame | None, str]":
    # Measured on one rack; the other generation has the same NVLink.
    launches = tables.read("comm", "trtllm_alltoall") or Tables(
        tables.folder.parent, _MEASURED_RACK, tables.engine
    ).read("comm", "trtllm_alltoall")
    if launches is None:
        return None, ""
    table = launches[0].loc[launches[0]["kernel_source"] == "NVLinkOneSided"]
    dispatch = table["op_name"] == "alltoall_dispatch"
    stored = [BYTES_PER_ELEMENT[_FORMATS[name]] for name in table["moe_dtype"]]
    table = table.assign(element_bytes=np.where(dispatch, stored, _WIDE))
    return table.rename(columns={"moe_ep_size": "ranks"}), launches[1]


def _node_dispatch(tables: Tables) -> "tuple[DataFrame | None, str]":
    fast = tables.read("comm", "wideep_deepep_ll", "sglang")
    bulk = tables.read("comm", "wideep_deepep_normal", "sglang")
    if fast is None or bulk is None:
        return None, ""
    # Engines choose the low-latency mode as far as it goes, and the other beyond.
    largest = fast[0]["num_token"].max()
    bulk = bulk[0].loc[bulk[0]["num_token"] > largest], bulk[1]
    parts = []
    # Below 4 experts a token, the time is that of moving every token once, not of the copies.
    for table, suffix in ((fast[0], "avg_t_us"), (bulk[0], "transmit_us")):
        for phase, element in (("dispatch", BYTES_PER_ELEMENT["fp8"]), ("combine", _WIDE)):
            part = table.rename(columns={"num_topk": "topk", "num_token": "num_tokens"})
            microseconds = part[f"{phase}_{suffix}"]
            part = part.assign(
                op_name=f"alltoall_{phase}",
                element_bytes=element,
                ranks=_NODE_GPUS,
                latency=microseconds * 1e-3,
            )
            parts.append(part[(microseconds > 0) & (part["topk"] >= _FEWEST_COPIES)])
    columns = ["op_name", "element_bytes", "ranks", "latency", "num_tokens", "hidden_size"]
    columns += ["topk", "num_experts"]
    return pandas_module().concat([part[columns] for part in parts]), fast[1]
