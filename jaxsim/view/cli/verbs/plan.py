"""`jaxsim plan`: what to deploy under latency targets, against co-located, why, and how sure."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import arrivals, options, parse, provenance
from jaxsim.view.cli.help_text import Help
from jaxsim.view.cli.planned import PlanFields, solved

if TYPE_CHECKING:
    from jaxsim.catalog.setup import Setup
    from jaxsim.catalog.workload import Share, Workload
    from jaxsim.space.deploy.result import Plan
    from jaxsim.view.text.layout import Page

DESCRIPTION = """\
Evaluate every design of a space, match a prefill pool and a decode pool exactly, and compare the
best pair with the best co-located design under the same latency targets."""

EPILOG = """\
examples:
  jaxsim plan deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 --ftl 5s --ttl 50ms
  jaxsim plan deepseek-r1 --hardware b200 --prefill-hardware h200 --objective cost \\
      --isl 8192 --osl 1024 --ftl 3s --ttl 25ms -o plan/
  jaxsim plan deepseek-r1 --hardware gb200-nvl72 --mix mix.csv --ftl 5s --ttl 50ms
  jaxsim plan llama-3.1-70b --hardware h200 --isl 4096 --osl 512 --ftl 2s --ttl 30ms \\
      --rate 20 --percentile 95

durations: 250ms, 2s, 0.05 (bare numbers are seconds); FTL = TTFT, TTL = TPOT
DIR gets plan.json, frontier.nc, frontier.png, breakdown.png and report.html
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "plan",
        help="what to deploy under latency targets, and why",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    add_question(parser, mix=True)
    parser.add_argument(
        "--encoder-pool",
        action="store_true",
        help="with --images: the encoder runs on GPUs of its own, as many as the rate needs",
    )
    arrivals.add_arrivals(parser)
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="DIR", help="also write files and pictures there")
    options.add_format(output)
    parser.set_defaults(run=run)


def add_question(parser: argparse.ArgumentParser, mix: bool = False) -> None:
    """Everything that describes the request: case, targets, workload, deployment, space."""
    options.add_case(parser)
    parser.add_argument(
        "--prefill-hardware", metavar="HW", help="other hardware for prefill (default: the same)"
    )
    parser.add_argument(
        "--domain", metavar="N", help="GPUs of a scale-up (NVLink) domain, instead of the real one"
    )
    targets = parser.add_argument_group("targets")
    targets.add_argument(
        "--ftl",
        "--ttft",
        dest="ftl",
        required=True,
        metavar="T",
        help="largest first-token latency",
    )
    targets.add_argument(
        "--ttl", "--tpot", dest="ttl", required=True, metavar="T", help="largest gap between tokens"
    )
    targets.add_argument(
        "--ttl-metric",
        choices=("mean", "median"),
        default="mean",
        help="which gap of a co-located design must meet the target (default: mean)",
    )
    options.add_workload(parser, mix)
    options.add_context(parser)
    deployment = parser.add_argument_group("what may be deployed")
    deployment.add_argument(
        "--gpus", metavar="N", help="at most N GPUs, or exactly:N (default: no limit)"
    )
    deployment.add_argument(
        "--fixed-ratio", metavar="R", help="prefill GPUs per decode GPU, instead of the best"
    )
    deployment.add_argument(
        "--deployable",
        metavar="TARGET",
        help="only shapes that a target of `jaxsim deploy` can express, such as dynamo or vllm",
    )
    deployment.add_argument(
        "--pack",
        action="store_true",
        help="no stage straddles scale-up domains, and domains are paid whole",
    )
    deployment.add_argument(
        "--objective",
        choices=("gpu", "cost", "power"),
        default="gpu",
        help="most throughput per GPU, per dollar or per watt (default: gpu)",
    )
    deployment.add_argument(
        "--tolerance",
        default="1%",
        metavar="X",
        help="without --gpus: throughput to give up for fewer GPUs (default: 1%%)",
    )
    options.add_prices(parser)
    options.add_axes(parser)


