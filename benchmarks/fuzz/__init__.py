"""Malformed command lines and files by seed: is every one answered well?

`python -m benchmarks.fuzz` runs them. A case is a kind and a seed, and the same in every process:
`values` has what is put in, `lines` command lines, `documents` files and their readers, `judge`
runs one and names what is wrong with what it did, `worker` runs many.
"""

import json
from collections.abc import Mapping
from pathlib import Path


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
