"""What does a sensitivity say on a terminal?  What binds, what would help, what it is worth."""

from jaxsim.space.sensitivity.price import Price
from jaxsim.space.sensitivity.result import Sensitivity
from jaxsim.space.sensitivity.sources import LeftOpen
from jaxsim.view.text import units
from jaxsim.view.text.inverse import chips, crossovers, heading, reached
from jaxsim.view.text.layout import Page, indent, wrap
from jaxsim.view.text.levers import change, effects_table, resource_table, tornado
from jaxsim.view.text.sentences import EQUAL_FRAC, POOLS, held, mapping
from jaxsim.view.text.tables import table

INPUTS_SHOWN = 12
OPEN_SHOWN = 4
NAMES = {"ttl": "the TTL target", "ftl": "the FTL target", "memory": "HBM capacity",
         "link": "the network", "mix": "how many prompts steps can carry"}  # fmt: skip
AMOUNTS = {"TTL target": "1 ms more TTL", "FTL target": "100 ms more FTL",
           "HBM capacity": "10 GB more HBM", "GPU budget": "one more GPU"}  # fmt: skip


def render_sensitivity(result: Sensitivity, page: Page) -> str:
    """The whole sensitivity as text."""
    sections = [
        _head(result, page), _levers(result, page), _what_if(result, page), reached(result, page),
        chips(result, page), crossovers(result, page), _prices(result, page), _steps(result, page),
        _resources(result, page), _inputs(result, page), _unsure(result, page),
    ]  # fmt: skip
    lines: list[str] = []
    for section in sections:
        if section:
            lines += [*section, ""]
    return page.finish(lines[:-1])


def _head(result: Sensitivity, page: Page) -> list[str]:
    kind = POOLS[result.kind]
    y = units.count(result.deployed.output_tokens_per_s_per_gpu)
    lines = wrap(f"Best {kind} deployment: {y} output tokens/s/GPU.", page)
    for shape in result.deployed.instances:
        text = f"{POOLS[shape.phase]}: {shape.count:,} × {mapping(shape)}, {held(shape)}"
        lines += wrap(text, page, 2, 2)
    for pool, binding in result.elasticities.binding[0].items():
        limits = " and ".join(NAMES[name] for name in binding)
        text = limits or "no target and no capacity; more requests would not add throughput"
        lines += wrap(f"{POOLS[pool]} is limited by {text}", page, 2, 2)
    lines += [line for note in result.notes for line in wrap(note, page)]
    return [page.paint(lines[0], "bold", "green"), *lines[1:]]


def _levers(result: Sensitivity, page: Page) -> list[str]:
    if not result.levers:
        return []
    note = (
        "% per %: throughput gained by one percent more of an input. Effects are solved exactly. "
        "*: the best design has other widths, stages or mode. The design stays the best between "
        "the factors given. none: no design meets the targets."
    )
    return [
        heading("What would change the throughput", page),
        *tornado(result.levers, page),
        "",
        *effects_table(result.levers, page),
        *wrap(note, page, 2),
    ]


def _what_if(result: Sensitivity, page: Page) -> list[str]:
    if not result.what_if:
        return []
    rows = [["", "throughput", "by elasticities", ""]]
    for case in result.what_if:
        exact = "no design meets the targets"
        if case.exact is not None:
            exact = units.percent(case.exact, signed=True)
        changed = "another design" if case.changed else "same widths and stages"
        rows.append([change(case.moves), exact, units.percent(case.local, signed=True), changed])
    return [heading("What if", page), *table(rows, page, (0, 3))]


def _prices(result: Sensitivity, page: Page) -> list[str]:
    rows = [["", "tokens/s/GPU", "solved", "$ per million"]]
    rows += [_price(price) for price in result.prices if price.name != "GPU budget"]
    lines = [heading("What a little more is worth", page), *table(rows, page)]
    for price in result.prices:
        if price.name == "GPU budget" and price.tokens_per_s_per_gpu is not None:
            text = f"one more GPU adds {units.plain(price.tokens_per_s_per_gpu)} tokens/s in all"
            if price.binding:
                text += ", where all GPUs of the budget are used"
            else:
                text += " (there is no GPU budget)"
            lines += wrap(text, page, 2, 2)
    return lines


def _unsure(result: Sensitivity, page: Page) -> list[str]:
    own = result.uncertainty
    low, high = own.interval80
    agree = "agree" if own.linear else "differ: the model is not linear over this spread"
    text = (
        f"80 % of samples lie between {units.percent(low - 1.0, signed=True)} and "
        f"{units.percent(high - 1.0, signed=True)}. Standard deviation "
        f"{units.percent(own.delta_sigma)} by elasticities, {units.percent(own.sample_sigma)} by "
        f"samples: they {agree}."
    )
    rows = [["most worth measuring", "of variance", "first order", "linear"]]
    for share in own.worth_measuring:
        cells = (share.total, share.first, share.linear)
        rows.append([share.constant, *(units.percent(max(cell, 0.0)) for cell in cells)])
    lines = [heading("How sure", page), *wrap(text, page, 2), *table(rows, page)]
    return [*lines, *_left_open(own.left_open, page)]


def _left_open(constants: tuple[LeftOpen, ...], page: Page) -> list[str]:
    """Which constants rest on a prior, and what that comes to."""
    if not constants:
        return []
    kinds = " and ".join(sorted({own.kind for own in constants}))
    text = (
        f"{len(constants)} constants of kernel fits rest more on their prior than on measurements "
        f"({kinds}; --prior changes it). Those that matter most:"
    )
    rows = [["constant", "of the fit of", "prior", "throughput"]]
    for own in constants[:OPEN_SHOWN]:
        effect = f"±{units.percent(own.effect)}"
        rows.append([own.constant, own.fit, f"±{units.percent(own.prior)}", effect])
    return [*wrap(text, page, 2), *table(rows, page, (0, 1))]


def _price(price: Price) -> list[str]:
    def signed(value: float | None, digits: int) -> str:
        return units.NONE if value is None else f"{value:+.{digits}f}"

    return [
        AMOUNTS[price.name],
        signed(price.tokens_per_s_per_gpu, 2),
        signed(price.exact, 2),
        signed(price.usd_per_million, 4),
    ]


def _steps(result: Sensitivity, page: Page) -> list[str]:
    if not result.steps:
        return []
    rows = []
    for step in result.steps:
        name = f"{step.pool} {step.axis.upper()}" if step.pool else "GPUs of a scale-up domain"
        effect = "nothing valid"
        if step.effect is not None:
            small = abs(step.effect) < EQUAL_FRAC
            effect = "no effect" if small else units.percent(step.effect, signed=True)
        rows.append([name, f"{step.value:g} → {step.other:g}", effect])
    return [heading("Whole steps, solved exactly", page), *table(rows, page, (0, 1))]


def _resources(result: Sensitivity, page: Page) -> list[str]:
    title = heading("What the time waits for", page)
    return [title, *resource_table(result, page)]


def _inputs(result: Sensitivity, page: Page) -> list[str]:
    rows = [["input", "of the", "% per %"]]
    for own, elasticity in result.inputs[:INPUTS_SHOWN]:
        rows.append([own.name, own.group, f"{elasticity:+.3f}"])
    left = sum(abs(e) > 0.0 for _, e in result.inputs) - INPUTS_SHOWN
    more = [f"{left} more with -o or --format json"] if left > 0 else []
    return [
        heading("Inputs by their elasticity", page),
        *table(rows, page, (0, 1)),
        *indent(more),
    ]
