"""`jaxsim explore`: the report, live on this machine."""

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from jaxsim.view.cli import options, parse, planned, provenance
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from jaxsim.view.explore.server import Answer

DESCRIPTION = """\
Open the report of a plan in a browser, live: change model, hardware, lengths, targets, prices or
engine, and the plan follows. The server listens on 127.0.0.1 alone, under an address that nobody
can guess, until it is interrupted."""

EPILOG = """\
examples:
  jaxsim explore
  jaxsim explore llama-3.1-70b --hardware h200 --isl 4096 --osl 512 --ftl 2s --ttl 30ms
"""

# What the page may change, each an option of `jaxsim plan`: its default, and what it says.
FIELDS = {
    "hardware": ("gb200-nvl72", "a name of `jaxsim hardware`, or a TOML file"),
    "prefill-hardware": ("", "other hardware for prefill"),
    "isl": ("16384", "input tokens of a request"),
    "osl": ("2048", "output tokens of a request"),
    "ftl": ("5s", "largest first-token latency"),
    "ttl": ("50ms", "largest gap between tokens"),
    "gpus": ("", "at most N GPUs, or exactly:N"),
    "objective": ("gpu", "gpu, cost or power"),
    "precision": ("", "number formats"),
    "engine": ("", "serving software"),
    "price": ("", "dollars of an hour of a GPU, as HW=USD"),
    "tp": ("", "tensor-parallel widths to try"),
    "ep": ("", "expert-parallel widths to try"),
    "pp": ("", "pipeline stages to try"),
    "batch": ("", "batches to try"),
    "prefill-batch": ("", "prompts of a prefill instance to try"),
    "chunk": ("", "chunks to try"),
}
MODEL = "deepseek-r1"


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "explore",
        help="the report, live in a browser",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", default=MODEL, help=f"to begin with (default: {MODEL})"
    )
    for name, (default, meaning) in FIELDS.items():
        said = f"{meaning} (default: {default})" if default else meaning
        parser.add_argument(f"--{name}", default=default, help=said, metavar="X")
    parser.add_argument(
        "--port", default="0", metavar="N", help="where to listen (default: a free port)"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan once, then serve until interrupted."""
    import sys

    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.main import OK
    from jaxsim.view.cli.progress import working
    from jaxsim.view.explore.page import with_scripts
    from jaxsim.view.explore.server import serve

    port = parse.parse_whole(args.port, "--port", at_least=0)
    start_jax()
    fields = {name: getattr(args, name.replace("-", "_")) for name in FIELDS}
    fields = {"model": args.model, **{name: text for name, text in fields.items() if text}}
    answer = answerer()
    with working("planning"):
        page = next(answer(fields))

    def ready(address: str) -> None:
        print(f"{address}\nCtrl-C ends it.", flush=True)
        if not args.no_browser and sys.stdout.isatty():
            import webbrowser

            webbrowser.open(address)

    try:
        serve(answer, page, port, ready, with_scripts)
    except KeyboardInterrupt:
        print()
    return OK


def answerer() -> "Answer":
    """A function from fields of the page to its HTML: the verb `plan`, with them as its options.

    It keeps what it evaluated: another target, budget or price evaluates nothing.
    """
    import jaxsim
    from jaxsim.catalog.known_engines import list_engines
    from jaxsim.space.deploy.held_sweeps import HeldSweeps
    from jaxsim.space.deploy.request import OBJECTIVES
    from jaxsim.view.cli.main import build_parser
    from jaxsim.view.explore.page import render_live
    from jaxsim.view.report.evidence import evidence_of

    parser, held = build_parser(), HeldSweeps()
    known = {
        "model": jaxsim.list_models(),
        "hardware": jaxsim.list_hardware(),
        "prefill-hardware": jaxsim.list_hardware(),
        "engine": list_engines(),
        "objective": OBJECTIVES,
    }

    def answer(fields: Mapping[str, str]) -> Iterator[str]:
        from jaxsim.view.cli.verbs import plan as verb

        args = parser.parse_args(words(fields))
        options.prepare(args)
        options.check_lengths(args)
        setting = verb.request_of(args), verb.domain_of(args), options.axes_from(args)
        stages = planned.staged(args, *setting, options.workloads_from(args), held)
        setups = verb.setups_of(args)
        link = float(setups[0].hardware.hardware.scaleout.bytes_per_s)
        evidence = evidence_of(setups)
        for k, plan in enumerate(stages, 1):
            told, command = verb.with_notes(plan, args), provenance.command(args)
            yield render_live(
                told, evidence, command, link, fields, known, final=k == planned.STAGES
            )  # fmt: skip

    return answer


def words(fields: Mapping[str, str]) -> list[str]:
    """The command line of `plan` with these fields; an error for one that the page has not."""
    from jaxsim.catalog.errors import InputError

    if strange := sorted(set(fields) - {"model", *FIELDS}):
        raise InputError(f"{', '.join(strange)}: unknown; the page has model, {', '.join(FIELDS)}")
    given = [f"--{name}={text}" for name, text in fields.items() if name != "model" and text]
    return ["plan", *given, "--", fields.get("model", MODEL)]
