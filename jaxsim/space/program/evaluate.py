"""How are the operations of a program evaluated?

One after another, by one function each: `in_numpy` and `in_jax` say which. A value that no later
operation reads is dropped, so that its memory is used again while it is in the processor's cache.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import numpy as np

from jaxsim.space.program.trace import Atom, Literal, Op, numbers

# The arrays of one evaluation: all of NumPy, or of JAX, or traced.
Array = TypeVar("Array")


class Step(NamedTuple):
    """One operation: `outputs = run(*inputs)`, by the numbers of values.

    After it no operation reads the values in `last`.
    """

    run: Callable[..., object]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    last: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """Operations in order, and the literals among their inputs, numbered like values."""

    steps: tuple[Step, ...]
    literals: dict[int, np.ndarray]


def steps_of(
    ops: Sequence[Op],
    function: Callable[[Op], Callable[..., object]],
    free: int,
    keep: Iterable[int] | None = None,
    literal: Callable[[np.ndarray], np.ndarray] = lambda value: value,
) -> Steps:
    """The steps of operations, each done by the `function` of it.

    Literals get numbers from `free` on and pass through `literal`. Values in `keep` stay to the
    end; None keeps all.
    """
    literals: dict[int, np.ndarray] = {}

    def number(atom: Atom) -> int:
        if not isinstance(atom, Literal):
            return atom
        literals[free + len(literals)] = literal(atom.value)
        return free + len(literals) - 1

    inputs = [tuple(map(number, op.inputs)) for op in ops]
    final: dict[int, int] = {}
    if keep is not None:
        final = {x: i for i, op in enumerate(ops) for x in numbers(op.inputs)}
        for x in keep:
            final.pop(x, None)
    return Steps(
        tuple(
            Step(function(op), own, op.outputs,
                 tuple(x for x in dict.fromkeys(own) if final.get(x) == i))
            for i, (op, own) in enumerate(zip(ops, inputs, strict=True))
        ),
        literals,
    )  # fmt: skip


def evaluate(steps: Steps, values: dict[int, Array]) -> None:
    """Evaluate the steps in order; results are added to `values`, and what is last read dropped."""
    values.update(cast(Mapping[int, Array], steps.literals))
    for run, inputs, outputs, last in steps.steps:
        results = run(*[values[x] for x in inputs])
        if len(outputs) == 1:
            values[outputs[0]] = cast(Array, results)
        else:
            values.update(zip(outputs, cast(Sequence[Array], results), strict=True))
        for x in last:
            del values[x]
    for x in steps.literals:
        del values[x]
