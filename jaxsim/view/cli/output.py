"""How is a result printed?  As one JSON object, or as text with the names of files written."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxsim.view.text.layout import Page


def deliver(
    args: argparse.Namespace,
    as_dict: Callable[[], object],
    as_text: Callable[["Page"], str],
    write: Callable[[], Sequence[Path]] | None,
) -> None:
    """Print a result, then write its files and name them: a full disk does not lose the answer.

    A standard output that fails does not lose the files. Raises the first OSError, at the end.
    """
    failed: OSError | None = None
    try:
        print_result(args, as_dict, as_text)
        sys.stdout.flush()
    except OSError as error:
        failed = error
        if error.filename is None and not isinstance(error, BrokenPipeError):
            error.filename = "standard output"
    written: Sequence[Path] = ()
    if write is not None:
        try:
            written = write()
        except OSError as error:
            if args.format == "json":  # which is printed, and one object
                raise Delivered(error) from None
            raise
    if failed is not None:
        raise failed
    if written and args.format != "json":
        from jaxsim.view.text.layout import page_for, wrap

        page = page_for(sys.stdout)
        names = ", ".join(path.name for path in written)
        print(page.finish(wrap(f"Wrote {names} in {written[0].parent}", page)))


class Delivered(Exception):
    """Files could not be written, after the answer was printed."""

    def __init__(self, error: OSError):
        super().__init__(str(error))
        self.error = error


def print_result(
    args: argparse.Namespace,
    as_dict: Callable[[], object],
    as_text: Callable[["Page"], str],
) -> None:
    """Print a result by `--format`."""
    if args.format == "json":
        from jaxsim.view.text.plain_json import dumps

        print(dumps(as_dict()))
        return
    from jaxsim.view.text.layout import page_for

    print(as_text(page_for(sys.stdout)))
