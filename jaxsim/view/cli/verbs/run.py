"""`jaxsim run FILE`: a verb with the options of a YAML file."""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from jaxsim.view.cli import options
from jaxsim.view.cli.help_text import Help

DESCRIPTION = """\
Run the verb of a YAML file; the keys of the file are its options. Keys are strict:
`jaxsim schema run-plan` prints the JSON Schema of one for `jaxsim plan`. Everything that a verb
writes says how it was made, and can be given here: a folder (run.yaml in it), a store, a NetCDF or
TOML file (within), a CSV file (FILE.csv.run.yaml beside it)."""

EPILOG = """\
examples:
  jaxsim run plan/run.yaml -o again
  jaxsim run space.zarr --set config.workload.isl=8192 -o longer.zarr
  jaxsim run plan/run.yaml --set ttl=30ms --set price.h200=2.9 -o cheaper
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "run",
        help="a verb with the options of a YAML file",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="YAML with the key verb, or what a verb wrote")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the file"
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="where the verb writes")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the verb")
    # The verb of the file says whether it uses a GPU.
    parser.set_defaults(run=run, device="auto")


def run(args: argparse.Namespace) -> int:
    """Read, change, check and run."""
    from jaxsim.view.cli.config import changed, parser_of, read_config, words_of
    from jaxsim.view.cli.main import build_parser, execute

    path = Path(args.file)
    raw = changed(read_config(path), args.set)
    parsers = build_parser()
    verb = str(raw["verb"])
    with TemporaryDirectory(prefix="jaxsim-run-") as folder:
        if isinstance(raw.get("config"), dict):  # the file of a sweep, as a store keeps it
            file = Path(folder) / "sweep.yaml"
            file.write_text(json.dumps(raw["config"]), encoding="utf-8")
            raw["config"] = str(file)
        words = [verb, *words_of(raw, parser_of(parsers, verb), str(path))]
        if args.output is not None:
            words += ["-o", args.output]
        if args.format == "json":
            words += ["--format", "json"]
        return execute(parsers, words)
