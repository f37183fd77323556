"""What does XLA make of every block for a GPU that is not there?

    python -m benchmarks.gpu.deviceless [--points 1e9] [--chips h200,b200] [--json FILE]

Needs `pip install --no-deps jax-cuda13-plugin==V jax-cuda13-pjrt==V` with V the version of jaxlib;
no driver and no toolkit. Counts are facts of that compiler; seconds are a model of them: the larger
of bytes over the bandwidth and launches times their cost, and a wait for each conditional.
"""

import argparse
import json
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

# Before JAX is imported: the plugin is to be loaded though there is no device.
os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu,cuda"

# A launch from the host, and a wait of the host for the device: orders of magnitude, to compare
# programs with one another (measured on other GPUs; `benchmarks/gpu.sh` measures them).
LAUNCH_S, WAIT_S = 2.5e-6, 12e-6
BYTES_PER_S = {"h200": 4.8e12, "b200": 8.0e12}  # datasheets

# A few do on an H200, so that they are not compiled twice to see it: those of a frontier, which
# sort, of co-located extremes, and one of prefill's stages (8 bytes, by `ptxas -v`).
SPILL = ("frontier", "extremes", "stages")
SEARCHES = ("best", "top", "extremes", "frontier")
FORMS = {
    name: (*SEARCHES, "best-8", "stages", "stages-8") for name in ("decode", "prefill", "colocated")
}


def searched(case, form: str, axes, devices):
    """The grid of a search on a device, and what it keeps of a block."""
    from benchmarks.speed.cases import GROUPS
    from jaxsim.space.grid import best, extremes, frontier
    from jaxsim.space.grid.blocks import Grid
    from jaxsim.space.grid.frontier_step import Undominated

    def grid_of(wanted):
        return Grid.of(wanted, case.point, axes, GROUPS, None, None, tuple(devices))

    if form in ("best", "top"):
        grid = grid_of(best.Objective(case.fn, case.objective, case.valid, 1.0))
        return grid, best.BestOfBlock(1 if form == "best" else 10, grid.step, grid.in_turn)
    if form == "extremes":
        grid = grid_of(extremes.Outputs(case.fn, tuple(case.outputs), case.valid))
        return grid, extremes.ExtremesOfBlock(len(case.outputs), grid.step)
    grid = grid_of(frontier.Pair(case.fn, case.latency, case.objective, case.valid))
    rows, points = frontier.first_counts(grid.step_size)
    return grid, Undominated(rows, points, False, grid.in_turn, grid.step)


