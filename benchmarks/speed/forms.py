"""How many points a second does each form of evaluation cover?"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from benchmarks.speed.cases import GROUPS, Case, size
from benchmarks.speed.machine import best_of
from benchmarks.speed.plain import Plain
from jaxsim.space.grid.best import Objective, stream_best, stream_topk
from jaxsim.space.grid.extremes import stream_extremes
from jaxsim.space.grid.frontier import stream_frontier
from jaxsim.space.grid.pareto import pareto_front
from jaxsim.space.grid.split import split
from jaxsim.space.grid.sweep import flat, sweep
from jaxsim.space.program.host import HOST_POINTS
from jaxsim.space.program.inputs import axis_values, lengths_of
from jaxsim.space.program.trace import size as elements
from jaxsim.space.program.trace import trace


@dataclass(frozen=True)
class Timing:
    """One form on one grid: `operations` and `stored_bytes` say what the limit is compared with."""

    name: str
    form: str
    points: int
    seconds: float
    compile_s: float
    operations: float = 0.0
    stored_bytes: float = 0.0


def timed(run: Callable[[], Any], times: int = 3) -> tuple[float, float]:
    """Seconds of a run, and how much longer the first took: tracing and compiling."""
    begin = time.perf_counter()
    run()
    first = time.perf_counter() - begin
    best = best_of(run, 1 if first > 30 else times)
    return best, max(first - best, 0.0)


def operations_of(fn, case: Case, axes) -> float:
    """Operations that the engine has to do, each on the axes that it depends on."""
    program = trace(fn, case.point, axes)
    lengths = lengths_of(axis_values(axes))
    return float(sum(elements(program.dims[op.outputs[0]], lengths) for op in program.ops))


def plain_forms(case: Case) -> Iterator[Timing]:
    """Forms that share nothing or little between designs."""
    wanted = Objective(case.fn, case.objective, case.valid, 1.0)
    axes = case.grid(1e6)
    plain, best = Plain(case.fn, case.point, axes), Plain(wanted, case.point, axes)
    count = 200
    seconds, _ = timed(lambda: plain.python(count))
    yield Timing(case.name, "Python, a point at a time", count, seconds, 0.0)
    count = 20_000
    seconds, _ = timed(lambda: plain.numpy_flat(count))
    yield Timing(case.name, "NumPy, list of points", count, seconds, 0.0)
    small = case.grid(1)
    one = Plain(case.fn, case.point, small)
    seconds, _ = timed(one.numpy_broadcast)
    yield Timing(case.name, "NumPy, broadcast grid", size(small), seconds, 0.0)
    seconds, _ = timed(lambda: best.numpy_stages(len(GROUPS)), 1)
    yield Timing(case.name, "NumPy, two stages, best per workload", size(axes), seconds, 0.0)
    yield from numba_forms(case, best)


def numba_forms(case: Case, best: Plain) -> Iterator[Timing]:
    """numba over a list of points, if it is installed."""
    try:
        run = best.numba_flat(20_000)
        seconds, compiled = timed(run)
    except ImportError:
        return
    yield Timing(case.name, "numba, list of points, one output", 20_000, seconds, compiled)
    run = best.numba_loops(len(GROUPS))
    seconds, compiled = timed(run)
    points = size(best.axes_given)
    yield Timing(case.name, "numba, nested loops, best per workload", points, seconds, compiled)


def compiled_forms(case: Case) -> Iterator[Timing]:
    """The plain forms of the engine: what the stages are compared with."""
    axes = case.grid(1)
    mesh = np.meshgrid(*(v for _, _, v in axes), indexing="ij")
    listed = [jax.numpy.asarray(m.reshape(-1)[: 1 << 17], jax.numpy.float32) for m in mesh]
    columns = [jax.numpy.asarray(v, jax.numpy.float32) for _, _, v in axes]

    def on(values):  # as arguments: of constants the compiler would evaluate everything itself
        return [(n, w, v) for (n, w, _), v in zip(axes, values, strict=True)]

    run = jax.jit(lambda values: flat(case.fn, case.point, on(values)))
    seconds, compiled = timed(lambda: jax.block_until_ready(run(listed)))
    yield Timing(case.name, "flat vmap", listed[0].size, seconds, compiled)
    nested = jax.jit(lambda values: sweep(case.fn, case.point, on(values)))
    seconds, compiled = timed(lambda: jax.block_until_ready(nested(columns)))
    yield Timing(case.name, "nested vmap, all outputs on all dims", size(axes), seconds, compiled)


def materialised_forms(case: Case, points: float) -> Iterator[Timing]:
    """All outputs on natural dims, in stages, into fresh and into reused memory."""
    axes = case.grid(points)
    staged = split(case.fn, case.point, axes, host_points=HOST_POINTS)
    work = operations_of(case.fn, case, axes)
    state: dict[str, Any] = {"buffers": None}

    def fresh():
        state["buffers"] = jax.block_until_ready(staged.buffers())

    def reused():
        state["buffers"] = jax.block_until_ready(staged.buffers(state["buffers"]))

    seconds, compiled = timed(fresh)
    stored = sum(x.nbytes for stage in state["buffers"] for x in stage)
    name, count = case.name, staged.points
    yield Timing(name, "stages, all outputs, natural dims", count, seconds, compiled, work, stored)
    seconds, compiled = timed(reused, 5)
    form = "stages, all outputs, natural dims, reused memory"
    yield Timing(name, form, count, seconds, compiled, work, stored)


def streamed_forms(case: Case, points: float) -> Iterator[Timing]:
    """The grid reduced block by block."""
    axes = case.grid(points)
    count = size(axes)
    given = (case.fn, case.point, axes, GROUPS)
    wanted = Objective(case.fn, case.objective, case.valid, 1.0)
    work = operations_of(wanted, case, axes)
    best: dict[str, Any] = dict(objective=case.objective, valid=case.valid)
    pair: dict[str, Any] = dict(x=case.latency, y=case.objective, valid=case.valid)
    runs = {
        "stream, best per workload": lambda: stream_best(*given, **best),
        "stream, best 10 per workload": lambda: stream_topk(*given, count=10, **best),
        "stream, frontier per workload": lambda: stream_frontier(*given, **pair),
        f"stream, extremes of {len(case.outputs)} outputs": lambda: stream_extremes(
            *given, outputs=case.outputs, valid=case.valid
        ),
    }
    for form, run in runs.items():
        seconds, compiled = timed(run)
        yield Timing(case.name, form, count, seconds, compiled, work)


def frontier_forms(points: int = 10_000_000) -> Iterator[Timing]:
    """A frontier of points that are already there."""
    rng = np.random.default_rng(0)
    x = rng.random(points, dtype=np.float32) + np.float32(1e-3)
    y = np.sqrt(x) * rng.random(points, dtype=np.float32)
    x, y = jax.numpy.asarray(x), jax.numpy.asarray(y)
    seconds, compiled = timed(lambda: pareto_front(x, y))
    yield Timing("pareto", "frontier of given points", points, seconds, compiled)
