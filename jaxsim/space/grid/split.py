"""How is every output of a grid evaluated, each on only the axes that it depends on?

Its operations are cut into stages by natural size, and the stages compiled apart: compiled
together, small terms are fused into, and repeated over, the full grid. The cut is derived from the
traced function; there is no second copy of the physics.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Generic, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsim.space.grid.block_size import default_device
from jaxsim.space.grid.nest import by_axis
from jaxsim.space.grid.sweep import dims_tree
from jaxsim.space.program.cache import cached
from jaxsim.space.program.deduplicate import shared
from jaxsim.space.program.host import on_host
from jaxsim.space.program.in_jax import run_ops
from jaxsim.space.program.inputs import Axis, Held, axis_values, lengths_of, numbers_of
from jaxsim.space.program.reorder import reordered
from jaxsim.space.program.trace import Literal, Op, Program, numbers, size, trace

# A stage ends where operations have more than this share of the grid's points. The first stage
# costs next to nothing; the others keep terms without one of the axes from being repeated over it.
STAGE_SHARES = (1 / 64, 1 / 6, 1 / 1.9)


T = TypeVar("T")  # what a point function returns: a pytree of numbers


@dataclass(frozen=True, eq=False)
class Stage:
    """Operations that are compiled together: what they read, and what is read after them."""

    ops: tuple[Op, ...]
    reads: tuple[int, ...]
    keeps: tuple[int, ...]
    program: Program
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Spread:
    """An axis, by its position, spread over the devices of a one-dimensional mesh."""

    mesh: Mesh
    axis: int

    def spec(self, dims: Sequence[int]) -> PartitionSpec:
        """How a value on some axes is spread: along the axis, or whole on every device."""
        name = self.mesh.axis_names[0]
        return PartitionSpec(*(name if d == self.axis else None for d in dims))


@cached
def local_stages(stages: tuple[Stage, ...], spread: Spread) -> tuple[Stage, ...]:
    """The stages of one device's positions of a spread axis."""
    devices = spread.mesh.devices.size

    def own(lengths: Sequence[int]) -> tuple[int, ...]:
        return tuple(n // devices if d == spread.axis else n for d, n in enumerate(lengths))

    return tuple(replace(stage, lengths=own(stage.lengths)) for stage in stages)


@dataclass(frozen=True)
class Staged(Generic[T]):
    """A point function over a grid, in stages; `materialise` evaluates it."""

    program: Program
    names: tuple[str, ...]
    lengths: tuple[int, ...]
    stages: tuple[Stage, ...]
    known: Mapping[int, Held | np.ndarray]
    spread: Spread | None = None

    @cached_property
    def placed(self) -> dict[int, Held]:
        """`known`, with what stages read on the device, or spread over those of the mesh.

        It is moved once, and not at every call.
        """
        numbers = [x for x in reads_of(self.stages) if x in self.known]
        where = None
        if self.spread is not None:
            mesh, dims = self.spread.mesh, self.program.dims
            where = [NamedSharding(mesh, self.spread.spec(dims[x])) for x in numbers]
        moved = jax.device_put([self.known[x] for x in numbers], where)
        return cast(dict[int, Held], {**self.known, **dict(zip(numbers, moved, strict=True))})

    @property
    def points(self) -> int:
        """Points of the full grid."""
        return math.prod(self.lengths)

    @property
    def dims(self):
        """The names of the axes that each output depends on, as a pytree like the outputs."""
        return dims_tree(self.program, self.names)

    @property
    def kept_bytes(self) -> float:
        """What all stages keep, in bytes."""
        values = sum(size(self.program.dims[x], s.lengths) for s in self.stages for x in s.keeps)
        return float(values) * np.dtype(jnp.result_type(float)).itemsize

    def sharded(self, axis: str, mesh: Mesh) -> "Staged[T]":
        """The same with one axis spread over the devices of a one-dimensional mesh.

        Each device evaluates its own positions of the axis, and what does not depend on it;
        devices send each other nothing. The axis's length must be a multiple of the devices.
        """
        if axis not in self.names:
            raise ValueError(f"axis '{axis}' is not among {list(self.names)}")
        position, devices = self.names.index(axis), mesh.devices.size
        if self.lengths[position] % devices:
            raise ValueError(
                f"axis '{axis}' has {self.lengths[position]} values, which do not spread evenly "
                f"over {devices} devices: give a multiple, or shard another axis"
            )
        spread = Spread(mesh, position)
        return replace(self, stages=local_stages(self.stages, spread), spread=spread)

    def buffers(self, reuse: Sequence[object] | None = None) -> tuple[tuple[jax.Array, ...], ...]:
        """What every stage keeps, written into the buffers of an earlier call if given.

        Fresh memory costs several times what the arithmetic does, so a caller that sweeps again
        hands back what it no longer needs: those arrays are gone afterwards.
        """
        if self.spread is not None or default_device().platform != "cpu":
            given = tuple(self.placed[x] for x in reads_of(self.stages))
            return run_stages(self.stages, self.spread, given, reuse)
        known, kept = dict(self.placed), []
        for i, stage in enumerate(self.stages):
            given = tuple(known[x] for x in stage.reads)
            old = None if reuse is None else reuse[i]
            results = run_stage(stage, given, old)
            known.update(zip(stage.keeps, results, strict=True))
            kept.append(results)
        return tuple(kept)

    def outputs(self, buffers: Sequence[Sequence[jax.Array]]) -> T:
        """The outputs of the point function on natural dims, from `buffers`."""
        known = dict(self.placed)
        for stage, results in zip(self.stages, buffers, strict=True):
            known.update(zip(stage.keeps, results, strict=True))
        leaves = [x.value if isinstance(x, Literal) else known[x] for x in self.program.outputs]
        return cast(T, jax.tree.unflatten(self.program.tree, [jnp.asarray(x) for x in leaves]))

    def materialise(self) -> T:
        """The outputs of the point function on natural dims."""
        return self.outputs(self.buffers())


@partial(jax.jit, static_argnums=0, donate_argnums=2, keep_unused=True)
def run_stage(stage: Stage, given: Sequence[Held], reuse: object) -> tuple[jax.Array, ...]:
    """What one stage keeps, from what it reads; written into the memory of `reuse` if given."""
    del reuse  # only its memory is used
    known = dict(zip(stage.reads, given, strict=True))
    run_ops(stage.ops, known, stage.program, stage.lengths)
    return tuple(known[x] for x in stage.keeps)


def reads_of(stages: Sequence[Stage]) -> tuple[int, ...]:
    """What stages read that none of them makes."""
    made = {x for stage in stages for x in stage.keeps}
    return tuple(sorted({x for stage in stages for x in stage.reads} - made))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=3, keep_unused=True)
