"""What does the gradient search buy, against random starts and against looking at everything?

    python -m benchmarks.matching.search FAMILY KIND --problems N --json FILE

FAMILY is dense or latent (attention), KIND coarse or fine (lattice). Every method gets the same
problems; random starts get the same rounding and refinement as relaxed optima. Gap is
1 − value / optimum, the optimum from the exact match over the whole lattices.
"""

import argparse
import json
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from benchmarks.matching.scenarios import (
    DENSE,
    LATENT,
    Problem,
    decode_phase,
    prefill_phase,
    problem,
)
from jaxsim.space.match.lattice import Explored, LatticeMatch, certify, matcher, refine, whole
from jaxsim.space.match.records import Match, NoMatch
from jaxsim.space.match.relaxed import Targets, random_starts, relax

STEPS = 60
STARTS = (4, 16, 64)
GROUP = 16
AXES = ("tp", "ep", "pp", "batch", "chunk")
OPTIMAL = 1e-6  # gaps below this are rounding: designs are evaluated in single precision


def fresh(task: Problem) -> tuple[Explored, Explored]:
    """Nothing evaluated yet."""
    return (
        Explored(prefill_phase, task.lattices[0], task.scenario),
        Explored(decode_phase, task.lattices[1], task.scenario),
    )


def design(task: Problem, pool: int, index: int) -> tuple[float, ...]:
    """Axes of a design."""
    return tuple(float(v) for v in np.round(2 ** task.lattices[pool].log2(np.array(index)), 3))


def relaxed(task: Problem, starts: np.ndarray) -> np.ndarray:
    """Relaxed optima from `starts`, in groups of 16: one compilation serves any number."""
    targets = Targets(*(jnp.float32(v) for v in (task.ftl_s, task.ttl_s, task.max_gpus)))
    best = []
    for first in range(0, len(starts), GROUP):
        group = starts[first : first + GROUP]
        padded = np.resize(group, (GROUP, group.shape[1])).astype(np.float32)
        result, _ = relax(
            prefill_phase, decode_phase, task.lattices, padded, targets, task.scenario, steps=STEPS
        )
        best.append(result[: len(group)])
    return np.concatenate(best)


def attempt(task: Problem, method: str, starts: np.ndarray, optimum: LatticeMatch) -> dict:
    """One method on one problem: evaluations, seconds, gap, and what it got wrong."""
    solve = matcher(task.osl, ftl_s=task.ftl_s, ttl_s=task.ttl_s, max_gpus=task.max_gpus)
    seen = fresh(task)
    began = time.perf_counter()
    points = relaxed(task, starts) if method != "random" else starts
    if method == "rounded":
        split = len(task.lattices[0].axes)
        parts = points[:, :split], points[:, split:-1]
        for e, part in zip(seen, parts, strict=True):
            nearest = e.lattice.around(part)
            distance = np.abs(e.lattice.log2(nearest) - part[:, None, :]).sum(axis=-1)
            e.visit(nearest[np.arange(len(nearest)), distance.argmin(axis=1)])
        result = whole(seen, solve)
    else:
        result = refine(seen, points, solve)
    seconds = time.perf_counter() - began
    row = {
        "method": method,
        "starts": len(starts),
        "evaluations": sum(e.evaluations for e in seen),
        "gradients": 0 if method == "random" else STEPS * len(starts),
        "seconds": seconds,
        "gap": 1.0,
        "missed": "no plan",
    }
    if isinstance(result.match, Match) and isinstance(optimum.match, Match):
        row["gap"] = max(0.0, 1.0 - result.match.value / optimum.match.value)
        wrong = [
            f"{name} {axis}"
            for name, pool, ours, best in (
                ("prefill", 0, result.prefill_index, optimum.prefill_index),
                ("decode", 1, result.decode_index, optimum.decode_index),
            )
            for axis, a, b in zip(
                AXES, design(task, pool, ours), design(task, pool, best), strict=False
            )
            if a != b
        ]
        row["missed"] = ", ".join(wrong) if row["gap"] > OPTIMAL else ""
    return row


def run(family: str, kind: str, problems: int, first: int, seconds_at_most: float) -> dict:
    """All methods on problems that have a plan, from seed `first`, until so many or so long."""
    finish = time.perf_counter() + seconds_at_most
    models = DENSE if family == "dense" else LATENT
    rows, seed, without, sizes = [], first, 0, []
    warm: set[int] = set()
    while len(sizes) < problems and time.perf_counter() < finish:
        task = problem(seed, models, kind)
        solve = matcher(task.osl, ftl_s=task.ftl_s, ttl_s=task.ttl_s, max_gpus=task.max_gpus)
        everything = fresh(task)
        if not warm:
            certify(everything, solve)
            everything = fresh(task)
        began = time.perf_counter()
        optimum = certify(everything, solve)
        seconds = time.perf_counter() - began
        seed += 1
        if isinstance(optimum.match, NoMatch):
            without += 1
            continue
        designs = sum(e.evaluations for e in everything)
        sizes.append(designs)
        rng = np.random.default_rng(seed)
        starts = random_starts(*task.lattices, max(STARTS), rng)
        common = {"seed": seed - 1, "problem": task.name}
        rows.append(
            {**common, "method": "exhaustive", "starts": 0, "evaluations": designs, "gradients": 0,
             "seconds": seconds, "gap": 0.0, "missed": ""}
        )  # fmt: skip
        for count in STARTS:
            if count not in warm:
                relaxed(task, starts[:count])
                refine(fresh(task), starts[:count], solve)
                warm.add(count)
            for method in ("gradient", "random", *(("rounded",) if count == 16 else ())):
                rows.append({**common, **attempt(task, method, starts[:count], optimum)})
    return {
        "family": family, "lattice": kind, "problems": len(sizes), "without_plan": without,
        "designs_median": float(np.median(sizes)), "rows": rows,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=("dense", "latent"))
    parser.add_argument("kind", choices=("coarse", "fine"))
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    result = run(given.family, given.kind, given.problems, given.first, given.seconds)
    given.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
