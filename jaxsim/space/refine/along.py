"""Which whole batches and chunks make a frontier between the points of a grid?"""

from dataclasses import dataclass

import numpy as np

from jaxsim.space.designs import Designs
from jaxsim.space.match.prune import near_the_best
from jaxsim.space.refine.problem import OnGrid, Problem, classes

NEAR_FRAC = 0.04  # grid points within this fraction of the frontier have better ones beside them
BETWEEN = 3  # batches, and as many chunks, that are listed between two of the grid


@dataclass(frozen=True)
class _Near:
    """Points of the grid near the frontier: mapping, chunk and batch as positions of their axes."""

    line: np.ndarray
    chunk: np.ndarray
    batch: np.ndarray


def beside_frontier(problem: Problem, designs: Designs) -> dict[str, np.ndarray]:
    """Designs beside the points of a grid that are near its frontier of throughput against TTL.

    Up to `BETWEEN` batches before the next of the grid, multiples of the ranks where there are, and
    up to `BETWEEN` chunks after and before: tp, ep, pp, chunk and batch, one entry a design.
    """
    axes = [np.asarray(designs.axes[name], float) for name in ("tp", "ep", "pp")]
    tp, ep, pp = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    batches = np.asarray(designs.axes["batch"], float)
    chunks = np.asarray(designs.axes.get("chunk", [1.0]), float)
    every = classes(problem, chunks) if "chunk" in designs.axes else chunks
    near = _near(problem, designs, len(tp), np.maximum(tp, ep) * pp)
    unit = np.maximum(tp, ep) / tp * pp
    near_points = []
    for step in range(BETWEEN + 1 if problem.batch_free else 1):
        following = batches[np.minimum(near.batch + 1, len(batches) - 1)]
        even = batches[near.batch] + (following - batches[near.batch]) * step / (BETWEEN + 1)
        whole = np.floor(even / unit[near.line]) * unit[near.line]
        batch = np.where(whole > batches[near.batch], whole, np.floor(even))
        for chunk in _chunks_beside(every, chunks, near.chunk):
            near_points.append(np.stack([near.line, chunk, batch]))
    if not near_points:
        return {}
    line, chunk, batch = np.unique(np.concatenate(near_points, axis=1), axis=1)
    line = line.astype(int)
    columns = {"tp": tp[line], "ep": ep[line], "pp": pp[line], "batch": batch}
    return {**columns, "chunk": chunk} if "chunk" in designs.axes else columns


def _chunks_beside(every: np.ndarray, grid: np.ndarray, at: np.ndarray) -> list[np.ndarray]:
    """Chunks at positions of the grid, and some between them and both neighbours."""
    own = np.searchsorted(every, grid)
    chunks = [grid[at]]
    for other in (-1, 1):
        there = own[np.clip(at + other, 0, len(grid) - 1)]
        for step in range(1, BETWEEN + 1):
            part = np.round(own[at] + (there - own[at]) * step / (BETWEEN + 1)).astype(int)
            if np.any(part != own[at]):
                chunks.append(every[part])
    return chunks


def _near(problem: Problem, designs: Designs, lines: int, gpus: np.ndarray) -> _Near:
    """Grid points of any mode that come near the best of all that are as fast."""
    position, ttl, value = [], [], []
    for mode in problem.modes:
        measured = problem.measure(OnGrid(designs), mode)
        ok = measured.ok
        for latency, target in zip(measured.latency[1:], problem.targets_s[1:], strict=True):
            ok = ok & (latency <= target)
        per_gpu = measured.value.reshape(lines, -1) / gpus[:, None]
        kept = np.flatnonzero(ok)
        position.append(kept)
        ttl.append(measured.latency[0].ravel()[kept])
        value.append(per_gpu.ravel()[kept])
    at, ttl_s, y = (np.concatenate(x) for x in (position, ttl, value))
    near = near_the_best(ttl_s, y, NEAR_FRAC)
    at, ttl_s, y = at[near], ttl_s[near], y[near]
    order = np.lexsort((-y, ttl_s))
    best = np.maximum.accumulate(y[order])
    close = order[y[order] >= best * (1.0 - NEAR_FRAC)]
    chunks = len(designs.axes["chunk"]) if "chunk" in designs.axes else 1
    where = np.unravel_index(np.unique(at[close]), (lines, chunks, len(designs.axes["batch"])))
    return _Near(*where)
