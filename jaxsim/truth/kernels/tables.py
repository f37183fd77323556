"""What do the measured kernel tables of `aiconfigurator-core` hold, in this package's terms?

The tables (Apache-2.0) are a calibration tool, read where a user has installed that package, never
when jaxsim runs. One function reads each table into work records. Repeats of a launch are reduced
to the fastest, except GEMMs, whose repeats are replaced by their median.

Faults of the tables that are dealt with here, each by a rule that does not look at residuals:

* Decoding with more than 16 query heads for one key/value head falls back to another kernel, up to
  ten times slower, and with 1 it runs on a third, without matrix units. Both are left out of
  `decode`: no current model needs them.
* NVFP4 experts were timed with router scores that tie. The one model with grouped routing then
  keeps the first half of its experts, and tied picks go to the first few: `grouped_routing`.
* Models of which any row's weights would pass faster than the memory's peak are left out of
  `experts`: what was timed cannot have been what the row says.
* Splits of a model over ranks for which a kernel was timed untuned are marked, and not fitted:
  `doubts`.
* `message_size` counts elements of two bytes.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.precision import ACTIVATION_FORMAT, BYTES_PER_ELEMENT, Format
from jaxsim.point.work import (
    BatchedGemm,
    ContextAttention,
    DecodeAttention,
    Gemm,
)
from jaxsim.truth.kernels.frames import columns_of, distinct, pandas_module, rows_of
from jaxsim.truth.kernels.rows import KernelRows, stacked

if TYPE_CHECKING:
    from pandas import DataFrame

PACKAGE = "aiconfigurator-core"
# The package's folder for each chip of the catalogue.
FOLDERS = {
    "a100": "a100_sxm",
    "h100": "h100_sxm",
    "h200": "h200_sxm",
    "b200": "b200_sxm",
    "b300": "b300_sxm",
    "gb200-nvl72": "gb200",
    "gb300-nvl72": "gb300",
}
_GEMM: dict[str, Format] = {
    "bfloat16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8_block",
    "nvfp4": "nvfp4",
}
_CACHES: dict[str, Format] = {"bfloat16": "bf16", "fp8": "fp8"}
_WIDE = 2.0  # bytes of bf16
_GROUPS = (2, 16)  # query heads for one key/value head
_HEAD_DIMS = (64, 128)


class Tables:
    """The tables of one chip and engine, beneath the package's `systems/data` folder."""

    def __init__(self, root: Path, chip: str, engine: str = "trtllm"):
        if chip not in FOLDERS:
            known = ", ".join(sorted(FOLDERS))
            raise InputError(f"No kernel tables of {chip!r} are known; there are: {known}.")
        self.folder, self.engine, self.chip = root / FOLDERS[chip], engine, chip
        if not self.folder.is_dir():
            raise InputError(
                f"{self.folder}: no such folder. Give the folder `systems/data` of {PACKAGE}, "
                f"or install it: pip install {PACKAGE}."
            )

    def read(self, op: str, name: str, engine: str | None = None) -> "tuple[DataFrame, str] | None":
        """The newest table that is not a small supplement, with where it came from; or None."""
        pandas = pandas_module()
        versions = sorted(
            (self.folder / op / (engine or self.engine)).glob(f"*/{name}_perf.parquet"),
            key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)],
        )
        tables = [(path, pandas.read_parquet(path)) for path in versions]
        largest = max((len(table) for _, table in tables), default=0)
        for path, table in reversed(tables):
            if len(table) > largest / 5:
                where = path.relative_to(self.folder.parent).as_posix()
                return table, where
        return None


def gemm_rows(tables: Tables) -> Iterator[KernelRows]:
    """Dense GEMMs by format."""
    if (launches := tables.read("gemm", "gemm")) is None:
        return
    for theirs, ours in _GEMM.items():
        table = launches[0].loc[launches[0]["gemm_dtype"] == theirs]
        if not len(table):
            continue
        table = distinct(table, ["m", "n", "k"], "median")
        m, n, k = columns_of(table, "m", "n", "k")
        work = stacked(
            Gemm,
            rows=m,
            outputs=n,
            inputs=k,
            weight_bytes_per_element=BYTES_PER_ELEMENT[ours],
            activation_bytes_per_element=input_bytes(ours),
        )
        yield rows_of("gemm", ours, work, table, ["n", "k"], launches[1])


def absorb_rows(tables: Tables) -> Iterator[KernelRows]:
    """The batched GEMMs that move queries into the latent space and results out of it."""
    if (launches := tables.read("mla_bmm", "mla_bmm")) is None:
        return
    rank, nope, value = 512.0, 128.0, 128.0  # of the model that was measured
    for theirs, ours in _CACHES.items():
        table = launches[0].loc[launches[0]["bmm_dtype"] == theirs]
        if not len(table):
            continue
        table = distinct(table, ["num_tokens", "num_heads"], "median")
        tokens, heads = columns_of(table, "num_tokens", "num_heads")
        before = (table["op_name"] == "mla_gen_pre").to_numpy()
        work = stacked(
            BatchedGemm,
            rows=tokens,
            outputs=heads * np.where(before, rank, value),
            inputs=np.where(before, nope, rank),
            weight_bytes_per_element=BYTES_PER_ELEMENT[ours],
            activation_bytes_per_element=_WIDE,  # also in FP8: results are, inputs are converted
            products=heads,
        )
        yield rows_of("absorb", ours, work, table, ["num_heads"], launches[1])


