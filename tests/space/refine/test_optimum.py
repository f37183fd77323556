"""Is the answer the best of all whole batches and chunks, as counting them one by one says?"""

import numpy as np
import pytest

from jaxsim.space.axes import Space
from jaxsim.space.designs import evaluate_phase, lister
from jaxsim.space.refine.cells import allowed
from jaxsim.space.refine.optimum import ENOUGH, refine
from jaxsim.space.refine.problem import OnGrid, Problem, classes
from tests.scenarios import scenario

COARSE = Space(
    tp=(1, 2), ep=(1,), pp=(1, 2), batch=(1, 4, 16, 64, 160), chunk=(64, 512, 1000, 4000),
    prefill_batch=(1, 4, 24), prefill_chunk=(64, 512, 1000),
)  # fmt: skip


def every_design(problem: Problem, space: Space) -> dict[str, np.ndarray]:
    """All mappings, whole batches and chunks between the ends of a space."""
    prompts = problem.phase == "prefill"
    batch = space.prefill_batch if prompts else space.batch
    chunk = np.asarray(space.prefill_chunk if prompts else space.chunk, float)
    axes = {
        "tp": space.tp, "ep": space.ep, "pp": space.pp,
        "batch": np.arange(batch[0], batch[-1] + 1),
        # Between chunks of these classes, a larger one only takes memory.
        "chunk": classes(problem, chunk) if problem.phase != "decode" else [1.0],
    }  # fmt: skip
    flat = [a.ravel() for a in np.meshgrid(*axes.values(), indexing="ij")]
    columns = dict(zip(axes, flat, strict=True))
    if problem.phase == "decode":
        del columns["chunk"]
    return columns


def best_of(problem: Problem, outputs) -> float:
    result = [problem.measure(outputs, mode) for mode in problem.modes]
    return max(
        float(np.max(np.where(allowed(problem, one), one.value / outputs["gpus"], 0.0)))
        for one in result
    )


CASES = [
    ("prefill", "gqa_dense", (0.9,)),
    ("prefill", "mla_moe", (0.3,)),
    ("decode", "gqa_dense", (0.012,)),
    ("decode", "gqa_moe", (0.02,)),
    ("colocated", "gqa_dense", (0.03, 0.5)),
    ("colocated", "mla_moe", (0.02, 0.4)),
]


@pytest.mark.parametrize(("phase", "model", "targets"), CASES)
def test_it_is_the_best_of_all_whole_numbers(phase, model, targets):
    point = scenario(model, isl=1000.0, osl=300.0)
    problem = Problem(phase, point, targets)
    grid = evaluate_phase(phase, point, COARSE, (1000.0,), (300.0,))
    result = refine(problem, grid, 0.0)
    ours = best_of(problem, OnGrid(grid))
    if len(result.columns["batch"]):
        ours = max(ours, best_of(problem, result.evaluate(result.columns).outputs))
    every = lister(phase, point)(every_design(problem, COARSE))
    best = best_of(problem, every.outputs)
    assert ours > 0
    assert ours <= best * (1 + 1e-6)
    assert best <= ours * (1 + result.gap) * (1 + 1e-6)
    assert result.gap <= 2 * ENOUGH
    assert result.evaluated < len(every)


def test_an_axis_that_is_given_keeps_its_values():
    point = scenario("gqa_dense", isl=1000.0, osl=300.0)
    problem = Problem("colocated", point, (0.03, 0.5), batch_free=False)
    grid = evaluate_phase("colocated", point, COARSE, (1000.0,), (300.0,))
    result = refine(problem, grid, None)
    assert set(result.columns["batch"]) <= set(COARSE.batch)
    fixed = Problem("colocated", point, (0.03, 0.5), batch_free=False, chunk_free=False)
    assert not len(refine(fixed, grid, None).columns["batch"])


@pytest.mark.parametrize("model", ["gqa_moe", "sliding"])
def test_latencies_rise_with_the_batch_and_what_each_request_gets_falls(model):
    """What the bound of a cell rests on, at every whole batch."""
    point = scenario(model, isl=1000.0, osl=300.0)
    batch = np.arange(1.0, 200.0)
    for phase, targets in (("prefill", (1.0,)), ("decode", (1.0,)), ("colocated", (1.0, 1.0))):
        problem = Problem(phase, point, targets)
        for tp, ep, chunk in ((2.0, 8.0, 300.0), (1.0, 4.0, 3000.0)):
            wide = ep if "moe" in model else 1.0
            columns = {"tp": tp, "ep": wide, "pp": 2.0, "chunk": chunk}
            if phase == "decode":
                del columns["chunk"]
            listed = lister(phase, point)(
                {**{n: np.full(len(batch), v) for n, v in columns.items()}, "batch": batch}
            )
            for mode in problem.modes:
                result = problem.measure(listed.outputs, mode)
                held = result.sustained
                for latency in result.latency:
                    assert np.all(np.diff(latency[held]) >= -1e-5 * latency[held][1:])
                each = (result.value / batch)[held]
                assert np.all(np.diff(each) <= 1e-5 * each[1:])
