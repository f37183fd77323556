"""`jaxsim sweep`: a design-space tensor, larger than memory if need be, as one labelled store."""

import argparse
import re
import sys
import time

from jaxsim._progress import Counted, tell
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import device, options, parse
from jaxsim.view.cli.help_text import Help

DESCRIPTION = """\
Evaluate every design of a space for every workload, and write one Zarr store that xarray opens.
Blocks are written as they are done: kill it at any moment and go on with --resume. With --shard,
several processes fill one store, each its part. With --best, nothing is kept but the best designs
of every workload, so that a grid of 10^9 designs and more fits: the result is a NetCDF file."""

EPILOG = """\
examples:
  jaxsim sweep space.yaml -o space.zarr
  jaxsim sweep space.yaml -o space.zarr --resume
  jaxsim sweep space.yaml -o space.zarr --shard 2/8 --resume     # one of eight jobs
  jaxsim sweep space.yaml -o best.nc --best 3 --ttl 20ms,50ms --ftl 5s
  python -c "import xarray; print(xarray.open_datatree('space.zarr', engine='zarr'))"

space.yaml:
  model: deepseek-r1
  hardware: gb200-nvl72
  workload: {isl: [1024, 4096, 16384], osl: [256, 1024, 4096]}
  space: {pp: [1, 2, 4]}        # optional: axes left out get their default
"""


def add_parser(subparsers: options.Verbs) -> None:
    """The options of `jaxsim sweep`."""
    parser = subparsers.add_parser(
        "sweep",
        help="every design for many workloads, as one Zarr store",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
    )
    parser.add_argument("config", metavar="CONFIG.yaml", help="what to sweep: see below")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="STORE.zarr",
        help="the store, or the file of --best",
    )
    parser.add_argument(
        "--shard", default="1/1", metavar="I/N", help="do only part I of N, counted from 1"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a store that exists")
    parser.add_argument(
        "--best", metavar="K", help="keep the K best designs of every workload, as NetCDF"
    )
    parser.add_argument(
        "--ttl", "--tpot", metavar="T,…", help="with --best: TTL targets, best designs for each"
    )
    parser.add_argument(
        "--ftl", "--ttft", metavar="T,…", help="with --best: FTL targets; co-located, the first"
    )
    device.add_option(parser)
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="take no more than this, such as 2GB: a new store has smaller blocks for it",
    )
    options.add_format(parser)
    parser.set_defaults(run=run)


