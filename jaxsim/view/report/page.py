"""What does the report of a plan say?  One page that needs no network, to read or send on."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from jaxsim._version import __version__
from jaxsim.space.deploy.result import Deployed, InstanceShape, Plan, Unmet
from jaxsim.view.figures.breakdown import breakdown_figure
from jaxsim.view.figures.frontier import frontier_figure, image
from jaxsim.view.report import html
from jaxsim.view.report import notes as report_notes
from jaxsim.view.report.evidence import Evidence
from jaxsim.view.text import units, words, workloads

KINDS = (("disaggregated", "disaggregated"), ("colocated", "co-located"))
MEMORY_COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#999999", "#E9ECEF")


def render_report(
    plan: Plan, evidence: Sequence[Evidence], command: str, link_bytes_per_s: float | None = None
) -> str:
    """The whole page. `command` is what would make the plan again.

    `link_bytes_per_s` is what a GPU has for sending caches, to compare their flow with.
    """
    folder = files("jaxsim.view.report")
    template = Template((folder / "report.html").read_text(encoding="utf-8"))
    lead = (f"Targets: {words.targets(plan)}.", words.verdict(plan), workloads.at_mean_ttl(plan))
    sections = [
        _cards(plan),
        _unmet(plan),
        _pools(plan),
        _mix(plan),
        _frontier(plan),
        _comparison(plan),
        _why(plan),
        report_notes.transfer(plan, link_bytes_per_s),
        report_notes.sureness(plan),
        report_notes.assumptions(plan, evidence),
        report_notes.reading(),
        report_notes.again(command),
    ]
    elapsed = units.seconds(plan.elapsed_s)
    return template.substitute(
        version=escape(__version__),
        title=escape(f"{plan.model} on {plan.hardware}: plan"),
        style=(folder / "report.css").read_text(encoding="utf-8"),
        kicker=escape(words.case(plan)),
        headline=escape(words.recommendation(plan)),
        lead=html.paragraph(" ".join(lead), "lead"),
        body="\n".join(section for section in sections if section),
        footer=escape(
            f"jaxsim {__version__} evaluated {plan.points_evaluated:,} designs"
            f"{' × workloads' if len(plan.mix) > 1 else ''} in {elapsed}. "
            "Numbers are predictions of a calibrated model, not measurements of a deployment."
        ),
    )


def _both(plan: Plan) -> list[tuple[str, Deployed]]:
    found = ((name, getattr(plan, kind)) for kind, name in KINDS)
    return [(name, deployed) for name, deployed in found if isinstance(deployed, Deployed)]


def _span(ends: tuple[float, float]) -> str:
    return f"{units.count(ends[0])} – {units.count(ends[1])}"


def _cards(plan: Plan) -> str:
    best = plan.chosen
    if best is None:
        return ""
    cards = [
        html.card(
            "Output tokens/s/GPU",
            units.count(best.output_tokens_per_s_per_gpu),
            f"80 %: {_span(best.interval)}",
        ),
        html.card("FTL (TTFT)", units.seconds(best.ftl_s), _target(plan.ftl_target_s)),
        html.card("TTL (TPOT)", units.seconds(best.ttl_s), _target(plan.ttl_target_s)),
        html.card("GPUs", units.count(best.gpus), f"{units.plain(best.requests_per_s)} requests/s"),
        html.card(
            "Per million output tokens",
            units.usd(best.cost_usd_per_million_output_tokens),
            f"{units.plain(best.output_tokens_per_joule)} tokens/J",
        ),
    ]
    if plan.gain is not None:
        chance = plan.probability
        cards.insert(
            1,
            html.card(
                "Disaggregated / co-located"
                + ("" if plan.objective == "gpu" else f", {units.WORTH[plan.objective]}"),
                units.times(plan.gain),
                "" if chance is None else f"wins with probability {units.probability(chance)}",
            ),
        )
    return html.tag("div", "".join(cards), class_="cards")


def _target(target_s: float) -> str:
    return f"target ≤ {units.seconds(target_s)}"


def _unmet(plan: Plan) -> str:
    return "".join(
        html.paragraph(words.attainable(plan, kind), "warn")
        for kind, _ in KINDS
        if isinstance(getattr(plan, kind), Unmet)
    )


def _pools(plan: Plan) -> str:
    best = plan.chosen
    if best is None:
        return ""
    rows = [
        [
            words.POOLS[shape.phase],
            f"{shape.count:,}",
            f"{shape.gpus_per_instance:,} × {shape.hardware}",
            words.mapping(shape),
            words.held(shape),
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
    use = words.use_of_budget(plan, best)
    more = " More of the same serves more traffic: any multiple of these counts has the same rates."
    return html.section(
        "What to deploy",
        html.table(head, rows, left=(0, 2, 3, 4)),
        html.paragraph(total + (f" {use}" if use else more), "soft"),
    )


def _mix(plan: Plan) -> str:
    rows = workloads.mix_rows(plan)
    if not rows:
        return ""
    rule = html.paragraph(workloads.latency_rule(plan), "soft")
    return html.section("The mix", html.table(rows[0], rows[1:], left=()), rule)


def _frontier(plan: Plan) -> str:
    if not plan.curves:
        return ""
    caption = (
        f"The most output tokens/s/GPU at each interactivity, with "
        f"{words.constraint(plan)}. Each step is a design; circles mark the best at the "
        "target. Bands hold 80 %. Below: disaggregated over co-located."
    )
    svg = image(frontier_figure(plan), "svg")
    points = "".join(_points(plan, i) for i in range(len(plan.curves)))
    return html.section(
        "The frontier",
        html.picture(svg, "Throughput per GPU against interactivity", caption),
        points,
    )


def _points(plan: Plan, i: int) -> str:
    """A curve's points as a table, best throughput last."""
    curve = plan.curves[i]
    designs = [words.curve_design(curve, k) for k in range(len(curve.ttl_s))]
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
    return html.details(
        f"Designs on the frontier: {words.curve_name(curve.name)} ({len(rows)})",
        html.table(head, rows, left=left, class_="fine points"),
    )