def run(args: argparse.Namespace) -> int:
    """Plan, show, write; status 3 where no design meets the targets."""
    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.main import OK, UNMET, complain
    from jaxsim.view.files.atomic import output_folder

    options.check_lengths(args)
    fields, domain, axes = request_of(args), domain_of(args), options.axes_from(args)
    start_jax()
    workload = options.workloads_from(args)
    if args.price:
        from jaxsim.catalog.load import load_hardware
        from jaxsim.catalog.prices import check_used

        used = (args.hardware, args.prefill_hardware or args.hardware)
        check_used(args.price, [load_hardware(name).name for name in used])
    folder = None if args.output is None else output_folder(Path(args.output))
    plan = solve(args, fields, domain, axes, workload)
    plan = with_notes(plan, args)
    show(plan, args, folder)
    if plan.recommended is not None:
        return OK
    from jaxsim.view.text.sentences import unmet_message

    complain(unmet_message(plan), as_json=False)
    return UNMET


def request_of(args: argparse.Namespace) -> PlanFields:
    """The request that the options make, checked before anything is loaded."""
    if getattr(args, "encoder_pool", False) and args.images == "0":
        raise InputError("--encoder-pool is for prompts with images: give --images N too.")
    gpus, exactly = (None, False) if args.gpus is None else parse.parse_gpus(args.gpus)
    ratio = args.fixed_ratio
    return {
        "ftl_s": parse.parse_duration(args.ftl, "--ftl", options.BARE_FTL_BELOW_S),
        "ttl_s": parse.parse_duration(args.ttl, "--ttl", options.BARE_TTL_BELOW_S),
        "max_gpus": None if exactly else gpus,
        "exact_gpus": gpus if exactly else None,
        "fixed_ratio": ratio and parse.parse_positive(ratio, "--fixed-ratio"),
        "tolerance": parse.parse_frac(args.tolerance, "--tolerance"),
        "pack": args.pack,
        "objective": args.objective,
        "ttl_metric": args.ttl_metric,
        "deployable": "" if args.deployable is None else provenance.rules_of(args),
        **arrivals.arrivals_from(args),
    }


def domain_of(args: argparse.Namespace) -> int | None:
    """GPUs of a scale-up domain, where the options change them."""
    return None if args.domain is None else parse.parse_whole(args.domain, "--domain")


def solve(
    args: argparse.Namespace,
    fields: PlanFields,
    domain: int | None,
    axes: dict[str, tuple[float, ...]],
    workload: "Workload | Sequence[Share]",
) -> "Plan":
    """The plan, with a spinner while it is found."""
    from jaxsim.view.cli.progress import working

    with working("starting"):
        choices = getattr(args, "output", None) is not None
        return solved(args, fields, domain, axes, workload, choices=choices)


def with_notes(plan: "Plan", args: argparse.Namespace) -> "Plan":
    """The plan, with what the options assumed said before its own notes."""
    return replace(plan, notes=(*provenance.said(args), *plan.notes))


def show(plan: "Plan", args: argparse.Namespace, folder: Path | None) -> None:
    """Print the plan, then write its files."""
    from jaxsim.view.cli.output import deliver

    def as_dict() -> object:
        from jaxsim.view.files.plan_json import plan_dict

        return plan_dict(plan)

    def as_text(page: "Page") -> str:
        from jaxsim.view.text.plan import render_plan

        return render_plan(plan, page)

    deliver(args, as_dict, as_text, folder and (lambda: write(plan, folder, args)))


def write(plan: "Plan", folder: Path, args: argparse.Namespace) -> list[Path]:
    """Write every file of a plan; each is whole or not there."""
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.plan import write_plan

    with working("drawing"):
        return write_plan(plan, folder, setups_of(args), provenance.command(args))


def setups_of(args: argparse.Namespace) -> "list[Setup]":
    """The set-ups of the plan's pools, decode's first; one where they have the same hardware."""
    from jaxsim.catalog.load import load_hardware
    from jaxsim.catalog.setup import setup_of

    used = dict.fromkeys((args.hardware, args.prefill_hardware or args.hardware))
    prices = options.prices_from(args)
    cards = [options.at_prices(load_hardware(name), prices) for name in used]
    return [setup_of(args.model, card, args.precision, args.engine) for card in cards]