def parse_shard(text: str) -> tuple[int, int]:
    """(i, n) of "i/n", with 1 <= i <= n."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"--shard {text!r}: give I/N with 1 <= I <= N, for example 2/8.")
    return int(match[1]), int(match[2])


def run(args: argparse.Namespace) -> int:
    """Fill the store."""
    shard = parse_shard(args.shard)
    if args.best is not None:
        return run_best(args, shard)
    if args.ttl or args.ftl:
        raise InputError("--ttl and --ftl go with --best: a store keeps all designs.")
    from pathlib import Path

    from jaxsim.view.cli.cache import start_jax

    start_jax()
    from jaxsim.space.program import process_memory
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.atomic import naming
    from jaxsim.view.files.store import Block, open_store, run_blocks
    from jaxsim.view.files.store_left import filling
    from jaxsim.view.files.store_pending import designs_of, mend_axes, pending
    from jaxsim.view.files.sweep_config import read_sweep

    config = read_sweep(Path(args.config))
    if args.memory is not None:
        process_memory.allow(parse.parse_bytes(args.memory, "--memory"))
    # Writing takes longer than evaluating: a GPU pays only for those who ask for it.
    device.use(args.device, 0.0)
    path = Path(args.output)
    with naming(path):
        config, root = open_store(config, path, args.resume or shard[1] > 1)
        with filling(path):
            if mended := mend_axes(root, config):
                print(
                    f"jaxsim: {path}: {', '.join(mended)} are missing or not as they were written; "
                    "they are written again. Look at the disk that holds it.",
                    file=sys.stderr,
                )
            damaged: list[Block] = []
            blocks = pending(root, config, shard, damaged.append)
            if damaged:
                print(
                    f"jaxsim: {path}: {len(damaged)} finished blocks are not as they were written; "
                    "they are computed again. Look at the disk that holds it.",
                    file=sys.stderr,
                )
            started, points = time.perf_counter(), 0
            total = sum(designs_of(config, block) for block in blocks)
            with working("starting"):
                tell(Counted("sweeping", 0, total, "designs"))
                for size in run_blocks(root, config, blocks):
                    points += size
                    tell(Counted("sweeping", points, total, "designs"))
    elapsed = time.perf_counter() - started
    if args.format == "json":
        import json

        print(
            json.dumps(
                {
                    "store": str(path),
                    "formats": config.setup.formats,
                    "points_evaluated": points,
                    "blocks": len(blocks),
                    "elapsed_s": elapsed,
                }
            )
        )
    elif blocks:
        print(f"{path}: {points:,} designs in {len(blocks)} blocks, {elapsed:.1f} s.")
        from jaxsim.view.text.layout import page_for, wrap

        page = page_for(sys.stdout)
        print("\n".join(line for note in config.setup.notes for line in wrap(note, page)))
    else:
        print(f"{path}: nothing left to do for shard {args.shard}.")
    return 0


def run_best(args: argparse.Namespace, shard: tuple[int, int]) -> int:
    """Search the space, and write the best designs of every phase."""
    if shard != (1, 1) or args.resume:
        raise InputError("--best keeps no store: leave out --shard and --resume.")
    best = parse.parse_whole(args.best, "--best")
    ttl = options.targets(args.ttl, "--ttl", options.BARE_TTL_BELOW_S)
    ftl = options.targets(args.ftl, "--ftl", options.BARE_FTL_BELOW_S)
    from pathlib import Path

    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.files.atomic import output_file, replace_netcdf

    path = output_file(Path(args.output), [".nc"])
    start_jax()
    import xarray as xr

    from jaxsim.api.search import SearchRequest, searched
    from jaxsim.space.axes import designs_in
    from jaxsim.space.program import process_memory
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.run_text import run_text
    from jaxsim.view.files.sweep_config import read_sweep

    if args.memory is not None:
        process_memory.allow(parse.parse_bytes(args.memory, "--memory"))
    config = read_sweep(Path(args.config))
    cases = len(config.isl) * len(config.osl)
    designs = sum(designs_in(config.space, phase) for phase in config.phases)
    machine = device.use(args.device, float(cases) * designs * max(len(ttl), len(ftl)))
    started, by_phase = time.perf_counter(), {}
    with working("starting"):
        for phase in config.phases:
            tell(f"searching {phase} on {machine}")
            targets_s = ftl if phase == "prefill" else ttl
            request = SearchRequest(config.workload, phase, targets_s, ftl_s=ftl[0], count=best)
            by_phase[phase] = searched(
                request, [config.setup], config.space, config.isl, config.osl
            )
    elapsed = time.perf_counter() - started
    tree = xr.DataTree.from_dict({f"/{phase}": dataset for phase, dataset in by_phase.items()})
    run_options = config.run_options(best=args.best, ttl=args.ttl, ftl=args.ftl)
    tree.attrs["run"] = run_text(run_options)
    replace_netcdf(path, tree)
    points = sum(int(dataset.attrs["points_evaluated"]) for dataset in by_phase.values())
    if args.format == "json":
        import json

        print(
            json.dumps(
                {
                    "file": str(path),
                    "points_evaluated": points,
                    "elapsed_s": elapsed,
                    "device": machine,
                }
            )
        )
    else:
        print(f"{path}: the best of {points:,} designs, {elapsed:.1f} s on {machine}.")
    return 0
