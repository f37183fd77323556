"""What is a GPU asked first: is it right, how fast, what can it do, where does the time go?

    python -m benchmarks.gpu.session answers FILE.npz     everything that runs on a device
    python -m benchmarks.gpu.session compare A.npz B.npz  relative differences; status 1 beyond 1e-5
    python -m benchmarks.gpu.session measure FILE.json    speed, limits and kernels
    python -m benchmarks.gpu.session process FILE.json    a search from the start of a process

`--small` has the sizes of a rehearsal on a CPU; `--seconds` after which nothing new is begun.
`benchmarks/gpu.sh` runs all of it in ten minutes.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# What differs by no more is the same answer, computed in another order.
SAME = 1e-5
# A difference of two numbers has the error of what it is taken from.
TAKEN_FROM = {"over_bytes": "total_bytes"}
BEGUN = time.perf_counter()


def say(*parts) -> None:
    print(f"[{time.perf_counter() - BEGUN:6.1f} s]", *parts, file=sys.stderr, flush=True)


def searches(case, axes) -> dict:
    """Every search of a case over axes."""
    from benchmarks.speed.cases import GROUPS
    from jaxsim.space.grid.best import stream_best, stream_topk
    from jaxsim.space.grid.extremes import stream_extremes
    from jaxsim.space.grid.frontier import stream_frontier

    given = (case.fn, case.point, axes, GROUPS)
    best = {"objective": case.objective, "valid": case.valid}
    pair = {"x": case.latency, "y": case.objective, "valid": case.valid}
    return {
        "best": lambda: stream_best(*given, **best),
        "top": lambda: stream_topk(*given, count=5, **best),
        "extremes": lambda: stream_extremes(*given, outputs=case.outputs, valid=case.valid),
        "frontier": lambda: stream_frontier(*given, **pair),
    }


def results(path: str, small: bool) -> None:
    """Searches, all outputs of a grid, and a list of awkward points, saved as arrays."""
    import jax

    from benchmarks.speed.cases import case
    from jaxsim.space.grid.split import split
    from jaxsim.space.grid.sweep import flat
    from jaxsim.space.program.host import HOST_POINTS

    result: dict[str, np.ndarray] = {}

    def keep(name: str, tree) -> None:
        leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
        result.update({name + jax.tree_util.keystr(k): np.asarray(x) for k, x in leaves})
        say(name)

    for name in ("decode", "prefill", "colocated"):
        one = case(name)
        for form, run in searches(one, one.grid(2e5 if small else 2e7)).items():
            keep(f"{name} {form} ", run())
        axes = one.grid(1e5 if small else 4e6)
        keep(
            f"{name} stages ", split(one.fn, one.point, axes, host_points=HOST_POINTS).materialise()
        )
        if name == "decode":
            keep(f"{name} list ", _listed(one, flat, 1 << (12 if small else 16)))
    np.savez(path, allow_pickle=False, **result)


def _listed(one, flat, count: int):
    """Points one by one, of widths and lengths that are no powers of two: all on the device."""
    import jax

    rng = np.random.default_rng(1)
    widths = {"tp": [1, 2, 3, 4, 6, 8, 12], "ep": [1, 2, 3, 6, 12, 24, 72], "pp": [1, 2, 3, 5, 7]}

    def values(axis):
        drawn = rng.choice(widths[axis], count) if axis in widths else rng.uniform(1, 5000, count)
        return np.round(drawn).astype(np.float32)

    axes = [(axis, where, values(axis)) for axis, where, _ in one.grid(1)]

    def run(given):
        named = zip(axes, given, strict=True)
        return flat(one.fn, one.point, [(axis, where, x) for (axis, where, _), x in named])

    return jax.jit(run)([x for _, _, x in axes])


def compare(one: str, other: str) -> int:
    """The largest relative difference of each array; flags and places are counted."""
    a, b = np.load(one, allow_pickle=False), np.load(other, allow_pickle=False)
    worst = 0.0
    for name in a.files:
        x, y = a[name], b[name]
        if x.shape != y.shape:
            print(f"{name}: shapes {x.shape} and {y.shape}")
            worst = np.inf
        elif x.dtype.kind != "f":
            if (x != y).any():
                print(f"{name}: {np.mean(x != y):.3%} differ")
            if x.dtype.kind == "b" and np.mean(x != y) > SAME:
                worst = np.inf
        else:
            with np.errstate(all="ignore"):
                apart = np.abs(x - y) / np.maximum(np.abs(x), np.abs(y))
            own = name.rpartition(".")[2]
            difference = own in TAKEN_FROM
            if difference:
                apart = np.abs(x - y) / np.max(a[name.removesuffix(own) + TAKEN_FROM[own]])
            apart = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, apart)
            largest = float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0.0))
            # Differences of fractions from 0 are of the last bit of 1.
            near = not difference and np.allclose(x, y, rtol=SAME, atol=1e-6, equal_nan=True)
            if largest > SAME and not near:
                print(
                    f"{name}: up to {largest:.1e}, more than {SAME} in {np.mean(apart > SAME):.3%}"
                )
                worst = max(worst, largest)
    print(f"largest relative difference: {worst:.1e}")
    return int(worst > SAME)


def measure(path: str, small: bool, seconds: float) -> None:
    """Speed of every search, what the device can do, and the kernels of one search."""
    from benchmarks.speed import machine
    from benchmarks.speed.cases import case

    report = {**machine.description(), "limits": limits(small), "rows": [], "kernels": []}
    sizes = (1e5,) if small else (1e8, 1e9, 1e10, 1e11)
    # The forms with a goal first: what follows is left out where time is short.
    wanted = [("decode", "best", sizes[-1]), ("decode", "frontier", sizes[-1] / 100)]
    wanted += [("decode", form, n) for n in sizes[:2] for form in ("stages", "best")]
    wanted += [(name, "best", sizes[0]) for name in ("colocated", "prefill")]
    wanted += [(name, "stages", sizes[0]) for name in ("colocated", "prefill")]
    wanted += [("colocated", "frontier", sizes[0]), ("decode", "extremes", sizes[0])]
    wanted += [("decode", "best", sizes[-1] / 10), ("decode", "frontier", sizes[-1] / 10)]
    wanted += [("colocated", "best", sizes[-1] / 10)]
    for name, form, points in wanted:
        if time.perf_counter() - BEGUN > seconds:
            break
        one = case(name)
        axes = one.grid(points)
        try:
            first, again = _timed(
                stages(one, axes) if form == "stages" else searches(one, axes)[form]
            )
        except Exception as error:  # a limit of the device: the others are still measured
            report["rows"].append({"name": name, "form": form, "error": str(error)[:300]})
            continue
        covered = float(np.prod([len(x) for _, _, x in axes], dtype=float))
        row = {"name": name, "form": form, "points": covered, "seconds": again,
               "points_per_s": covered / again, "compile_s": max(first - again, 0.0)}  # fmt: skip
        report["rows"].append(row)
        say(row)
        _written(path, report)
    for name, form, points in (*wanted[:2], ("decode", "stages", sizes[-1] / 100)):
        one = case(name)
        axes = one.grid(points)
        run = stages(one, axes) if form == "stages" else searches(one, axes)[form]
        report["kernels"].append({"name": name, "form": form, "longest": kernels(run)})
        _written(path, report)


def stages(case, axes):
    """All outputs of a grid, left on the device, into memory that is used again."""
    import jax

    from jaxsim.space.grid.split import split
    from jaxsim.space.program.host import HOST_POINTS

    staged, kept = split(case.fn, case.point, axes, host_points=HOST_POINTS), [None]

    def run():
        kept[0] = jax.block_until_ready(staged.buffers(kept[0]))

    return run


def _timed(run, times: int = 3) -> tuple[float, float]:
    """Seconds of the first run, which compiles, and the median of the next."""
    each = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        run()
        each.append(time.perf_counter() - begin)
    return each[0], statistics.median(each[1:])


def limits(small: bool) -> dict:
    """Bytes and operations a second, seconds of a launch, and bytes a second from the device."""
    import jax
    import jax.numpy as jnp

    from benchmarks.speed import machine

    tiny, once = jnp.ones(8), jax.jit(lambda x: x + 1.0)
    many = 20 if small else 1000
    _, launched = _timed(lambda: [once(tiny) for _ in range(many)][-1].block_until_ready())
    _, waited = _timed(lambda: [once(tiny).block_until_ready() for _ in range(many)])
    large = jnp.ones(1 << (20 if small else 28), jnp.float32)
    _, back = _timed(lambda: np.asarray(large + 0.0))
    result = {
        "launch_s": launched / many,
        "launch_and_wait_s": waited / many,
        "bytes_to_host_per_s": large.nbytes / back,
    }
    if not small:
        result["copy_bytes_per_s"] = machine.copy_bytes_per_s()
        result["operations_per_s"] = machine.operations_per_s()
    return result


def kernels(run) -> list[dict]:
    """The kernels of one run that take longest, by JAX's profiler."""
    import gzip

    import jax

    run()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        totals: dict[str, list[float]] = {}
        for file in Path(folder).rglob("*.trace.json.gz"):
            events = json.loads(gzip.decompress(file.read_bytes())).get("traceEvents", [])
            lanes = {e["pid"]: e["args"]["name"] for e in events if e.get("name") == "process_name"}
            for event in events:
                if event.get("ph") == "X" and "device" in lanes.get(event["pid"], ""):
                    own = totals.setdefault(event["name"], [0.0, 0.0])
                    own[0] += 1
                    own[1] += event.get("dur", 0.0) * 1e-6
    longest = sorted(totals.items(), key=lambda item: -item[1][1])[:20]
    return [{"kernel": k, "launches": int(n), "seconds": s} for k, (n, s) in longest]


def processes(path: str, points: float) -> None:
    """Seconds from the start of a process to the best design of each workload, cold and warm."""
    from dataclasses import asdict

    from benchmarks.speed.process import process_forms

    rows = []
    for timing, gigabytes in process_forms("decode", points):
        rows.append({**asdict(timing), "gigabytes": gigabytes})
        say(timing.form, timing.seconds)
    Path(path).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _written(path: str, report: dict) -> None:
    Path(path).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("answers", "compare", "measure", "process"))
    parser.add_argument("files", nargs="+")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--points", type=float, default=1e11, help="of `process`")
    args = parser.parse_args()
    # The card is shared with other processes of this session.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if args.verb == "compare":
        return compare(*args.files)
    if args.verb == "process":
        processes(args.files[0], args.points)
    elif args.verb == "answers":
        results(args.files[0], args.small)
    else:
        measure(args.files[0], args.small, args.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
