"""`jaxsim import`: a file of the catalogue from what others have."""

import argparse
from pathlib import Path

from jaxsim.catalog.documents import given_path
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import options
from jaxsim.view.cli.help_text import Help

EPILOG = """\
examples:
  jaxsim import model path/to/config.json -o my-model.toml
  jaxsim import model path/to/folder --source "config.json of org/My-Model, 2026-11-01"
  jaxsim plan my-model.toml --hardware h200 --isl 4096 --osl 512 --ftl 2s --ttl 50ms
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "import",
        help="a model's file for the catalogue, from a Hugging Face config.json",
        description="Read a Hugging Face config.json (and a hf_quant_config.json beside it) and "
        "write what jaxsim makes of it as a TOML file that can be read, changed and planned with.",
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("kind", choices=("model",), help="what is imported")
    parser.add_argument("path", metavar="PATH", help="a config.json, or the folder that holds one")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: NAME.toml here")
    parser.add_argument("--source", metavar="TEXT", help="where the numbers come from")
    parser.add_argument(
        "--ignore-keys", metavar="KEY,…", help="keys to leave out that would be refused"
    )
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file, whole or not at all."""
    import datetime

    from jaxsim.view.cli.progress import working

    with working("starting"):
        from jaxsim.catalog.config_json import read_config
        from jaxsim.catalog.load import read_model_file
        from jaxsim.catalog.parameters import parameters
        from jaxsim.catalog.precision import spoken_formats
        from jaxsim.catalog.write import card_text
    from jaxsim.view.cli.config import write_toml
    from jaxsim.view.files.atomic import output_file
    from jaxsim.view.text.units import parameters as said

    path = given_path(args.path)
    if not path.exists():
        raise InputError(f"{path}: no such file. Give a config.json or the folder that holds one.")
    card = read_config(path, args.ignore_keys.split(",") if args.ignore_keys else ())
    output = output_file(Path(args.output or f"{card.name.lower()}.toml"), (".toml",))
    args.output = str(output)  # where the options of the run are left
    file = path / "config.json" if path.is_dir() else path
    source = args.source or f"{file.name} of {card.hf_id or card.name}"
    text = card_text(card, source, datetime.date.today())
    write_toml(output, text, args.made_by)
    read = read_model_file(output)
    counts = parameters(read.model)
    total, active = float(counts.total), float(counts.active)
    formats = read.formats(read.precision)
    if args.format == "json":
        from jaxsim.view.text.plain_json import dumps

        described = {"parameters": total, "active_parameters": active, "formats": formats}
        print(dumps({"file": str(output), **described, "note": read.note}))
    else:
        print(
            f"Wrote {output}: {said(total)} parameters, "
            f"{said(active)} active; "
            f"{spoken_formats(formats)}."
        )
        if read.note:
            print(f"Note: {read.note}.")
    return 0
