"""What does every design of a space give, in every phase?"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim.catalog.scenario import Scenario
from jaxsim.point.phases.colocated import Colocated, colocated
from jaxsim.point.phases.decode import Decode, decode
from jaxsim.point.phases.prefill import Prefill, prefill
from jaxsim.quantities import MODES
from jaxsim.space.axes import Space, Values, axes_of, designs_in
from jaxsim.space.grid.block_size import default_device
from jaxsim.space.grid.split import split
from jaxsim.space.program.cache import Cache
from jaxsim.space.program.host import HOST_POINTS
from jaxsim.space.program.interpret import Prepared, interpreted
from jaxsim.space.program.process_memory import HELD_OVER_OUTPUTS, require

PHASES: dict[str, Callable[[Scenario], Prefill | Decode | Colocated]] = {
    "prefill": prefill,
    "decode": decode,
    "colocated": colocated,
}

# Compiling takes seconds whatever the grid; below this many points NumPy has finished by then.
INTERPRETED_POINTS = 4_000_000
INTERPRETED_BYTES = 300  # of a point, as measured on 1.3 million
_listers = Cache(limit=12)  # a plan has six: of each phase, and of each at the limit of the chip


@dataclass(frozen=True)
class Listed:
    """Designs one by one: the value of every axis, and every output; one entry a design.

    With them, the best for each size of instance under the request's targets is within `gap` of
    that of all whole batches and chunks, as a fraction of what it serves.
    """

    columns: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    gap: float = 0.0

    def __len__(self):
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True)
class Designs:
    """One phase over a space: every output on the axes it depends on.

    `axes` are names and values, outer to inner; `outputs` maps a name to an array and the names of
    its dimensions. Designs `listed` one by one follow those of the grid: their index begins at
    `size`.
    """

    phase: str
    axes: Mapping[str, np.ndarray]
    outputs: Mapping[str, tuple[np.ndarray, tuple[str, ...]]]
    listed: Listed | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.axes.values())

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def full(self, name: str) -> np.ndarray:
        """An output on all axes of the phase: a view, repeated where it does not depend on one."""
        array, dims = self.outputs[name]
        index = tuple(slice(None) if axis in dims else None for axis in self.axes)
        return np.broadcast_to(array[index], self.shape)

    @property
    def gap(self) -> float:
        """How far the best of these may be from that of all whole batches and chunks."""
        return self.listed.gap if self.listed is not None else 0.0

    def flat(self, name: str) -> np.ndarray:
        """An output of every design, those of the flattened grid first, then those listed."""
        grid = self.full(name).ravel()
        return grid if self.listed is None else np.append(grid, self.listed.outputs[name])

    def columns(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """The axis values of designs: one array an axis."""
        index = np.asarray(index, dtype=np.int64)
        on_grid = index < self.size
        where = np.unravel_index(np.where(on_grid, index, 0), self.shape)
        columns = {
            name: np.asarray(values)[i]
            for (name, values), i in zip(self.axes.items(), where, strict=True)
        }
        if self.listed is not None:
            more = np.where(on_grid, 0, index - self.size)
            for name, values in self.listed.columns.items():
                columns[name] = np.where(on_grid, columns[name], values[more])
        return columns

    def gathered(self, name: str, index: np.ndarray) -> np.ndarray:
        """An output of some designs; of few of them sooner than by `flat`."""
        index = np.asarray(index, dtype=np.int64)
        on_grid = index < self.size
        where = np.unravel_index(np.where(on_grid, index, 0), self.shape)
        values = self.full(name)[where]
        if self.listed is None:
            return values
        return np.where(
            on_grid, values, self.listed.outputs[name][np.where(on_grid, 0, index - self.size)]
        )

    def at(self, index: int | np.integer) -> dict[str, float]:
        """The axis values of one design."""
        return {name: float(v[0]) for name, v in self.columns(np.array([int(index)])).items()}

    def value(self, name: str, index: int | np.integer) -> float:
        """One output of one design."""
        if int(index) >= self.size and self.listed is not None:
            return float(self.listed.outputs[name][int(index) - self.size])
        return float(self.full(name)[np.unravel_index(int(index), self.shape)])


def name_of(path: Sequence[object]) -> str:
    """The reported name of a field: its own, after its mode's where two modes share it."""
    names = [str(getattr(key, "name", getattr(key, "key", key))) for key in path]
    return f"{names[0]}_{names[-1]}" if names[0] in MODES else names[-1]