def run_stages(
    stages: tuple[Stage, ...], spread: Spread | None, given: Sequence[Held], reuse: object
) -> tuple[tuple[jax.Array, ...], ...]:
    """What all stages keep, in one program: one launch by the host where launches are dear."""
    del reuse
    if spread is None:
        return _all_stages(stages, given)
    dims = stages[0].program.dims if stages else {}
    specs = tuple(spread.spec(dims[x]) for x in reads_of(stages))
    made = tuple(tuple(spread.spec(dims[x]) for x in stage.keeps) for stage in stages)
    run = jax.shard_map(
        partial(_all_stages, stages), mesh=spread.mesh, in_specs=(specs,), out_specs=made,
        check_vma=False,
    )  # fmt: skip
    return run(given)


def _all_stages(
    stages: tuple[Stage, ...], given: Sequence[Held]
) -> tuple[tuple[jax.Array, ...], ...]:
    """A barrier keeps stages apart, which compilers for CPUs ignore."""
    known, kept = dict(zip(reads_of(stages), given, strict=True)), []
    for stage in stages:
        run_ops(stage.ops, known, stage.program, stage.lengths)
        kept.append(lax.optimization_barrier(tuple(known[x] for x in stage.keeps)))
        known.update(zip(stage.keeps, kept[-1], strict=True))
    return tuple(kept)


def split(
    fn: Callable[..., T],
    point: object,
    axes: Sequence[Axis],
    shares: Sequence[float] = STAGE_SHARES,
    host_points: int = 0,
) -> Staged[T]:
    """`fn` over a grid, cut into stages at the given shares of the full grid's size.

    Equal to `sweep` point by point, to rounding: the operations are the same, sums of several
    terms in an order of their own. Operations with up to `host_points` values are evaluated at
    once, in NumPy: most of a model's are, and compiling them takes seconds, evaluating them a few
    hundredths of one. Larger ones are evaluated once for each equivalence class of positions.
    """
    values = axis_values(axes)
    lengths = lengths_of(values)
    program = reordered(trace(fn, point, axes), lengths)
    known = dict(enumerate(jax.tree.leaves((values, numbers_of(point)[0]))))
    known.update(program.constants)
    left = on_host(program, known, lengths, host_points)
    program, left, classes, known = shared(program, known, left, lengths)
    stages = stages_of(program, left, lengths, classes, tuple(shares))
    return Staged[T](program, tuple(name for name, _, _ in axes), lengths, stages, known)


@cached
def stages_of(
    program: Program,
    left: tuple[int, ...],
    lengths: tuple[int, ...],
    classes: tuple[int, ...],
    shares: tuple[float, ...],
) -> tuple[Stage, ...]:
    """The operations `left` to do by natural size, each stage no smaller than those before it."""
    points, lengths = math.prod(lengths), lengths + classes
    axes = len(lengths) - len(classes)
    level: dict[int, int] = {}
    groups: list[list[Op]] = [[] for _ in range(len(shares) + 1)]
    for op in (program.ops[i] for i in left):
        own = size(program.dims[op.outputs[0]], lengths)
        stage = sum(own > share * points for share in shares)
        stage = max([stage, *(level[x] for x in numbers(op.inputs) & level.keys())])
        level.update(dict.fromkeys(op.outputs, stage))
        groups[stage].append(op)
    parts = [part for group in groups for part in by_axis(program, group, axes)]
    return cut(program, parts, lengths)


def cut(
    program: Program, groups: Sequence[tuple[Op, ...]], lengths: Sequence[int]
) -> tuple[Stage, ...]:
    """Stages of the given operations, with what passes between them."""
    later = {x for x in program.outputs if not isinstance(x, Literal)}
    stages = []
    for ops in reversed(groups):
        made = {x for op in ops for x in op.outputs}
        used = {x for op in ops for x in op.inputs if not isinstance(x, Literal)}
        keeps = tuple(sorted(made & later))
        stages.append(Stage(ops, tuple(sorted(used - made)), keeps, program, tuple(lengths)))
        later |= used - made
    return tuple(stages[::-1])
