"""What does every design of a space give, in every phase?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxsim.catalog.scenario import Scenario
from jaxsim.point.phases.colocated import colocated
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from jaxsim.quantities import MODES
from jaxsim.space.axes import Space, Values, axes_of, designs_in
from jaxsim.space.grid.split import split
from jaxsim.space.program.host import HOST_POINTS
from jaxsim.space.program.interpret import interpreted

PHASES: dict[str, Callable[[Scenario], Any]] = {
    "prefill": prefill,
    "decode": decode,
    "colocated": colocated,
}

# Compiling takes seconds whatever the grid; below this many points NumPy has answered by then.
INTERPRETED_POINTS = 4_000_000


@dataclass(frozen=True)
class Designs:
    """One phase over a space: every output on the axes it depends on.

    `axes` are names and values, outer to inner; `outputs` maps a name to an array and the names of
    its dimensions.
    """

    phase: str
    axes: Mapping[str, np.ndarray]
    outputs: Mapping[str, tuple[np.ndarray, tuple[str, ...]]]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.axes.values())

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def full(self, name: str) -> np.ndarray:
        """An output on all axes of the phase: a view, repeated where it does not depend on one."""
        array, dims = self.outputs[name]
        index = tuple(slice(None) if axis in dims else None for axis in self.axes)
        return np.broadcast_to(array[index], self.shape)

    def at(self, flat_index: int | np.integer) -> dict[str, float]:
        """The axis values of the design at a position of the flattened grid."""
        where = np.unravel_index(int(flat_index), self.shape)
        named = zip(self.axes.items(), where, strict=True)
        return {name: float(values[i]) for (name, values), i in named}

    def value(self, name: str, flat_index: int | np.integer) -> float:
        """One output of the design at a position of the flattened grid."""
        return float(self.full(name)[np.unravel_index(int(flat_index), self.shape)])


def name_of(path) -> str:
    """The reported name of a field: its own, after its mode's where two modes share it."""
    names = [str(getattr(key, "name", getattr(key, "key", key))) for key in path]
    return f"{names[0]}_{names[-1]}" if names[0] in MODES else names[-1]


def evaluate_phase(
    phase: str, scenario: Scenario, space: Space, isl: Values, osl: Values
) -> Designs:
    """Every design of one phase, on natural dims; compiled where the grid is worth it."""
    axes = axes_of(space, phase, isl, osl)
    names = tuple(name for name, _, _ in axes)
    values = tuple(v for _, _, v in axes)
    point = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float32), scenario)
    if designs_in(space, phase) * len(isl) * len(osl) <= INTERPRETED_POINTS:
        outputs, dims = interpreted(PHASES[phase], point, axes)
    else:
        staged = split(PHASES[phase], point, axes, host_points=HOST_POINTS)
        outputs, dims = jax.tree.map(np.asarray, staged.materialise()), staged.dims
    flat, _ = jax.tree_util.tree_flatten_with_path(outputs)
    flat_dims = jax.tree.leaves(dims, is_leaf=lambda x: isinstance(x, tuple))
    named = {
        name_of(path): (array, own) for (path, array), own in zip(flat, flat_dims, strict=True)
    }
    return Designs(phase, dict(zip(names, values, strict=True)), named)
