"""What do the measured kernel tables hold of layers that select or compress what they attend to?

A table times all of a layer's attention at once: projections, indexer, selection, attention. What
the products take by fits of their own is `beside_s`; the rest is one fit a family and phase. Of the
engines measured, one is taken by rules that do not look at residuals: a table whose shortest launch
takes twice that of another engine's was issued kernel by kernel and waits for its host; one whose
launches take twice as long in all as the same ones of another is of a kernel not made for the
chip; of the others the first in `ENGINES`, which begins with the one that most other kernels were
measured on. An engine whose table is slow has a fit of its own beside it: its launches take that
long. Prompts that fall to another kernel (`_OTHERS`) are left out.
The shapes held out are those of heads on the GPU, width of the model and heads of the indexer.
"""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim.catalog._calibration_kinds import ANY, Calibration
from jaxsim.catalog.calibration import resolve_kernels
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.load import load_model
from jaxsim.catalog.model import BlockSparseGQA, CompressedMQA, SparseMLA
from jaxsim.catalog.precision import Format, Precision, element_bytes
from jaxsim.point.attention.compressed import HYPER_LAUNCHES
from jaxsim.point.attention.kinds import context_items, decode_items, projection_items
from jaxsim.point.items import ContextTokens, DecodeTokens, Item
from jaxsim.point.ranks import Ranks
from jaxsim.point.roofline import kernel_s
from jaxsim.point.selected import SelectedAttention
from jaxsim.point.work import AbstractWork, Stream
from jaxsim.truth.kernels.frames import columns_of, distinct, rows_of
from jaxsim.truth.kernels.rows import KernelRows, joined_rows, stacked
from jaxsim.truth.kernels.tables import Tables

if TYPE_CHECKING:
    from pandas import DataFrame

ENGINES = ("trtllm", "vllm", "sglang")
FILLED = 1000
MOST_TP = 16.0  # tables also hold fewer heads than any deployment has on a GPU, and more
WAITS = 2.0  # times the shortest launch of another engine's table
SLOW = 2.0  # times what another engine's table takes for the launches of both
# Prompts of another kernel than the one that selects: SGLang's dense one, where all of a prompt is
# within what is selected.
_OTHERS = ("dense_mha",)
_PHASES = {"decode": "generation", "context": "context"}
# A family's tables: their folder, and the name of each with the compression of its layers.
_TABLES = {
    "dsa": ("sparse_attention", {"dsa": 0.0}),
    "msa": ("msa", {"msa": 0.0}),
    "compressed": ("sparse_attention", {"dsv4_csa": 4.0, "dsv4_hca": 128.0}),
}
_MODELS = {
    "sgl-project/DeepSeek-V4-Flash-FP8": "deepseek-v4-flash",
    "sgl-project/DeepSeek-V4-Pro-FP8": "deepseek-v4-pro",
    "deepseek-ai/DeepSeek-V4-Pro": "deepseek-v4-pro",
    "MiniMaxAI/MiniMax-M3": "minimax-m3",
    "deepseek-ai/DeepSeek-V3.2": "deepseek-v3.2",
    "zai-org/GLM-5": "glm-5",
    "zai-org/GLM-5-FP8": "glm-5",
}
# Engines differ most in products of 4 bits, which say nothing of what lies between them.
_GEMM: dict[str, Format] = {"bfloat16": "bf16", "fp8_block": "fp8_block"}
_LAUNCH = ["num_heads", "batch_size", "isl", "step"]
_SAME = ["model", "gemm_type", "kv_cache_dtype", *_LAUNCH]
_WIDE = 2.0

Selecting = SparseMLA | BlockSparseGQA | CompressedMQA


def attention_of(card: ModelCard, family: str, ratio: float) -> Selecting:
    """The kind of layer of a model that a table times; `ratio` is that of its compression."""
    for group in card.model.groups:
        own = group.attention
        if family == "dsa" and isinstance(own, SparseMLA):
            return own
        if family == "msa" and isinstance(own, BlockSparseGQA):
            return own
        if isinstance(own, CompressedMQA) and float(own.ratio) == ratio:
            return own
    raise ValueError(f"{card.name} has no layer of {family}")