def numbers_key(scenario: Scenario) -> bytes:
    """A digest of every number that the evaluation of a design reads: all but the price of a GPU.

    >>> import jaxsim
    >>> numbers = jaxsim.catalog.setup.setup_of("llama-3.1-8b", "h100").scenario
    >>> one, other = (numbers_key(numbers(jaxsim.Workload(isl=x, osl=64))) for x in (512, 513))
    >>> len(one), one == other
    (64, False)
    """
    unpriced = replace(scenario.hardware, price_usd_per_hour=0.0)
    leaves, structure = jax.tree.flatten(replace(scenario, hardware=unpriced))
    digest = hashlib.blake2b(str(structure).encode())
    for leaf in leaves:
        array = np.asarray(leaf, np.float64)
        digest.update(str(array.shape).encode() + array.tobytes())
    return digest.digest()


def lister(phase: str, scenario: Scenario) -> Callable[[Mapping[str, np.ndarray]], Listed]:
    """A function that evaluates designs given one by one, by their widths, batch and chunk."""
    key = (phase, numbers_key(scenario))
    return _listers.get(key, lambda: _lister(phase, scenario))


def _lister(phase: str, scenario: Scenario) -> Callable[[Mapping[str, np.ndarray]], Listed]:
    point = _numbers(scenario)
    any_two = (1.0, 2.0)
    space = Space(tp=any_two, ep=any_two, pp=any_two, batch=any_two, chunk=any_two,
                  prefill_batch=any_two)  # fmt: skip
    lengths = ((float(x),) for x in (scenario.workload.isl, scenario.workload.osl))
    evaluate = Prepared(PHASES[phase], point, axes_of(space, phase, *lengths))

    def listed(columns: Mapping[str, np.ndarray]) -> Listed:
        given = {name: np.asarray(x, np.float32) for name, x in columns.items()}
        flat, _ = jax.tree_util.tree_flatten_with_path(evaluate(given))
        return Listed(dict(columns), {name_of(path): array for path, array in flat})

    return listed


def evaluate_phase(
    phase: str, scenario: Scenario, space: Space, isl: Values, osl: Values
) -> Designs:
    """Every design of one phase, on natural dims; compiled where the grid is worth it."""
    if designs_in(space, phase) * len(isl) * len(osl) > INTERPRETED_POINTS:
        held = evaluate_on_device(phase, scenario, space, isl, osl)
        outputs = {name: (np.asarray(array), dims) for name, (array, dims) in held.outputs.items()}
        return Designs(phase, held.axes, outputs)
    axes = axes_of(space, phase, isl, osl)
    outputs, dims = interpreted(PHASES[phase], _numbers(scenario), axes)
    named = {name: (np.asarray(array), d) for name, (array, d) in _named(outputs, dims).items()}
    return Designs(phase, {name: values for name, _, values in axes}, named)


def needed_bytes(phase: str, scenario: Scenario, space: Space, isl: Values, osl: Values) -> float:
    """What `evaluate_phase` would hold at once, in bytes; nothing is evaluated but small terms."""
    axes = axes_of(space, phase, isl, osl)
    if designs_in(space, phase) * len(isl) * len(osl) <= INTERPRETED_POINTS:
        return float(INTERPRETED_BYTES) * designs_in(space, phase) * len(isl) * len(osl)
    staged = split(PHASES[phase], _numbers(scenario), axes, host_points=HOST_POINTS)
    return HELD_OVER_OUTPUTS * staged.kept_bytes


@dataclass(frozen=True)
class OnDevice:
    """One phase over a space as `Designs` is, its outputs left where JAX evaluated them."""

    phase: str
    axes: Mapping[str, np.ndarray]
    outputs: Mapping[str, tuple[jax.Array, tuple[str, ...]]]


def evaluate_on_device(
    phase: str, scenario: Scenario, space: Space, isl: Values, osl: Values
) -> OnDevice:
    """Every design of one phase, on natural dims, compiled; nothing is copied to the host."""
    axes = axes_of(space, phase, isl, osl)
    staged = split(PHASES[phase], _numbers(scenario), axes, host_points=HOST_POINTS)
    if default_device().platform == "cpu":
        require(HELD_OVER_OUTPUTS * staged.kept_bytes, f"Evaluating {staged.points:,} designs")
    natural = _named(staged.materialise(), staged.dims)
    outputs = {name: (jnp.asarray(array), own) for name, (array, own) in natural.items()}
    return OnDevice(phase, {name: values for name, _, values in axes}, outputs)


def _numbers(scenario: Scenario) -> Scenario:
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float32), scenario)


def _named(
    outputs: object, dims: object
) -> dict[str, tuple[np.ndarray | jax.Array, tuple[str, ...]]]:
    """Every output by its name, with the names of its dimensions."""
    flat, _ = jax.tree_util.tree_flatten_with_path(outputs)
    own = jax.tree.leaves(dims, is_leaf=lambda x: isinstance(x, tuple))
    return {name_of(path): (array, d) for (path, array), d in zip(flat, own, strict=True)}
