"""What goes into a sweep: the numbers of a point, and the values of its axes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxsim._record import Tree, partition, replace_leaf
from jaxsim.space.program.bits import wide


@runtime_checkable
class Client(Protocol):
    """A runtime of JAX."""

    @property
    def platform_version(self) -> str:
        """Which version of which library it is."""
        ...


@runtime_checkable
class Device(Protocol):
    """A device of JAX."""

    @property
    def platform(self) -> str:
        """Such as `cpu` and `gpu`."""
        ...

    @property
    def device_kind(self) -> str:
        """The maker's name of it."""
        ...

    @property
    def client(self) -> "Client":
        """The runtime that it belongs to."""
        ...


# The values of a program that JAX reads; NumPy's until they are moved to a device.
if TYPE_CHECKING:
    Held: TypeAlias = jax.Array
else:
    Held = jax.Array | np.ndarray | np.generic

# An array, or its only number.
if TYPE_CHECKING:
    Entries: TypeAlias = np.ndarray
else:
    Entries = np.ndarray | np.generic

# The names of the axes that each output depends on, in a pytree like the outputs.
DimsTree: TypeAlias = Any

# An axis: its name, which leaf (or leaves, or sub-record) of the point it replaces, and with what:
# an array, or a record of arrays, with one leading dimension.
Axis: TypeAlias = tuple[str, Callable[[Any], Any], Any]


def is_number(leaf: object) -> bool:
    """Whether a leaf of a point is traced: a number or an array, but no flag and no name."""
    if isinstance(leaf, bool | np.bool_):
        return False
    return isinstance(leaf, int | float | np.number | np.ndarray | jax.Array)


def as_array(leaf: ArrayLike) -> np.ndarray | jax.Array:
    """The leaf as an array. Counts become real numbers, so that no product of them can overflow."""
    if isinstance(leaf, jax.Array):
        return leaf
    if isinstance(leaf, np.ndarray) and leaf.ndim and leaf.dtype != np.float64:
        return leaf
    return np.asarray(leaf, dtype=real_type())


def real_type() -> type[np.float64] | type[np.float32]:
    """The type of real numbers on this thread."""
    return np.float64 if wide() else np.float32


def type_of(leaf: object) -> object:
    """The shape and type of a number, as `as_array` makes it; a leaf that is no number, itself."""
    if not is_number(leaf):
        return leaf
    if isinstance(leaf, jax.Array):
        return leaf.shape, leaf.dtype
    if isinstance(leaf, np.ndarray) and leaf.ndim:
        return leaf.shape, leaf.dtype if leaf.dtype != np.float64 else np.dtype(real_type())
    return (), np.dtype(real_type())


def numbers_of(point: Tree) -> tuple[Tree, Tree]:
    """The point's numbers as arrays, and the rest of it; `joined` puts them together again."""
    numbers, rest = partition(point, is_number)
    return jax.tree.map(as_array, numbers), rest


def replace(point: Tree, axes: Sequence[Axis], values: Sequence[object]) -> Tree:
    """The point with each axis's leaf (or every leaf of a tuple, or sub-record) replaced."""
    for (_, where, _), value in zip(axes, values, strict=True):
        chosen = where(point)
        many = type(chosen) in (tuple, list)
        replacement = [value] * len(chosen) if many else value
        point = replace_leaf(where, point, replacement)
    return point


def axis_values(axes: Sequence[Axis]) -> tuple[object, ...]:
    """The values of every axis as arrays; an error if an axis is empty or named twice."""
    names = [name for name, _, _ in axes]
    if len(set(names)) != len(names):
        raise ValueError(f"axes {names}: each name must be given once; rename or drop one")
    arrays = []
    for name, _, values in axes:
        arrays.append(tuple_values := jax.tree.map(as_array, _listed(values)))
        lengths = {np.shape(x)[0] if np.ndim(x) else None for x in jax.tree.leaves(tuple_values)}
        if None in lengths or 0 in lengths or len(lengths) != 1:
            raise ValueError(
                f"axis '{name}' has values of lengths {sorted(map(str, lengths))}: "
                "give one or more values, or records whose leaves all have one leading length"
            )
    return tuple(arrays)


def _listed(values: object) -> object:
    """Plain sequences of numbers as one array; records stay records."""
    if isinstance(values, list | tuple | range) and all(is_number(v) for v in values):
        return np.asarray(values, dtype=np.result_type(float))
    return values


def lengths_of(values: Sequence[object]) -> tuple[int, ...]:
    """How many values each axis has."""
    return tuple(jax.tree.leaves(v)[0].shape[0] for v in values)
