"""Which of a folder of real config.json files load, and what does jaxsim make of each?

    python -m benchmarks.models.configs FOLDER [--json FILE]

FOLDER holds a folder with a config.json for each model.
"""

import argparse
import json
from pathlib import Path

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_model
from jaxsim.catalog.parameters import parameters
from jaxsim.catalog.precision import spoken_formats


def read(folder: Path) -> dict:
    """One model: its counts and formats, or why it is refused."""
    try:
        card = load_model(folder)
    except InputError as error:
        return {"name": folder.name, "loaded": False, "reason": str(error).split(": ", 1)[-1]}
    counts = parameters(card.model)
    return {
        "name": folder.name,
        "loaded": True,
        "parameters": float(counts.total),
        "active": float(counts.active),
        "groups": len(card.model.groups),
        "formats": spoken_formats(card.formats(card.precision)),
        "note": card.note,
    }


def main() -> None:
    """Read every folder and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = [read(path.parent) for path in sorted(args.folder.glob("*/config.json"))]
    for row in result:
        if row["loaded"]:
            size = f"{row['parameters'] / 1e9:9.3f} B {row['active'] / 1e9:8.3f} B active"
            print(f"{row['name']:50} {size} {row['groups']:3} kinds  {row['formats']}")
        else:
            print(f"{row['name']:50} refused: {row['reason']}")
    print(f"{sum(row['loaded'] for row in result)} of {len(result)} load")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
