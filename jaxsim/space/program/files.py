"""How does a later process reuse a program that this one traced?

Tracing a phase takes longer than evaluating it on a small grid. A program is data (operations by
name, numbers, the classes of its outputs) and is kept in a file named by a hash of the code, the
libraries and the function. A program that cannot be written or read is traced again.
"""

import dataclasses
import functools
import hashlib
import importlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxsim._record import Record
from jaxsim.space.program import sealed

PACKAGE = Path(__file__).parents[2]
# What the operations of a traced function depend on.
_SOURCES = (
    "_*.py", "catalog/*.py", "point/**/*.py", "space/*.py", "space/program/*.py", "space/grid/*.py",
    "traffic/*.py", "traffic/simulate/*.py",
)  # fmt: skip
_OWN = ("jaxsim.catalog.", "jaxsim.point.", "jaxsim.space.", "jaxsim.traffic.")
# The folder where programs are kept; nowhere unless the environment names one. A command line does.
if TYPE_CHECKING:
    from jaxsim.space.program.trace import Atom, Literal, Op, Primitive, Program

FOLDER = "JAXSIM_PROGRAMS"
MOST_FILES = 64


class CannotKeep(ValueError):
    """Something in a program has no form in a file."""


@functools.cache
def code() -> str:
    """A fingerprint of the code and of the libraries that trace it."""
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(PACKAGE.glob(pattern)):
            digest.update(path.read_bytes())
    for package in ("jax", "jaxlib", "numpy"):
        digest.update(version(package).encode())
    digest.update(platform.python_version().encode())
    return digest.hexdigest()


def named(value: object) -> str:
    """A name for a function of the package, or for a record of such, the same in every process."""
    if value is None or isinstance(value, str | int | float | bool):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(named, value))})"
    owner = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    name = f"{owner.__module__}.{owner.__qualname__}"
    if not name.startswith(_OWN) or "<" in name or hasattr(value, "__self__"):
        raise CannotKeep(name)
    if owner is value:
        return name
    if not dataclasses.is_dataclass(value):
        raise CannotKeep(name)
    parts = [named(getattr(value, field.name)) for field in dataclasses.fields(value)]
    return f"{name}({', '.join(parts)})"


def path_of(fn: Callable[..., object], key: tuple[object, ...] | None) -> Path | None:
    """The file of a program, if programs are kept and this one can be."""
    folder = os.environ.get(FOLDER)
    if not folder or key is None:
        return None
    try:
        text = "\n".join((named(fn), *(repr(part) for part in key[1:])))
    except CannotKeep:
        return None
    if " at 0x" in text:
        return None
    digest = hashlib.sha256(f"{code()}\n{text}".encode()).hexdigest()
    return Path(folder) / f"program-{digest[:32]}.json"


@functools.cache
def _primitives(module: str) -> "dict[str, Primitive]":
    names = vars(importlib.import_module(module))
    return {value.name: value for name, value in names.items() if name.endswith("_p")}


def _primitive(name: str) -> "Primitive":
    """The operation of a name; modules other than `jax.lax` are imported only where needed."""
    for module in ("jax.lax", "jax.extend.core.primitives"):
        if name in _primitives(module):
            return _primitives(module)[name]
    raise CannotKeep(name)


def _param(value: object) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    raise CannotKeep(repr(value))


def atom(x: "Atom") -> int | list[object]:
    """A number of a value, or a literal with its type, as a file has it."""
    if isinstance(x, int):
        return x
    value = np.asarray(x.value)
    if value.ndim:
        raise CannotKeep("an array")
    return [value.dtype.name, value.item()]


def operation(op: "Op") -> list[object]:
    """An operation, as a file has it."""
    params = {k: _param(v) for k, v in op.params.items()}
    return [op.primitive.name, params, [atom(x) for x in op.inputs], op.outputs, op.scalar]


def _skeleton(value: object) -> object:
    """Outputs by the places of their leaves, their records by class."""
    if isinstance(value, int):
        return value
    if isinstance(value, Record):
        own = {f.name: _skeleton(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": [type(value).__module__, type(value).__qualname__], "fields": own}
    if isinstance(value, tuple):
        return {"tuple": [_skeleton(x) for x in value]}
    raise CannotKeep(type(value).__name__)


def _record(spec: object) -> object:
    if isinstance(spec, int):
        return spec
    if not isinstance(spec, dict):
        raise CannotKeep(repr(spec))
    if "tuple" in spec:
        return tuple(_record(x) for x in spec["tuple"])
    module, name = spec["class"]
    if not module.startswith("jaxsim."):
        raise CannotKeep(module)
    kind = getattr(importlib.import_module(module), name)
    if not issubclass(kind, Record):
        raise CannotKeep(name)
    made = object.__new__(kind)
    for field, own in spec["fields"].items():
        object.__setattr__(made, field, _record(own))
    return made


def write(path: Path, program: "Program") -> None:
    """Keep a program, whole or not at all; silent if it cannot be."""
    try:
        for op in program.ops:
            if _primitive(op.primitive.name) is not op.primitive:
                raise CannotKeep(op.primitive.name)
        used = {x for op in program.ops for x in (*op.inputs, *op.outputs) if isinstance(x, int)}
        used |= {x for x in program.outputs if isinstance(x, int)} | set(range(program.inputs))
        if program.constants:
            raise CannotKeep("constants")
        text = json.dumps(
            {
                "ops": [operation(op) for op in program.ops],
                "dims": [[n, program.dims[n]] for n in sorted(used)],
                "inputs": program.inputs,
                "outputs": [atom(x) for x in program.outputs],
                "tree": _skeleton(jax.tree.unflatten(program.tree, range(len(program.outputs)))),
            }
        )
        replace(path, text.encode())
    except (CannotKeep, OSError):
        return


def replace(path: Path, content: bytes) -> None:
    """Write a file with its seal; the oldest of its kind go where there are too many."""
    sealed.write(path, content)
    kind = path.name.split("-")[0]
    files = sorted(path.parent.glob(f"{kind}-*{path.suffix}"), key=lambda p: p.stat().st_mtime)
    for old in files[:-MOST_FILES]:
        old.unlink(missing_ok=True)


def read(
    path: Path, make: "type[Program]", literal: "type[Literal]", op: "type[Op]"
) -> "Program | None":
    """The program that a file keeps, made by `make`; None if there is none that can be read."""
    try:
        content = sealed.read(path)
        if content is None:
            return None
        raw = json.loads(content)

        def read_atom(x: int | Sequence[str | float]) -> "Atom":
            return x if isinstance(x, int) else literal(np.asarray(x[1], dtype=str(x[0])))

        def param(value: object) -> object:
            return np.dtype(value["dtype"]) if isinstance(value, dict) else value

        ops = tuple(
            op(
                _primitive(name),
                {k: param(v) for k, v in params.items()},
                tuple(map(read_atom, inputs)),
                tuple(outputs),
                scalar,
            )
            for name, params, inputs, outputs, scalar in raw["ops"]
        )
        tree = jax.tree.structure(_record(raw["tree"]))
        dims = {n: tuple(own) for n, own in raw["dims"]}
        outputs = tuple(map(read_atom, raw["outputs"]))
        return make(ops, dims, raw["inputs"], {}, outputs, tree, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError):
        return None
