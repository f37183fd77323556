"""What do sensitivities look like?  A tornado of the levers, and resources along a frontier."""

from typing import TYPE_CHECKING

import numpy as np

from jaxsim.space.sensitivity_along import Along
from jaxsim.space.sensitivity_attribution import RESOURCES
from jaxsim.space.sensitivity_result import Sensitivity
from jaxsim.space.sensitivity_study import LeverStudy
from jaxsim.view import units
from jaxsim.view.figures import STYLE
from jaxsim.view.text import Page, bar, table
from jaxsim.view.words import POOLS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UP, DOWN, LINE = "#0072B2", "#D55E00", "#222222"
# Okabe and Ito's colours, then greys for what is not a resource of the chip.
COLOURS = (
    "#56B4E9", "#0072B2", "#004C7A", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#9AA5B1",
    "#D5DAE0",
)  # fmt: skip

# Columns of a tornado without its bars.
WITHOUT_BARS = 38


def halves(low: float, high: float, most: float, cells: int) -> tuple[str, str]:
    """Bars to both sides of a middle: what is lost to its left, what is gained to its right."""
    left, right = -min(low, high, 0.0), max(low, high, 0.0)

    def length(value: float) -> str:
        return bar(min(value / most, 1.0) if most else 0.0, cells)

    # Eighths of a cell only exist from the left, so that losses come in whole cells.
    whole = round(min(left / most, 1.0) * cells) if most else 0
    return ("█" * max(whole, 1 if left > 0.0 else 0)).rjust(cells), length(right)


