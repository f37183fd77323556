"""What does one explained design look like on a terminal?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxsim.quantities import PARTS, QUANTITIES
from jaxsim.view.text import units
from jaxsim.view.text.layout import Page, indent, wrap
from jaxsim.view.text.tables import with_bars

if TYPE_CHECKING:
    from jaxsim.point.explain import Explanation

PASS = {
    "prefill": "all passes of a batch's chunks",
    "decode": "one decode step",
    "colocated": "one step that carries a chunk",
}
NEGLIGIBLE_FRAC = 1e-5  # rounding in single precision
MEMORY = ("weights_bytes", "kv_bytes", "activation_bytes", "reserve_bytes")

# Outputs that the flags and the table of parts say already.
HIDDEN = ("valid", *(f"{part}_s" for part in PARTS))

# What to do about a broken rule.
ADVICE = {
    "fits_memory": "use more GPUs, a smaller batch or chunk, or narrower formats",
    "heads_divide": "choose a TP that divides the attention heads",
    "experts_divide": "choose an EP that divides the experts",
    "ffn_divides": "choose widths that divide the feed-forward layers",
    "widths_divide": "let the larger of TP and EP be a multiple of the other",
    "within_domain": "narrow the stage to the scale-up domain, or let it fill whole ones",
    "within_context": "shorten the requests, or give --max-context",
    "piggybacking_sustained": "its numbers are no steady state, those of in-flight batching are; "
    "choose a larger chunk or a smaller batch",
    "stages_have_layers": "use no more stages than the model has layers",
}


def render_explanation(
    explanation: "Explanation", title: str, design: Mapping[str, float], page: Page
) -> str:
    """Time by part, memory, results, and what is wrong."""
    axes = ", ".join(f"{name} {units.count(value)}" for name, value in design.items())
    head = f"{title}, {explanation.phase}: {axes}"
    lines = [page.paint(line, "bold") for line in wrap(head, page)]
    lines += [line for note in explanation.notes for line in wrap(note, page)]
    lines += _flags(explanation, page)
    lines += ["", *_time(explanation, page), "", *_memory(explanation, page)]
    lines += ["", *_results(explanation, page)]
    return page.finish(lines)


def _flags(explanation: "Explanation", page: Page) -> list[str]:
    broken = [name for name, kept in explanation.rules.items() if not kept]
    if not broken:
        return [page.paint("Obeys every rule.", "green")]
    lines = []
    for name in broken:
        meaning = QUANTITIES[name].long_name if name in QUANTITIES else name.replace("_", " ")
        text = f"Breaks a rule: {meaning} ({name})"
        if name == "fits_memory":
            text += f", {units.prefixed(explanation.memory['over_bytes'], 'B')} too much"
        text += f"; {ADVICE[name]}." if name in ADVICE else "."
        lines += [page.paint(line, "yellow") for line in wrap(text, page, 0, 2)]
    return lines


def _time(explanation: "Explanation", page: Page) -> list[str]:
    total = explanation.total_s
    rows = [["", "time", "share", "flop", "bytes", "bound by"]]
    shares: list[float | None] = [None]
    for part in sorted(explanation.parts, key=lambda part: -part.seconds):
        share = part.seconds / total if total > 0.0 else 0.0
        if share < NEGLIGIBLE_FRAC:
            continue
        rows.append(
            [
                part.name.replace("_", " "),
                units.seconds(part.seconds),
                units.percent(share),
                units.prefixed(part.flop, "") if part.flop else "",
                units.prefixed(part.bytes, "B") if part.bytes else "",
                part.bound,
            ]
        )
        shares.append(share)
    lines = with_bars(rows, shares, page, (0, 5), most=24, head="dim")
    between = ""
    if explanation.interval_s is not None:
        low, high = explanation.interval_s
        between = f" (80 % interval {units.seconds(low)} – {units.seconds(high)})"
    what = (
        f"{units.seconds(total)}{between}: {PASS.get(explanation.phase, 'a pass')}, over all layers"
    )
    return [*(page.paint(line, "bold") for line in wrap(what, page)), *lines]


def _memory(explanation: "Explanation", page: Page) -> list[str]:
    memory = explanation.memory
    capacity = memory["capacity_bytes"]
    rows = [
        [
            QUANTITIES[name].long_name,
            units.prefixed(memory[name], "B"),
            units.percent(memory[name] / capacity),
        ]
        for name in MEMORY
    ]
    used = sum(memory[name] for name in MEMORY)
    title = (
        f"Memory of the fullest GPU: {units.prefixed(used, 'B')} of {units.prefixed(capacity, 'B')}"
    )
    bars = [memory[name] / capacity for name in MEMORY]
    return [page.paint(title, "bold"), *with_bars(rows, bars, page, most=24)]


def _results(explanation: "Explanation", page: Page) -> list[str]:
    rows = []
    for name, value in explanation.outputs.items():
        known = QUANTITIES.get(name)
        if known is None or name.endswith(HIDDEN):
            continue
        flag = known.description.startswith("Whether")
        shown = ("yes" if value else "no") if flag else _with_unit(value, known.units)
        rows.append([known.long_name, shown, known.description])
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)] if rows else [0, 0]
    room = page.width - sum(widths) - 6
    lines = []
    for name, value, description in rows:
        text = f"{name.ljust(widths[0])}  {value.rjust(widths[1])}"
        lines.append(f"{text}  {description}" if len(description) <= room else text)
    return [page.paint("Results", "bold"), *indent(lines)]


def _with_unit(value: float, unit: str) -> str:
    """A reported number with its unit."""
    if unit == "s":
        return units.seconds(value)
    if unit in ("B", "B/s"):
        return units.prefixed(value, unit)
    text = units.compact(value)
    return text if unit == "1" else f"{text} {unit}"
