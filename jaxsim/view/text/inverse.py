"""How are inverse solutions shown?  What it takes, best chips, where disaggregation pays."""

from jaxsim.space.sensitivity.chips import Chips
from jaxsim.space.sensitivity.inverse import FURTHEST, Crossing, Crossover
from jaxsim.space.sensitivity.parameters import HARDWARE
from jaxsim.space.sensitivity.result import Sensitivity
from jaxsim.view.text import units
from jaxsim.view.text.layout import Page, wrap
from jaxsim.view.text.tables import table

# Factors this near to 1 are no change.
SAME = 5e-3


def heading(text: str, page: Page) -> str:
    """The head of a section."""
    return page.paint(text, "bold")


def times(factor: float) -> str:
    """A factor on an input."""
    return "as it is" if abs(factor - 1.0) < SAME else f"×{factor:.3g}"


def reached(result: Sensitivity, page: Page) -> list[str]:
    """What each lever alone must become for a throughput, and the cheapest of several together."""
    if result.goal is None:
        return []
    rows = [[one.title, f"×{one.factor:.3g}"] for one in result.reached if one.factor is not None]
    others = ", ".join(one.title for one in result.reached if one.factor is None)
    title = f"One change that gives {units.count(result.goal)} tokens/s/GPU, solved exactly"
    lines = [
        *(heading(line, page) for line in wrap(title, page)),
        *table(rows, page, (0, 1), head=None),
    ]
    if others:
        lines += wrap(f"Not within a factor of {FURTHEST:g}: {others}.", page, 2)
    own = result.cheapest
    if own is not None and own.cost is None:
        lines += wrap("Bandwidth, peak and link together do not reach it either.", page, 2)
    elif own is not None and own.cost is not None:
        parts = [f"{HARDWARE[p]} {times(f)}" for p, f in own.factors.items() if f > 1.0 + SAME]
        text = (
            f"Cheapest of HBM bandwidth, peak and scale-up link together: {', '.join(parts)}, "
            f"{units.percent(own.cost, signed=True)} of what a chip costs. The cost of parts is "
            "assumed; --part changes it."
        )
        lines += wrap(text, page, 2)
    return lines


def chips(result: Sensitivity, page: Page) -> list[str]:
    """The best chips within a budget."""
    if not result.chips:
        return []
    columns = [
        (name, own.factors[pool], own.used[pool])
        for own in result.chips
        for pool, name in _named(own)
    ]
    paths = list(columns[0][1])
    rows = [["", *(name for name, _, _ in columns)]]
    rows += [[HARDWARE[path], *(times(own[path]) for _, own, _ in columns)] for path in paths]
    rows += [
        [f"takes of its {kind}", *(units.percent(used[kind]) for _, _, used in columns)]
        for kind in columns[0][2]
    ]
    budget = result.budget
    given = {} if budget is None else budget.most
    said = ", ".join(f"{k} {units.percent(f - 1.0, signed=True)}" for k, f in given.items())
    title = f"The best chips within {said or 'the cost, power and area of the chip as it is'}"
    lines = [*(heading(line, page) for line in wrap(title, page)), *table(rows, page)]
    for own in result.chips:
        which = "A chip for each pool" if len(own.factors) == 2 else "One chip"
        text = f"{which}: {units.percent(own.gain, signed=True)} throughput"
        shapes = []
        for pool, design in own.optimum.designs.items():
            widths = " ".join(f"{n.upper()}{design[n]:.0f}" for n in ("tp", "ep", "pp"))
            shapes.append(f"{pool} {widths}")
        lines += wrap(f"{text}, matched again ({', '.join(shapes)})", page, 2, 2)
    note = "Shares of a chip's parts are assumed: --part changes them, --budget their limits."
    return [*lines, *wrap(note, page, 2)]


def _named(own: Chips) -> list[tuple[str, str]]:
    if len(own.factors) == 1:
        return [("", "one chip")]
    return [("prefill", "prefill chip"), ("", "decode chip")]


def crossovers(result: Sensitivity, page: Page) -> list[str]:
    """Where along an axis separate pools begin to pay."""
    lines: list[str] = []
    for own in result.crossovers:
        lines += [*([""] if lines else []), *_crossover(own, page)]
    return lines


def _crossover(own: Crossover, page: Page) -> list[str]:
    name = own.axis.upper()
    rows = [[name, "disaggregated", "co-located", "gain"]]
    for value, pools, both in own.gains:
        gain = f"×{pools / both:.3g}" if pools > 0.0 and both > 0.0 else ""
        shown = [units.plain(y) if y > 0.0 else "misses" for y in (pools, both)]
        rows.append([units.count(value), *shown, gain])
    lines = [heading(f"Where disaggregation pays, by {name}", page)]
    for crossing in own.crossings:
        lines += wrap(_crossing(crossing, name), page, 2, 2)
    if not own.crossings:
        low, high = own.gains[0][0], own.gains[-1][0]
        text = f"Nothing crosses between {name} {units.count(low)} and {units.count(high)}: "
        lines += wrap(text + _side(own), page, 2, 2)
    return [*lines, *table(rows, page)]


def _crossing(one: Crossing, name: str) -> str:
    rises = (one.gain_high or 0.0) > 1.0 or (one.gain_low is not None and one.gain_low <= 1.0)
    verb = "starts to pay" if rises else "ceases to pay"
    gains = [
        "only one kind meets the targets" if gain is None else f"×{gain:.4g}"
        for gain in (one.gain_low, one.gain_high)
    ]
    return (
        f"Disaggregation {verb} between {name} {units.count(one.low)} and "
        f"{units.count(one.high)} (gain {gains[0]}, then {gains[1]})"
    )


def _side(own: Crossover) -> str:
    pools = [p > b for _, p, b in own.gains]
    if not any(p > 0.0 or b > 0.0 for _, p, b in own.gains):
        return "no design meets the targets."
    return "disaggregation pays throughout." if all(pools) else "co-location is as good or better."