def tornado(levers: tuple[LeverStudy, ...], page: Page) -> list[str]:
    """Each lever as a bar from its exact effect at the least factor to that at the largest."""
    if not levers:
        return []
    cells = max(min((page.width - WITHOUT_BARS) // 2, 24), 4)
    ends = [(lever.effects[0], lever.effects[-1]) for lever in levers]
    sizes = [abs(end.exact or 0.0) for pair in ends for end in pair]
    first, last = (factor_name(end.factor) for end in ends[0])
    rows = [["lever", "% per %", first.rjust(cells), " " + last]]
    for lever, (low, high) in zip(levers, ends, strict=True):
        left, right = halves(low.exact or 0.0, high.exact or 0.0, max(sizes), cells)
        rows.append([lever.title, f"{lever.elasticity:+.3f}", left, "│" + right])
    rows = [[*row[:2], row[2] + row[3]] for row in rows]
    return table(rows, left=(0, 2))


def effects_table(levers: tuple[LeverStudy, ...], page: Page) -> list[str]:
    """Exact effects of each lever at every factor, and how far the design holds."""
    if not levers:
        return []
    factors = [effect.factor for effect in levers[0].effects]
    rows = [["throughput, %", *(factor_name(f) for f in factors), "design holds"]]
    for lever in levers:
        rows.append([lever.title, *(_effect(effect) for effect in lever.effects), holds(lever)])
        rows.append(["  by the elasticity", *(f"{e.local * 100:+.1f}" for e in lever.effects), ""])
    return table(rows, gap=1)


def factor_name(factor: float) -> str:
    """`+10 %`, `−50 %`, `×2`."""
    if factor >= 2.0:
        return f"×{factor:g}"
    return f"{'+' if factor > 1 else '−'}{abs(factor - 1.0) * 100:.3g} %"


def _effect(effect) -> str:
    text = "none" if effect.exact is None else f"{effect.exact * 100:+.1f}"
    return text + ("*" if effect.changed else "")


def holds(lever: LeverStudy) -> str:
    """The factors between which the best widths, stages and mode stay as they are."""
    factors = [effect.factor for effect in lever.effects]
    low, high = lever.stable
    left = f"<{low:.2f}" if low <= min(factors) else f"{low:.2f}"
    right = f">{high:.2f}" if high >= max(factors) else f"{high:.2f}"
    return f"×{left}–{right}"


def tornado_figure(found: Sensitivity) -> "Figure":
    """Exact effects of every lever at each factor, with what its elasticity predicts."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    levers = [lever for lever in found.levers if lever.effects][::-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 1.6 + 0.62 * max(len(levers), 1)), layout="constrained")
        axes = figure.subplots()
        for row, lever in enumerate(levers):
            for effect in sorted(lever.effects, key=lambda e: -abs(np.log(e.factor))):
                if effect.exact is None:
                    continue
                near = abs(np.log(effect.factor)) < np.log(1.2)
                axes.barh(
                    row, 100.0 * effect.exact,
                    height=0.62, color=UP if effect.factor > 1.0 else DOWN,
                    alpha=1.0 if near else 0.45 if effect.factor < 2.0 else 0.25, linewidth=0,
                )  # fmt: skip
                axes.plot(
                    [100.0 * effect.local] * 2, [row - 0.36, row + 0.36], color=LINE, linewidth=1.0
                )
        axes.set_yticks(range(len(levers)), [lever.title for lever in levers])
        axes.axvline(0.0, color=LINE, linewidth=0.8)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("throughput gained, % (bars: optimised again; lines: by the elasticity)")
        factors = ", ".join(factor_name(e.factor) for e in levers[-1].effects) if levers else ""
        axes.set_title(f"What would change the answer: inputs at {factors}", loc="left")
    return figure


def resources_figure(along: Along) -> "Figure":
    """Shares of the time by resource along a frontier, one picture for each pool."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        count = len(along.attributions)
        figure = Figure(figsize=(9.6, 2.9 * count + 0.4), layout="constrained")
        all_axes = np.atleast_1d(figure.subplots(count, 1, sharex=True))
        interactivity = 1.0 / np.asarray(along.ttl_s, float)
        order = np.argsort(interactivity)
        for axes, (pool, found) in zip(all_axes, along.attributions.items(), strict=True):
            shares = 100.0 * found.by_resource[order].T
            shown = [i for i in range(len(shares)) if shares[i].max(initial=0.0) > 0.05]
            axes.stackplot(
                interactivity[order], shares[shown],
                labels=[found.resources[i] for i in shown],
                colors=[COLOURS[i % len(COLOURS)] for i in shown], linewidth=0,
            )  # fmt: skip
            axes.set_xscale("log")
            for set_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                set_formatter("{x:g}")
            axes.set_ylim(0.0, 100.0)
            axes.set_ylabel("% of the time")
            axes.set_title(f"What {POOLS[pool]} waits for", loc="left")
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True)
        all_axes[-1].set_xlabel("interactivity, tokens/s a user")
    return figure


def resource_table(found: Sensitivity, page: Page) -> list[str]:
    """Shares of the time of every pool by part and resource, and their sums."""
    lines: list[str] = []
    for pool, own in found.attributions.items():
        seconds = own.seconds[0]
        total = float(seconds.sum())
        shown = [i for i in range(len(own.resources)) if seconds[:, i].sum() > 5e-4 * total]
        rows = [["% of the time", *(short(own.resources[i]) for i in shown), "sum"]]
        for part, line in zip(own.parts, seconds, strict=True):
            if line.sum() > 5e-4 * total:
                rows.append(
                    [part, *(_share(line[i], total) for i in shown), _share(line.sum(), total)]
                )
        sums = [_share(seconds[:, i].sum(), total) for i in shown]
        rows.append(["sum", *sums, _share(total, total)])
        lines += [f"{POOLS[pool]}: {units.seconds(total)}", *("  " + r for r in table(rows)), ""]
    return lines[:-1]


def short(resource: str) -> str:
    """A resource's name for the head of a narrow column."""
    assert resource in RESOURCES
    return resource.removesuffix(" arithmetic").removeprefix("kernel ")


def _share(part: float, total: float) -> str:
    return "" if part <= 5e-5 * total else f"{100.0 * part / total:.1f}"
