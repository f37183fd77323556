"""`jaxsim sensitivity`: what limits a deployment, and what would change it."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import options, parse
from jaxsim.view.cli.help_text import Help
from jaxsim.view.cli.verbs import plan as cli_plan

if TYPE_CHECKING:
    from jaxsim.catalog.workload import Workload
    from jaxsim.space.deploy.result import Unmet
    from jaxsim.space.sensitivity.request import SensitivityRequest
    from jaxsim.space.sensitivity.result import Sensitivity
    from jaxsim.view.text.layout import Page

DESCRIPTION = """\
Find the best deployment as `plan` does, and say what limits it: how many percent of throughput one
percent of every input is worth, exactly what larger changes do once everything is optimised again,
what a millisecond of a target costs, where the time goes by resource, which unknowns matter."""

EPILOG = """\
examples:
  jaxsim sensitivity deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 \\
      --ftl 5s --ttl 50ms
  jaxsim sensitivity llama-3.1-70b --hardware h200 --isl 4096 --osl 512 --ftl 2s --ttl 30ms \\
      --what-if hbm_bytes_per_s=+20% --what-if 'scaleup.bytes_per_s=x2,ttl=40ms' -o why/
  jaxsim sensitivity deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 \\
      --ftl 5s --ttl 50ms --reach +20%    # what would give a fifth more; the cheapest way
  jaxsim sensitivity deepseek-r1 --hardware b200 --isl 8192 --osl 1024 --ftl 3s --ttl 30ms \\
      --chips --budget cost=+10%,power=+5% --part hbm_bytes_per_s=cost:30%
  jaxsim sensitivity llama-3.1-70b --hardware h200 --isl 4096 --osl 512 --ftl 2s --ttl 30ms \\
      --crossover isl=128..32768    # from which prompts on do two pools pay?

