"""Does the refined search find the best of all whole batches and chunks?

python -m benchmarks.exact [--problems 200] [--json FILE]

Random models, chips, lengths and targets: a coarse grid, refined, against every design between its
ends, one by one. The control is the grid alone.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space, chunks_for, geometric
from jaxsim.space.designs import evaluate_phase
from jaxsim.space.refine.cells import allowed
from jaxsim.space.refine.optimum import refine
from jaxsim.space.refine.problem import OnGrid, Problem, classes

CASES = (
    ("llama-3.1-8b", "h100", 1), ("qwen3-32b", "h200", 1), ("llama-3.1-70b", "b200", 1),
    ("gpt-oss-120b", "b200", 8), ("deepseek-r1", "gb200-nvl72", 64),
)  # fmt: skip
MOST_BATCH = 256.0
SAME = 1e-5


def best_of(problem: Problem, outputs) -> float:
    """The most that any allowed design serves per GPU; 0 where none is allowed."""
    result = [problem.measure(outputs, mode) for mode in problem.modes]
    return max(
        float(np.max(np.where(allowed(problem, one), one.value / outputs["gpus"], 0.0)))
        for one in result
    )


def every_design(problem: Problem, space: Space) -> dict[str, np.ndarray]:
    """All mappings, whole batches and classes of chunks between the ends of a space."""
    batch = np.arange(1.0, MOST_BATCH + 1.0)
    chunk = classes(problem, np.asarray(space.chunk)) if problem.phase != "decode" else [1.0]
    axes = {"tp": space.tp, "ep": space.ep, "pp": space.pp, "batch": batch, "chunk": chunk}
    flat = [a.ravel() for a in np.meshgrid(*axes.values(), indexing="ij")]
    columns = dict(zip(axes, flat, strict=True))
    if problem.phase == "decode":
        del columns["chunk"]
    return columns


def one_problem(rng: np.random.Generator, phase: str) -> dict | None:
    """One random problem solved all three ways; None where no design is allowed."""
    model, hardware, width = CASES[rng.integers(len(CASES))]
    setup = setup_of(model, hardware)
    isl, osl = np.round(np.exp(rng.uniform(np.log(200), np.log([9000, 2000])))).tolist()
    scenario = setup.scenario(Workload(isl=isl, osl=osl))
    tp = float(rng.choice([1, 2, 4, 8]))
    ep = min(float(rng.choice([1, 4, 8, 32])), float(width))
    space = Space(
        tp=(tp,), ep=(ep,), pp=(1, 2), batch=geometric(MOST_BATCH, 4), chunk=chunks_for(isl),
        prefill_batch=geometric(MOST_BATCH, 2), prefill_chunk=chunks_for(isl),
    )  # fmt: skip
    grid = evaluate_phase(phase, scenario, space, (isl,), (osl,))
    problem = Problem(phase, scenario, (np.inf, np.inf))
    # Targets that some designs of the grid meet and others do not.
    measured = [problem.measure(OnGrid(grid), mode) for mode in problem.modes]
    targets = []
    for k in range(len(measured[0].latency)):
        seen = np.concatenate([one.latency[k][one.ok] for one in measured])
        if not len(seen):
            return None
        targets.append(float(np.quantile(seen, rng.uniform(0.05, 0.8))))
    problem = Problem(phase, scenario, tuple(targets))
    on_grid = best_of(problem, OnGrid(grid))
    if not on_grid:
        return None
    started = time.perf_counter()
    result = refine(problem, grid, 0.0)
    seconds = time.perf_counter() - started
    ours = on_grid
    if len(result.columns["batch"]):
        ours = max(ours, best_of(problem, result.evaluate(result.columns).outputs))
    every = result.evaluate(every_design(problem, space))
    best = best_of(problem, every.outputs)
    return {
        "phase": phase, "model": model, "hardware": hardware, "isl": isl, "osl": osl,
        "targets_s": targets, "dense_designs": len(every), "refined_designs": result.evaluated,
        "seconds": seconds, "loss": max(1.0 - ours / best, 0.0),
        "grid_loss": max(1.0 - on_grid / best, 0.0), "gap": result.gap,
    }  # fmt: skip


def main() -> None:
    """Solve, print a table, write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    result: list[dict] = []
    phases = ("colocated", "prefill", "decode")
    while len(result) < args.problems:
        one = one_problem(rng, phases[len(result) % 3])
        if one is not None:
            result.append(one)
    summary = []
    for phase in (*phases, "all"):
        own = [row for row in result if phase in (row["phase"], "all")]
        loss = np.array([row["loss"] for row in own])
        grid = np.array([row["grid_loss"] for row in own])
        summary.append({
            "phase": phase, "problems": len(own), "same_optimum": float(np.mean(loss <= SAME)),
            "worst_loss": float(loss.max()), "grid_median_loss": float(np.median(grid)),
            "grid_worst_loss": float(grid.max()),
            "refined_designs": float(np.median([row["refined_designs"] for row in own])),
            "dense_designs": float(np.median([row["dense_designs"] for row in own])),
            "seconds": float(np.median([row["seconds"] for row in own])),
        })  # fmt: skip
        print(json.dumps(summary[-1]))
    if args.json:
        text = json.dumps({"summary": summary, "problems": result}, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
