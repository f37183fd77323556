"""`jaxsim search`: the best design of every workload, over spaces too large to keep."""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from jaxsim._progress import tell
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import device, options, parse
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from jaxsim.catalog.setup import Setup
    from jaxsim.space.search import SearchResult

DESCRIPTION = """\
Find the best designs of one phase for every input and output length at once, up to 10^9 designs
and more: all are evaluated, and nothing but the best of each workload is kept. Shows how throughput
moves over the workloads, and which instances are best."""

EPILOG = """\
examples:
  jaxsim search deepseek-r1 --hardware gb200-nvl72 --phase decode \\
      --isl 1024..65536:200 --osl 128..8192:200 --ttl 50ms
  jaxsim search llama-3.1-70b --hardware h100,h200,b200 --phase colocated --isl 4096 --osl 512 \\
      --ttl 20ms,50ms --ftl 2s --best 3
  jaxsim search deepseek-r1 --hardware gb200-nvl72 --phase prefill --isl 1024..131072:64 \\
      --osl 1024 --ftl 2s -o prefill.csv

lengths: one, a list (1024,4096), or LOW..HIGH:N, N values evenly in the logarithm
FILE.csv has a row for each design, FILE.nc is a labelled dataset that xarray opens
exit status 3 where no workload has a design within the targets
"""