def heads_of(attention: Selecting) -> float:
    """Query heads of a layer."""
    if isinstance(attention, SparseMLA):
        return float(attention.latent.heads)
    if isinstance(attention, BlockSparseGQA):
        return float(attention.grouped.heads)
    return float(attention.heads)


def layer_items(
    attention: Selecting,
    hidden: float,
    launches: dict[str, np.ndarray],
    precision: Precision,
    phase: str,
) -> list[Item]:
    """All kernels of one layer's attention, with an entry per launch; hyper-connections apart."""
    element = element_bytes(precision)

    def one(sequences: jax.Array, queries: jax.Array, past: jax.Array, tp: jax.Array):
        ranks = Ranks(tp, tp, jnp.asarray(1.0), jnp.asarray(1.0), jnp.asarray(1.0), tp)
        items = projection_items(attention, hidden, sequences * queries, ranks, element)
        if phase == "context":
            tokens = ContextTokens(sequences, queries, past, 0.0)
            return items + context_items(attention, tokens, ranks, element)
        return items + decode_items(
            attention, DecodeTokens(sequences, queries, past), ranks, element
        )

    names = ("sequences", "queries", "past", "tp")
    items = jax.vmap(one)(*(jnp.asarray(launches[name]) for name in names))
    return [item for item in items if item.name != "hyper_connections"]


def launches_of(table: "DataFrame", attention: Selecting, phase: str) -> dict[str, np.ndarray]:
    """Sequences, new tokens of each, earlier tokens (in decode all of them), and TP."""
    heads, batch, length, step = columns_of(table, *_LAUNCH)
    if phase == "decode":
        length, step = np.ones_like(batch), step + 1.0
    tp = heads_of(attention) / heads
    return {"sequences": batch, "queries": length, "past": step, "tp": tp}


def module_rows(
    table: "DataFrame", where: str, calibration: Calibration, card: HardwareCard, family: str,
    phase: str, ratio: float, variant: str = ANY,
) -> Iterator[KernelRows]:  # fmt: skip
    """Rows of one table, by model and format of products and cache; `variant` is of which fit."""
    for key, some in table.groupby(["model", "gemm_type", "kv_cache_dtype"]):
        name, gemm, cache = map(str, cast(tuple[object, ...], key))
        if name not in _MODELS or gemm not in _GEMM:
            continue
        some = distinct(some, _LAUNCH)
        own = load_model(_MODELS[name])
        attention, hidden = attention_of(own, family, ratio), float(own.model.hidden)
        some["hidden"], some["index_heads"] = hidden, float(attention.index_heads)
        stored = _GEMM[gemm]
        kv: Format = "fp8" if "fp8" in cache else "bf16"
        precision = Precision(attention=stored, attention_out=stored, kv=kv)
        heads = heads_of(attention)
        some = some.loc[some["num_heads"].between(heads / MOST_TP, heads)]
        launches = launches_of(some, attention, phase)
        # Filled up to whole thousands by repeats, so that tables share compiled operations.
        size = math.ceil(len(some) / FILLED) * FILLED
        launches = {name: np.resize(column, size) for name, column in launches.items()}
        items = layer_items(attention, hidden, launches, precision, phase)
        kernels = resolve_kernels(calibration, precision, warm=True)
        (own_item,) = (item for item in items if isinstance(item.work, SelectedAttention))
        beside_s = np.zeros(size)
        for item in items:
            if item is not own_item:
                fit = getattr(kernels, item.role)
                each = jax.vmap(kernel_s, in_axes=(0, None, None))
                one_s = each(cast(AbstractWork, item.work), fit, card.hardware.chip)
                beside_s = beside_s + np.asarray(item.count * one_s)
        columns = {
            f.name: np.broadcast_to(getattr(own_item.work, f.name), (size,))[: len(some)]
            for f in fields(SelectedAttention)
        }
        work = stacked(SelectedAttention, **columns)
        dims = ["num_heads", "hidden", "index_heads"]
        rows = rows_of(f"{family}_{phase}", variant, work, some, dims, where)
        yield replace(rows, beside_s=beside_s[: len(some)])


