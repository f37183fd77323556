"""What is done with a table of measured launches?  pandas, which only calibrating needs."""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.point.work import AbstractMessage, AbstractWork
from jaxsim.truth.kernels.rows import KernelRows, unseen_rows

if TYPE_CHECKING:
    from pandas import DataFrame


def pandas_module() -> ModuleType:
    """pandas, which only calibrating needs."""
    try:
        import pandas

        importlib.import_module("pyarrow")  # what pandas reads parquet with
    except ImportError as error:
        raise InputError(
            f"Reading kernel tables needs {error.name}; install jaxsim-inference[calibrate]."
        ) from None
    return pandas


def columns_of(table: "DataFrame", *names: str) -> list[np.ndarray]:
    """Columns of a table as numbers."""
    return [table[name].to_numpy(dtype=float) for name in names]


def rows_of(
    kind: str,
    number_format: str,
    work: AbstractWork | AbstractMessage,
    table: "DataFrame",
    dims: Sequence[str],
    where: str,
    op: str | None = None,
) -> KernelRows:
    """Rows of a table, with the shapes that are held out marked."""
    ops = table["op_name"] if op is None else [op] * len(table)
    unseen = unseen_rows(ops, {name: table[name].to_numpy() for name in dims})
    seconds = table["latency"].to_numpy(dtype=float) * 1e-3
    return KernelRows(kind, number_format, work, seconds, unseen, where)


def distinct(
    table: "DataFrame", names: list[str], how: Literal["min", "median"] = "min"
) -> "DataFrame":
    """A table without repeats of a launch: the fastest, or the median, stands for all."""
    grouped = table.groupby(["op_name", *names], as_index=False)[["latency"]]
    return cast("DataFrame", grouped.agg(how))
