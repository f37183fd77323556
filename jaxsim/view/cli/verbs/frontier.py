"""`jaxsim frontier`: frontiers of swept stores, one for each workload."""

import argparse
from typing import TYPE_CHECKING

from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import options, parse
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    import xarray as xr

    from jaxsim.view.text.layout import Page

DESCRIPTION = """\
Rate-matched disaggregated and co-located frontiers of stores that `jaxsim sweep` wrote: for every
workload, the best throughput per GPU at a few token latencies with its 80 % interval, and the gain
of disaggregation."""

EPILOG = """\
examples:
  jaxsim frontier space.zarr --ftl 5s
  jaxsim frontier a.zarr b.zarr --ftl 2s --ttl 20ms,50ms,100ms -o frontiers.nc
"""


def add_parser(subparsers: options.Verbs) -> None:
    """The options of `jaxsim frontier`."""
    parser = subparsers.add_parser(
        "frontier",
        help="frontiers of swept stores",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
    )
    parser.add_argument("stores", nargs="+", metavar="STORE", help="stores of `jaxsim sweep`")
    parser.add_argument(
        "--ftl", "--ttft", required=True, metavar="T", help="FTL target of all designs, e.g. 5s"
    )
    parser.add_argument(
        "--ttl", "--tpot", default="10ms,20ms,50ms,100ms", metavar="T,…",
        help="token latencies of the table (default: 10ms,20ms,50ms,100ms)",
    )  # fmt: skip
    parser.add_argument(
        "--ttl-metric", choices=("mean", "median"), default="mean",
        help="the co-located gap between tokens: mean (default) or median",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE.nc", help="write the table as NetCDF")
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table, and write it to a file if one is named."""
    ftl_s = parse.parse_duration(args.ftl, "--ftl", options.BARE_FTL_BELOW_S)
    ladder = parse.parse_durations(args.ttl, "--ttl", options.BARE_TTL_BELOW_S)
    from pathlib import Path

    from jaxsim.view.cli.progress import working

    for store in args.stores:
        if not Path(store).exists():
            raise InputError(f"{store}: no such store; `jaxsim sweep` makes one.")
    if args.output:
        from jaxsim.view.files.atomic import output_file

        if len(args.stores) > 1:
            raise InputError(f"-o {args.output}: one file holds one store's table; give one store.")
        output_file(Path(args.output), (".nc",))
    with working("reading"):
        from jaxsim.view.files.store_frontiers import frontiers_of

        tables = [frontiers_of(Path(s), ftl_s, ladder, args.ttl_metric) for s in args.stores]
    from jaxsim.view.cli.output import deliver

    def write(path: Path) -> list[Path]:
        from jaxsim.view.files.atomic import replace_netcdf

        replace_netcdf(path, tables[0].assign_attrs(run=args.made_by))
        return [path]

    deliver(
        args,
        lambda: {
            "frontiers": [_rows(table) for table in tables],
            "formats": [_formats(table) for table in tables],
        },
        lambda page: "\n".join(_text(s, t, page) for s, t in zip(args.stores, tables, strict=True)),
        (lambda: write(Path(args.output))) if args.output else None,
    )
    return 0


def _rows(table: "xr.Dataset") -> list[dict[str, float | None]]:
    frame = table.to_dataframe().reset_index()
    return [
        {name: (None if value != value else value) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _formats(table: "xr.Dataset") -> dict[str, str]:
    """The format of every class of tensor, as the store has it."""
    import json

    return json.loads(table.attrs.get("formats", "{}"))


KINDS = ("disaggregated", "colocated")


def _between(row: dict[str, float | None], kind: str) -> str:
    """A throughput and its 80 % interval."""
    from jaxsim.view.text.units import plain

    if row[kind] is None:
        return plain(None)
    return f"{plain(row[kind])} ({plain(row[f'{kind}_low'])}–{plain(row[f'{kind}_high'])})"


def _text(store: str, table: "xr.Dataset", page: "Page") -> str:
    from jaxsim.catalog.precision import spoken_formats
    from jaxsim.view.text.layout import wrap
    from jaxsim.view.text.tables import table as aligned
    from jaxsim.view.text.units import seconds, times

    rows = [["ISL", "OSL", "TTL", "disaggregated", "co-located", "gain"]]
    for row in _rows(table):
        rows.append(
            [
                f"{row['isl']:,.0f}",
                f"{row['osl']:,.0f}",
                seconds(row["ttl_target"]),
                *(_between(row, kind) for kind in KINDS),
                times(row["gain"]),
            ]
        )
    attrs = table.attrs
    head = f"{store}: {attrs['model']} on {attrs['hardware']}, {attrs['precision']}, "
    head += f"engine {attrs['engine']}; output tokens/s/GPU (80 % interval) "
    head += f"at FTL ≤ {seconds(attrs['ftl_s'])}"
    formats = f"Formats: {spoken_formats(_formats(table))}."
    return page.finish(
        [*wrap(head, page), *wrap(formats, page), *aligned(rows, page, (), head="dim", drop=(1,))]
    )
