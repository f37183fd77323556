"""What is a record: named numbers, and other records, that JAX sees as one tree?

A record is a frozen dataclass and a pytree of its fields. Stacked along an axis it is the same
record with longer leaves. JAX rebuilds its own registered dataclasses through their constructor,
so that checks written there fail on leaves that are no numbers; these are rebuilt without it.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, TypeVar, cast, dataclass_transform

import jax
import numpy as np
from jax.tree_util import GetAttrKey

Tree = TypeVar("Tree")


def static() -> Any:
    """A field that is part of a record's structure: hashable, and never traced."""
    return dataclasses.field(metadata={"static": True})


@dataclass_transform(frozen_default=True, field_specifiers=(static, dataclasses.field))
@dataclasses.dataclass(repr=False, eq=False)
class Record:
    """The base of all records: annotated fields, constructor and pytree come with the class.

    Only constructors are written for each class, as a process makes all of them at its start.
    """

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(repr=False, eq=False)(cls)
        _register(cls)

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__dict__ or name not in type(self).__dataclass_fields__:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __repr__(self) -> str:
        held = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self))
        return f"{type(self).__qualname__}({held})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = type(self).__dataclass_fields__
        return all(_equal(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        names = type(self).__dataclass_fields__
        return hash((type(self), *(getattr(self, name) for name in names)))


def _equal(a: object, b: object) -> bool:
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return np.array_equal(np.asarray(a), np.asarray(b))
    return bool(a == b)


def _register(cls: type) -> None:
    fields = dataclasses.fields(cls)
    names = tuple(f.name for f in fields if not f.metadata.get("static"))
    fixed = tuple(f.name for f in fields if f.metadata.get("static"))
    leaves_of, fixed_of = _getter(names), _getter(fixed)
    keys = tuple(map(GetAttrKey, names))

    def flatten(record: Record) -> tuple[tuple[object, ...], tuple[object, ...]]:
        return leaves_of(record), fixed_of(record)

    def flatten_with_keys(
        record: Record,
    ) -> tuple[Iterable[tuple[object, object]], tuple[object, ...]]:
        return zip(keys, leaves_of(record), strict=True), fixed_of(record)

    def unflatten(held: tuple[object, ...], leaves: Iterable[object]) -> Record:
        record = cast(Record, object.__new__(cls))
        record.__dict__.update(zip(names, leaves, strict=True))
        record.__dict__.update(zip(fixed, held, strict=True))
        return record

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)


def _getter(names: tuple[str, ...]) -> Callable[[object], tuple[object, ...]]:
    """The attributes of these names, as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda record: tuple(getattr(record, name) for name in names)


def replace_leaf(where: Callable[[Any], Any], tree: Tree, value: object) -> Tree:
    """The tree with what `where(tree)` selects replaced by `value`, of the same structure.

    A leaf, a record, or a tuple or list of those, for which values are given in that order; None
    counts as a leaf. A ValueError if they do not fit, or if `where` makes something of its own.

    >>> replace_leaf(lambda point: point["a"], {"a": 1.0, "b": 2.0}, 3.0)
    {'a': 3.0, 'b': 2.0}
    """
    leaves, structure = jax.tree.flatten(tree, is_leaf=_is_none)
    # Objects that nothing can be done with but to hand them on.
    markers = [object() for _ in leaves]
    places = {id(marker): place for place, marker in enumerate(markers)}
    chosen = where(jax.tree.unflatten(structure, markers))
    several = type(chosen) in (tuple, list)
    nodes = list(chosen) if several else [chosen]
    values = list(cast(Sequence[object], value)) if several else [value]
    if len(nodes) != len(values):
        raise ValueError(f"{len(values)} values cannot replace {len(nodes)} parts of a record")
    for node, new in zip(nodes, values, strict=True):
        own, kind = jax.tree.flatten(node, is_leaf=_is_none)
        given, other = jax.tree.flatten(new, is_leaf=_is_none)
        if kind != other:
            raise ValueError(f"{other} cannot stand where {kind} does")
        for marker, leaf in zip(own, given, strict=True):
            if id(marker) not in places:
                raise ValueError(f"select parts of the record to replace: {marker!r} is none")
            leaves[places[id(marker)]] = leaf
    return jax.tree.unflatten(structure, leaves)


def partition(tree: Tree, chosen: Callable[[Any], bool]) -> tuple[Tree, Tree]:
    """The tree with only the leaves that are `chosen`, and with only the others; None elsewhere.

    >>> partition({"a": 1.0, "b": "text"}, lambda leaf: isinstance(leaf, float))
    ({'a': 1.0, 'b': None}, {'a': None, 'b': 'text'})
    """
    return (
        jax.tree.map(lambda leaf: leaf if chosen(leaf) else None, tree),
        jax.tree.map(lambda leaf: None if chosen(leaf) else leaf, tree),
    )


def combine(first: Tree, second: Tree) -> Tree:
    """What `partition` took apart: leaves of the second where the first has none."""
    return jax.tree.map(lambda a, b: b if a is None else a, first, second, is_leaf=_is_none)


def _is_none(leaf: object) -> bool:
    return leaf is None
