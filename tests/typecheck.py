"""The run-time type checker of the tests: as static checkers do, it takes an int for a float.

`jaxtyped` binds the names of array dimensions from call to call, at some 50 µs a call. Where no
annotation of a function names a dimension there is nothing to bind: the checker alone says the
same for a tenth of that.
"""

import dataclasses
import functools
import inspect
from typing import Any, get_args, get_type_hints

import jax
import jaxtyping
import numpy as np
from beartype import BeartypeConf, beartype

from jaxsim import _scalar

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped: Any = jaxtyping.jaxtyped


def install() -> None:
    """Check every function of jaxsim that is imported from now on."""
    _narrow()
    jaxtyping.jaxtyped = checked  # what the hook's decorators call
    jaxtyping.install_import_hook("jaxsim", "tests.typecheck.check").__enter__()


class _OfKinds(type):
    """The type of classes whose instances are the arrays with numbers of some kinds.

    As `jaxtyping.Float[held, "..."]` and its like say, for a tenth of their time: scalars are
    checked more often than all else.
    """

    kinds: str
    arrays: dict[type, bool]

    def __instancecheck__(cls, value: Any) -> bool:
        one = type(value)
        if one not in cls.arrays:
            cls.arrays[one] = isinstance(value, jax.Array | np.ndarray | np.generic)
        return cls.arrays[one] and value.dtype.kind in cls.kinds


class Number(metaclass=_OfKinds):
    """An array of numbers."""

    kinds, arrays = "fi", {}


class Flag(metaclass=_OfKinds):
    """An array of flags."""

    kinds, arrays = "b", {}


def _narrow() -> None:
    """Numbers are asked for as arrays of numbers, flags as arrays of flags."""
    names: Any = _scalar
    names.Scalar = Number | float
    names.Flag = Flag | bool


def checked(fn: Any = None, **options: Any) -> Any:
    """The function or dataclass with its annotations checked; called as `jaxtyped` is."""
    if fn is None:
        return functools.partial(checked, **options)
    if dataclasses.is_dataclass(fn) and inspect.isfunction(fn.__init__):
        fn.__init__ = checked(fn.__init__, **options)
        return fn
    if not inspect.isfunction(fn) or options.get("typechecker") is None:
        return _jaxtyped(fn, **options)
    return _at_first_call(fn, options)


def _at_first_call(fn: Any, options: dict[str, Any]) -> Any:
    """The function, whose checks are made once it is called: most are not, in any one process."""
    own: list[Any] = []

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not own:
            own.append(_with_checks(fn, options))
        return own[0](*args, **kwargs)

    return call


def _with_checks(fn: Any, options: dict[str, Any]) -> Any:
    hints = {name: _hint(fn, name) for name in fn.__annotations__}
    if any(map(_names_dimensions, hints.values())):
        return _jaxtyped(fn, **options)
    fn.__annotations__ = hints
    return check(fn)


def _hint(fn, name: str):
    """What an annotation means; anything, where its type is imported for static checkers alone."""
    hint = fn.__annotations__[name]
    if hint is None or isinstance(hint, type):
        return hint

    def one():
        pass

    one.__annotations__ = {name: hint}
    try:
        return get_type_hints(one, fn.__globals__, include_extras=True)[name]
    except NameError:
        return Any


def _names_dimensions(hint) -> bool:
    own = getattr(hint, "dim_str", "...")
    return own not in ("", "...") or any(map(_names_dimensions, get_args(hint)))