def input_bytes(number_format: Format) -> float:
    """Bytes of one element of a GEMM's input."""
    return BYTES_PER_ELEMENT[ACTIVATION_FORMAT[number_format]]


def context_rows(tables: Tables) -> Iterator[KernelRows]:
    """Attention of whole prompts; cache and arithmetic in the same format."""
    if (launches := tables.read("attention", "context_attention")) is None:
        return
    shape = ["num_heads", "num_key_value_heads", "head_dim", "window_size"]
    for theirs, ours in _CACHES.items():
        table = launches[0]
        chosen = (table["attn_dtype"] == theirs) & (table["kv_cache_dtype"] == theirs)
        table = table.loc[chosen & table["head_dim"].isin(_HEAD_DIMS)]
        if not len(table):
            continue
        table = distinct(table, ["batch_size", "isl", *shape])
        batch, queries = columns_of(table, "batch_size", "isl")
        heads, kv_heads, dim, window = columns_of(table, *shape)
        work = stacked(
            ContextAttention,
            sequences=batch,
            queries=queries,
            past=0.0,
            pairs=_causal_pairs(queries, window),
            heads=heads,
            kv_heads=kv_heads,
            qk_dim=dim,
            v_dim=dim,
            kv_bytes_per_element=BYTES_PER_ELEMENT[ours],
            activation_bytes_per_element=_WIDE,
        )
        yield rows_of("context", ours, work, table, shape, launches[1])


def _causal_pairs(queries: np.ndarray, window: np.ndarray | float) -> np.ndarray:
    """Unmasked pairs of a prompt; a window of 0 means none."""
    limit = np.where(window > 0, np.minimum(window, queries), queries)
    return limit * (limit + 1.0) / 2.0 + (queries - limit) * limit


def context_latent_rows(tables: Tables) -> Iterator[KernelRows]:
    """Decompressed latent attention of whole prompts."""
    if (launches := tables.read("mla", "context_mla")) is None:
        return
    for theirs, ours in _CACHES.items():
        table = launches[0].loc[launches[0]["kv_cache_dtype"] == theirs]
        if not len(table):
            continue
        table = distinct(table, ["batch_size", "isl", "num_heads"])
        batch, queries, heads = columns_of(table, "batch_size", "isl", "num_heads")
        work = stacked(
            ContextAttention,
            sequences=batch,
            queries=queries,
            past=0.0,
            pairs=_causal_pairs(queries, 0.0),
            heads=heads,
            kv_heads=heads,
            qk_dim=192.0,
            v_dim=128.0,
            kv_bytes_per_element=_WIDE,
            activation_bytes_per_element=_WIDE,
        )
        yield rows_of("context_latent", ours, work, table, ["num_heads"], launches[1])


def decode_rows(tables: Tables) -> Iterator[KernelRows]:
    """Attention of one new token, by the format of its cache."""
    if (launches := tables.read("attention", "generation_attention")) is None:
        return
    shape = ["num_heads", "num_key_value_heads", "head_dim", "window_size"]
    for theirs, ours in _CACHES.items():
        table = launches[0]
        groups = table["num_heads"] / table["num_key_value_heads"]
        chosen = (table["kv_cache_dtype"] == theirs) & groups.between(*_GROUPS)
        table = table.loc[chosen & table["head_dim"].isin(_HEAD_DIMS)]
        if not len(table):
            continue
        table = distinct(table, ["batch_size", "step", *shape])
        batch, step = columns_of(table, "batch_size", "step")
        heads, kv_heads, dim, window = columns_of(table, *shape)
        context = step + 1.0
        attended = np.where(window > 0, np.minimum(window, context), context)
        work = stacked(
            DecodeAttention,
            sequences=batch,
            queries=1.0,
            context=attended,
            heads=heads,
            kv_heads=kv_heads,
            qk_dim=dim,
            v_dim=dim,
            kv_dim=2.0 * dim,
            kv_bytes_per_element=BYTES_PER_ELEMENT[ours],
            masked=context - attended,
        )
        yield rows_of("decode", ours, work, table, shape, launches[1])


def decode_latent_rows(tables: Tables) -> Iterator[KernelRows]:
    """Absorbed latent attention of one new token, by the format of its cache."""
    if (launches := tables.read("mla", "generation_mla")) is None:
        return
    for theirs, ours in _CACHES.items():
        table = launches[0].loc[launches[0]["kv_cache_dtype"] == theirs]
        if not len(table):
            continue
        table = distinct(table, ["batch_size", "step", "num_heads"])
        batch, step, heads = columns_of(table, "batch_size", "step", "num_heads")
        work = stacked(
            DecodeAttention,
            sequences=batch,
            queries=1.0,
            context=step + 1.0,
            heads=heads,
            kv_heads=1.0,
            qk_dim=576.0,
            v_dim=512.0,
            kv_dim=576.0,
            kv_bytes_per_element=BYTES_PER_ELEMENT[ours],
        )
        yield rows_of("decode_latent", ours, work, table, ["num_heads"], launches[1])
