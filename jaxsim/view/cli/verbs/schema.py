"""`jaxsim schema`: what is in the files that scripts read and write, as JSON Schemas."""

import argparse
from typing import Any

NAMES = ("plan", "mix")


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "schema",
        help="the JSON Schema of a file",
        description="Print the JSON Schema of a file: plan.json, or a mix of workloads.",
        allow_abbrev=False,
    )
    parser.add_argument("name", choices=NAMES, help="the file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    from jaxsim.view.cli.main import OK
    from jaxsim.view.files.schemas import schema_of
    from jaxsim.view.text.plain_json import dumps

    print(dumps(schema_of(args.name)))
    return OK