def _comparison(plan: Plan) -> str:
    both = _both(plan)
    if not both:
        return ""

    def name(latency: str) -> str:
        return workloads.worst(plan, latency)

    rows = [
        ["Design", *(words.deployment(d) for _, d in both)],
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
    return html.section(title, html.table(["", *(name for name, _ in both)], rows))


def _why(plan: Plan) -> str:
    both = _both(plan)
    if not both:
        return ""
    shapes = [shape for _, deployed in both for shape in deployed.instances]
    caption = "Time of a batch of prompts (prefill) or of a step, by what the GPUs do in it."
    svg = image(breakdown_figure(plan), "svg")
    return html.section(
        "What limits each pool",
        html.picture(svg, "Share of the time by part", caption),
        html.tag("h3", "Memory of the fullest GPU"),
        _memory(shapes),
    )


def _memory(shapes: Sequence[InstanceShape]) -> str:
    rows, legend = "", []
    for shape in shapes:
        parts = words.memory_parts(shape)
        total = sum(size for _, size in parts) or 1.0
        segments = [
            (f"{name}: {units.prefixed(size, 'B')}", size / total, colour)
            for (name, size), colour in zip(parts, MEMORY_COLOURS, strict=False)
        ]
        legend = [(name, c) for (name, _), c in zip(parts, MEMORY_COLOURS, strict=False)]
        free = next((size for name, size in parts if name == "free"), 0.0)
        name = f"{words.POOLS[shape.phase]}, {words.mapping(shape)}"
        used = f"{units.prefixed(total - free, 'B')} of {units.prefixed(total, 'B')}"
        rows += html.tag("div", escape(name)) + html.stacked_bar(segments)
        rows += html.tag("div", escape(used), class_="right")
    return html.tag("div", rows, class_="memory") + html.swatches(legend)