changes: NAME=+20%, NAME=-20%, NAME=x1.5 or NAME=VALUE, several joined by commas; NAME is an input
of the ranked table, such as hbm_bytes_per_s, isl or peak_frac, or a target: ttl, ftl (in seconds,
or with a unit)
chips: budget moves between multiprocessors (and with them all peaks), HBM bandwidth, HBM capacity
and the scale-up link; what each takes of a chip's cost, power and area is assumed (chip_parts.toml
of the catalogue), and --part replaces it. A chip may take what it takes now, or what --budget says
DIR gets sensitivity.json, sensitivity.nc, tornado.png and resources.png
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "sensitivity",
        help="what limits the best deployment, and what would change it",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    cli_plan.add_question(parser)
    request = parser.add_argument_group("what to look at")
    request.add_argument(
        "--kind",
        choices=("disaggregated", "colocated"),
        help="which deployment (default: the better one)",
    )
    request.add_argument(
        "--levers", metavar="N", default="6", help="levers whose exact effects are solved for"
    )
    request.add_argument(
        "--what-if", metavar="CHANGE", action="append", default=[], help="solve for such a change"
    )
    request.add_argument(
        "--reach",
        metavar="X",
        help="find what each lever must become for throughput X (tokens/s/GPU, or +20%%), and the "
        "cheapest change of HBM bandwidth, peak and scale-up link together",
    )
    request.add_argument(
        "--crossover",
        metavar="AXIS=LOW..HIGH",
        action="append",
        default=[],
        help="find the isl or osl in that range at which disaggregation starts to pay",
    )
    request.add_argument(
        "--range",
        metavar="NAME=LOW..HIGH",
        action="append",
        default=[],
        help="an input known only to lie in a range, for the uncertainty",
    )
    request.add_argument(
        "--prior",
        metavar="[NAME=]SIGMA",
        action="append",
        default=[],
        help="standard deviation of the logarithm of kernel constants (or of the one named) that "
        "measurements leave open (default: as each differs between measured chips)",
    )
    chips = parser.add_argument_group("chip design")
    chips.add_argument(
        "--chips",
        action="store_true",
        help="find the best prefill chip and the best decode chip within a budget, matched",
    )
    chips.add_argument(
        "--budget",
        metavar="KIND=CHANGE",
        action="append",
        default=[],
        help="what a chip may take of cost, power or area, such as cost=+10%%,area=-5%% "
        "(default: what it takes now)",
    )
    chips.add_argument(
        "--part",
        metavar="NAME=KIND:SHARE,…",
        action="append",
        default=[],
        help="what a part takes of a chip, such as hbm_bytes_per_s=cost:30%%,power:20%%",
    )
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="DIR", help="also write files and pictures there")
    options.add_format(output)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Solve, show, write; status 3 where no design meets the targets."""
    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.main import OK, UNMET, complain
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.atomic import output_folder

    fields, domain = cli_plan.request_of(args), cli_plan.domain_of(args)
    axes, details = options.axes_from(args), detail_of(args)
    start_jax()
    workload = options.workload_from(args)
    folder = None if args.output is None else output_folder(Path(args.output))
    with working("starting"):
        result = solve(args, fields, domain, axes, workload, details)
    from jaxsim.space.deploy.result import Unmet

    if isinstance(result, Unmet):
        complain(unmet_message(result, args), args.format == "json")
        return UNMET
    show(result, args, folder)
    return OK


def detail_of(args: argparse.Namespace) -> "SensitivityRequest":
    """What to look at, from the options."""
    from jaxsim.space.sensitivity.request import SensitivityRequest

    if args.budget and not args.chips:
        raise InputError("a budget is of chips: give --chips with --budget.")
    budgets = {kind: v for text in args.budget for kind, v in parse.parse_budgets(text).items()}
    priors = dict(map(parse.parse_prior, args.prior))
    sigma = priors.pop("", None)
    return SensitivityRequest(
        kind=args.kind,
        levers=parse.parse_whole(args.levers, "--levers", at_least=0),
        what_if=tuple(map(parse.parse_changes, args.what_if)),
        reach=None if args.reach is None else parse.parse_relative(args.reach, "--reach"),
        ranges=dict(map(parse.parse_range, args.range)),
        prior_sigma=sigma,
        prior_sigmas=priors,
        chips=budgets if args.chips else None,
        parts=dict(map(parse.parse_part, args.part)),
        crossovers=tuple(map(parse.parse_crossover, args.crossover)),
    )


def unmet_message(unmet: "Unmet", args: argparse.Namespace) -> str:
    """Which targets nothing meets, and the nearest that something does."""
    from jaxsim.view.text import units

    near = []
    if unmet.ttl_s is not None:
        near.append(f"TTL {units.seconds(unmet.ttl_s)} at the FTL target")
    if unmet.ftl_s is not None:
        near.append(f"FTL {units.seconds(unmet.ftl_s)} at the TTL target")
    text = f"{args.model} on {args.hardware}: {unmet.reason}"
    if near and "nearest" not in text:
        text += f" The nearest attainable is {', or '.join(near)}."
    return text + " Relax a target, or give faster hardware or a narrower precision."


def solve(
    args: argparse.Namespace,
    fields: cli_plan.PlanFields,
    domain: int | None,
    axes: dict[str, tuple[float, ...]],
    workload: "Workload",
    details: "SensitivityRequest",
) -> "Sensitivity | Unmet":
    """The sensitivity, or what cannot be met."""
    from jaxsim.api.sensitivity import sensitivity
    from jaxsim.catalog.cards import with_domain
    from jaxsim.catalog.load import load_hardware
    from jaxsim.space.axes import Space
    from jaxsim.space.deploy.request import PlanRequest

    def load(name: str):
        card = load_hardware(name)
        return card if domain is None else with_domain(card, domain)

    return sensitivity(
        args.model,
        load(args.hardware),
        PlanRequest(workload=workload, **fields),
        details,
        prefill_hardware=args.prefill_hardware and load(args.prefill_hardware),
        space=replace(Space(), **axes) if axes else None,
        precision=args.precision,
        engine=args.engine,
    )


def show(result: "Sensitivity", args: argparse.Namespace, folder: Path | None) -> None:
    """Print it."""
    from jaxsim.view.cli.output import deliver
    from jaxsim.view.cli.progress import working

    def as_dict() -> object:
        from jaxsim.view.files.sensitivity import sensitivity_dict

        return sensitivity_dict(result)

    def as_text(page: "Page") -> str:
        from jaxsim.view.text.sensitivity import render_sensitivity

        return render_sensitivity(result, page)

    def write(folder: Path) -> list[Path]:
        from jaxsim.view.files.sensitivity import write_sensitivity

        with working("drawing"):
            return write_sensitivity(result, folder)

    deliver(args, as_dict, as_text, folder and (lambda: write(folder)))