# The phases, and the axes that each does not depend on.
_UNUSED = {
    "prefill": ("batch",),
    "decode": ("prefill-batch", "chunk"),
    "colocated": ("prefill-batch",),
}


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "search",
        help="the best design of every workload, for thousands of workloads",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    options.add_case(parser, many=True)
    parser.add_argument("--phase", required=True, choices=tuple(_UNUSED), help="what instances do")
    targets = parser.add_argument_group("targets")
    targets.add_argument(
        "--ttl", "--tpot", metavar="T,…", help="largest gap between tokens; several: best for each"
    )
    targets.add_argument(
        "--ftl", "--ttft", metavar="T,…", help="largest first-token latency; of prefill, several"
    )
    targets.add_argument(
        "--best", metavar="K", default="1", help="designs to keep of each workload"
    )
    targets.add_argument(
        "--exact",
        action="store_true",
        help="the best of every whole batch and chunk, also between those of the grid",
    )
    options.add_workload(parser, many=True)
    options.add_context(parser)
    options.add_axes(parser)
    device.add_option(parser.add_argument_group("machine"))
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="FILE", help="also write FILE.csv or FILE.nc")
    options.add_format(output)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Search, show, write; status 3 where nothing is within the targets."""
    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.main import FAILED, OK, UNMET
    from jaxsim.view.cli.process import os_message
    from jaxsim.view.files.atomic import output_file

    request = request_of(args)
    path = None if args.output is None else output_file(Path(args.output), [".csv", ".nc"])
    start_jax()
    result, setups, elapsed_s, machine = solve(args, request)
    notes = [*said(args), *(f"Left out: {text}." for text in result.dropped)]
    if result.gap is not None:
        notes.append(
            f"No whole batch or chunk within the grid's ends serves {100 * result.gap:.2f} % more."
        )
    told: dict[str, object] = {"device": machine, "notes": notes}
    if args.format == "text":
        show(result, setups, elapsed_s, machine, notes)
    status = OK
    if not result.designs.found.any():  # type: ignore[union-attr]
        status, told["error"] = UNMET, "no workload has a design within the targets."
    if path is not None:
        try:
            write(path, result, setups, request["ftl_s"], args.made_by)
        except OSError as error:
            status, told["error"] = FAILED, os_message(error)
        else:
            told["file"] = str(path)
    finish(args, result, setups, elapsed_s, told)
    return status


class SearchFields(TypedDict):
    """Lengths, axes, targets, and how many designs a workload."""

    isl: tuple[float, ...]
    osl: tuple[float, ...]
    axes: dict[str, tuple[float, ...]]
    targets_s: list[float]
    ftl_s: float
    count: int


def request_of(args: argparse.Namespace) -> SearchFields:
    """Lengths, axes, targets and how many, from the options."""
    own, other = ("ftl", "ttl") if args.phase == "prefill" else ("ttl", "ftl")
    if getattr(args, other) is not None and args.phase != "colocated":
        raise InputError(
            f"--{other} does not limit {args.phase} instances: give --{own}, or --phase colocated."
        )
    for name in _UNUSED[args.phase]:
        if name in options.axes_given(args):
            hint = "; give --prefill-batch" if (args.phase, name) == ("prefill", "batch") else ""
            raise InputError(f"--{name}: {args.phase} instances do not depend on it{hint}.")
    ttl = options.targets(args.ttl, "--ttl", options.BARE_TTL_BELOW_S)
    ftl = options.targets(args.ftl, "--ftl", options.BARE_FTL_BELOW_S)
    if args.phase == "colocated" and len(ftl) > 1:
        raise InputError(f"--ftl {args.ftl!r}: co-located designs take one FTL target at a time.")
    osl = parse.parse_lengths(args.osl, "--osl", at_least=2)
    if args.phase == "prefill" and len(osl) > 1:
        raise InputError(f"--osl {args.osl!r}: prefill does not depend on it; give one length.")
    return {
        "isl": parse.parse_lengths(args.isl, "--isl"),
        "osl": osl,
        "axes": options.axes_from(args),
        "targets_s": ftl if args.phase == "prefill" else ttl,
        "ftl_s": ftl[0],
        "count": parse.parse_whole(args.best, "--best"),
    }


def said(args: argparse.Namespace) -> list[str]:
    """The options besides lengths and targets, in sentences."""
    told = []
    if args.phase == "colocated" and args.ftl is not None:
        told.append(f"FTL of all designs within {args.ftl}.")
    held = [
        f"{flag} {value}"
        for flag, value, usual in (
            ("--hit-frac", args.hit_frac, "0"),
            ("--draft-tokens", args.draft_tokens, "0"),
            ("--accept-frac", args.accept_frac, None),
            ("--imbalance", args.imbalance, "1"),
            ("--images", args.images, "0"),
        )
        if value != usual
    ]
    if held:
        told.append(f"Workload: {'; '.join(held)}.")
    return [*told, *options.said_of_axes(args)]


def solve(
    args: argparse.Namespace, request: SearchFields
) -> tuple["SearchResult", list["Setup"], float, str]:
    """What was found, for which set-ups, the seconds it took, and on which device.

    A spinner turns meanwhile.
    """
    from jaxsim.view.cli.progress import working

    with working("starting"):
        from jaxsim.catalog.engine_limits import check_context
        from jaxsim.catalog.setup import setup_of
        from jaxsim.space.axes import Space, designs_in
        from jaxsim.space.search import common_space, search

        isl, osl, axes = request["isl"], request["osl"], request["axes"]
        first = {"isl": str(int(isl[0])), "osl": str(int(osl[0]))}
        workload = options.workload_from(argparse.Namespace(**{**vars(args), **first}))
        isl = tuple(one + float(workload.isl) - isl[0] for one in isl)  # tokens of images
        card = options.model_from(args)
        check_context(card, max(isl), max(osl))
        setups = [
            setup_of(card, name.strip(), args.precision, args.engine)
            for name in args.hardware.split(",")
        ]
        scenarios = [setup.scenario(workload) for setup in setups]
        space = replace(Space(), **axes) if axes else None
        cases = len(setups) * len(isl) * len(osl) * len(request["targets_s"])
        each = designs_in(common_space(space, scenarios, float(max(isl))), args.phase)
        machine = device.use(args.device, float(cases) * each)
        some = f"{len(isl) * len(osl):,} workloads" if len(isl) * len(osl) > 1 else "designs"
        tell(f"searching {some} of {args.phase} on {machine}")
        started = time.perf_counter()
        result = search(
            args.phase,
            scenarios,
            space,
            isl,
            osl,
            targets_s=request["targets_s"],
            ftl_s=request["ftl_s"],
            count=request["count"],
        )
        if args.exact:
            from jaxsim.space.every_integer import with_every_integer

            tell("looking between the points of the grid")
            result, gap = with_every_integer(result, scenarios, space, request["ftl_s"])
            result = replace(result, gap=gap)
        return result, setups, time.perf_counter() - started, machine


def write(
    path: Path, result: "SearchResult", setups: list["Setup"], ftl_s: float, made_by: str
) -> None:
    """All of it, as a table or as a dataset."""
    from jaxsim.view.files.atomic import replace_netcdf, replace_text

    if path.suffix == ".csv":
        from jaxsim.view.text.search_table import csv_text

        replace_text(path, csv_text(result, setups))
        return
    from jaxsim.api.search import labelled

    dataset = labelled(result, setups, ftl_s)
    dataset.attrs["run"] = made_by
    replace_netcdf(path, dataset)


def show(
    result: "SearchResult", setups: list["Setup"], elapsed_s: float, machine: str, notes: list[str]
) -> None:
    """Print what was found, before any of it is written."""
    from jaxsim.view.text.layout import page_for
    from jaxsim.view.text.search import render

    page = page_for(sys.stdout)
    print(render(result, setups, elapsed_s, machine, notes, page))


def finish(
    args: argparse.Namespace,
    result: "SearchResult",
    setups: list["Setup"],
    elapsed_s: float,
    told: dict[str, object],
) -> None:
    """Say what is written and what is wrong: one object of JSON, which also has the answer."""
    if "error" in told:
        print(f"jaxsim: {told['error']}", file=sys.stderr)
    if args.format == "json":
        import json

        from jaxsim.view.text.search_table import json_dict

        print(json.dumps(json_dict(result, setups, elapsed_s) | told, allow_nan=False))
    elif "file" in told:
        from jaxsim.view.text.layout import page_for

        print(page_for(sys.stdout).finish(["", f"All of it is in {told['file']}"]))
