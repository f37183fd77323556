"""What do the elasticities of a sweep's winners cost, beside the sweep that found them?

    python -m benchmarks.sensitivity --json benchmarks/sensitivity/results.json [--most 1e9]

The best design of every workload of a grid, by the fastest form of sweep, for decode alone and for
the three phases of a plan; then elasticities of rate, latencies, memory and flows of all winners
with respect to every input, at once. Compiling and tracing are timed apart.
"""

import argparse
import json
import platform
import subprocess
import time
from pathlib import Path

import jax
import numpy as np

from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import LEAF
from jaxsim.space.designs import PHASES
from jaxsim.space.sensitivity_reverse import slopes_of
from jaxsim.space.stream import stream_best

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
# Phases swept together, and workloads (isl × osl) of each size.
CASES = {
    "plan: prefill, decode, co-located": (
        {"prefill": 1, "decode": 1, "colocated": 1}, ((6, 6), (16, 17)),
    ),
    "decode alone": ({"decode": 1}, ((9, 8), (27, 27), (82, 81))),
}  # fmt: skip
# The sweeps that are measured at most once are those that last longer than this.
LONG_S = 20.0


def axes_of(phase: str, isl: int, osl: int, alone: bool):
    """Designs on up to 64 GPUs a stage, and isl × osl workloads.

    Alone, decode has 512 batches; in a plan all phases have what plans have by default, finer.
    """
    values = {
        "isl": np.geomspace(1024, 32768, isl).round(),
        "osl": np.geomspace(128, 4096, osl).round(),
        "tp": 2.0 ** np.arange(7),
        "ep": 2.0 ** np.arange(7),
        "pp": 2.0 ** np.arange(6),
        "chunk": 2.0 ** np.arange(6, 6 + 16 / 2, 0.5).round(),
        "batch": 32.0 * np.arange(1, 513) if alone else np.unique(np.geomspace(1, 16384, 128) // 1),
    }
    unused = {"prefill": {"osl"}, "decode": {"chunk"}, "colocated": set()}[phase]
    return [
        (name, LEAF[name], np.asarray(np.unique(v), np.float32))
        for name, v in values.items()
        if name not in unused
    ]


def timed(call) -> tuple[float, float]:
    """Seconds of a run, and how much longer the first one took."""
    started = time.perf_counter()
    call()
    first = time.perf_counter() - started
    found = []
    for _ in range(1 if first > LONG_S else 3):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return min(found), max(first - min(found), 0.0)


def commit() -> str | None:
    """What was measured, if this is a checkout."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    got = subprocess.run(asked, capture_output=True, text=True, check=False)
    return got.stdout.strip() or None


def winners(axes, best):
    """The best design of every workload that has one, as a list of points on the axes."""
    found = np.asarray(best.found)
    groups = [axis for axis in axes if axis[0] in ("isl", "osl")]
    grids = np.meshgrid(*(values for _, _, values in groups), indexing="ij")
    flat = found.reshape(-1)
    columns = {name: grid.ravel()[flat] for (name, _, _), grid in zip(groups, grids, strict=True)}
    for name, _, values in axes[len(groups) :]:
        columns[name] = values[np.asarray(best.index[name]).reshape(-1)[flat]]
    return [(name, where, np.asarray(columns[name], float)) for name, where, _ in axes]


def measure(most: float, keep) -> None:
    """A row for every sweep, and one for the elasticities of its winners, kept as they come."""
    setup = setup_of("deepseek-r1", "gb200-nvl72", engine="trtllm")
    scenario = setup.scenario(Workload(isl=8192.0, osl=1024.0))
    point = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), scenario)
    rows = []
    for name, (phases, sizes) in CASES.items():
        for isl, osl in sizes:
            axes = {phase: axes_of(phase, isl, osl, len(phases) == 1) for phase in phases}
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

            seconds, compiling = timed(sweep)
            listed = {phase: winners(own, best[phase]) for phase, own in axes.items()}

            def elasticities(listed=listed):
                return [
                    slopes_of(PHASES[phase], scenario, own, OUTPUTS[phase])
                    for phase, own in listed.items()
                ]

            own, tracing = timed(elasticities)
            found = elasticities()
            assert all(
                np.isfinite(slope).all()
                for one in found
                for slopes in one.slopes.values()
                for slope in slopes.values()
            )
            count = sum(len(own[0][2]) for own in listed.values())
            inputs = len(found[0].numbers)
            label = f"{name}; {isl} x {osl} workloads"
            rows.append(row(label, "sweep", points, seconds, compiling))
            rows.append(
                row(label, f"elasticities of {count} winners by {inputs} inputs", count, own,
                    tracing)
                | {"seconds_over_sweep": own / seconds, "sweep_points": points}
            )  # fmt: skip
            print(
                f"{label:58} {points:9.3g} points {seconds:8.3f} s; {count:5} winners {own:7.4f} s"
                f"  {own / seconds:7.2%}", flush=True,
            )  # fmt: skip
            keep(rows)


def row(name: str, form: str, points: int, seconds: float, compile_s: float) -> dict:
    """One measurement."""
    return {
        "name": name, "form": form, "points": points, "seconds": seconds,
        "points_per_s": points / seconds, "compile_s": compile_s,
        "ratio_to_numpy": None, "fraction_of_limit": None, "commit": commit(),
        "device": f"{jax.devices()[0].platform}, {platform.machine()}",
        "versions": {"python": platform.python_version(), "numpy": np.__version__,
                     "jax": jax.__version__},
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
