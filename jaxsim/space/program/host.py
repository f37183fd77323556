"""Which operations are done in NumPy, before anything is compiled?

Most of a model's operations have few values, on a few axes of a grid. In NumPy they take less time
than compiling them would, and others of their results than those read later are not kept.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsim.space.program.interpret import NotInterpreted, apply_in_numpy
from jaxsim.space.program.trace import Literal, Program, numbers, size

# Operations up to this natural size run in NumPy on the host, which compiles nothing.
HOST_POINTS = 1 << 15


def on_host(program: Program, known: dict[int, Any], lengths: Sequence[int], most: int):
    """Positions of the operations left to do, after those of small size were done in NumPy.

    Adds to `known` the results that those left read. What NumPy cannot do is left.
    """
    if most < 1:
        return tuple(range(len(program.ops)))
    here = {i: _full_rank(np.asarray(x), program.dims[i], lengths) for i, x in known.items()}
    last = {x: i for i, op in enumerate(program.ops) for x in numbers(op.inputs)}
    left, wanted = [], numbers(program.outputs)
    with np.errstate(all="ignore"):
        for position, op in enumerate(program.ops):
            reads = numbers(op.inputs)
            small = size(program.dims[op.outputs[0]], lengths) <= most
            if small and op.scalar and all(x in here for x in reads):
                given = [x.value if isinstance(x, Literal) else here[x] for x in op.inputs]
                try:
                    here[op.outputs[0]] = np.asarray(apply_in_numpy(op, given))
                except NotInterpreted:
                    pass
                else:
                    # Memory that is used again at once is still in the processor's cache.
                    for x in reads - wanted:
                        if last[x] == position:
                            del here[x]
                    continue
            left.append(position)
            wanted |= reads
    for number in wanted.intersection(here):
        if number not in known:
            own = tuple(lengths[d] for d in program.dims[number])
            full = tuple(n if d in program.dims[number] else 1 for d, n in enumerate(lengths))
            known[number] = np.broadcast_to(here[number], full).reshape(own)
    return tuple(left)


def _full_rank(value, dims, lengths):
    shape = [lengths[d] if d in dims else 1 for d in range(len(lengths))]
    return value.reshape(shape + list(value.shape[len(dims) :]))
