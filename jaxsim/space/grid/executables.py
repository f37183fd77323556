"""How does a later process reuse a block that this one compiled, without tracing it?

JAX finds what it compiled before by the text of what was traced, so a process traces and lowers
first. Here an executable is found by what that text is made of: operations and axes, the reducer,
types, code, libraries and machine. A file is kept only if what is read back from it gives the same
results; what cannot be kept, or read, is compiled. It is native code, and its reader can run more:
only what this user sealed is read (see `program/sealed`).
"""

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from jaxsim.space.grid.block_size import default_device
from jaxsim.space.grid.nest import Nest
from jaxsim.space.grid.reducer import Reducer
from jaxsim.space.program import files, sealed
from jaxsim.space.program.bits import wide

# Of a processor, what its compiled code may use.
_PROCESSOR = Path("/proc/cpuinfo")


def path_of(nest: Nest, reducer: Reducer, part: Sequence[np.ndarray | jax.Array]) -> Path | None:
    """The file of a block's executable, if programs are kept and this one can be."""
    folder = _folder()
    if folder is None:
        return None
    try:
        return _file(
            folder,
            "block",
            [
                files.named(reducer),
                [[str(x.dtype), x.shape] for x in part],
                nest.program.inputs,
                [files.atom(x) for x in nest.program.outputs],
                [[files.operation(op) for op in ops] for ops in (nest.before, *nest.levels)],
                [[[files.operation(op) for op in ops] for ops in own] for own in nest.small_terms],
                [nest.lengths, nest.classes, nest.loops, nest.strides, nest.barriers, nest.given],
                sorted((x, nest.program.dims[x]) for x in _used(nest)),
            ],
        )
    except (files.CannotKeep, TypeError):
        return None


def path_for(kind: str, parts: Sequence[object], arguments: object) -> Path | None:
    """The file of an executable of the package that `parts` and the types of arguments tell."""
    folder = _folder()
    if folder is None:
        return None
    types = [[str(x.dtype), x.shape] for x in jax.tree.leaves(arguments)]
    return _file(folder, kind, [*parts, types])


def _folder() -> Path | None:
    """Where executables are kept, if they are."""
    folder = os.environ.get(files.FOLDER)
    if not folder or jax.process_count() > 1:
        return None
    if jax.config.jax_disable_jit:  # pyright: ignore[reportAttributeAccessIssue]
        return None
    return Path(folder)


def _file(folder: Path, kind: str, parts: Sequence[object]) -> Path:
    """A file named by what an executable is made of; TypeError where that is no JSON."""
    text = json.dumps([files.code(), _machine(), wide(), *parts])
    return folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.bin"


def _used(nest: Nest) -> set[int]:
    groups = (nest.before, *nest.levels, *(ops for own in nest.small_terms for ops in own))
    ops = [op for group in groups for op in group]
    atoms = [x for op in ops for x in (*op.inputs, *op.outputs)] + list(nest.program.outputs)
    return {x for x in (*atoms, *nest.given) if isinstance(x, int)}


def _machine() -> list[str]:
    """What compiled code depends on, besides the libraries."""
    device = default_device()
    facts = [device.platform, device.device_kind, device.client.platform_version]
    if device.platform == "cpu" and _PROCESSOR.exists():
        lines = _PROCESSOR.read_text(encoding="utf-8", errors="replace").splitlines()
        facts += sorted({x for x in lines if x.startswith(("flags", "Features", "model name"))})
    return [*facts, os.environ.get("XLA_FLAGS", ""), str(jax.device_count())]


def read(path: Path) -> Callable[..., object] | None:
    """The executable that a file keeps; None if there is none that can be loaded."""
    try:
        content = sealed.read(path)
        if content is None:
            return None
        executable = loaded(content)
        os.utime(path)  # the files longest unused go first
        return executable
    except Exception:  # of another library's making: whatever is wrong, the block is compiled
        return None


def content_of(compiled: jax.stages.Compiled) -> bytes | None:
    """What a file would keep of an executable that has not been run yet; None if it cannot."""
    try:
        return pickle.dumps(serialize(compiled))
    except Exception:  # likewise
        return None


def write(path: Path, content: bytes | None, arguments: Sequence[object], results: object) -> None:
    """Keep an executable, if what is read back gives the same results; silent if not.

    One that JAX itself read from a file may be written without a complaint and not run.
    """
    try:
        if content is not None and _same(loaded(content)(*arguments), results):
            files.replace(path, content)
    except Exception:  # likewise
        return


def loaded(content: bytes) -> Callable[..., object]:
    """The executable that is written in `content`, on the device of this process."""
    return deserialize_and_load(*pickle.loads(content), execution_devices=[default_device()])


def _same(first: object, second: object) -> bool:
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)
