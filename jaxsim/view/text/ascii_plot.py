"""How does a frontier look in a terminal?

x is interactivity, 1/TTL, and y throughput per GPU. A column shows the most that any design of the
curve gives at its interactivity or a higher one: a staircase, not an interpolation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxsim.view.text.units import compact

KEEP = "\u00a0"  # a space at which a legend is not to be cut


@dataclass(frozen=True)
class Line:
    """One curve: its name, its mark, and its points as (interactivity, throughput)."""

    name: str
    mark: str
    points: Sequence[tuple[float, float]]

    def at(self, x: float) -> float | None:
        """The most throughput at this interactivity or more; None past the curve's end."""
        return max((y for own, y in self.points if own >= x), default=None)


def ticks(top: float, most: int) -> list[float]:
    """0 and up to `most` further round values that reach to `top`."""
    step = 1.0
    while step * most < top:
        step *= 10.0
    for factor in (0.02, 0.05, 0.1, 0.2, 0.5):
        if step * factor * most >= top:
            step *= factor
            break
    return [step * i for i in range(int(top / step + 1e-9) + 1)]


def plot(
    lines: Sequence[Line],
    width: int,
    height: int,
    x_label: str,
    y_label: str,
    target: float | None = None,
) -> list[str]:
    """The curves as text of `width` columns and `height` rows of points, first curve on top."""
    points = [point for line in lines for point in line.points]
    if not points:
        return []
    x_top = max(x for x, _ in points) * 1.02
    y_top = max(y for _, y in points) * 1.05
    y_ticks = ticks(y_top, max(height // 3, 2))
    margin = max(len(compact(y)) for y in y_ticks) + 1
    columns = max(width - margin - 1, 10)
    grid = [[" "] * columns for _ in range(height)]
    if target is not None and 0.0 < target < x_top:
        at = min(int(target / x_top * columns), columns - 1)
        for row in grid:
            row[at] = "┊"
    for line in reversed(lines):
        for column in range(columns):
            y = line.at((column + 0.5) / columns * x_top)
            if y is not None:
                grid[min(int(y / y_top * height), height - 1)][column] = line.mark
    labels = {min(int(y / y_top * height), height - 1): compact(y) for y in y_ticks}
    rows = [
        f"{labels.get(r, ''):>{margin}}{'┤' if r in labels else '│'}{''.join(grid[r])}"
        for r in reversed(range(height))
    ]
    axis, names = ["─"] * columns, [" "] * (columns + 1)
    for x in ticks(x_top, max(columns // 12, 2)):
        at, name = min(int(x / x_top * columns), columns - 1), compact(x)
        start = min(max(at - len(name) // 2, 0), columns + 1 - len(name))
        if "".join(names[max(start - 1, 0) : start + len(name) + 1]).strip():
            continue
        axis[at] = "┴"
        names[start : start + len(name)] = name
    left = " " * (margin + 1)
    legend = [f"{line.mark} {line.name}" for line in lines]
    if target is not None and 0.0 < target < x_top:
        legend.append("┊ target")
    return [
        f"{y_label}",
        *rows,
        " " * margin + "└" + "".join(axis),
        left + "".join(names),
        left + x_label.rjust(columns),
        left + "   ".join(entry.replace(" ", KEEP) for entry in legend),
    ]
