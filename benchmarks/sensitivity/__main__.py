"""What do the elasticities of a sweep's winners cost, beside the sweep that found them?

    python -m benchmarks.sensitivity --json benchmarks/sensitivity/results.json [--most 1e9]

The best design of every workload of a grid, by the fastest form of sweep, for the three phases of a
plan; then derivatives of rate, latencies, memory and flows of all winners by every input, at once,
and the elasticities of throughput that follow. Compiling and tracing are timed apart.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.speed.machine import description
from jaxsim._record import replace_leaf
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import LEAF
from jaxsim.space.designs import PHASES
from jaxsim.space.gradient.derivative import slopes_of
from jaxsim.space.grid.best import stream_best
from jaxsim.space.sensitivity.elasticity import limits_of, pool_slopes
from jaxsim.space.sensitivity.plan_levers import batch_step

# Outputs that elasticities at an optimum need, what is maximised, and what must hold.
OUTPUTS = {
    "prefill": ("requests_per_s", "ftl_s", "total_bytes", "kv_link_frac"),
    "decode": ("requests_per_s", "ttl_s", "total_bytes", "kv_ingress_bytes_per_s_per_gpu"),
    "colocated": (
        "ifb_output_tokens_per_s_per_gpu", "ifb_ftl_s", "ifb_ttl_s", "total_bytes",
    ),
}  # fmt: skip
OBJECTIVE = {
    "prefill": lambda outputs: outputs.requests_per_s / outputs.gpus,
    "decode": "output_tokens_per_s_per_gpu",
    "colocated": "ifb.output_tokens_per_s_per_gpu",
}
VALID = {
    "prefill": lambda outputs: outputs.valid & (outputs.ftl_s <= 5.0),
    "decode": lambda outputs: outputs.valid & (outputs.ttl_s <= 0.05),
    "colocated": lambda outputs: (
        outputs.ifb.valid & (outputs.ifb.ttl_s <= 0.05) & (outputs.ifb.ftl_s <= 5.0)
    ),
}
LIMITS: dict[str, dict[str, Any]] = {
    "prefill": {"ftl_s": 5.0}, "decode": {"ttl_s": 0.05},
    "colocated": {"ftl_s": 5.0, "ttl_s": 0.05},
}  # fmt: skip
MODE = {"prefill": "", "decode": "", "colocated": "ifb"}
# Workloads (isl × osl) of each size: 10⁷, 10⁸ and 10⁹ grid points, about.
SIZES = ((6, 6), (16, 17), (28, 29), (56, 56))
# What is measured at most once more is what lasts longer than this.
LONG_S = 20.0
# Runs of what does not.
RUNS = 7


def axes_of(phase: str, isl: int, osl: int):
    """Designs on up to 64 GPUs a stage as in plans, finer, and isl × osl workloads."""
    values = {
        "isl": np.geomspace(1024, 32768, isl).round(),
        "osl": np.geomspace(128, 4096, osl).round(),
        "tp": 2.0 ** np.arange(7),
        "ep": 2.0 ** np.arange(7),
        "pp": 2.0 ** np.arange(6),
        "chunk": 2.0 ** np.arange(6, 6 + 16 / 2, 0.5).round(),
        "batch": np.unique(np.geomspace(1, 16384, 128) // 1),
    }
    unused = {"prefill": {"osl"}, "decode": {"chunk"}, "colocated": set()}[phase]
    return [
        (name, LEAF[name], np.asarray(np.unique(v), np.float32))
        for name, v in values.items()
        if name not in unused
    ]


class Taken(NamedTuple):
    """Seconds by the wall and by all CPUs of the fastest run; how much longer the first took."""

    wall_s: float
    cpu_s: float
    first_s: float


def timed(call) -> Taken:
    """How long a call takes once everything is compiled and traced."""
    result = []
    while len(result) < (2 if result and result[0][0] > LONG_S else 1 + RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        result.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = min(result[1:])
    return Taken(wall, cpu, max(result[0][0] - wall, 0.0))


def winners(axes, best):
    """The best design of every workload that has one, as a list of points on the axes."""
    result = np.asarray(best.found)
    groups = [axis for axis in axes if axis[0] in ("isl", "osl")]
    grids = np.meshgrid(*(values for _, _, values in groups), indexing="ij")
    flat = result.reshape(-1)
    columns = {name: grid.ravel()[flat] for (name, _, _), grid in zip(groups, grids, strict=True)}
    for name, _, values in axes[len(groups) :]:
        columns[name] = values[np.asarray(best.index[name]).reshape(-1)[flat]]
    return [(name, where, np.asarray(columns[name], float)) for name, where, _ in axes]


def elasticities_of(phase: str, scenario, listed, axes):
    """Elasticities of throughput at the winners by every input, limits taken into account."""
    columns = {name: values for name, _, values in listed}
    count = len(columns["isl"])
    lengths = columns["isl"], columns.get("osl", np.full(count, 1024.0))
    own = replace_leaf(lambda s: (s.workload.isl, s.workload.osl), scenario, lengths)
    names = ("tp", "ep", "pp", "batch", "chunk")
    designs = Deployment(*(columns.get(name, np.ones(count)) for name in names))
    batches = next(values for name, _, values in axes if name == "batch")
    step = batch_step(batches, columns["batch"])
    limits = limits_of(phase, own, mode=MODE[phase], **LIMITS[phase])
    return pool_slopes(phase, own, designs, limits, mode=MODE[phase], step=step)


def measure(most: float, keep) -> None:
    """A row for every sweep, and for derivatives and elasticities of its winners, as they come."""
    setup = setup_of("deepseek-r1", "gb200-nvl72", engine="trtllm")
    scenario = setup.scenario(Workload(isl=8192.0, osl=1024.0))
    point = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), scenario)
    rows = []
    for isl, osl in SIZES:
        axes = {phase: axes_of(phase, isl, osl) for phase in PHASES}
        points = sum(int(np.prod([len(v) for _, _, v in own])) for own in axes.values())
        if points > most:
            continue
        best = {}

        def sweep(axes=axes, best=best):
            for phase, own in axes.items():
                groups = [n for n, _, _ in own if n in ("isl", "osl")]
                best[phase] = stream_best(
                    PHASES[phase], point, own, groups,
                    objective=OBJECTIVE[phase], valid=VALID[phase],
                )  # fmt: skip

        swept = timed(sweep)
        listed = {phase: winners(own, best[phase]) for phase, own in axes.items()}

        def derivatives(listed=listed):
            return [
                slopes_of(PHASES[phase], scenario, own, OUTPUTS[phase])
                for phase, own in listed.items()
            ]

        def elasticities(listed=listed, axes=axes):
            return [
                elasticities_of(phase, scenario, own, axes[phase]) for phase, own in listed.items()
            ]

        slopes, whole = timed(derivatives), timed(elasticities)
        every = [x for one in derivatives() for own in one.slopes.values() for x in own.values()]
        every += [slope for one in elasticities() for slope in one.by_input.values()]
        assert all(np.isfinite(slope).all() for slope in every)
        count = sum(len(own[0][2]) for own in listed.values())
        inputs = len(jax.tree.leaves(scenario))
        name = f"plan: prefill, decode, co-located; {isl} x {osl} workloads"
        rows.append(row(name, "sweep", points, swept))
        for form, taken in (("derivatives of four outputs", slopes), ("elasticities", whole)):
            rows.append(
                row(name, f"{form}, {count} winners by {inputs} inputs", count, taken)
                | {"wall_over_sweep": taken.wall_s / swept.wall_s,
                   "cpu_over_sweep": taken.cpu_s / swept.cpu_s, "sweep_points": points}
            )  # fmt: skip
        print(
            f"{points:9.3g} points: wall {swept.wall_s:.3f} s, CPU {swept.cpu_s:.3f} s; "
            f"{count} winners: "
            + "; ".join(
                f"{form} {taken.wall_s:.4f} s ({taken.wall_s / swept.wall_s:.2%}), "
                f"CPU {taken.cpu_s:.4f} s ({taken.cpu_s / swept.cpu_s:.2%}), "
                f"first {taken.first_s:.2f} s more"
                for form, taken in (("derivatives", slopes), ("elasticities", whole))
            ), flush=True,
        )  # fmt: skip
        keep(rows)


def row(name: str, form: str, points: int, taken: Taken) -> dict:
    """One measurement."""
    return {
        "name": name, "form": form, "points": points, "seconds": taken.wall_s,
        "cpu_seconds": taken.cpu_s, "points_per_s": points / taken.wall_s,
        "compile_s": taken.first_s, "ratio_to_numpy": None, "fraction_of_limit": None,
        "load_average": os.getloadavg()[0], **description(),
    }  # fmt: skip


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--most", type=float, default=2e9, help="grid points of the largest sweep")
    args = parser.parse_args()

    def keep(rows: list[dict]) -> None:
        if args.json is not None:
            args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

    measure(args.most, keep)


if __name__ == "__main__":
    main()
