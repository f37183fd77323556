"""What does the report of a plan say?  One page that needs no network, to read or send on."""

import math
from collections.abc import Mapping, Sequence

from jaxsim._version import __version__
from jaxsim.quantities import PARTS
from jaxsim.space.deploy.result import Deployed, InstanceShape, Plan, Unmet
from jaxsim.view.figures.breakdown import draw_breakdown
from jaxsim.view.figures.frontier import draw_frontier
from jaxsim.view.figures.style import image
from jaxsim.view.report import notes
from jaxsim.view.report.data import at_levels, means, names, page_data
from jaxsim.view.report.evidence import Evidence
from jaxsim.view.report.library import library_js, page_js
from jaxsim.view.report.templating import REPORT, Picture, Table, render
from jaxsim.view.text import sentences, units, workloads
from jaxsim.view.text.gain import verdict

KINDS = (("disaggregated", "disaggregated"), ("colocated", "co-located"))
MEMORY_COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#999999", "var(--free)")

# A bar of a page: its name, segments (label, fraction, colour), and the text at its right.
Bar = tuple[str, list[tuple[str, float, str]], str]


def render_report(
    plan: Plan,
    evidence: Sequence[Evidence],
    command: str,
    link_bytes_per_s: float | None = None,
    *,
    template: str = "plan.html",
    package: str = REPORT,
    more: Mapping[str, object] | None = None,
) -> str:
    """The whole page. `command` is what would make the plan again.

    `link_bytes_per_s` is what a GPU has for sending caches, to compare their flow with. A plan made
    with `choices` can be explored: its page has a script, and all that the script needs. A live
    page has a template of its own, with `more` values, and no pictures.
    """
    live = template != "plan.html"
    held = page_data(plan, link_bytes_per_s)
    elapsed = units.seconds(plan.elapsed_s)
    values: dict[str, object] = {
        "title": f"{plan.model} on {plan.hardware}: plan",
        "kicker": sentences.case(plan),
        "headline": sentences.recommendation(plan),
        "lead": "",
        "targets": sentences.targets(plan),
        "verdict": verdict(plan),
        "mean_ttl": workloads.at_mean_ttl(plan),
        "constraint": sentences.constraint(plan),
        "fixed": _fixed(plan),
        "data": held,
        "live": live,
        "library": library_js() if held and not live else "",
        "logic": page_js() if held and not live else "",
        "cards": _cards(plan),
        "unmet": _unmet(plan),
        "pools": _pools(plan),
        "mix": _mix(plan),
        "frontier": _frontier(plan, live),
        "comparison": _comparison(plan, live),
        "transfer": notes.transfer(plan, link_bytes_per_s),
        **notes.sureness(plan),
        **notes.assumptions(plan, evidence),
        **notes.measured(plan, evidence),
        "terms": notes.TERMS,
        "command": command,
        "footer": (
            f"jaxsim {__version__} evaluated {plan.points_evaluated:,} designs"
            f"{' × workloads' if len(plan.mix) > 1 else ''} in {elapsed}. "
            "Numbers are predictions of a calibrated model, not measurements of a deployment."
        ),
    }
    return render(template, {**values, **(more or {})}, package)


def _both(plan: Plan) -> list[tuple[str, Deployed]]:
    kinds = ((name, getattr(plan, kind)) for kind, name in KINDS)
    return [(name, deployed) for name, deployed in kinds if isinstance(deployed, Deployed)]


def _span(ends: tuple[float, float]) -> str:
    return f"{units.count(ends[0])} – {units.count(ends[1])}"


def _fixed(plan: Plan) -> Table | None:
    """Every curve at a few interactivities, the gain there, and one number a curve."""
    rows = at_levels(plan)
    if not rows:
        return None
    named = names(plan.curves)
    both = [curve.name for curve in plan.curves][:2] == ["disaggregated", "co-located"]

    def line(first: str, values: Sequence[float]) -> list[str]:
        gain = values[0] / values[1] if both else math.nan
        shown = [units.count(v) if math.isfinite(v) else "–" for v in values]
        return [
            first,
            *shown,
            *([units.times(gain) if math.isfinite(gain) else "–"] if both else []),
        ]

    lines = [line(units.compact(x), values) for x, *values in rows]
    lines.append(line("geometric mean", means(plan)))
    return Table(["tokens/s a user", *named, *(["gain"] if both else [])], lines)


