"""Malformed command lines and files by seed: is every one answered well?

`python -m benchmarks.fuzz` runs them. A case is a kind and a seed, and the same in every process:
`values` has what is put in, `lines` command lines, `documents` files and their readers, `judge`
runs one and names what is wrong with what it did, `worker` runs many.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

Rows = Iterable[Mapping[str, object]]


def figures(
    parser: argparse.ArgumentParser, rows: Callable[[argparse.Namespace, Path], Rows]
) -> None:
    """Run a program in a folder in memory; print its rows of figures and keep them as they come.

    `rows` has the options and the folder, and gives the rows. A row takes the place of that of
    its name, so that figures may be given again while they grow; `seconds` are those of a name.
    """
    parser.add_argument("--json", help="where the figures go, beside those of other names")
    args = parser.parse_args()
    name, begun = None, time.perf_counter()
    ended = begun
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for told in rows(args, Path(folder)):
            if told["name"] != name:
                name, begun = told["name"], ended
            ended = time.perf_counter()
            leave({**told, "seconds": round(ended - begun)}, args.json)


def leave(told: Mapping[str, object], file: str | None) -> None:
    """Print a row of figures, and keep it in a file, in place of the row of its name there."""
    print(json.dumps(told), flush=True)
    if file:
        path = Path(file)
        held = json.loads(path.read_text()) if path.exists() else []
        rows = [row for row in held if row["name"] != told["name"]]
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps([*rows, told], indent=1) + "\n")
        aside.replace(path)
