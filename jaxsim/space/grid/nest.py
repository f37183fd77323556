"""In which order are the operations of a block evaluated?

A block of the grid is evaluated in nested loops. The inner axes are evaluated at once, in a step
small enough for a core's cache; the others are looped over. An operation is evaluated as far out
as the axes it depends on allow: before the loops where its natural size is small, else in the
outermost loop that fixes all of its looped axes.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim.space.program.cache import cached
from jaxsim.space.program.in_jax import run_ops
from jaxsim.space.program.inputs import Held
from jaxsim.space.program.trace import PICK, Literal, Op, Program, numbers, size

# Points evaluated at once: about a core's second-level cache on a CPU, a large launch on a GPU.
STEP_POINTS = {"cpu": 1 << 17, "gpu": 1 << 25, "tpu": 1 << 24}
# Points of a block: an array evaluated before its loops has up to 1/64 of them.
BLOCK_POINTS = {"cpu": 1 << 27, "gpu": 1 << 31, "tpu": 1 << 30}
BEFORE_SHARE = 1 / 64
# Within a step, values with at most this share of its points are compiled apart from the rest.
APART_SHARE = 1 / 4


@dataclass(frozen=True, eq=False)
class Nest:
    """Where each operation of a program is evaluated, over one block of a grid.

    `lengths` are those of the block. `classes` are those of the axes of equivalence classes, which
    follow its axes. `loops` are the looped axes, outermost first, and `strides` their steps.
    `before` has the operations evaluated before the loops, `levels` those of each loop.
    `small_terms` has the terms of a level with few values, by axis of classes; they are compiled
    separately, by an `optimization_barrier` with `barriers`, else by a conditional (see `unfused`).
    """

    program: Program
    lengths: tuple[int, ...]
    classes: tuple[int, ...]
    loops: tuple[int, ...]
    strides: tuple[int, ...]
    barriers: bool
    given: tuple[int, ...]
    before: tuple[Op, ...]
    levels: tuple[tuple[Op, ...], ...]
    small_terms: tuple[tuple[tuple[Op, ...], ...], ...]

    @property
    def inner(self) -> tuple[int, ...]:
        return tuple(d for d in range(len(self.lengths)) if d not in self.loops)


@cached
def nest_of(
    program: Program,
    left: tuple[int, ...],
    given: tuple[int, ...],
    lengths: tuple[int, ...],
    classes: tuple[int, ...],
    loops: tuple[int, ...],
    strides: tuple[int, ...],
    barriers: bool = False,
) -> Nest:
    """The nest of the operations `left` over a block, `given` what is known before it."""
    points, sizes = math.prod(lengths), lengths + classes
    depth: dict[int, int] = dict.fromkeys(given, -1)
    groups: list[list[Op]] = [[] for _ in range(len(loops) + 1)]
    for op in (program.ops[i] for i in left):
        dims = program.dims[op.outputs[0]]
        if size(dims, sizes) <= BEFORE_SHARE * points or not loops:
            own = -1
        else:
            own = max((i for i, axis in enumerate(loops) if axis in dims), default=-1)
        own = max([own, *(depth.get(x, -1) for x in op.inputs if not isinstance(x, Literal))])
        depth.update(dict.fromkeys(op.outputs, own))
        groups[own + 1].append(op)
    before, *levels = (tuple(group) for group in groups)
    inner = [d for d in range(len(sizes)) if d not in loops]
    most = APART_SHARE * size([d for d in inner if d < len(lengths)], sizes)
    rests, small_terms = [], []
    for ops in levels:
        late, few, rest = set(), [], []
        for op in ops:
            own = [d for d in program.dims[op.outputs[0]] if d in inner]
            small = size(own, sizes) <= most or any(d >= len(lengths) for d in own)
            if small and not late.intersection(numbers(op.inputs)):
                few.append(op)
            else:
                rest.append(op)
                late.update(op.outputs)
        rests.append(tuple(rest))
        small_terms.append(by_axis(program, few, len(lengths)))
    return Nest(
        program, lengths, classes, loops, strides, barriers, given, before, tuple(rests),
        tuple(small_terms),
    )  # fmt: skip


def by_axis(program: Program, ops: Sequence[Op], axes: int) -> tuple[tuple[Op, ...], ...]:
    """Operations in groups that are compiled separately: one axis of classes in each, or none.

    Fused into one group, an operation on classes would be evaluated again at every point that reads
    its result. A gather from classes to points is a group of its own, because with it the
    operations that follow would not be vectorised.
    """
    level: dict[int, tuple[int, int]] = {}
    groups: dict[tuple[int, int], list[Op]] = {}
    for op in ops:
        axis, deep = class_axis(program, op.outputs[0], axes), 0
        own = len(program.dims) + axis if op.primitive is PICK else axis
        for x in numbers(op.inputs) & level.keys():
            before, other = level[x]
            deep = max(deep, before + (other != own))
        level.update(dict.fromkeys(op.outputs, (deep, own)))
        groups.setdefault((deep, own), []).append(op)
    return tuple(tuple(groups[key]) for key in sorted(groups))


def class_axis(program: Program, number: int, axes: int) -> int:
    """The axis of classes that a value is on, or -1."""
    dims = program.dims[number]
    return dims[-1] if dims and dims[-1] >= axes else -1


def loop_order(
    program: Program,
    left: Sequence[int],
    lengths: tuple[int, ...],
    classes: tuple[int, ...],
    looped: Sequence[int],
) -> tuple[int, ...]:
    """The order of loops, outermost first, that evaluates the fewest values."""
    points, lengths = math.prod(lengths), lengths + classes
    counts = Counter(program.dims[program.ops[i].outputs[0]] for i in left)

    def cost(order: Sequence[int]) -> float:
        total = 0
        for dims, count in counts.items():
            if size(dims, lengths) <= BEFORE_SHARE * points:
                continue
            last = max((i for i, axis in enumerate(order) if axis in dims), default=-1)
            inner = size([d for d in dims if d not in order], lengths)
            total += count * inner * math.prod(lengths[axis] for axis in order[: last + 1])
        return total

    if not looped or len(looped) > 6:
        return tuple(looped)
    # Of orders that cost the same, one whose last loop is longest, so that steps can be large.
    return min(itertools.permutations(looped), key=lambda order: (cost(order), -lengths[order[-1]]))


def walk(
    nest: Nest,
    known: dict[int, Held],
    body: Callable[..., tuple[object, tuple[jax.Array, ...]]],
    like: object,
    state: tuple[jax.Array, ...],
    true: Held,
) -> object:
    """The results of `body` at every step, each with the looped axes as leading dimensions.

    `body` gets all values of a step, on natural dims with looped axes as long as their strides, and
    what the step before it passed on, `state` the first. It returns what to pass on
    and arrays whose leading dimensions are those lengths, in the order of axes, and whose other
    dimensions and types are those of `like`. `true` is a flag that the compiler does not know to
    be set.
    """
    known = dict(known)
    sizes = nest.lengths + nest.classes
    run_ops(nest.before, known, nest.program, sizes)
    axes = tuple(sorted(nest.loops))
    step = dict(zip(nest.loops, nest.strides, strict=True))
    reads = _reads(nest)

    def level(
        depth: int,
        values: dict[int, Held],
        starts: dict[int, Held],
        carry: tuple[object, tuple[jax.Array, ...]],
        local: list[int],
    ) -> tuple[object, tuple[jax.Array, ...]]:
        if depth == len(nest.loops):
            whole, state = carry
            results, state = body(values, state)
            at = tuple(starts[axis] for axis in axes)
            whole = jax.tree.map(
                lambda whole, part: lax.dynamic_update_slice(
                    whole, part, at + (0,) * (part.ndim - len(at))
                ),
                whole,
                results,
            )
            return whole, state
        axis, count = nest.loops[depth], nest.lengths[nest.loops[depth]]
        inside = [step[axis] if d == axis else n for d, n in enumerate(local)]

        def iteration(
            i: jax.Array | int, carry: tuple[object, tuple[jax.Array, ...]]
        ) -> tuple[object, tuple[jax.Array, ...]]:
            # The last step may overlap the one before it: the same results are written again.
            start = jnp.minimum(i * step[axis], count - step[axis])
            sliced = {}
            for number, value in values.items():
                dims = nest.program.dims_of(number)
                if axis in dims:
                    value = lax.dynamic_slice_in_dim(value, start, step[axis], dims.index(axis))
                sliced[number] = value
            _run_small_terms(nest, depth, sliced, inside, reads[depth + 1], true)
            run_ops(nest.levels[depth], sliced, nest.program, inside)
            sliced = {k: v for k, v in sliced.items() if k in reads[depth + 1]}
            return level(depth + 1, sliced, {**starts, axis: start}, carry, inside)

        return lax.fori_loop(0, -(-count // step[axis]), iteration, carry)

    known = {k: v for k, v in known.items() if k in reads[0]}
    if not nest.loops:
        return body(known, state)[0]
    whole = tuple(nest.lengths[axis] for axis in axes)
    carry = jax.tree.map(lambda part: jnp.zeros(whole + part.shape, part.dtype), like)
    return level(0, known, {}, (carry, state), list(sizes))[0]


def _run_small_terms(
    nest: Nest,
    depth: int,
    values: dict[int, Held],
    lengths: Sequence[int],
    wanted: set[int],
    true: Held,
):
    """Evaluate the small terms of a level separately: fused, they would be repeated at every point.

    Adds to `values` those that the rest of the level reads, or that are `wanted` after it.
    """
    groups = nest.small_terms[depth]
    later = [numbers(x for op in ops for x in op.inputs) for ops in (*groups, nest.levels[depth])]
    for i, ops in enumerate(groups):
        made = {x for op in ops for x in op.outputs}
        kept = sorted(made & wanted.union(*later[i + 1 :]))

        def evaluate(given: dict[int, Held], ops: Sequence[Op] = ops, kept: list[int] = kept):
            inside = dict(given)
            run_ops(ops, inside, nest.program, lengths)
            return [inside[x] for x in kept]

        if kept:
            results = unfused(nest, evaluate, {x: values[x] for x in later[i] - made}, true)
            values.update(zip(kept, results, strict=True))


Found = TypeVar("Found")


def unfused(
    nest: Nest,
    fn: Callable[[dict[int, Held]], Found],
    given: dict[int, Held],
    true: Held,
) -> Found:
    """`fn(given)`, evaluated where the compiler cannot fuse it into the operations that follow.

    By an `optimization_barrier`, which costs nothing, but which CPUs ignore. There by a conditional
    that is always true: its branches are compiled separately. On a GPU the host would wait for its
    flag.
    """
    if nest.barriers:
        return lax.optimization_barrier(fn(lax.optimization_barrier(given)))
    like = []

    def made(given: dict[int, Held]):
        results = fn(given)
        like[:] = [jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), results)]
        return results

    def blank(given: dict[int, Held]):
        # The branch above was traced before, which spares tracing it for its shapes.
        shapes = like[0] if like else jax.eval_shape(fn, given)
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    return lax.cond(true, made, blank, given)


def _reads(nest: Nest) -> list[set[int]]:
    """What is still read from each depth inwards; the outputs last."""
    reads = [numbers(nest.program.outputs)]
    for rest, groups in zip(reversed(nest.levels), reversed(nest.small_terms), strict=True):
        ops = itertools.chain(rest, *groups)
        reads.append(reads[-1] | numbers(x for op in ops for x in op.inputs))
    return reads[::-1]
