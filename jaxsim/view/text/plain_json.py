"""How is a value written as JSON that any parser reads?"""

import json
import math
from typing import Any


def number(value: Any) -> Any:
    """A number as JSON has it: null where it is not finite."""
    if value is None or isinstance(value, bool | str):
        return value
    value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def clean(value: Any) -> Any:
    """The value with lists for tuples and arrays, and null for whatever is not finite."""
    if isinstance(value, dict):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if hasattr(value, "tolist"):
        return clean(value.tolist())
    return number(value)


def dumps(value: Any) -> str:
    """JSON text that any parser reads."""
    return json.dumps(clean(value), indent=2, allow_nan=False, ensure_ascii=False)
