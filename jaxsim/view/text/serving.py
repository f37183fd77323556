"""What does a deployment under load look like on a terminal, and as JSON?"""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from jaxsim.view.text import units
from jaxsim.view.text.layout import Page, wrap
from jaxsim.view.text.tables import table

UNLIMITED = 1e6  # sequences, from which on no engine counts

if TYPE_CHECKING:
    from jaxsim.traffic.service import UnderLoad


def under_load_dict(result: "UnderLoad") -> dict[str, object]:
    """A deployment under load as JSON has it."""
    intervals = {f"{name}_interval": list(ends) for name, ends in result.intervals.items()}
    own = {key: value for key, value in asdict(result).items() if key != "intervals"}
    return {"phase": result.mode, **own, **intervals}


# What the time to the first token is made of.
PARTS = {
    "host": "host: before and after the passes",
    "handover": "hand-over to the decode pool",
    "passes": "passes over the prompt",
    "waiting": "waiting",
}


def _limits(result: "UnderLoad") -> str:
    """The limits in force, and the engine's own."""
    own = result.limits
    text = (
        f"Limits: {own['max_batched_tokens']:,.0f} prompt tokens a pass, "
        f"{own['memory_frac']:.0%} of the memory, a cache of {own['kv_tokens']:,.0f} tokens an "
        "instance"
    )
    if own["max_sequences"] < UNLIMITED:
        text += f", {own['max_sequences']:,.0f} sequences an attention rank"
    default = result.engine_defaults
    if default:
        text += (
            f". Defaults of the engine from {default['from_version']} on: "
            f"{default['max_batched_tokens']:,.0f} tokens, {default['memory_frac']:.0%}, "
            f"{default['max_sequences']:,.0f} sequences, a {default['kv']} cache"
        )
    return text + "."


def render_under_load(result: "UnderLoad", title: str, load: str, page: Page) -> str:
    """Latencies, rates and queues, and what they mean."""

    def row(name: str, value: float, measure: str, show: Callable[[float], str]) -> list[str]:
        low, high = result.intervals[measure]
        return [name, show(value), f"{show(low)} – {show(high)}"]

    rows = [
        ["", "mean", "80 % interval"],
        row("FTL (TTFT)", result.ttft_s, "ttft", units.seconds),
        *(
            [f"  {PARTS[name]}", units.seconds(seconds), ""]
            for name, seconds in result.ttft_parts_s.items()
            if seconds > 0.0
        ),
        row("TTL (TPOT)", result.tpot_s, "tpot", units.seconds),
        ["Requests/s", units.plain(result.requests_per_s), ""],
        row(
            "Output tokens/s/GPU",
            result.output_tokens_per_s_per_gpu,
            "output_tokens_per_s_per_gpu",
            units.plain,
        ),
        ["Requests in the system", units.plain(result.concurrency), ""],
        ["Requests decoded at once, an instance", units.plain(result.decode_batch), ""],
        ["  of places", units.plain(result.slots), ""],
        ["Prefill busy", units.percent(result.prefill_busy_frac), ""],
        ["GPUs", units.count(result.gpus), ""],
    ]
    lines = [page.paint(line, "bold") for line in wrap(f"{title}, {result.mode}: {load}", page)]
    lines += [line for note in result.notes for line in wrap(note, page)]
    if not result.sustained:
        text = (
            "Requests arrive faster than this deployment can serve them: queues grow without end. "
            "The numbers are those at its limit."
        )
        lines += [page.paint(line, "yellow") for line in wrap(text, page)]
    lines += ["", *table(rows, page), ""]
    lines += [*wrap(_limits(result), page), ""]
    if result.duration_s is not None:
        text = (
            f"A run of {result.prompts:,.0f} prompts that all arrive at its start, with its ramp "
            f"and its tail: {units.seconds(result.duration_s)} in all. Output lengths are "
            f"{_spread(result.osl_cv)}; rates are over the whole run."
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
