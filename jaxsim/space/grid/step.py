"""In which layout does a reducer get the values of a step?"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.space.grid.nest import Nest
from jaxsim.space.program.in_jax import spread
from jaxsim.space.program.inputs import Held
from jaxsim.space.program.trace import Atom, Literal


@dataclass(frozen=True)
class Step:
    """How a step's values are laid out for a reducer: `[loops, lines, line]`."""

    lines: int
    real_lengths: tuple[int, ...]
    padded: bool

    def shape(self, nest: Nest) -> list[int]:
        """Lengths of a step on every axis."""
        strides = dict(zip(nest.loops, nest.strides, strict=True))
        return [strides.get(d, n) for d, n in enumerate(nest.lengths)]

    def outer(self, nest: Nest) -> tuple[int, ...]:
        """Lengths of a step on the looped axes, in order."""
        step = self.shape(nest)
        return tuple(step[d] for d in sorted(nest.loops))

    def outputs(self, nest: Nest, values: dict[int, Held]) -> list[jax.Array]:
        """Every output of the program over the step, each `[loops, lines, line]`."""
        return [self.laid_out(nest, x, values) for x in nest.program.outputs]

    def counts(self, nest: Nest):
        """Which points of a step are not padding, `[1, 1, line]`; True if there is no padding."""
        inner = [nest.lengths[d] for d in nest.inner]
        width = math.prod(inner[len(inner) - self.lines :])
        if not self.padded:
            return True
        place = lax.broadcasted_iota(jnp.int32, (1, 1, width), 2)
        return place % nest.lengths[-1] < self.real_lengths[-1]

    def laid_out(self, nest: Nest, atom: Atom, values: dict[int, Held]) -> jax.Array:
        """One output of the program, or value, over the step: `[loops, lines, line]`."""
        program, step = nest.program, self.shape(nest)
        value = jnp.asarray(atom.value) if isinstance(atom, Literal) else values[atom]
        value = spread(value, program.dims_of(atom), tuple(range(len(step))), step)
        inner = [step[d] for d in nest.inner]
        width = math.prod(inner[len(inner) - self.lines :])
        # Most lengths of the loops are 1, or all inner axes' in order: little or no data moves.
        value = value.transpose((*sorted(nest.loops), *nest.inner))
        return value.reshape(-1, math.prod(inner) // width, width)
