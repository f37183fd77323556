"""What does the report of a plan say?  One page that needs no network, to read or send on."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from jaxsim._version import __version__
from jaxsim.space.answer import Deployed, InstanceShape, Plan, Unmet
from jaxsim.view import html, units, words
from jaxsim.view.evidence import Evidence, kinds
from jaxsim.view.figures import BLUE, breakdown_figure, frontier_figure, image

KINDS = (("disaggregated", "disaggregated"), ("colocated", "co-located"))
MEMORY_COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#999999", "#E9ECEF")
FRONTIER_COLUMNS = ("tp", "ep", "pp", "batch", "chunk")

TERMS = (
    ("FTL (TTFT)", "First-token latency: from a prompt's arrival to its first output token."),
    ("TTL (TPOT)", "Token-to-token latency: the gap between two output tokens of one request."),
    ("Interactivity", "1/TTL: the output tokens per second that one user sees."),
    ("Throughput per GPU", "Output tokens per second over all GPUs, prefill and decode together."),
    ("TP, EP, PP", "Tensor-parallel width of attention, expert-parallel width, pipeline stages."),
    ("Batch", "Requests that one instance works on at once."),
    ("Chunk", "Tokens of one prompt that are prefilled in one pass."),
    ("Co-located", "Prefill and decode on the same GPUs: in-flight batching, or piggybacking."),
    (
        "80 % interval",
        "What the residuals of the kernel fits leave open: 8 of 10 should lie inside.",
    ),
)


def render_report(
    plan: Plan, evidence: Sequence[Evidence], command: str, link_bytes_per_s: float | None = None
) -> str:
    """The whole page. `command` is what would make the plan again.

    `link_bytes_per_s` is what a GPU has for sending caches, to compare their flow with.
    """
    folder = files("jaxsim.view")
    template = Template((folder / "report.html").read_text(encoding="utf-8"))
    targets = words.targets(plan)
    sections = [
        _cards(plan),
        _unmet(plan),
        _pools(plan),
        _frontier(plan),
        _comparison(plan),
        _why(plan),
        _transfer(plan, link_bytes_per_s),
        _sureness(plan),
        _assumptions(plan, evidence),
        _reading(),
        _again(command),
    ]
    elapsed = units.seconds(plan.elapsed_s)
    return template.substitute(
        version=escape(__version__),
        title=escape(f"{plan.model} on {plan.hardware}: plan"),
        style=(folder / "report.css").read_text(encoding="utf-8"),
        kicker=escape(words.case(plan)),
        headline=escape(words.recommendation(plan)),
        lead=html.paragraph(f"Targets: {targets}. {words.verdict(plan)}", "lead"),
        body="\n".join(section for section in sections if section),
        footer=escape(
            f"jaxsim {__version__} evaluated {plan.points_evaluated:,} designs in {elapsed}. "
            "Numbers are predictions of a calibrated model, not measurements of a deployment."
        ),
    )


def _both(plan: Plan) -> list[tuple[str, Deployed]]:
    found = ((name, getattr(plan, kind)) for kind, name in KINDS)
    return [(name, deployed) for name, deployed in found if isinstance(deployed, Deployed)]


def _section(title: str, *content: str) -> str:
    inner = "".join(content)
    return html.tag("section", html.tag("h2", escape(title)) + inner) if inner else ""


def _span(ends: tuple[float, float]) -> str:
    return f"{units.count(ends[0])} – {units.count(ends[1])}"


def _cards(plan: Plan) -> str:
    best = words.chosen(plan)
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
                "Disaggregated / co-located",
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
    best = words.chosen(plan)
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
        f"{units.compact(best.ctx_gen_ratio)} prefill GPUs per decode GPU, {best.gpus:,} GPUs in all."
        if best.ctx_gen_ratio is not None
        else f"{best.gpus:,} GPUs in all."
    )
    more = " More of the same serves more traffic: any multiple of these counts has the same rates."
    return _section(
        "What to deploy",
        html.table(head, rows, left=(0, 2, 3, 4)),
        html.paragraph(ratio + (more if plan.max_gpus is None else ""), "soft"),
    )


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
    return _section(
        "The frontier",
        html.picture(svg, "Throughput per GPU against interactivity", caption),
        points,
    )


def _points(plan: Plan, i: int) -> str:
    """A curve's points as a table."""
    curve = plan.curves[i]
    columns = list(curve.designs)
    rows = [
        [
            units.seconds(float(curve.ttl_s[k])),
            units.plain(1.0 / float(curve.ttl_s[k])),
            units.count(float(curve.output_tokens_per_s_per_gpu[k])),
            _span((float(curve.low[k]), float(curve.high[k]))),
            *(f"{float(curve.designs[name][k]):,.6g}" for name in columns),
        ]
        for k in range(len(curve.ttl_s))
    ]
    head = [
        "TTL",
        "tokens/s a user",
        "tokens/s/GPU",
        "80 %",
        *(c.replace("_", " ") for c in columns),
    ]
    return html.details(
        f"Designs on the frontier: {words.curve_name(curve.name)} ({len(rows)})",
        html.table(head, rows, left=(), class_="fine"),
    )


