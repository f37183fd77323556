"""Records of the catalogue as plain Python numbers, and one line of work."""

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np


def plain(record) -> Any:
    """A record, its records and tuples, with every leaf a float; `kind` is the class it had."""
    if isinstance(record, tuple):
        return tuple(plain(entry) for entry in record)
    if hasattr(record, "__dataclass_fields__"):
        values = {name: plain(getattr(record, name)) for name in record.__dataclass_fields__}
        return SimpleNamespace(kind=type(record).__name__, **values)
    return float(np.asarray(record))


@dataclass(frozen=True)
class Kernel:
    """One launch on one GPU."""

    part: str
    role: str
    flop: float
    hbm_bytes: float
    launches: float = 1.0


@dataclass(frozen=True)
class Message:
    """One message, per GPU."""

    role: str
    data_bytes: float
    ranks: float
    part: str = "network"
    launches: float = 1.0


def gemm(part, role, rows, inputs, outputs, weight_bytes, input_bytes) -> Kernel:
    """A matrix product: weights once, activations in and out."""
    moved = weight_bytes * inputs * outputs + input_bytes * (rows * inputs + rows * outputs)
    return Kernel(part, role, 2 * rows * inputs * outputs, moved)


def seconds(work) -> float:
    """A time model unlike any of the package's: smooth, monotone, and different for every role.

    A floor, and the root of the sum of squares of what arithmetic and memory take alone.
    """
    tag = 1 + sum(map(ord, work.role)) % 17 / 17
    if isinstance(work, Message):
        if work.ranks <= 1:
            return 0.0
        return tag * (3e-6 + work.data_bytes / 4e11 * (1 - 1 / work.ranks))
    return tag * (4e-6 * work.launches + math.hypot(work.flop / 9e14, work.hbm_bytes / 5e12))


# Of every item's time, what is its launch floor, that no factor of an engine multiplies.
FLOOR_FRAC = 0.3


def linear_seconds(work) -> float:
    """The same with a plain sum, so that time is linear in work."""
    tag = 1 + sum(map(ord, work.role)) % 17 / 17
    if isinstance(work, Message):
        return seconds(work)
    return tag * (4e-6 * work.launches + work.flop / 9e14 + work.hbm_bytes / 5e12)
