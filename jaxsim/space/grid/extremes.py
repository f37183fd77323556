"""What are the lowest and highest values of every output, for every workload of a large grid?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim._record import Record, static
from jaxsim.space.grid.best import Reading, read
from jaxsim.space.grid.blocks import Block, Grid
from jaxsim.space.grid.nest import Nest, unfused
from jaxsim.space.grid.step import Step
from jaxsim.space.program.in_jax import spread
from jaxsim.space.program.inputs import Axis, Device, Entries, Held
from jaxsim.space.program.trace import Atom, Literal


class Extremes(Record):
    """The lowest and highest value of every output over the designs of each group.

    One leading dimension per group axis. Where no design is valid, `low` is +∞ and `high` −∞.
    """

    low: dict[str, Entries]
    high: dict[str, Entries]
    points: int = static()


@dataclass(frozen=True)
class Outputs:
    """The point function reduced to some of its outputs and validity."""

    fn: Callable[..., object]
    outputs: tuple[Reading, ...]
    valid: Reading | None

    def __call__(self, point: object):
        outputs = self.fn(point)
        ok = True if self.valid is None else read(outputs, self.valid)
        real = jnp.result_type(float)
        return (*(jnp.asarray(read(outputs, o), dtype=real) for o in self.outputs), jnp.asarray(ok))


def stream_extremes(
    fn: Callable[..., object],
    point: object,
    axes: Sequence[Axis],
    group_axes: Sequence[str] = (),
    *,
    outputs: Sequence[str],
    valid: Reading | None = None,
    step_points: int | None = None,
    block_points: int | None = None,
    devices: Sequence[Device] | None = None,
) -> Extremes:
    """The lowest and highest of several outputs over the valid designs of every group.

    A flag counts as 0 or 1, a NaN as not valid.
    """
    wanted = Outputs(fn, tuple(outputs), valid)
    grid = Grid.of(wanted, point, axes, group_axes, step_points, block_points, devices)
    shape = tuple(grid.real_lengths[d] for d in grid.groups)
    low = np.full((len(outputs), int(np.prod(shape))), np.inf, jnp.result_type(float))
    high = -low
    for groups, block_low, block_high in grid.gather(
        ExtremesOfBlock(len(outputs), grid.step), _collect
    ):
        low[:, groups] = np.minimum(low[:, groups], block_low)
        high[:, groups] = np.maximum(high[:, groups], block_high)
    lows, highs = (
        {n: v.reshape(shape) for n, v in zip(outputs, x, strict=True)} for x in (low, high)
    )
    return Extremes(lows, highs, grid.points)


def _collect(block: Block, results: Sequence[np.ndarray]):
    groups = block.groups()
    low, high = (np.moveaxis(x, -1, 0).reshape(x.shape[-1], groups.size, -1) for x in results)
    return groups, low.min(axis=-1), high.max(axis=-1)


@dataclass(frozen=True)
class ExtremesOfBlock:
    """A reducer: the lowest and the highest of each output of a step."""

    outputs: int
    step: Step

    def like(self):
        each = jax.ShapeDtypeStruct((self.outputs,), jnp.result_type(float))
        return each, each

    def start(self, nest: Nest):
        return ()

    def __call__(
        self,
        nest: Nest,
        true: Held,
        values: dict[int, Held],
        state: tuple[jax.Array, ...],
    ):
        program, step = nest.program, self.step.shape(nest)
        every = tuple(range(len(step)))

        def evaluated(values: dict[int, Held]):
            *outputs, ok = program.outputs
            counts = self.step.laid_out(nest, ok, values) & self.step.counts(nest)
            counts = counts.reshape([step[d] for d in (*sorted(nest.loops), *nest.inner)])
            return [_value(x, values) for x in outputs], counts

        # Each is read by two reductions, and so not to be fused into them.
        outputs, counts = unfused(nest, evaluated, values, true)
        counts = counts.transpose(np.argsort((*sorted(nest.loops), *nest.inner)))
        results = []
        for atom, value in zip(program.outputs, outputs, strict=False):
            # On the axes the output depends on: over the others, whether any design counts.
            dims = tuple(sorted({*program.dims_of(atom), *nest.loops}))
            some = counts.any(axis=[d for d in every if d not in dims])
            value = spread(value, program.dims_of(atom), dims, step)
            inner = [i for i, d in enumerate(dims) if d not in nest.loops]
            ok = some & (value == value)
            low = jnp.where(ok, value, jnp.inf).min(axis=inner)
            results.append((low, jnp.where(ok, value, -jnp.inf).max(axis=inner)))
        shape = (*self.step.outer(nest), self.outputs)
        both = (jnp.stack(x, axis=-1).reshape(shape) for x in zip(*results, strict=True))
        return tuple(both), state


def _value(atom: Atom, values: dict[int, Held]):
    return jnp.asarray(atom.value) if isinstance(atom, Literal) else values[atom]
