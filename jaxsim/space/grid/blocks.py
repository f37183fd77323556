"""How is a large grid cut into blocks, and how are the results of blocks gathered?

The first axes of a grid are groups, one result each; the others are reduced over. An axis that no
output depends on is evaluated once; its length is multiplied back in the result. All blocks have
one shape, so that they are compiled once; several run at a time.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import jax
import numpy as np

from jaxsim._progress import Counted, tell
from jaxsim.space.grid.block_run import OnAll, runner_of
from jaxsim.space.grid.block_size import (
    block_lengths,
    default_device,
    in_flight,
    padded,
    platform_of,
    strides_of,
    workers_of,
)
from jaxsim.space.grid.nest import BLOCK_POINTS, STEP_POINTS, Nest, loop_order, nest_of
from jaxsim.space.grid.positions import Positions
from jaxsim.space.grid.processes import from_all, own_share
from jaxsim.space.grid.reducer import Reducer
from jaxsim.space.grid.step import Step
from jaxsim.space.program.bits import wide
from jaxsim.space.program.deduplicate import shared
from jaxsim.space.program.host import HOST_POINTS, on_host
from jaxsim.space.program.inputs import Axis, Device, axis_values, lengths_of, numbers_of
from jaxsim.space.program.reorder import reordered
from jaxsim.space.program.trace import Program, numbers, trace

_SHORTEST_LINE = 32
T = TypeVar("T")


@dataclass(frozen=True)
class Grid:
    """A grid cut into blocks: which axes are groups, looped over, or evaluated at once."""

    program: Program
    names: tuple[str, ...]
    real_lengths: tuple[int, ...]
    lengths: tuple[int, ...]
    groups: tuple[int, ...]
    loops: tuple[int, ...]
    line_axes: int
    known: dict[int, np.ndarray]
    left: tuple[int, ...]
    blocks: tuple[int, ...]
    strides: tuple[int, ...]
    devices: tuple[Device | None, ...]
    classes: tuple[int, ...]
    repeats: tuple[int, ...]

    @classmethod
    def of(
        cls, fn: Callable[..., object], point: object, axes: Sequence[Axis],
        group_axes: Sequence[str], step_points: int | None, block_points: int | None,
        devices: Sequence[Device] | None, launch_points: int | None = None,
    ) -> "Grid":  # fmt: skip
        """Cut the grid; several positions of loops make a step of up to `launch_points` points."""
        by_name = {axis[0]: axis for axis in axes}
        if missing := [name for name in group_axes if name not in by_name]:
            raise ValueError(f"group_axes {missing} are not among the axes {list(by_name)}")
        reduced = [axis for axis in axes if axis[0] not in group_axes]
        if not reduced:
            raise ValueError(f"all axes {list(by_name)} are groups: leave one to choose over")
        ordered = [by_name[name] for name in group_axes] + reduced
        groups = tuple(range(len(group_axes)))
        program = trace(fn, point, ordered)
        used = {d for x in program.outputs for d in program.dims_of(x)}.union(groups)
        values = axis_values(ordered)
        repeats = tuple(1 if d in used else n for d, n in enumerate(lengths_of(values)))
        values = [
            v if n == 1 else jax.tree.map(lambda x: x[:1], v)
            for v, n in zip(values, repeats, strict=True)
        ]
        real = lengths_of(values)
        values[-1] = jax.tree.map(padded, values[-1])
        lengths = lengths_of(values)
        program = reordered(program, lengths)
        platform = platform_of(devices)
        most = step_points or STEP_POINTS.get(platform, STEP_POINTS["gpu"])
        # The trailing reduced axes that fit a step are evaluated at once; the last always is.
        first = len(lengths) - 1
        while first > len(groups) and math.prod(lengths[first - 1 :]) <= most:
            first -= 1
        line = len(lengths) - 1
        while line > first and math.prod(lengths[line:]) < _SHORTEST_LINE:
            line -= 1
        known = dict(enumerate(jax.tree.leaves((tuple(values), numbers_of(point)[0]))))
        known.update(program.constants)
        left = on_host(program, known, lengths, HOST_POINTS)
        program, left, classes, known = shared(program, known, left, lengths)
        loops = loop_order(program, left, lengths, classes, range(first))
        workers = workers_of(devices, platform)
        per_block = block_points or BLOCK_POINTS.get(platform, BLOCK_POINTS["gpu"])
        blocks = block_lengths(lengths, loops, per_block, in_flight(workers))
        inner = math.prod(lengths[first:])
        strides = strides_of(blocks, loops, inner, launch_points or most, platform != "cpu")
        names = tuple(axis[0] for axis in ordered)
        return cls(
            program, names, real, lengths, groups, loops, len(lengths) - line, known, left,
            blocks, strides, workers, classes, repeats,
        )  # fmt: skip

    @property
    def looped(self) -> tuple[int, ...]:
        return tuple(sorted(self.loops))

    @property
    def reduced(self) -> tuple[int, ...]:
        return tuple(range(len(self.groups), len(self.lengths)))

    @cached_property
    def positions(self) -> Positions:
        """Where flat positions are on the reduced axes."""
        own = (self.names, self.lengths, self.real_lengths, self.repeats)
        return Positions(*own, self.reduced, self.loops)

    @property
    def step(self) -> Step:
        return Step(self.line_axes, self.real_lengths, self.padded)

    @property
    def points(self) -> int:
        return math.prod(self.real_lengths) * math.prod(self.repeats)

    @property
    def in_turn(self) -> bool:
        """Whether the groups of a step are reduced one after another, as is faster on a CPU."""
        return platform_of(self.devices) == "cpu"

    @property
    def in_flight(self) -> int:
        """Blocks that are run at the same time."""
        return in_flight(self.devices)

    @property
    def padded(self) -> bool:
        return self.lengths != self.real_lengths

    @property
    def step_size(self) -> int:
        """Points of one position of the looped axes, padding included."""
        return math.prod(n for d, n in enumerate(self.lengths) if d not in self.loops)

    @property
    def step_points(self) -> int:
        """Points evaluated at once."""
        return self.step_size * math.prod(self.strides)

    @property
    def steps(self) -> int:
        """Steps of one block."""
        pairs = zip(self.loops, self.strides, strict=True)
        return math.prod(-(-self.blocks[axis] // stride) for axis, stride in pairs)

    @property
    def whole_groups(self) -> bool:
        """Whether every group is in one block."""
        cut = [axis for axis in self.looped if self.blocks[axis] < self.lengths[axis]]
        return all(axis in self.groups for axis in cut)

    @property
    def inner_points(self) -> int:
        return math.prod(n for d, n in enumerate(self.real_lengths) if d not in self.loops)

    @property
    def block_count(self) -> int:
        return math.prod(-(-self.lengths[axis] // self.blocks[axis]) for axis in self.looped)

    def gather(
        self, reducer: Reducer, collect: Callable[..., T], chosen: Sequence[int] | None = None
    ) -> list[T]:
        """What `collect(block, results)` makes of what `reducer` keeps of each block, in order.

        Of all blocks, or of those at the positions `chosen`. Results lead with their positions
        on the looped axes. Blocks are collected in several threads, and shared between processes.
        """
        every = self._cut()
        blocks = every if chosen is None else [every[i] for i in chosen]
        jobs = own_share(blocks)
        nest, several = self._nest(), len(self.devices) > 1 and None not in self.devices
        run = runner_of(nest, reducer, wide(), default_device())
        on_all = None
        if several:
            is_cut = tuple(bool(self.cut_axes(x)) for x in nest.given)
            on_all = OnAll(nest, reducer, wide(), self.devices, is_cut)

        def one(blocks: "Sequence[Block]") -> list[T]:
            parts = [[self._slice(x, block) for x in nest.given] for block in blocks]
            reduced = [run(parts[0], self.devices[0])] if on_all is None else on_all(parts)
            kept = []
            for block, results in zip(blocks, reduced, strict=True):
                fresh = tuple(slice(skip, None) for skip in block.skips)
                results = jax.tree.map(lambda x, own=fresh: np.asarray(x)[own], results)
                kept.append(collect(block, results))
            return kept

        each = 1 if on_all is None else len(self.devices)
        rounds = [jobs[i : i + each] for i in range(0, len(jobs), each)]
        # The first compiles, before the others ask for the same.
        alone = 0 if run.ready and not several else 1
        reduced = [one(blocks) for blocks in rounds[:alone]]
        # Beside an accelerator, one thread collects while another keeps it busy.
        with ThreadPoolExecutor(len(self.devices) if self.in_turn and not several else 2) as pool:
            for ended in pool.map(one, rounds[alone:]):
                reduced.append(ended)
                done = self.points * len(reduced) / len(rounds) * len(jobs) / self.block_count
                tell(Counted("", done, self.points, "designs"))
        return from_all([x for kept in reduced for x in kept], len(blocks))

    def _nest(self) -> Nest:
        """Where each operation is evaluated, over one block."""
        program = self.program
        needed = numbers(x for i in self.left for x in program.ops[i].inputs)
        given = tuple(sorted((needed | numbers(program.outputs)).intersection(self.known)))
        return nest_of(
            program, self.left, given, self.blocks, self.classes, self.loops, self.strides,
            not self.in_turn,
        )  # fmt: skip

    def first_block(self) -> tuple[Nest, list[np.ndarray]]:
        """What evaluates a block, and what it is given of the first."""
        nest, block = self._nest(), self._cut()[0]
        return nest, [np.asarray(self._slice(x, block)) for x in nest.given]

    def _cut(self) -> "list[Block]":
        """The blocks, of one shape: the last on an axis may overlap the one before."""
        parts: list[list[tuple[int, int, int]]] = []
        for axis in self.looped:
            length, block = self.lengths[axis], self.blocks[axis]
            nominal = range(0, length, block)
            starts = [min(start, length - block) for start in nominal]
            parts.append([(s, n, s + block) for s, n in zip(starts, nominal, strict=True)])
        blocks = []
        for chosen in itertools.product(*parts):
            starts = tuple(start for start, _, _ in chosen)
            fresh = tuple(range(first, stop) for _, first, stop in chosen)
            skips = tuple(first - start for start, first, _ in chosen)
            blocks.append(Block(self, starts, fresh, skips))
        return blocks

    def cut_axes(self, number: int) -> tuple[int, ...]:
        """The looped axes of a value that blocks have different parts of."""
        own = self.program.dims[number]
        return tuple(d for d in self.looped if d in own and self.blocks[d] < self.lengths[d])

    def _slice(self, number: int, block: "Block") -> np.ndarray:
        value, starts = self.known[number], dict(zip(self.looped, block.starts, strict=True))
        here = [slice(None)] * value.ndim
        for axis in self.cut_axes(number):
            place = self.program.dims[number].index(axis)
            here[place] = slice(starts[axis], starts[axis] + self.blocks[axis])
        return value[tuple(here)] if here else value


@dataclass(frozen=True)
class Block:
    """A block: its start on each looped axis, and the positions that no block before it covers."""

    grid: Grid
    starts: tuple[int, ...]
    fresh: tuple[range, ...]
    skips: tuple[int, ...]

    def groups(self) -> np.ndarray:
        """Flat positions over the group axes of the block's groups, in order."""
        flat = np.zeros(1, dtype=np.int64)
        for axis, places in zip(self.grid.groups, self.fresh, strict=False):
            flat = (flat[:, None] * self.grid.real_lengths[axis] + np.asarray(places)).reshape(-1)
        return flat

    def flat_positions(self, where: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
        """Positions over the reduced axes, unpadded, from those over a step's inner axes.

        `where` leads with the looped axes, as the results of a block do. With `chosen`, flat
        positions in `where`, those alone.
        """
        positions = self.grid.positions
        lanes = np.zeros(1, dtype=np.int64)
        for axis, places in zip(self.grid.looped, self.fresh, strict=True):
            weight = positions.weights.get(axis, 0)
            lanes = (lanes[:, None] + weight * np.asarray(places)).reshape(-1)
        if chosen is None:
            own = positions.of_inner(where.reshape(lanes.size, -1)) + lanes[:, None]
            return own.reshape(where.shape)
        own = where.size // lanes.size
        return positions.of_inner(where.reshape(-1)[chosen]) + lanes[chosen // own]
