"""`jaxsim completion`: what a shell needs to complete verbs, options and files."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxsim.view.cli import options
from jaxsim.view.cli.config import verbs_of
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from shtab import CompleteType

SHELLS = ("bash", "zsh")

EPILOG = """\
examples:
  jaxsim completion bash > ~/.local/share/bash-completion/completions/jaxsim
  jaxsim completion zsh > ~/.zfunc/_jaxsim      # with ~/.zfunc in fpath
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "completion",
        help="the script with which a shell completes commands",
        description="Print the script with which a shell completes verbs, options and files.",
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from jaxsim.view.cli.main import OK, build_parser

    parser = build_parser()
    complete_files(parser, {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY})
    print(shtab.complete(parser, args.shell))
    return OK


def complete_files(parser: argparse.ArgumentParser, kinds: "Mapping[str, CompleteType]") -> None:
    """Mark options whose value is a file or a folder, by their metavar, in every verb."""
    for own in set(verbs_of(parser).values()):
        complete_files(own, kinds)
    for action in parser._actions:  # argparse has no public way to its options
        if isinstance(action.metavar, str) and action.metavar in kinds:
            setattr(action, "complete", kinds[action.metavar])  # noqa: B010 -- read by shtab
