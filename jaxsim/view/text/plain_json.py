"""How is a value written as JSON that any parser reads?"""

import json
import math
from collections.abc import Callable
from typing import SupportsFloat


def number(value: SupportsFloat | str | None) -> float | str | None:
    """A number as JSON has it: null where it is not finite."""
    if value is None or isinstance(value, bool | str):
        return value
    value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def clean(value: object) -> object:
    """The value with lists for tuples and arrays, and null for whatever is not finite."""
    if isinstance(value, dict):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    tolist: Callable[[], object] | None = getattr(value, "tolist", None)
    if tolist is not None:
        return clean(tolist())
    if value is None or isinstance(value, str | float | int | SupportsFloat):
        return number(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def dumps(value: object) -> str:
    """JSON text that any parser reads."""
    return json.dumps(clean(value), indent=2, allow_nan=False, ensure_ascii=False)
