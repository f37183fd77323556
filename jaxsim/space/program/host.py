"""Which operations are done in NumPy, before anything is compiled?

Most of a model's operations have few values, on a few axes of a grid. In NumPy they take less time
than compiling them would.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxsim.space.program.cache import cached
from jaxsim.space.program.evaluate import Steps, evaluate, steps_of
from jaxsim.space.program.in_numpy import NotInNumpy, in_numpy
from jaxsim.space.program.trace import Program, numbers, size

# Operations up to this natural size run in NumPy on the host, which compiles nothing.
HOST_POINTS = 1 << 15


class _Share(NamedTuple):
    """What is done on the host, the positions of the operations left, and the values they read."""

    steps: Steps
    left: tuple[int, ...]
    wanted: frozenset[int]


@cached
def _share(program: Program, known: frozenset[int], lengths: tuple[int, ...], most: int) -> _Share:
    here, done, functions = set(known), [], []
    left, wanted = [], numbers(program.outputs)
    for position, op in enumerate(program.ops):
        reads = numbers(op.inputs)
        if size(program.dims[op.outputs[0]], lengths) <= most and reads <= here:
            try:
                functions.append(in_numpy(op))
            except NotInNumpy:
                pass
            else:
                done.append(op)
                here.update(op.outputs)
                continue
        left.append(position)
        wanted |= reads
    given = iter(functions)
    steps = steps_of(done, lambda _: next(given), program.free, wanted)
    return _Share(steps, tuple(left), frozenset(wanted))


def on_host(
    program: Program, known: dict[int, np.ndarray], lengths: Sequence[int], most: int
) -> tuple[int, ...]:
    """Positions of the operations left to do, after those of small size were done in NumPy.

    Adds to `known` the results that those left read. What NumPy cannot do is left.
    """
    if most < 1:
        return tuple(range(len(program.ops)))
    values = {i: _full_rank(np.asarray(x), program.dims[i], lengths) for i, x in known.items()}
    steps, left, wanted = _share(program, frozenset(known), tuple(lengths), most)
    with np.errstate(all="ignore"):
        evaluate(steps, values)
    for number in wanted.intersection(values):
        if number not in known:
            own = tuple(lengths[d] for d in program.dims[number])
            full = tuple(n if d in program.dims[number] else 1 for d, n in enumerate(lengths))
            known[number] = np.broadcast_to(values[number], full).reshape(own)
    return left


def _full_rank(value: np.ndarray, dims: tuple[int, ...], lengths: Sequence[int]) -> np.ndarray:
    shape = [lengths[d] if d in dims else 1 for d in range(len(lengths))]
    return value.reshape(shape + list(value.shape[len(dims) :]))
