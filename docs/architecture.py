"""Which room imports which?  The picture of `docs/architecture.md`, drawn from the code.

    python -m docs.architecture

Reads every import of the package and writes `docs/architecture.svg`: one box for each room of
`tests/test_package.py`, from the first floor at the bottom to the last at the top. An arrow points
at what a room imports; one that follows from two others is left out.
"""

import html
from pathlib import Path

from tests.test_package import PACKAGE, ROOMS, SOURCES, imports_of, room_of

PICTURE = Path(__file__).with_name("architecture.svg")
# A box, the gap to the next, and the height of a floor, in pixels.
WIDE, HIGH, GAP, FLOOR, LABEL = 104, 30, 12, 74, 86
COLOURS = ("#e8eef7", "#e9f5ec", "#fdf3e1", "#f7e9ef", "#efeaf7", "#e6f4f6", "#f3f3ee")


def imports() -> dict[str, set[str]]:
    """The rooms that each room imports."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in SOURCES:
        inside = path.relative_to(PACKAGE)
        own = room_of(".".join(inside.with_suffix("").parts))
        if own is None or path.name == "__init__.py":
            continue
        for _, module, names in imports_of(path):
            for full in (f"{module}.{name}" for name in names):
                other = room_of(full) if full.startswith("jaxsim.") else None
                if other is not None and other != own:
                    found[own].add(other)
    return found


def direct(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same without what follows from other imports."""
    below: dict[str, set[str]] = {}
    for room in ROOMS:
        below[room] = found[room].union(*(below[other] for other in found[room]))
    return {
        room: {x for x in own if not any(x in below[other] for other in own - {x})}
        for room, own in found.items()
    }


def floors(found: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each room: one above the highest that it imports."""
    floor: dict[str, int] = {}
    for room in ROOMS:
        floor[room] = 1 + max((floor[other] for other in found[room]), default=-1)
    return floor


def svg() -> str:
    """The picture."""
    found = imports()
    floor, arrows = floors(found), direct(found)
    rows = [[room for room in ROOMS if floor[room] == n] for n in range(max(floor.values()) + 1)]
    width = LABEL + max(map(len, rows)) * (WIDE + GAP) + GAP
    height = len(rows) * FLOOR + GAP
    packages = list(dict.fromkeys(room.split(".")[0] for room in ROOMS))
    at: dict[str, tuple[float, float]] = {}
    for n, row in enumerate(rows):
        left = (width - len(row) * (WIDE + GAP) + GAP) / 2.0
        for k, room in enumerate(row):
            at[room] = left + k * (WIDE + GAP), height - (n + 1) * FLOOR + (FLOOR - HIGH) / 2.0
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="11">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
        'markerHeight="6" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#777"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for room in ROOMS:
        for other in sorted(arrows[room], key=ROOMS.index):
            (x1, y1), (x2, y2) = at[room], at[other]
            lines.append(
                f'<line x1="{x1 + WIDE / 2:.1f}" y1="{y1 + HIGH:.1f}" x2="{x2 + WIDE / 2:.1f}" '
                f'y2="{y2:.1f}" stroke="#999" marker-end="url(#tip)"/>'
            )
    for room, (x, y) in at.items():
        package, _, name = room.rpartition(".")
        colour = COLOURS[packages.index(room.split(".")[0]) % len(COLOURS)]
        lines.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{WIDE}" height="{HIGH}" rx="4" '
            f'fill="{colour}" stroke="#555"/>'
        )
        text = html.escape(f"{package}/{name}" if package else name)
        lines.append(
            f'<text x="{x + WIDE / 2:.1f}" y="{y + HIGH / 2 + 4:.1f}" '
            f'text-anchor="middle">{text}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
