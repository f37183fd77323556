"""How is a result printed?  As one JSON object, or as text with the names of files written."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxsim.view.text.layout import Page


def print_result(
    args: argparse.Namespace,
    as_dict: Callable[[], object],
    as_text: Callable[["Page"], str],
    written: Sequence[Path] = (),
) -> None:
    """Print a result by `--format`; in text, also the names of the files that were written."""
    if args.format == "json":
        from jaxsim.view.text.plain_json import dumps

        print(dumps(as_dict()))
        return
    from jaxsim.view.text.layout import page_for, wrap

    page = page_for(sys.stdout)
    print(as_text(page))
    if written:
        names = ", ".join(path.name for path in written)
        print(page.finish(wrap(f"Wrote {names} in {written[0].parent}", page)))
