"""How do sensitivities look in plain text?  A tornado of the levers, and time by resource."""

from collections.abc import Mapping

from jaxsim.space.sensitivity.attribution import RESOURCES
from jaxsim.space.sensitivity.inputs import TARGETS
from jaxsim.space.sensitivity.request import Times, Value
from jaxsim.space.sensitivity.result import Sensitivity
from jaxsim.space.sensitivity.study import Effect, LeverStudy
from jaxsim.view.text import units
from jaxsim.view.text.layout import Page, bar
from jaxsim.view.text.sentences import POOLS
from jaxsim.view.text.tables import table

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
    return table(rows, page, (0, 2))


def effects_table(levers: tuple[LeverStudy, ...], page: Page) -> list[str]:
    """Exact effects of each lever at every factor, and how far the design holds."""
    if not levers:
        return []
    factors = [effect.factor for effect in levers[0].effects]
    rows = [["throughput, %", *(factor_name(f) for f in factors), "design holds"]]
    for lever in levers:
        rows.append([lever.title, *(_effect(effect) for effect in lever.effects), holds(lever)])
        rows.append(["  by the elasticity", *(f"{e.local * 100:+.1f}" for e in lever.effects), ""])
    return table(rows, page, gap=1, drop=(len(factors) + 1, len(factors) - 1))


def factor_name(factor: float) -> str:
    """`+10 %`, `−50 %`, `×2`."""
    if factor >= 2.0:
        return f"×{factor:g}"
    return f"{'+' if factor > 1 else '−'}{abs(factor - 1.0) * 100:.3g} %"


def _effect(effect: Effect) -> str:
    text = "none" if effect.exact is None else f"{effect.exact * 100:+.1f}"
    return text + ("*" if effect.changed else "")


def change(moves: Mapping[str, Value]) -> str:
    """Moved inputs in words: `hbm_bytes_per_s +20 %, ttl 40 ms`."""
    return ", ".join(f"{name} {_moved(name, value)}" for name, value in moves.items())


def _moved(name: str, value: Value) -> str:
    if isinstance(value, Times):
        near = 0.5 < value.factor < 2.0
        return units.percent(value.factor - 1.0, signed=True) if near else f"×{value.factor:g}"
    return units.seconds(value) if name in TARGETS else f"{value:g}"


def holds(lever: LeverStudy) -> str:
    """The factors between which the best widths, stages and mode stay as they are."""
    factors = [effect.factor for effect in lever.effects]
    low, high = lever.stable
    left = f"<{low:.2f}" if low <= min(factors) else f"{low:.2f}"
    right = f">{high:.2f}" if high >= max(factors) else f"{high:.2f}"
    return f"×{left}–{right}"


def resource_table(result: Sensitivity, page: Page) -> list[str]:
    """Shares of the time of every pool by part and resource, and their sums."""
    lines: list[str] = []
    for pool, own in result.attributions.items():
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
        lines += [f"  {POOLS[pool]}: {units.seconds(total)}", *table(rows, page, by=4), ""]
    return lines[:-1]


def short(resource: str) -> str:
    """A resource's name for the head of a narrow column."""
    assert resource in RESOURCES
    return resource.removesuffix(" arithmetic").removeprefix("kernel ")


def _share(part: float, total: float) -> str:
    return "" if part <= 5e-5 * total else f"{100.0 * part / total:.1f}"
