"""Which of several kinds a test expects: an assertion that type checkers understand."""

from typing import Any, TypeVar

T = TypeVar("T")


def of(kind: type[T], value: object) -> T:
    """The value, which must be of this kind."""
    assert isinstance(value, kind), f"expected a {kind.__name__}, not {value!r}"
    return value


def some(value: T | None) -> T:
    """The value, which must not be None."""
    assert value is not None
    return value


def untyped(value: object) -> Any:
    """The value, its type unknown to checkers: JSON, a variant, or what is wrong on purpose."""
    return value
