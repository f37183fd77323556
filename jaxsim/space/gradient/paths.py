"""How do local derivatives become derivatives of outputs, with little arithmetic?

The adjoint of a value is the sum, over the operations that use it, of the adjoint of their result
times the local derivative. A value has a dominator if every path from it to the outputs passes
through that other value. Up to the dominator one number per point is summed, for any number of
outputs; only between dominators is there one sum for each output. Sums that do not depend on one
another are one call of NumPy.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxsim.space.gradient.equal_points import Inputs, place
from jaxsim.space.gradient.scratch import room

# All heads of regions: the derivative of each by itself is 1.
HEAD = "head"

# Terms of one sum; longer ones are sums of sums.
TERMS = 4

# The derivative that is 1.
UNIT = "unit"

# A use of a value: what was made, what it was made of, and the label of the derivative.
Edge = tuple[Hashable, Hashable, object]


class Level(NamedTuple):
    """Sums that are done together: first terms of all, then second terms of those that have one.

    `sources` are the slots of all terms, `first` and `end` bound the slots of the sums, `weights`
    is where their derivatives begin, and `more` the numbers of second and later terms. They are for
    the combinations of a `table`.
    """

    sources: np.ndarray
    first: int
    end: int
    weights: int
    more: tuple[int, ...]
    table: int


@dataclass(frozen=True)
class Sums:
    """Sums of products by levels: slot of each value, derivative of each term, in order."""

    size: int
    seeds: int
    slots: Mapping[Hashable, int]
    labels: tuple[object, ...]
    levels: tuple[Level, ...]
    widest: int


def sums_of(
    seeds: Sequence[Hashable],
    edges: Sequence[Edge],
    tables: Sequence[Inputs] = (frozenset(),),
    moved: Mapping[object, Inputs] | None = None,
) -> Sums:
    """The sums over uses of every value; all uses of a value come before what it is made of.

    In `tables`, if derivatives move with the inputs in `moved`, by labels.
    """
    moved = moved or {}
    moving: dict[Hashable, Inputs] = {}
    terms: dict[Hashable, list[tuple[Hashable, object]]] = defaultdict(list)
    same = {seed: seed for seed in seeds}
    depth = dict.fromkeys(seeds, 0)
    made: dict[Hashable, list[tuple[Hashable, object]]] = {}
    inner = {edge[0] for edge in edges}

    def settled(value: Hashable) -> Hashable:
        """The value whose sum this is, once all its uses are known."""
        if value not in same:
            own = terms.pop(value)
            if len(own) == 1 and own[0][1] is UNIT:
                same[value] = own[0][0]
                return same[value]
            own.sort(key=lambda term: depth[term[0]])
            while len(own) > TERMS:
                part = ("part", value, len(made))
                own, rest = own[TERMS:], own[:TERMS]
                made[part], depth[part] = rest, 1 + depth[rest[-1][0]]
                own.append((part, UNIT))
                own.sort(key=lambda term: depth[term[0]])
            made[value], depth[value] = own, 1 + max(depth[source] for source, _ in own)
            same[value] = value
        return same[value]

    for source, target, label in edges:
        terms[target].append((settled(source), label))
    for value in list(terms):
        settled(value)
    last = max(depth.values())
    depth |= {value: last for value in made if value not in inner and not _is_part(value)}
    none: Inputs = frozenset()
    for value, own in made.items():
        each = (moving.get(x, none) | moved.get(label, none) for x, label in own)
        moving[value] = none.union(*each)
    where = {value: place(tables, moving[value]) for value in made}
    return _placed(seeds, made, depth, same, where)


def _is_part(value: Hashable) -> bool:
    return isinstance(value, tuple) and value[0] == "part"


def _placed(
    seeds: Sequence[Hashable],
    made: Mapping[Hashable, list[tuple[Hashable, object]]],
    depth: Mapping[Hashable, int],
    same: Mapping[Hashable, Hashable],
    where: Mapping[Hashable, int],
) -> Sums:
    by_depth: dict[tuple[int, int], list[Hashable]] = defaultdict(list)
    for value in made:
        by_depth[where[value], depth[value]].append(value)
    slots = {seed: i for i, seed in enumerate(seeds)}
    labels: list[object] = []
    levels: list[Level] = []
    for (table, _), values in sorted(by_depth.items()):
        values.sort(key=lambda value: -len(made[value]))
        first = len(slots)
        slots |= {value: first + i for i, value in enumerate(values)}
        rounds = [
            [made[value][k] for value in values if len(made[value]) > k]
            for k in range(len(made[values[0]]))
        ]
        sources = np.array([slots[source] for terms in rounds for source, _ in terms])
        more = tuple(len(terms) for terms in rounds[1:])
        levels.append(Level(sources, first, len(slots), len(labels), more, table))
        labels += [label for terms in rounds for _, label in terms]
    size, widest = len(slots), max((len(level.sources) for level in levels), default=0)
    slots |= {value: slots[other] for value, other in same.items() if value not in slots}
    return Sums(size, len(seeds), slots, tuple(labels), tuple(levels), widest)


def summed(sums: Sums, derivatives: np.ndarray, weights: np.ndarray, table: int = 0) -> None:
    """Every sum of a table in its slot, from those before it and the derivatives, [terms, …]."""
    held = room("terms", sums.widest, *derivatives.shape[1:])
    for sources, first, end, start, more, own in sums.levels:
        if own != table:
            continue
        terms, by = held[: len(sources)], weights[start : start + len(sources)]
        derivatives.take(sources, 0, terms, "clip")
        count, into = end - first, derivatives[first:end]
        np.multiply(terms[:count], by[:count], into)
        rest = terms[count:]
        if more:
            rest *= by[count:]
        for others in more:
            into[:others] += rest[:others]
            rest = rest[others:]


@dataclass(frozen=True)
class Paths:
    """The way from inputs to outputs: sums within regions, and sums between regions.

    A region is the set of values whose paths to the outputs all pass through one value, its head.
    In `within`, every head has adjoint 1, and derivatives are labels of edges; in `between`, the
    outputs have adjoint 1, and derivatives are slots of `within`. `inputs` that have an influence
    have slots in `between`.
    """

    within: Sums
    between: Sums
    inputs: tuple[tuple[int, int], ...]


def paths_of(
    edges: Sequence[tuple[int, int, object]],
    seeds: Sequence[int],
    inputs: int,
    tables: Sequence[Inputs],
    moved: Mapping[object, Inputs],
    at: Mapping[int, int],
) -> Paths:
    """The sums for outputs in `seeds`; all uses of a value come before what it is made of."""
    head = _heads(edges, seeds, at)
    inner: list[Edge] = []
    leaving: dict[tuple[int, int], Hashable] = {}
    for made, of, label in edges:
        region = head[made]
        own = head[of] == region
        target = of if own else (of, region)
        inner.append((HEAD if made == region else made, target, label))
        if not own or of < inputs:
            leaving[region, of] = target
    within = sums_of([HEAD], inner, tables, moved)
    rows = [("output", row) for row in range(len(seeds))]
    outer: list[Edge] = [(row, seed, UNIT) for row, seed in zip(rows, seeds, strict=True)]
    for region, of in sorted(leaving, reverse=True):
        slot = within.slots[leaving[region, of]]
        outer.append((region, of, slot if slot != within.slots[HEAD] else UNIT))
    between = sums_of(rows, outer)
    held = tuple((x, between.slots[x]) for x in range(inputs) if x in between.slots)
    return Paths(within, between, held)


def _heads(
    edges: Sequence[tuple[int, int, object]], seeds: Sequence[int], at: Mapping[int, int]
) -> dict[int, int]:
    """The head of the region of every value: the last value that all its paths to the outputs pass.

    A value whose paths have no common value is the head of its own region, and so is a value that a
    later table gathers: the operations that lead to it have no more columns than it has.
    """
    uses: dict[int, set[int]] = defaultdict(set)
    head: dict[int, int] = {}
    for made, of, _ in edges:
        uses[of].add(made)
    for value in dict.fromkeys([*(made for made, _, _ in edges), *seeds, *uses]):
        regions = {head[user] for user in uses[value]}
        taken = value in at and any(at[user] != at[value] for user in uses[value])
        alone = value in seeds or taken or len(regions) > 1
        head[value] = value if alone else regions.pop()
    return head
