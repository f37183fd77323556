"""What do the elasticities of a sweep's winners cost, beside the sweep that found them?

    python -m benchmarks.sensitivity --json benchmarks/sensitivity.json

The best decode design of every workload of a grid, by the fastest form of sweep; then elasticities
of its rate, latency and memory with respect to every input, for all winners at once.
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
from jaxsim.point.phases.decode import decode
from jaxsim.space.axes import LEAF
from jaxsim.space.sensitivity_reverse import slopes_of
from jaxsim.space.stream import stream_best

OUTPUTS = ("requests_per_s", "ttl_s", "total_bytes", "kv_ingress_bytes_per_s_per_gpu")
WORKLOADS = ((4, 4),)
BATCHES = 4096
REPEATS = 2


def axes_of(isl: int, osl: int):
    """Designs on up to 64 GPUs a stage, every fourth batch, and isl × osl workloads."""
    values = {
        "isl": np.geomspace(1024, 32768, isl).round(),
        "osl": np.geomspace(128, 4096, osl).round(),
        "tp": 2.0 ** np.arange(7),
        "ep": 2.0 ** np.arange(7),
        "pp": 2.0 ** np.arange(6),
        "batch": 4.0 * np.arange(1, BATCHES + 1),
    }
    return [(name, LEAF[name], np.asarray(v, np.float32)) for name, v in values.items()]


def least_seconds(call) -> float:
    """The least of some runs, the first of which is not counted."""
    call()
    found = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return min(found)


def commit() -> str | None:
    """What was measured, if this is a checkout."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    got = subprocess.run(asked, capture_output=True, text=True, check=False)
    return got.stdout.strip() or None


def measure() -> list[dict]:
    """A row for every sweep, and one for the elasticities of its winners."""
    setup = setup_of("deepseek-r1", "gb200-nvl72", engine="trtllm")
    scenario = setup.scenario(Workload(isl=8192.0, osl=1024.0))
    point = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), scenario)
    rows = []
    for isl, osl in WORKLOADS:
        axes = axes_of(isl, osl)

        def sweep(axes=axes):
            return stream_best(
                decode, point, axes, ("isl", "osl"),
                objective="output_tokens_per_s_per_gpu", valid=best_valid,
            )  # fmt: skip

        started = time.perf_counter()
        best = sweep()
        first = time.perf_counter() - started
        seconds = least_seconds(sweep)
        listed = winners(axes, best)

        def elasticities(listed=listed):
            return slopes_of(decode, scenario, listed, OUTPUTS)

        own = least_seconds(elasticities)
        found = elasticities()
        inputs = len(found.numbers)
        assert all(np.isfinite(s).all() for o in found.slopes.values() for s in o.values())
        name = f"decode, {isl} x {osl} workloads"
        rows.append(row(name, "sweep", best.points, seconds, first - seconds))
        rows.append(
            row(name, f"elasticities, {len(OUTPUTS)} outputs, {inputs} inputs", isl * osl, own, 0.0)
            | {"seconds_over_sweep": own / seconds, "sweep_points": best.points}
        )
    return rows


def best_valid(outputs):
    """Designs that obey every rule and give a token within 50 ms."""
    return outputs.valid & (outputs.ttl_s <= 0.05)


def winners(axes, best):
    """The best design of every workload that has one, as a list of points on the axes."""
    found = np.asarray(best.found).reshape(-1)
    isl, osl = np.meshgrid(axes[0][2], axes[1][2], indexing="ij")
    columns = {"isl": isl.ravel()[found], "osl": osl.ravel()[found]}
    for name, _, values in axes[2:]:
        columns[name] = values[np.asarray(best.index[name]).reshape(-1)[found]]
    return [(name, where, np.asarray(columns[name], float)) for name, where, _ in axes]


def row(name: str, form: str, points: int, seconds: float, compile_s: float) -> dict:
    """One measurement."""
    return {
        "name": name, "form": form, "points": points, "seconds": seconds,
        "points_per_s": points / seconds, "compile_s": max(compile_s, 0.0),
        "ratio_to_numpy": None, "fraction_of_limit": None, "commit": commit(),
        "device": f"{jax.devices()[0].platform}, {platform.machine()}",
        "versions": {"python": platform.python_version(), "numpy": np.__version__,
                     "jax": jax.__version__},
    }  # fmt: skip


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = measure()
    for one in rows:
        share = one.get("seconds_over_sweep")
        tail = "" if share is None else f"  {share:.1%} of the sweep of {one['sweep_points']:.3g}"
        print(f"{one['name']:32} {one['form'][:40]:40} {one['seconds']:8.3f} s{tail}")
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
