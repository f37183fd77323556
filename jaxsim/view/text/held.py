"""How is it said what held of a plan?"""

from typing import Any

from jaxsim.view.text.layout import Page, wrap

NAMES = {
    "ttft": ("first-token latency", "ms", 1e3),
    "tpot": ("token-to-token latency", "ms", 1e3),
    "output_tokens_per_s_per_gpu": ("output tokens/s/GPU", "", 1.0),
}


def render_held(found: dict[str, Any], page: Page) -> str:
    """The verdict, each number on a line, and what would explain the difference."""
    verdict = found["verdict"]
    load = verdict["concurrency"]
    said = f"{load:g} requests at once" if load else f"{verdict['requests_per_s']:.3g} requests/s"
    lines = [
        f"{found['plan']['model']}, {found['plan']['kind']}: measured at {said}; the plan runs at "
        f"{found['plan']['concurrency']:g} at once."
    ]
    for name, (words, unit, scale) in NAMES.items():
        value = verdict["measured"][name]
        if value is None:
            lines.append(f"{words}: not measured.")
            continue
        ours = verdict["predicted_at_this_load"][name]
        state = {True: "holds", False: "does not hold", None: "measured at another load"}
        lines.append(
            f"{words}: {value * scale:.4g} {unit}".rstrip()
            + f" measured, {verdict['planned'][name] * scale:.4g} planned, {ours * scale:.4g} "
            f"predicted at this load: {state[verdict['held'][name]]}."
        )
    for name, own in verdict.get("explained", {}).items():
        lines += _cause_lines(NAMES[name][0], own)
    return "\n".join(page.finish(wrap(line, page)) for line in lines)


def _cause_lines(words: str, own: dict[str, Any]) -> list[str]:
    percent = 100.0 * (own["ratio"] - 1.0)
    if own["inside"]:
        return [f"The {words} is {percent:+.0f} % off, inside the 80 % interval."]
    first, *others = own["causes"]
    told = (
        f"The {words} is {percent:+.0f} % off, outside the 80 % interval. Most likely cause: "
        f"{first['name']} times {first['factor']:.2f} ({abs(first['deviations']):.1f} deviations)"
    )
    rest = "; ".join(
        f"{one['name']} times {one['factor']:.2f} ({abs(one['deviations']):.1f})" for one in others
    )
    return [told + (f"; or {rest}." if rest else ".")]
