"""Restating records in other units of time and data, by the suffixes of their fields' names."""

import dataclasses
from typing import Any

from jaxsim._record import Record

# Longest suffix first. Flop are not restated: a GEMM's follow from its shape.
_SUFFIXES = (
    ("_bytes_per_element", 0, 1),
    ("_flop_per_s", -1, 0),
    ("_bytes_per_s", -1, 1),
    ("_bytes", 0, 1),
    ("_s", 1, 0),
)


def in_other_units(tree: Any, second: float, byte: float) -> Any:
    """A tuple of records or a record, with every dimensional field restated."""
    if isinstance(tree, tuple):
        return tuple(in_other_units(one, second, byte) for one in tree)
    if not isinstance(tree, Record):
        return tree
    restated = {}
    for field in dataclasses.fields(tree):
        value = getattr(tree, field.name)
        if isinstance(value, Record):
            restated[field.name] = in_other_units(value, second, byte)
            continue
        for suffix, time, data in _SUFFIXES:
            if f"_{field.name}".endswith(suffix):
                value = value * second**time * byte**data
                break
        restated[field.name] = value
    return type(tree)(**restated)
