"""`jaxsim schema`: what is in the files that are read and written, as JSON Schemas."""

import argparse

from jaxsim.catalog.errors import InputError, nearest
from jaxsim.view.cli import options

NAMES = (
    "plan", "mix", "sensitivity", "claims", "study", "validation", "held", "compare", "estimate",
    "load", "search", "frontier", "traffic", "trace-events", "models", "model", "hardware", "chip",
    "model-file", "hardware-file", "deployment",
)  # fmt: skip
SWEEP = "sweep"
# What `jaxsim run` reads, of each verb.
VERBS = (
    "plan",
    "search",
    "sensitivity",
    "estimate",
    "deploy",
    "validate",
    "traffic",
    "sweep",
    "reproduce",
)


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "schema",
        help="the JSON Schema of a file",
        description="Print the JSON Schema of a file that is written (plan, sensitivity, claims, "
        "validation, traffic, trace-events, deployment) or read (mix, sweep, model-file, "
        "hardware-file, run-VERB), or of what `--format json` prints (estimate, load, search, "
        "frontier, study, held, compare, models, model, hardware, chip).",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="the file: plan, mix, sweep, run-plan, …")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    from jaxsim.view.cli.config import config_schema, parser_of
    from jaxsim.view.cli.main import OK, build_parser, verbs
    from jaxsim.view.files.schemas.names import schema_of
    from jaxsim.view.text.plain_json import dumps

    own = [f"run-{verb}" for verb in VERBS if verb in verbs()]
    known = [*NAMES, SWEEP, *own]
    if args.name not in known:
        close = nearest(args.name, known)
        hint = f" Nearest known: {', '.join(close)}." if close else ""
        raise InputError(f"There is no schema {args.name!r}.{hint} Known: {', '.join(known)}.")
    if args.name in NAMES:
        schema = schema_of(args.name)
    elif args.name == SWEEP:
        from jaxsim.view.files.sweep_config import SCHEMA

        schema = SCHEMA
    else:
        verb = args.name.removeprefix("run-")
        schema = config_schema(verb, parser_of(build_parser(), verb))
    print(dumps(schema))
    return OK
