"""How is one block of a grid run?"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxsim.space.grid import executables
from jaxsim.space.grid.nest import Nest, walk
from jaxsim.space.grid.reducer import Reducer
from jaxsim.space.program.bits import in_precision
from jaxsim.space.program.cache import cached
from jaxsim.space.program.inputs import Device, Held


def evaluated(nest: Nest, reducer: Reducer, part: Sequence[Held], true: Held) -> object:
    """The reducer's results for a block, from `part`: the values of `nest.given` for that block."""
    known = dict(zip(nest.given, part, strict=True))
    body = partial(reducer, nest, true)
    return walk(nest, known, body, reducer.like(), reducer.start(nest), true)


run_block = jax.jit(evaluated, static_argnums=(0, 1))


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def run_blocks(
    nest: Nest,
    reducer: Reducer,
    mesh: Mesh,
    is_cut: tuple[bool, ...],
    parts: Sequence[Held],
    true: Held,
) -> object:
    """The reducer's results for one block on each device of a mesh: one program for all of them.

    `parts` are as `evaluated` takes, those `is_cut` with a leading dimension of one block a device;
    the others are the same in every block. The results have such a dimension.
    """
    name = PartitionSpec(mesh.axis_names[0])

    def own(parts: Sequence[Held], true: Held) -> object:
        part = [x[0] if cut else x for x, cut in zip(parts, is_cut, strict=True)]
        return jax.tree.map(lambda x: x[None], evaluated(nest, reducer, part, true))

    specs = [name if cut else PartitionSpec() for cut in is_cut]
    run = jax.shard_map(
        own, mesh=mesh, in_specs=(specs, PartitionSpec()), out_specs=name, check_vma=False
    )
    return run(parts, true)


@dataclass(frozen=True)
class OnAll:
    """Runs blocks of one nest and reducer, one on each of several devices at a time.

    `is_cut` tells which values of `nest.given` differ between blocks. Compiled once for all
    devices, where a program for each would be compiled as often.
    """

    nest: Nest
    reducer: Reducer
    bits64: bool
    devices: tuple[Device | None, ...]
    is_cut: tuple[bool, ...]

    def __call__(self, parts: Sequence[Sequence[np.ndarray]]) -> list[object]:
        """The results of up to as many blocks as there are devices, from the values of each."""
        filled = [*parts, *[parts[-1]] * (len(self.devices) - len(parts))]
        columns = zip(*filled, strict=True)
        given = [
            np.stack(column) if cut else column[0]
            for column, cut in zip(columns, self.is_cut, strict=True)
        ]
        mesh = Mesh(np.array(self.devices), ("device",))
        with in_precision(self.bits64):
            results = run_blocks(self.nest, self.reducer, mesh, self.is_cut, given, np.True_)
        results = jax.tree.map(np.asarray, results)
        return [jax.tree.map(lambda x, i=i: x[i], results) for i in range(len(parts))]


@dataclass(eq=False)
class Runner:
    """Runs blocks of one nest and reducer; `ready` once one has run, and so is compiled."""

    nest: Nest
    reducer: Reducer
    bits64: bool
    ready: bool = False
    _executable: Callable[..., object] | None = None

    def __call__(
        self, part: Sequence[np.ndarray | jax.Array], device: Device | None = None
    ) -> object:
        """The reducer's results for a block, in the precision of this runner on any thread."""
        with in_precision(self.bits64):
            if device is not None:
                part = jax.device_put(part, device)
            if not all(isinstance(x, np.ndarray) for x in part):
                results = run_block(self.nest, self.reducer, part, np.True_)
            elif self.ready:
                run = self._executable or partial(run_block, self.nest, self.reducer)
                results = run(part, np.True_)
            else:
                results = self._first(part)
            self.ready = True
            return results

    def _first(self, part: Sequence[np.ndarray | jax.Array]) -> object:
        """The results of the first block, by an executable of an earlier process if one is kept."""
        path = executables.path_of(self.nest, self.reducer, part)
        if path is None:
            return run_block(self.nest, self.reducer, part, np.True_)
        executable = executables.read(path)
        if executable is not None:
            try:
                results = executable(part, np.True_)
                self._executable = executable
                return results
            except Exception:  # it loaded but does not run here: compile, and replace the file
                pass
        self._executable = _under_name(path.stem, self.nest, self.reducer, part)
        content = executables.content_of(self._executable)
        results = self._executable(part, np.True_)
        executables.write(path, content, (part, np.True_), results)
        return results


def _under_name(
    name: str, nest: Nest, reducer: Reducer, part: Sequence[np.ndarray | jax.Array]
) -> jax.stages.Compiled:
    """A block compiled under a name that no other has, so that it is not in JAX's own cache.

    What JAX reads from there cannot be written to a file again.
    """

    def block(part: Sequence[Held], true: Held) -> object:
        return evaluated(nest, reducer, part, true)

    block.__name__ = block.__qualname__ = f"{name.replace('-', '_')}_{uuid.uuid4().hex}"
    return jax.jit(block).lower(part, np.True_).compile()


@cached
def runner_of(nest: Nest, reducer: Reducer, bits64: bool, default: Device) -> Runner:
    """The runner of blocks of a nest, for a precision and a default device."""
    del default
    return Runner(nest, reducer, bits64)
