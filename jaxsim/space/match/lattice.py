"""What is the best plan over lattices of designs, found fast and then proved?

Starting points (relaxed optima, or random) are rounded to the lattice and improved by moves of one
axis, or of two axes of a pool; each step is an exact match among the neighbours. That gives a good
plan from a few thousand designs. `certify` then evaluates both lattices whole, block by block, and
matches exactly: a poor start costs time, never the optimum.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Required, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim.space.match.records import Match, MatchLimits, NoMatch, Pool
from jaxsim.space.match.relaxed import Lattice, Phase, Targets, random_starts, relax
from jaxsim.space.match.solve import match

_BLOCK = 512  # designs evaluated together while searching
_WHOLE_BLOCK = 8192  # and while certifying


@partial(jax.jit, static_argnames=("phase",))
def _evaluate(x: jax.Array, parameters: object, *, phase: Phase):
    return jax.vmap(lambda row: phase(row, parameters))(x)


@dataclass
class Explored:
    """Designs of one lattice that have been evaluated, each once."""

    phase: Phase
    lattice: Lattice
    parameters: object
    weight: float = 1.0

    def __post_init__(self):
        self.index = np.zeros(0, dtype=np.int64)
        self.columns = np.zeros((3, 0))

    @property
    def evaluations(self) -> int:
        """How many designs have been evaluated."""
        return len(self.index)

    def visit(self, index: np.ndarray, block: int = _BLOCK) -> None:
        """Evaluate those of `index` (flat) that are new."""
        new = np.setdiff1d(index, self.index)
        for start in range(0, len(new), block):
            some = new[start : start + block]
            padded = np.concatenate([some, np.full(block - len(some), some[0])])
            x = jnp.asarray(self.lattice.log2(padded))
            got = _evaluate(x, self.parameters, phase=self.phase)
            rate = np.where(got.valid, got.requests_per_s, 0.0)
            candidates = np.stack([np.asarray(c, float) for c in (rate, got.gpus, got.latency_s)])
            self.columns = np.concatenate([self.columns, candidates[:, : len(some)]], axis=1)
        self.index = np.concatenate([self.index, new])
        order = np.argsort(self.index)
        self.index, self.columns = self.index[order], self.columns[:, order]

    def pool(self, index: np.ndarray | None = None) -> Pool:
        """What was evaluated, or the given part of it, as candidates."""
        at = slice(None) if index is None else np.searchsorted(self.index, index)
        rate, gpus, latency = self.columns[:, at]
        return Pool(rate, np.maximum(gpus, 1.0), latency, self.weight)

    def moves(self, index: int) -> np.ndarray:
        """The design and its neighbours: one or two steps on an axis, or one on each of two."""
        where = np.array(np.unravel_index(index, self.lattice.lengths))
        axes = np.eye(len(where), dtype=np.int64)
        single = [s * axis for axis in axes for s in (-2, -1, 1, 2)]
        double = [
            s * a + t * b
            for k, a in enumerate(axes)
            for b in axes[:k]
            for s in (-1, 1)
            for t in (-1, 1)
        ]
        steps = np.stack([0 * where, *single, *double])
        near = where + steps
        inside = np.all((near >= 0) & (near < self.lattice.lengths), axis=1)
        return np.unique(np.ravel_multi_index(tuple(near[inside].T), self.lattice.lengths))


@dataclass(frozen=True)
class LatticeMatch:
    """The match of two designs of the lattices, by flat index into each."""

    match: Match | NoMatch
    prefill_index: int
    decode_index: int


Matcher = Callable[[Pool, Pool], Match | NoMatch]


class Rest(MatchLimits, total=False):
    """What `match` may be told beside the pools, the targets and the cap."""

    quickest: bool


class MatchOptions(Rest, total=False):
    """What `match` may be told beside the pools."""

    ftl_s: Required[float]
    ttl_s: Required[float]
    max_gpus: float | None


def matcher(osl: float, **limits: Unpack[MatchOptions]) -> Matcher:
    """`match` with everything but the pools decided."""
    return lambda prefill, decode: match(prefill, decode, osl, **limits)


def _least_latency(explored: Explored, index: np.ndarray) -> int:
    """Of those evaluated, the valid one of least latency: where to go while nothing matches."""
    rate, _, latency = explored.columns[:, np.searchsorted(explored.index, index)]
    return int(index[np.argmin(np.where(rate > 0, latency, np.inf))])


def _best_of(
    explored: tuple[Explored, Explored], near: tuple[np.ndarray, np.ndarray], solve: Matcher
) -> tuple[int, int]:
    """The best designs among two sets, as flat indices."""
    got = solve(explored[0].pool(near[0]), explored[1].pool(near[1]))
    if isinstance(got, NoMatch):
        return _least_latency(explored[0], near[0]), _least_latency(explored[1], near[1])
    return int(near[0][got.prefill_index]), int(near[1][got.decode_index])


def refine(
    explored: tuple[Explored, Explored], points: np.ndarray, solve: Matcher, rounds: int = 100
) -> LatticeMatch:
    """Round every start (a row of log2 axes, both pools'), climb, and match all that was seen.

    Each start climbs on its own; the designs that any of them saw are shared at the end.
    """
    split = len(explored[0].lattice.axes)
    parts = points[:, :split], points[:, split : split + len(explored[1].lattice.axes)]
    near = [e.lattice.around(part) for e, part in zip(explored, parts, strict=True)]
    for e, indices in zip(explored, near, strict=True):
        e.visit(indices.ravel())
    here = {
        _best_of(explored, (np.unique(p), np.unique(d)), solve)
        for p, d in zip(near[0], near[1], strict=True)
    }
    climbed: set[tuple[int, int]] = set()
    for _ in range(rounds):
        fresh = sorted(here - climbed)
        if not fresh:
            break
        climbed.update(fresh)
        moves = [[e.moves(point[k]) for point in fresh] for k, e in enumerate(explored)]
        for e, indices in zip(explored, moves, strict=True):
            e.visit(np.concatenate(indices))
        here = {_best_of(explored, near, solve) for near in zip(*moves, strict=True)}
    return whole(explored, solve)


def whole(explored: tuple[Explored, Explored], solve: Matcher) -> LatticeMatch:
    """The exact match among all that was evaluated."""
    got = solve(explored[0].pool(), explored[1].pool())
    if isinstance(got, NoMatch):
        return LatticeMatch(got, -1, -1)
    prefill, decode = (e.index for e in explored)
    return LatticeMatch(got, int(prefill[got.prefill_index]), int(decode[got.decode_index]))


def certify(explored: tuple[Explored, Explored], solve: Matcher) -> LatticeMatch:
    """The exact match over both lattices: what the search did not see is evaluated too."""
    for e in explored:
        e.visit(np.arange(e.lattice.size), _WHOLE_BLOCK)
    return whole(explored, solve)


@dataclass(frozen=True)
class LatticeResult:
    """The best plan over two lattices, its designs, and what finding it took.

    `found_gap` is how far below the optimum the gradient search had stopped: what closing the
    bound was worth. None where the bound was not closed.
    """

    match: Match | NoMatch
    prefill_design: np.ndarray | None
    decode_design: np.ndarray | None
    evaluations: int
    gradients: int
    found_gap: float | None


def search(
    prefill: Phase,
    decode: Phase,
    lattices: tuple[Lattice, Lattice],
    osl: float,
    *,
    ftl_s: float,
    ttl_s: float,
    max_gpus: float,
    parameters: object = None,
    starts: int = 16,
    steps: int = 60,
    seed: int = 0,
    prove: bool = True,
    **limits: Unpack[Rest],
) -> LatticeResult:
    """Relax from many starts, round, refine; then, with `prove`, close the bound.

    Without `prove`, the certificate bounds nothing (`upper_bound` infinite, gap 1): other designs
    were not looked at. `limits` as of `match`.
    """
    explored = (
        Explored(prefill, lattices[0], parameters),
        Explored(decode, lattices[1], parameters),
    )
    solve = matcher(osl, ftl_s=ftl_s, ttl_s=ttl_s, max_gpus=max_gpus, **limits)
    points = random_starts(*lattices, starts, np.random.default_rng(seed))
    targets = Targets(ftl_s, ttl_s, max_gpus)
    points, _ = relax(prefill, decode, lattices, points, targets, parameters, steps=steps)
    outcome = refine(explored, points, solve)
    result, gap = outcome.match, None
    if prove:
        searched = 0.0 if isinstance(result, NoMatch) else result.value
        outcome = certify(explored, solve)
        result = outcome.match
        gap = None if isinstance(result, NoMatch) else max(0.0, 1.0 - searched / result.value)
    elif isinstance(result, Match):
        open_ = replace(result.certificate, upper_bound=np.inf, gap=1.0, method="search, open")
        result = replace(result, certificate=open_)
    met = isinstance(result, Match)
    return LatticeResult(
        match=result,
        prefill_design=2 ** lattices[0].log2(np.array(outcome.prefill_index)) if met else None,
        decode_design=2 ** lattices[1].log2(np.array(outcome.decode_index)) if met else None,
        evaluations=sum(e.evaluations for e in explored),
        gradients=starts * steps,
        found_gap=gap,
    )