def _cards(plan: Plan) -> list[tuple[str, str, str]]:
    """Key figures: a name, a value and what it stands against."""
    best = plan.chosen
    if best is None:
        return []
    cards = [
        (
            "Output tokens/s/GPU",
            units.count(best.output_tokens_per_s_per_gpu),
            f"80 %: {_span(best.interval)}",
        ),
        ("FTL (TTFT)", units.seconds(best.ftl_s), _target(plan.ftl_target_s)),
        ("TTL (TPOT)", units.seconds(best.ttl_s), _target(plan.ttl_target_s)),
        ("GPUs", units.count(best.gpus), f"{units.plain(best.requests_per_s)} requests/s"),
        (
            "Per million output tokens",
            units.usd(best.cost_usd_per_million_output_tokens),
            f"{units.plain(best.output_tokens_per_joule)} tokens/J",
        ),
    ]
    if plan.gain is not None:
        chance = plan.probability
        worth = "" if plan.objective == "gpu" else f", {units.WORTH[plan.objective]}"
        detail = "" if chance is None else f"wins with probability {units.probability(chance)}"
        cards.insert(1, (f"Disaggregated / co-located{worth}", units.times(plan.gain), detail))
    return cards


def _target(target_s: float) -> str:
    return f"target ≤ {units.seconds(target_s)}"


def _unmet(plan: Plan) -> list[str]:
    return [
        sentences.attainable(plan, kind)
        for kind, _ in KINDS
        if isinstance(getattr(plan, kind), Unmet)
    ]


def _pools(plan: Plan) -> dict[str, object] | None:
    best = plan.chosen
    if best is None:
        return None
    rows = [
        [
            sentences.POOLS[shape.phase],
            f"{shape.count:,}",
            f"{shape.gpus_per_instance:,} × {shape.hardware}",
            sentences.mapping(shape),
            sentences.held(shape),
            units.seconds(shape.latency_s),
            units.plain(shape.requests_per_s),
        ]
        for shape in best.instances
    ]
    head = ["pool", "instances", "GPUs each", "mapping", "works on", "latency", "requests/s each"]
    ratio = (
        ""
        if best.ctx_gen_ratio is None
        else f"{units.compact(best.ctx_gen_ratio)} prefill GPUs per decode GPU, "
    )
    total = f"{ratio}{best.gpus:,} GPUs in all."
    use = sentences.use_of_budget(plan, best)
    more = " More of the same serves more traffic: any multiple of these counts has the same rates."
    text = total + (f" {use}" if use else more)
    return {"table": Table(head, rows, left=(0, 2, 3, 4)), "text": text}


def _mix(plan: Plan) -> dict[str, object] | None:
    rows = workloads.mix_rows(plan)
    if not rows:
        return None
    return {"table": Table(rows[0], rows[1:], left=()), "rule": workloads.latency_rule(plan)}


def _frontier(plan: Plan, live: bool) -> dict[str, object] | None:
    if not plan.curves:
        return None
    caption = (
        f"The most output tokens/s/GPU at each interactivity, with "
        f"{sentences.constraint(plan)}. Each step is a design; circles mark the best at the "
        "target. Bands hold 80 %. Below: disaggregated over co-located."
    )
    alt = "Throughput per GPU against interactivity"
    return {
        "picture": None if live else Picture(image(draw_frontier(plan), "svg"), alt, caption, True),
        "curves": [_points(plan, i) for i in range(len(plan.curves))],
    }


def _points(plan: Plan, i: int) -> tuple[str, Table]:
    """The title of a curve, and its points as a table, best throughput last."""
    curve = plan.curves[i]
    designs = [sentences.curve_design(curve, k) for k in range(len(curve.ttl_s))]
    rows = [
        [
            units.seconds(float(curve.ttl_s[k])),
            units.compact(1.0 / float(curve.ttl_s[k])),
            units.count(float(curve.output_tokens_per_s_per_gpu[k])),
            _span((float(curve.low[k]), float(curve.high[k]))),
            *designs[k].values(),
        ]
        for k in range(len(curve.ttl_s))
    ]
    columns = list(designs[0]) if designs else []
    head = ["TTL", "tokens/s a user", "tokens/s/GPU", "80 %", *columns]
    left = range(4, len(head))
    title = f"Designs on the frontier: {sentences.curve_name(curve.name)} ({len(rows)})"
    return title, Table(head, rows, left=left, style="fine points")


