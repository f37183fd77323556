"""`jaxsim sweep`: a design-space tensor, larger than memory if need be, as one labelled store."""

import argparse
import re
import sys
import time

from jaxsim.catalog.errors import InputError
from jaxsim.view import options

DESCRIPTION = """\
Evaluate every design of a space for every workload, and write one Zarr store that xarray opens.
Blocks are written as they are done: kill it at any moment and go on with --resume. With --shard,
several processes fill one store, each its part."""

EPILOG = """\
examples:
  jaxsim sweep space.yaml -o space.zarr
  jaxsim sweep space.yaml -o space.zarr --resume
  jaxsim sweep space.yaml -o space.zarr --shard 2/8 --resume     # one of eight jobs
  python -c "import xarray; print(xarray.open_datatree('space.zarr', engine='zarr'))"

space.yaml:
  model: deepseek-r1
  hardware: gb200-nvl72
  workload: {isl: [1024, 4096, 16384], osl: [256, 1024, 4096]}
  space: {pp: [1, 2, 4]}        # optional: axes left out get their default
"""


def add_parser(subparsers) -> None:
    """The options of `jaxsim sweep`."""
    parser = subparsers.add_parser(
        "sweep",
        help="every design for many workloads, as one Zarr store",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG.yaml", help="what to sweep: see below")
    parser.add_argument("-o", "--output", required=True, metavar="STORE.zarr", help="the store")
    parser.add_argument(
        "--shard", default="1/1", metavar="I/N", help="do only part I of N, counted from 1"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a store that exists")
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
    from pathlib import Path

    from jaxsim.view.store import open_store, pending, run_blocks
    from jaxsim.view.sweep_config import read_sweep

    config = read_sweep(Path(args.config))
    path = Path(args.output)
    root = open_store(config, path, args.resume or shard[1] > 1)
    blocks = pending(root, config, shard)
    started, points = time.perf_counter(), 0
    live = sys.stderr.isatty()
    for count, size in enumerate(run_blocks(root, config, blocks, lambda *_: None), 1):
        points += size
        if live:
            spent = time.perf_counter() - started
            left = spent / count * (len(blocks) - count)
            bar = "█" * (30 * count // len(blocks))
            sys.stderr.write(
                f"\r\033[K{bar:<30} {count}/{len(blocks)} blocks, "
                f"{points / spent / 1e6:.2f} M designs/s, {left:.0f} s left"
            )
            sys.stderr.flush()
    if live and blocks:
        sys.stderr.write("\r\033[K")
    elapsed = time.perf_counter() - started
    if args.format == "json":
        import json

        print(
            json.dumps(
                {
                    "store": str(path),
                    "points_evaluated": points,
                    "blocks": len(blocks),
                    "elapsed_s": elapsed,
                }
            )
        )
    elif blocks:
        print(f"{path}: {points:,} designs in {len(blocks)} blocks, {elapsed:.1f} s.")
    else:
        print(f"{path}: nothing left to do for shard {args.shard}.")
    return 0
