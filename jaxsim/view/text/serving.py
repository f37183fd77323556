"""What does a deployment under load look like on a terminal, and as JSON?"""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from jaxsim.view.text import units
from jaxsim.view.text.layout import Page, indent, table, wrap

UNLIMITED = 1e6  # sequences, from which on no engine counts

if TYPE_CHECKING:
    from jaxsim.traffic.service import UnderLoad


def under_load_dict(found: "UnderLoad") -> dict[str, object]:
    """A deployment under load as JSON has it."""
    intervals = {f"{name}_interval": list(ends) for name, ends in found.intervals.items()}
    own = {key: value for key, value in asdict(found).items() if key != "intervals"}
    return {"phase": found.mode, **own, **intervals}


# What the time to the first token is made of.
PARTS = {
    "host": "host: before and after the passes",
    "handover": "hand-over to the decode pool",
    "passes": "passes over the prompt",
    "waiting": "waiting",
}


def _limits(found: "UnderLoad") -> str:
    """The limits in force, and the engine's own."""
    own = found.limits
    text = (
        f"Limits: {own['max_batched_tokens']:,.0f} prompt tokens a pass, "
        f"{own['memory_frac']:.0%} of the memory, a cache of {own['kv_tokens']:,.0f} tokens an "
        "instance"
    )
    if own["max_sequences"] < UNLIMITED:
        text += f", {own['max_sequences']:,.0f} sequences an attention rank"
    default = found.engine_defaults
    if default:
        text += (
            f". Defaults of the engine from {default['from_version']} on: "
            f"{default['max_batched_tokens']:,.0f} tokens, {default['memory_frac']:.0%}, "
            f"{default['max_sequences']:,.0f} sequences"
        )
    return text + "."


def render_under_load(found: "UnderLoad", title: str, load: str, page: Page) -> str:
    """Latencies, rates and queues, and what they mean."""

    def row(name: str, value: float, measure: str, show: Callable[[float], str]) -> list[str]:
        low, high = found.intervals[measure]
        return [name, show(value), f"{show(low)} – {show(high)}"]

    rows = [
        ["", "mean", "80 % interval"],
        row("FTL (TTFT)", found.ttft_s, "ttft", units.seconds),
        *(
            [f"  {PARTS[name]}", units.seconds(seconds), ""]
            for name, seconds in found.ttft_parts_s.items()
            if seconds > 0.0
        ),
        row("TTL (TPOT)", found.tpot_s, "tpot", units.seconds),
        ["Requests/s", units.plain(found.requests_per_s), ""],
        row(
            "Output tokens/s/GPU",
            found.output_tokens_per_s_per_gpu,
            "output_tokens_per_s_per_gpu",
            units.plain,
        ),
        ["Requests in the system", units.plain(found.concurrency), ""],
        ["Requests decoded at once, an instance", units.plain(found.decode_batch), ""],
        ["  of places", units.plain(found.slots), ""],
        ["Prefill busy", units.percent(found.prefill_busy_frac), ""],
        ["GPUs", units.count(found.gpus), ""],
    ]
    lines = [page.paint(line, "bold") for line in wrap(f"{title}, {found.mode}: {load}", page)]
    lines += [line for note in found.notes for line in wrap(note, page)]
    if not found.sustained:
        text = (
            "Requests arrive faster than this deployment can serve them: queues grow without end. "
            "The numbers are those at its limit."
        )
        lines += [page.paint(line, "yellow") for line in wrap(text, page)]
    lines += ["", *indent(table(rows)), ""]
    lines += [*wrap(_limits(found), page), ""]
    if found.duration_s is not None:
        text = (
            f"A run of {found.prompts:,.0f} prompts that all arrive at its start, with its ramp "
            f"and its tail: {units.seconds(found.duration_s)} in all. Output lengths are "
            f"{_spread(found.osl_cv)}; rates are over the whole run."
        )
        return page.finish([*lines, *wrap(text, page)])
    text = (
        "A steady state: requests in the system = requests/s × (TTFT + (OSL - 1) · TPOT). Means; "
        "the burst in which a benchmark begins is not in them."
    )
    return page.finish([*lines, *wrap(text, page)])


def _spread(osl_cv: float) -> str:
    """How output lengths of a run are spread, in words."""
    if osl_cv == 0.0:
        return "taken as alike (--osl-cv)"
    return f"spread by {osl_cv:g} of their mean, and the longest end the run"