def compiled(grid, reducer, devices, form: str) -> tuple[str, bool]:
    """`built` of a block, for a device or for one block on each of several."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from jaxsim.space.grid.block_run import run_block, run_blocks

    nest, part = grid.first_block()
    mesh, several = Mesh(np.array(devices), ("device",)), len(devices) > 1
    apart = tuple(several and bool(grid.cut_axes(x)) for x in nest.given)

    def there(x, cut=False):
        spec = PartitionSpec("device") if cut else PartitionSpec()
        shape = (len(devices), *x.shape) if cut else x.shape
        return jax.ShapeDtypeStruct(shape, x.dtype, sharding=NamedSharding(mesh, spec))

    shapes = [there(x, cut) for x, cut in zip(part, apart, strict=True)]
    flag = there(np.True_)
    if several:
        lowered = run_blocks.lower(nest, reducer, mesh, apart, shapes, flag)
    else:
        lowered = run_block.lower(nest, reducer, shapes, flag)
    return built(lowered, form)


def built(lowered, form: str) -> tuple[str, bool]:
    """The optimised text of a program, and whether a kernel keeps values outside of registers.

    XLA stops at the first kernel that does, so such a program is compiled once more.
    """
    kept = {"xla_gpu_fail_ptx_compilation_on_register_spilling": True}
    if form in SPILL:
        return lowered.compile().as_text() or "", True
    try:
        return lowered.compile(kept).as_text() or "", False
    except Exception as error:
        if "register spilling" not in str(error):
            raise
        return lowered.compile().as_text() or "", True


def row_of(name: str, form: str, points: float, chip: str) -> dict:
    """Counts of one block, on each of the devices, and of the whole grid."""
    from benchmarks.gpu.hlo import counts_of
    from benchmarks.gpu.targets import devices
    from benchmarks.speed.cases import case

    kind, _, count = form.partition("-")
    targets = devices(chip, int(count or 1))
    one = case(name)
    grid, reducer = searched(one, kind, one.grid(points), targets)
    text, spills = compiled(grid, reducer, targets, kind)
    counts = counts_of(text)
    blocks, steps = -(-grid.block_count // len(targets)), grid.steps
    busy_s = max(counts.bytes / BYTES_PER_S[chip], counts.launches * LAUNCH_S)
    return {
        "name": name, "form": form, "chip": chip, "devices": len(targets), "points": grid.points,
        "blocks": blocks, "steps": steps, "step_points": grid.step_points,
        "launches": counts.launches, "launches_per_step": counts.launches / steps,
        "conditionals": counts.conditionals, "dynamic_loops": counts.dynamic_loops,
        "bytes": counts.bytes, "bytes_per_point": counts.bytes / (steps * grid.step_points),
        "spills": spills,
        "ceil_or_floor": bool({"ceil", "floor"} & counts.kinds),
        "messages": sorted(k for k in counts.kinds if k.startswith(("all-", "collective"))),
        "modelled_s": blocks * (busy_s + counts.conditionals * WAIT_S),
    }  # fmt: skip


def stages_row(name: str, points: float, chip: str, count: int = 1) -> dict:
    """Counts of what materialises every output, on each of `count` devices with their own ISL."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding

    from benchmarks.gpu.hlo import counts_of
    from benchmarks.gpu.targets import devices
    from benchmarks.speed.cases import case
    from jaxsim.space.grid.split import Spread, local_stages, reads_of, run_stages, split
    from jaxsim.space.program.host import HOST_POINTS

    one = case(name)
    axes = one.grid(points)
    isl, where, values = axes[0]
    values = np.asarray(values)
    axes[0] = (isl, where, np.pad(values, (0, -len(values) % count), "edge"))
    mesh = Mesh(np.array(devices(chip, count)), ("devices",))
    staged = split(one.fn, one.point, axes, host_points=HOST_POINTS)

    spread = Spread(mesh, 0)
    stages = local_stages(staged.stages, spread)

    def there(number, value):
        sharding = NamedSharding(mesh, spread.spec(staged.program.dims[number]))
        return jax.ShapeDtypeStruct(np.shape(value), np.asarray(value).dtype, sharding=sharding)

    given = tuple(there(x, staged.known[x]) for x in reads_of(stages))
    lowered = run_stages.lower(stages, spread, given, None)
    text, spills = built(lowered, "stages")
    counts = counts_of(text)
    known = {
        x: made
        for stage, results in zip(staged.stages, lowered.out_info, strict=True)
        for x, made in zip(stage.keeps, results, strict=True)
    }
    kept = {x for stage in staged.stages for x in stage.keeps}
    outputs = [known[x] for x in kept & set(map(_number, staged.program.outputs))]
    stored = sum(x.size * x.dtype.itemsize for x in outputs) / count
    return {
        "name": name, "form": "stages" if count == 1 else f"stages-{count}", "chip": chip,
        "devices": count, "points": staged.points,
        "launches": counts.launches, "bytes": counts.bytes, "stored_bytes": stored,
        "conditionals": counts.conditionals, "dynamic_loops": counts.dynamic_loops,
        "spills": spills,
        "messages": sorted(k for k in counts.kinds if k.startswith(("all-", "collective"))),
        "modelled_s": max(counts.bytes / BYTES_PER_S[chip], counts.launches * LAUNCH_S),
    }  # fmt: skip


def _number(atom) -> int:
    return atom if isinstance(atom, int) else -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=float, default=1e9)
    parser.add_argument("--chips", default="h200")
    what = "form, case:form or chip:case:form, with commas between them"
    parser.add_argument("--only", default="", help=what)
    parser.add_argument("--json")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    only = set(filter(None, args.only.split(",")))
    named = {one.rpartition(":")[2] for one in only}
    chips = args.chips.split(",")
    wanted = [
        (name, form, chip)
        for chip in chips
        for name, forms in FORMS.items()
        for form in forms
        # What several GPUs send is looked at in decode alone, unless it is named.
        if not form.endswith("-8") or (chip, name) == (chips[0], "decode") or form in named
        if not only or only & {form, f"{name}:{form}", f"{chip}:{name}:{form}"}
    ]

    def row(which):
        name, form, chip = which
        if form.startswith("stages"):
            count = int(form.partition("-")[2] or 1)
            result = stages_row(name, args.points, chip, count)
        else:
            result = row_of(name, form, args.points, chip)
        print(json.dumps(result), file=sys.stderr, flush=True)
        return result

    import jaxsim.space.search  # noqa: F401  (threads are not to import the same at once)
    from jaxsim._cores import cores

    with ThreadPoolExecutor(cores()) as pool:
        rows = list(pool.map(row, wanted))
    text = json.dumps(rows, indent=1)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
