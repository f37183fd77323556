"""What does `jaxsim` do on a command line?

Each verb is one file, `cli_<verb>.py`, with `add_parser(subparsers)` and `run(args)`. Nothing here
or at the top of those files imports JAX, xarray or NumPy: help must come at once.
"""

import argparse
import codecs
import gc
import io
import itertools
import os
import pkgutil
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from jaxsim._version import __version__
from jaxsim.catalog.documents import printable, quoted, shown
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import device, options

OK, FAILED, BAD_INPUT, UNMET, INTERNAL, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 70, 130, 141
# Characters of a line of a complaint.
_LONGEST = 1000
# Set to 1, an internal error shows its traceback.
DEBUG = "JAXSIM_DEBUG"

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
    "plan", "estimate", "search", "sweep", "frontier", "sensitivity", "traffic",
    "models", "hardware",
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are bad input like any other."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. See `{self.prog} --help`.")


def verbs() -> list[str]:
    """The names of all verbs, in the order of the help."""
    folder = os.path.join(os.path.dirname(__file__), "verbs")
    found = {module.name for module in pkgutil.iter_modules([folder])}
    return [*(verb for verb in ORDER if verb in found), *sorted(found - set(ORDER))]


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = Parser(
        prog="jaxsim",
        description=DESCRIPTION,
        epilog=EXAMPLES + "\n" + TERMS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    """Run the verb; the folder it writes also holds the options of the run."""
    args = parsers.parse_args(list(arguments))
    folder, run_options = str(getattr(args, "output", None) or ""), None
    # A sweep's store says itself how it was made: a file of ours in it would be taken for an array.
    if folder and args.verb not in ("run", "sweep"):
        from jaxsim.view.cli.config import parser_of, resolved

        run_options = resolved(args, parser_of(parsers, args.verb))
    options.prepare(args)
    device.prepare(args.verb)
    status = args.run(args)
    if run_options is not None and os.path.isdir(folder):
        from pathlib import Path

        from jaxsim.view.cli.config import keep

        keep(Path(folder), run_options)
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = wants_json(arguments)
    _accept_any_text()
    try:
        _refuse_odd(arguments)
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
    except BrokenPipeError:
        # The reader has gone, as with `| head`. Python flushes standard output once more as it
        # exits: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        complain(os_message(error), as_json)
        return FAILED
    except MemoryError:
        complain("out of memory; restrict an axis, for example --batch or --chunk.", as_json)
        return FAILED
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            complain("out of memory; restrict an axis, for example --batch or --chunk.", as_json)
            return FAILED
        if os.environ.get(DEBUG) == "1":
            traceback.print_exc()
        complain(_internal(error, arguments), as_json)
        return INTERNAL


def _accept_any_text() -> None:
    """Spell out what a stream's encoding lacks, as where a terminal knows ASCII alone.

    In the way of JSON, which is then still valid.
    """
    codecs.register_error("jaxsim", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="jaxsim")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    given = error.object[error.start : error.end]
    halves = given.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{halves[i : i + 4]}" for i in range(0, len(halves), 4)), error.end


def _refuse_odd(arguments: Sequence[str]) -> None:
    """Refuse what no option and no name of a file needs, before anything repeats it."""
    for argument in arguments:
        if printable(argument) != argument or any(mark in argument for mark in "\r\n\t"):
            raise InputError(f"{quoted(argument)}: an argument has a control character.")
        if argument.startswith("--") and argument.endswith("=--"):  # argparse loses it
            raise InputError(f"{quoted(argument)}: a value is needed.")


def _internal(error: Exception, arguments: Sequence[str]) -> str:
    """What to say of a fault of jaxsim's own, which is written to a file that can be sent."""
    import platform
    import tempfile

    first = next(iter(str(error).splitlines()), "")
    said = f"internal error: {type(error).__name__}: {first}"
    try:
        handle, name = tempfile.mkstemp(prefix="jaxsim-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"jaxsim {__version__}, Python {platform.python_version()}\n")
            file.write(f"arguments: {list(arguments)!r}\n\n")
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"{said}. {DEBUG}=1 shows where."
    return f"{said}. Please send {name}, which says where; {DEBUG}=1 shows it here."


def collect_seldom() -> None:
    """Let the collector look for garbage less often: nearly all that a run makes stays."""
    gc.set_threshold(200_000, 50, 100)


def command() -> int:
    """`jaxsim` as a process of its own: one verb, and the exit status.

    At the exit, garbage is not looked for among what is left, which takes up to half a second.
    """
    collect_seldom()
    # Stopped by a scheduler is stopped by the user: nothing half-written, and no traceback.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return main()
    finally:
        gc.freeze()


def os_message(error: OSError) -> str:
    """What the system refused, and for which file."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}."


if __name__ == "__main__":
    sys.exit(command())