def _comparison(plan: Plan, live: bool) -> dict[str, object] | None:
    both = _both(plan)
    if not both:
        return None

    def name(latency: str) -> str:
        return workloads.worst(plan, latency)

    rows = [
        ["Design", *(sentences.deployment(d) for _, d in both)],
        ["Output tokens/s/GPU", *(units.count(d.output_tokens_per_s_per_gpu) for _, d in both)],
        ["80 % interval", *(_span(d.interval) for _, d in both)],
        [name("FTL (TTFT)"), *(units.seconds(d.ftl_s) for _, d in both)],
        [name("TTL (TPOT), mean"), *(units.seconds(d.ttl_s) for _, d in both)],
        [name("TTL (TPOT), median"), *(units.seconds(d.ttl_median_s or d.ttl_s) for _, d in both)],
        ["Tokens/s a user", *(units.plain(1.0 / d.ttl_s) for _, d in both)],
        ["GPUs", *(units.count(d.gpus) for _, d in both)],
        ["Requests/s", *(units.plain(d.requests_per_s) for _, d in both)],
        [
            "$ per million output tokens",
            *(units.usd(d.cost_usd_per_million_output_tokens) for _, d in both),
        ],
        ["Output tokens/J", *(units.plain(d.output_tokens_per_joule) for _, d in both)],
    ]
    title = "Disaggregated against co-located" if len(both) == 2 else "The best design"
    shapes = [shape for _, deployed in both for shape in deployed.instances]
    caption = "Time of a batch of prompts (prefill) or of a step, by what the GPUs do in it."
    alt = "Share of the time by part"
    return {
        "title": title,
        "table": Table(["", *(name for name, _ in both)], rows),
        "breakdown": None if live else Picture(image(draw_breakdown(plan), "svg"), alt, caption),
        "times": _times(shapes),
        "memory": [_memory(shape) for shape in shapes],
        "sizes": _sizes(shapes),
        "legend": [
            (name, colour)
            for (name, _), colour in zip(
                sentences.memory_parts(shapes[-1]), MEMORY_COLOURS, strict=False
            )
        ],
    }


def _named(shape: InstanceShape) -> str:
    return f"{sentences.POOLS[shape.phase]}, {sentences.mapping(shape)}"


def _times(shapes: Sequence[InstanceShape]) -> Table:
    """Milliseconds of a batch of prompts or of a step, by part, for every shape."""
    names = [name for name in PARTS if any(shape.parts_s.get(name, 0.0) for shape in shapes)]
    rows = [[name, *(f"{1e3 * s.parts_s.get(name, 0.0):.4g}" for s in shapes)] for name in names]
    return Table(["part", *(f"{_named(shape)}: ms" for shape in shapes)], rows)


def _sizes(shapes: Sequence[InstanceShape]) -> Table:
    """Gigabytes of the fullest GPU, by what fills it, for every shape."""
    each = [dict(sentences.memory_parts(shape)) for shape in shapes]
    names = dict.fromkeys(name for parts in each for name in parts)
    rows = [[name, *(f"{parts.get(name, 0.0) / 1e9:.4g}" for parts in each)] for name in names]
    return Table(["memory", *(f"{_named(shape)}: GB" for shape in shapes)], rows)


def _memory(shape: InstanceShape) -> Bar:
    """What fills the memory of the fullest GPU of an instance."""
    parts = sentences.memory_parts(shape)
    total = sum(size for _, size in parts) or 1.0
    segments = [
        (f"{name}: {units.prefixed(size, 'B')}", size / total, colour)
        for (name, size), colour in zip(parts, MEMORY_COLOURS, strict=False)
    ]
    free = next((size for name, size in parts if name == "free"), 0.0)
    used = f"{units.prefixed(total - free, 'B')} of {units.prefixed(total, 'B')}"
    return _named(shape), segments, used
