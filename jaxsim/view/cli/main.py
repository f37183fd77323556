"""What does `jaxsim` do on a command line?

Each verb is one file, `cli_<verb>.py`, with `add_parser(subparsers)` and `run(args)`. Nothing here
or at the top of those files imports JAX, xarray or NumPy: help must come at once.
"""

import argparse
import itertools
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from jaxsim._version import __version__
from jaxsim.catalog.documents import given_path, shown
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import device, options, process
from jaxsim.view.cli.help_text import Help
from jaxsim.view.cli.output import Delivered

OK, FAILED, BAD_INPUT, UNMET, INTERNAL, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 70, 130, 141
# Characters of a line of a complaint.
_LONGEST = 1000
_OWN = ("run", "sweep")  # verbs that say for themselves how it was made

DESCRIPTION = """\
Choose how to serve a large language model: which parallel widths, batches and chunks, with
prefill and decode together or apart, and how many instances of each."""

TERMS = """\
terms:
  FTL, or TTFT   first-token latency: from a prompt's arrival to its first output token
  TTL, or TPOT   token-to-token latency: the gap between two output tokens of a request
  interactivity  1/TTL: output tokens/s that one user sees
  ISL, OSL       input and output sequence length, tokens
  TP, EP, PP     tensor-parallel width of attention, expert-parallel width, pipeline stages
  batch          requests of one instance at once
  chunk          tokens of one prompt that are prefilled in one pass
  co-located     prefill and decode on the same GPUs; disaggregated: a pool for each

exit status: 0 done, 1 failed, 2 bad input, 3 no design meets the targets, 70 internal error
"""

EXAMPLES = """\
examples:
  jaxsim plan deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 --ftl 5s --ttl 50ms
  jaxsim estimate deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 \\
      --phase decode --tp 1 --ep 32 --batch 1024
  jaxsim models
"""

# The order in which the help shows the verbs; others follow by name.
ORDER = (
    "plan", "explore", "estimate", "search", "sweep", "frontier", "sensitivity", "traffic",
    "models", "hardware",
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are bad input like any other."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. See `{self.prog} --help`.")


def verbs() -> list[str]:
    """The names of all verbs, in the order of the help."""
    folder = os.path.join(os.path.dirname(__file__), "verbs")
    names = {module.name for module in pkgutil.iter_modules([folder])}
    return [*(verb for verb in ORDER if verb in names), *sorted(names - set(ORDER))]


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = Parser(
        prog="jaxsim",
        description=DESCRIPTION,
        epilog=EXAMPLES + "\n" + TERMS,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jaxsim {__version__}")
    subparsers = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=Parser
    )
    for verb in verbs():
        module = import_module(f"jaxsim.view.cli.verbs.{verb}")
        module.add_parser(subparsers)
    return parser


def wants_json(argv: Sequence[str]) -> bool:
    """Whether the output is JSON, read without parsing: the arguments may be wrong."""
    pairs = itertools.pairwise([*argv, ""])
    return any(
        name == "--format=json" or (name == "--format" and value == "json") for name, value in pairs
    )


def complain(message: str, as_json: bool) -> None:
    """Say what is wrong: on standard error, and as one JSON object where the output is JSON.

    Cut where it is long, and without what a terminal would obey: it may repeat what was given.
    """
    message = "\n".join(shown(line, _LONGEST) for line in message.replace("\r", "").split("\n"))
    print(f"jaxsim: {message}", file=sys.stderr)
    if as_json:
        import json

        print(json.dumps({"error": message}, ensure_ascii=False))


def execute(parsers: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Run the verb; what it writes also says how it was made: the options of the run."""
    args = parsers.parse_args(list(arguments))
    if getattr(args, "output", None):
        args.output = str(given_path(args.output, "--output "))
    run_options = None
    # A sweep's store says itself how it was made: a file of ours in it would be taken for an array.
    if (getattr(args, "output", None) or args.verb == "import") and args.verb not in _OWN:
        from jaxsim.view.cli.config import parser_of, resolved
        from jaxsim.view.files.run_text import run_text

        run_options = resolved(args, parser_of(parsers, args.verb))
        args.made_by = run_text(run_options)  # what NetCDF and TOML files hold
    options.prepare(args)
    device.prepare(args)
    unheard: OSError | None = None
    try:
        status = args.run(args)
    except BrokenPipeError as error:  # the reader has gone; files are written all the same
        status, unheard = BROKEN_PIPE, error
    if run_options is not None and os.path.exists(str(args.output)):
        from pathlib import Path

        from jaxsim.view.cli.config import keep, keep_beside

        path = Path(args.output)
        if path.is_dir():
            keep(path, run_options)
        elif status != FAILED:
            keep_beside(path, run_options)
    if unheard is not None:
        raise unheard
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = wants_json(arguments)
    try:
        process.open_streams()
        process.refuse_odd(arguments)
        status = execute(build_parser(), arguments)
        sys.stdout.flush()
        return status
    except SystemExit as leaving:  # --help and --version
        return leaving.code if isinstance(leaving.code, int) else OK
    except InputError as error:
        complain(str(error), as_json)
        return BAD_INPUT
    except KeyboardInterrupt:
        complain("interrupted.", as_json)
        return INTERRUPTED
    except BrokenPipeError:  # the reader has gone, as with `| head`
        process.give_up_output()
        return BROKEN_PIPE
    except Delivered as error:
        return _failed(process.os_message(error.error), as_json=False)
    except OSError as error:
        return _failed(process.os_message(error), as_json)
    except MemoryError:
        return _failed(process.OUT_OF_MEMORY, as_json)
    except Exception as error:
        if process.was_interrupted():
            complain("interrupted.", as_json)
            return INTERRUPTED
        if said := process.of_the_machine(error):
            return _failed(said, as_json)
        complain(process.internal(error, arguments), as_json)
        return INTERNAL


def _failed(message: str, as_json: bool) -> int:
    """Say why, also where standard output itself is what failed."""
    try:
        complain(message, as_json)
        sys.stdout.flush()
    except OSError:
        process.give_up_output()
    return FAILED
