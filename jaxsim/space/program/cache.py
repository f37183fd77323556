"""What does this process keep for the next call?  Traced, rewritten and planned programs.

One cache for all of `space`. Tracing a phase takes as long as a large sweep, and JAX compiles a
program once if it is the same object.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

Value = TypeVar("Value")
Given = ParamSpec("Given")


class Cache:
    """Values by key; beyond `limit` the least recently used are dropped."""

    def __init__(self, limit: int):
        self._limit = limit
        self._values: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self,
        key: Hashable,
        make: Callable[[], Value],
        lasting: Callable[[Value], bool] = lambda _: True,
    ) -> Value:
        """The value of a key, made if there is none, and kept if it is `lasting`.

        >>> cache = Cache(limit=2)
        >>> cache.get("one", lambda: 1), cache.get("one", lambda: 2)
        (1, 1)
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return cast(Value, self._values[key])
        value = make()
        if not lasting(value):
            return value
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._limit:
                self._values.popitem(last=False)
        return value

    def clear(self) -> None:
        """Drop every value."""
        with self._lock:
            self._values.clear()

    def __len__(self) -> int:
        return len(self._values)


CACHE = Cache(limit=1024)


def cached(fn: Callable[Given, Value]) -> Callable[Given, Value]:
    """The function with its results kept in `CACHE`; its arguments must be hashable."""

    @wraps(fn)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Value:
        return CACHE.get((fn, args, *kwargs.items()), lambda: fn(*args, **kwargs))

    return call
