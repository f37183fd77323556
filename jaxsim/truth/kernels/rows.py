"""Which measured launches does a fit read, and which must it never see?

Rows of one family and number format, as work records of equal length. A row is *unseen* by its
shape: every dimension that does not count tokens, sorted by name, decides by a hash, so that whole
shapes are held out and the same ones for every chip, format and engine.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import TypeVar, cast

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxsim.point.work import AbstractMessage, AbstractWork

SPLIT = "split-v1"
HELD_OUT = 4  # one shape in so many


def is_unseen(op: str, shape: str) -> bool:
    """Whether a shape of an operation is held out of every fit."""
    digest = hashlib.sha256(f"{SPLIT}|{op}|{shape}".encode()).hexdigest()
    return int(digest, 16) % HELD_OUT == 0


def shape_of(dimensions: Mapping[str, float]) -> str:
    """A shape as the split writes it: `k=7168,n=4096`, names sorted, whole numbers."""
    return ",".join(f"{name}={int(dimensions[name])}" for name in sorted(dimensions))


def unseen_rows(op: Iterable[str], dimensions: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which rows are held out, given each row's operation and its dimensions by name."""
    names = sorted(dimensions)
    known: dict[tuple[object, ...], bool] = {}
    marks = []
    for key in zip(op, *(dimensions[name].tolist() for name in names), strict=True):
        if key not in known:
            shape = shape_of(dict(zip(names, key[1:], strict=True)))
            known[key] = is_unseen(key[0], shape)
        marks.append(known[key])
    return np.asarray(marks, dtype=bool)


Work = TypeVar("Work", bound=AbstractWork | AbstractMessage)


def stacked(form: type[Work], **columns: ArrayLike) -> Work:
    """One record with an entry per row; a column may be a single number, or left at its default."""
    defaults = {f.name: f.default for f in fields(form) if f.default is not MISSING}
    given: dict[str, ArrayLike] = {**defaults, **columns}
    build = cast(Callable[..., Work], form)
    names = list(given)
    full = np.broadcast_arrays(*(np.asarray(given[name], dtype=float) for name in names))
    return build(**{name: column.copy() for name, column in zip(names, full, strict=True)})


@dataclass(frozen=True)
class KernelRows:
    """Measured launches of one family (`kind`) in one number format.

    `arithmetic` is what they compute in, where the format leaves it open. `doubtful` launches
    contradict others of the same table: no fit reads them, and errors are stated with and without
    them. Where a measurement holds other kernels too, which have fits of their own, `beside_s` is
    what those take by them.
    """

    kind: str
    number_format: str
    work: AbstractWork | AbstractMessage  # every leaf has one entry per row
    seconds: np.ndarray
    unseen: np.ndarray
    source: str
    doubtful: np.ndarray | None = None
    arithmetic: str = ""
    beside_s: np.ndarray | None = None

    @property
    def sound(self) -> np.ndarray:
        """Which launches no other contradicts."""
        return np.ones(len(self), dtype=bool) if self.doubtful is None else ~self.doubtful

    def __len__(self) -> int:
        return len(self.seconds)


def joined_rows(parts: Sequence[KernelRows]) -> KernelRows:
    """Rows of one family and format from several tables, or from several parts of one."""

    def one(*leaves: np.ndarray) -> np.ndarray:
        return np.concatenate(leaves)

    first = parts[0]
    beside_s = [np.zeros(len(own)) if own.beside_s is None else own.beside_s for own in parts]
    return replace(
        first,
        work=jax.tree.map(one, *(own.work for own in parts)),
        seconds=one(*(own.seconds for own in parts)),
        unseen=one(*(own.unseen for own in parts)),
        doubtful=one(*(~own.sound for own in parts)),
        beside_s=one(*beside_s),
        source=" and ".join(dict.fromkeys(own.source for own in parts)),
    )