def issued(tables: Tables, folder: str, name: str) -> dict[str, tuple["DataFrame", str]]:
    """The tables of an operation that do not wait for a host, by engine, as in `ENGINES`."""
    found = {}
    for engine in ENGINES:
        if (one := tables.read(folder, name, engine)) is not None:
            table, where = one
            known = table.loc[table["model"].isin(list(_MODELS))]
            found[engine] = known, where, float(known["latency"].min())
    shortest = min((least for _, _, least in found.values()), default=0.0)
    return {
        engine: (table, where)
        for engine, (table, where, least) in found.items()
        if least <= WAITS * shortest
    }


def slow(own: dict[str, tuple["DataFrame", str]]) -> set[str]:
    """Engines whose launches take `SLOW` times as long in all as the same ones of another's."""
    return {
        engine
        for engine, (table, _) in own.items()
        if any(slower(table, other) for name, (other, _) in own.items() if name != engine)
    }


def candidates(tables: Tables, folder: str, name: str) -> Iterator[tuple["DataFrame", str]]:
    """The tables of an operation that neither wait for a host nor are slow, as in `ENGINES`."""
    own = issued(tables, folder, name)
    passed = slow(own)
    yield from (table for engine, table in own.items() if engine not in passed)


def slower(table: "DataFrame", other: "DataFrame") -> bool:
    """Whether the launches that both tables have take `SLOW` times as long in the first."""
    keys = [name for name in _SAME if name in table and name in other]
    mine, others = (
        cast("DataFrame", one.groupby(keys, as_index=False)[["latency"]].agg("min"))
        for one in (table, other)
    )
    both = mine.merge(others, on=keys, suffixes=("", "_other"))
    first, second = columns_of(both, "latency", "latency_other")
    return bool(first.sum() > SLOW * second.sum())


def of_one_kernel(table: "DataFrame", phase: str) -> "DataFrame":
    """A table without the prompts of `_OTHERS`, where its rows name their kernels."""
    if phase != "context" or "kernel_source" not in table:
        return table
    return table.loc[~table["kernel_source"].str.contains("|".join(_OTHERS))]


def selected_rows(
    tables: Tables, calibration: Calibration, card: HardwareCard
) -> Iterator[KernelRows]:
    """Layers of every family and phase, of the table that is taken and of slow engines' own."""
    for family, (folder, names) in _TABLES.items():
        for phase, theirs in _PHASES.items():
            parts: dict[str, list[KernelRows]] = {}
            for name, ratio in names.items():
                own = issued(tables, folder, f"{name}_{theirs}_module")
                passed = slow(own)
                taken = next((engine for engine in own if engine not in passed), "")
                for engine in (taken, *sorted(passed)):
                    if engine:
                        variant = ANY if engine == taken else engine
                        table, where = own[engine]
                        some = of_one_kernel(table, phase)
                        parts.setdefault(variant, []).extend(
                            module_rows(
                                some, where, calibration, card, family, phase, ratio, variant
                            )
                        )
            yield from (joined_rows(some) for some in parts.values() if some)


def hyper_rows(tables: Tables) -> Iterator[KernelRows]:
    """Hyper-connections of both sites of a layer: what mixes streams before it, and after it."""
    for engine in ENGINES:
        if (launches := tables.read("mhc", "mhc_module", engine)) is None:
            continue
        some = distinct(launches[0], ["num_tokens", "hidden_size", "hc_mult", "num_sites"])
        tokens, hidden, streams, sites = columns_of(
            some, "num_tokens", "hidden_size", "hc_mult", "num_sites"
        )
        # Before: all streams are read twice, the layer's input is written; after: all streams and
        # the layer's output are read, all streams are written.
        moved = sites * tokens * hidden * (2.0 * streams + 1.0) * _WIDE
        # Before: projection, the iterations that balance it, and mixing; after: one.
        kernels = np.where(some["op_name"] == "pre", HYPER_LAUNCHES - 1.0, 1.0)
        work = stacked(Stream, hbm_bytes=moved, launches=sites * kernels)
        yield rows_of("hyper", "any", work, some, ["hidden_size", "hc_mult"], launches[1])
        return
