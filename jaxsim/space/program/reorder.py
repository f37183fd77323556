"""In which order are the terms of a sum or a conjunction combined, so that few results are large?

In the order of the physics the first term may depend on all axes; then every small term is added at
every point of the grid. Small terms are therefore added to one another first.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from jaxsim.space.program.cache import cached
from jaxsim.space.program.trace import Atom, Literal, Op, Program, size

# Operations that may be joined in any order: exactly, or (sums) to the rounding of a sum.
_JOINS = ("add", "add_any", "and", "or", "max", "min")


@cached
def reordered(program: Program, lengths: tuple[int, ...]) -> Program:
    """The same function with chains of one joining operation cheapest first, on such a grid.

    What is already cheapest, or costs the same, keeps its order and so its rounding.
    """
    makers = {x: op for op in program.ops for x in op.outputs if op.scalar}
    uses = Counter(x for op in program.ops for x in op.inputs if not isinstance(x, Literal))
    uses.update(x for x in program.outputs if not isinstance(x, Literal))

    def inside(op: Op, atom: Atom) -> Op | None:
        """The operation that makes `atom`, if it is part of the same chain."""
        maker = None if isinstance(atom, Literal) or uses[atom] > 1 else makers.get(atom)
        return maker if maker is not None and maker.primitive is op.primitive else None

    def operands(op: Op) -> Iterator[Atom]:
        for atom in op.inputs:
            part = inside(op, atom)
            yield from (atom,) if part is None else operands(part)

    def chain(op: Op) -> Iterator[int]:
        yield op.outputs[0]
        for atom in op.inputs:
            part = inside(op, atom)
            if part is not None:
                yield from chain(part)

    joins = [op for op in program.ops if op.scalar and op.primitive.name in _JOINS]
    within = {x for op in joins for x in op.inputs if inside(op, x) is not None}
    dims, new, gone = dict(program.dims), {}, set()
    fresh = count(program.free)
    for op in joins:
        parts = list(chain(op))
        if op.outputs[0] in within or len(parts) < 2:
            continue
        ops = _cheapest(op, list(operands(op)), dims, lengths, fresh)
        before = sum(size(program.dims[x], lengths) for x in parts)
        if sum(size(dims[o.outputs[0]], lengths) for o in ops) < before:
            new[op.outputs[0]] = ops
            gone.update(parts)
    if not new:
        return program
    ops = [
        o
        for op in program.ops
        for o in (new.get(op.outputs[0]) or (() if op.outputs[0] in gone else (op,)))
    ]
    return replace(program, ops=tuple(ops), dims=dims)


def _cheapest(
    op: Op,
    atoms: Sequence[Atom],
    dims: dict[int, tuple[int, ...]],
    lengths: Sequence[int],
    fresh: Iterator[int],
) -> list[Op]:
    """The joins of a chain, the pair with the smallest result first; adds what they make to `dims`.

    The last of them makes what the chain made, the others the numbers that come next of `fresh`.
    """

    def union(a: Atom, b: Atom) -> tuple[int, ...]:
        own = [() if isinstance(x, Literal) else dims[x] for x in (a, b)]
        return tuple(sorted({*own[0], *own[1]}))

    left, ops = list(atoms), []
    while len(left) > 1:
        pairs = [(i, j) for j in range(1, len(left)) for i in range(j)]
        i, j = min(pairs, key=lambda p: size(union(left[p[0]], left[p[1]]), lengths))
        made = op.outputs[0] if len(left) == 2 else next(fresh)
        dims[made] = union(left[i], left[j])
        ops.append(op._replace(inputs=(left[i], left[j]), outputs=(made,)))
        left[i] = made
        del left[j]
    return ops
