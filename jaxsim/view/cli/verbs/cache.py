"""`jaxsim cache`: what the command line keeps between runs, how much of it, and its end."""

import argparse
from pathlib import Path

from jaxsim.view.cli import options
from jaxsim.view.cli.help_text import Help

DESCRIPTION = """\
The command line keeps what it traced and compiled, so that a second run is fast: at most 64
programs and 64 compiled blocks of its own, and what JAX keeps, 512 MB in all (JAXSIM_CACHE_MB).
Files are sealed with a key of yours: one that another made, or a fault of the disk changed, is not
read, and what it held is made anew. Compiled blocks are native code, in JAX's own form, which its
reader unpickles: they are loaded from such files alone."""

EPILOG = """\
examples:
  jaxsim cache                where it is, and its size
  jaxsim cache --clear        empty it
  JAXSIM_CACHE=off jaxsim plan …          one run without it
  JAXSIM_CACHE_MB=100 jaxsim plan …       the oldest files go beyond 100 MB
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "cache",
        help="what is kept between runs: where, how much, and --clear",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("--clear", action="store_true", help="remove every file in it")
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Say what is there, and remove it if asked to."""
    from jaxsim.view.cli.cache import cache_folder
    from jaxsim.view.cli.main import OK

    folder = cache_folder()
    held = files_in(folder)
    total = sum(path.stat().st_size for path in held)
    if args.clear:
        for path in held:
            path.unlink(missing_ok=True)
    if args.format == "json":
        import json

        told = {"folder": str(folder), "files": len(held), "bytes": total, "cleared": args.clear}
        print(json.dumps(told))
    else:
        what = "removed" if args.clear else "kept"
        print(f"{folder}: {len(held):,} files, {total / 1e6:,.1f} MB {what}")
    return OK


def files_in(folder: Path) -> list[Path]:
    """The regular files of a folder that is the user's own; links are left alone."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