def _comparison(plan: Plan) -> str:
    both = _both(plan)
    if not both:
        return ""
    rows = [
        ["Design", *(words.deployment(d) for _, d in both)],
        ["Output tokens/s/GPU", *(units.count(d.output_tokens_per_s_per_gpu) for _, d in both)],
        ["80 % interval", *(_span(d.interval) for _, d in both)],
        ["FTL (TTFT)", *(units.seconds(d.ftl_s) for _, d in both)],
        ["TTL (TPOT), mean", *(units.seconds(d.ttl_s) for _, d in both)],
        ["TTL (TPOT), median", *(units.seconds(d.ttl_median_s or d.ttl_s) for _, d in both)],
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
    return _section(title, html.table(["", *(name for name, _ in both)], rows))


def _why(plan: Plan) -> str:
    both = _both(plan)
    if not both:
        return ""
    shapes = [shape for _, deployed in both for shape in deployed.instances]
    caption = "Time of a batch of prompts (prefill) or of a step, by what the GPUs do in it."
    svg = image(breakdown_figure(plan), "svg")
    return _section(
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


def _transfer(plan: Plan, link_bytes_per_s: float | None) -> str:
    found = plan.disaggregated
    if not isinstance(found, Deployed) or found.kv_egress_bytes_per_s_per_gpu is None:
        return ""

    def rate(value: float | None) -> str:
        text = units.prefixed(value, "B/s")
        if value is None or not link_bytes_per_s:
            return text
        return f"{text} ({units.percent(value / link_bytes_per_s)} of its link)"

    text = (
        f"The caches of finished prompts leave each prefill GPU at "
        f"{rate(found.kv_egress_bytes_per_s_per_gpu)} and reach each decode GPU at "
        f"{rate(found.kv_ingress_bytes_per_s_per_gpu)}, counted over the GPUs that hold distinct "
        "cache. What of the transfer prefill does not hide is part of the FTL."
    )
    return _section("KV transfer", html.paragraph(text))


def _sureness(plan: Plan) -> str:
    found = plan.disaggregated
    proof = found.certificate if isinstance(found, Deployed) else None
    content = [html.paragraph(words.certificate(proof))] if proof is not None else []
    top = sorted(plan.levers, key=lambda lever: -abs(lever.elasticity))
    if top:
        most = max(abs(lever.elasticity) for lever in top) or 1.0
        content.append(html.tag("h3", "Throughput gained by one percent more of"))
        rows = "".join(
            html.tag("div", escape(lever.name))
            + html.stacked_bar([(lever.name, abs(lever.elasticity) / most, BLUE)])
            + html.tag("div", f"{lever.elasticity:+.3f} %", class_="right")
            for lever in top
        )
        content.append(html.tag("div", rows, class_="memory"))
    return _section("How sure, and what would help", *content)


def _assumptions(plan: Plan, evidence: Sequence[Evidence]) -> str:
    counted = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds(evidence).items()))
    rows = [
        ["Model", plan.model],
        ["Hardware", words.case(plan).split(" on ", 1)[1].split(" · ")[0]],
        ["Number formats", plan.precision],
        ["Engine", plan.engine],
        ["Kernel calibration", plan.calibration],
        ["Requests", f"{plan.isl:,} input and {plan.osl:,} output tokens, all alike; no queueing"],
        ["Constants", counted],
    ]
    folded = "".join(
        html.details(
            f"{group.title} ({len(group.rows)})",
            html.table(
                ["number", "value", "kind", "source"], group.rows, left=(0, 2, 3), class_="fine"
            ),
        )
        for group in evidence
    )
    notes = "".join(html.paragraph(f"Note: {note}", "soft") for note in plan.notes)
    table = html.table(["", ""], [row for row in rows if row[1]], left=(0, 1))
    return _section("Assumptions and sources", table, notes, folded)


def _reading() -> str:
    terms = "".join(html.tag("dt", escape(t)) + html.tag("dd", escape(m)) for t, m in TERMS)
    return _section("How to read this", html.tag("dl", terms))


def _again(command: str) -> str:
    return _section("To make it again", html.tag("pre", escape(command))) if command else ""
