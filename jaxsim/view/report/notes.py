"""How sure is a plan, on what does it rest, and how is its report read?"""

from collections.abc import Sequence
from html import escape

from jaxsim.space.deploy.result import Deployed, Plan
from jaxsim.view.figures.frontier import BLUE
from jaxsim.view.report import html
from jaxsim.view.report.evidence import Evidence, kinds
from jaxsim.view.text import units, words, workloads

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


def transfer(plan: Plan, link_bytes_per_s: float | None) -> str:
    """How fast caches flow, against the link they flow over."""
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
    return html.section("KV transfer", html.paragraph(text))


def sureness(plan: Plan) -> str:
    """The certificate, and what more of each resource would bring."""
    found = plan.disaggregated
    proof = found.certificate if isinstance(found, Deployed) else None
    content = [html.paragraph(words.certificate(proof))] if proof is not None else []
    if proof is not None and len(plan.mix) > 1:
        content.append(html.paragraph(workloads.NO_LEVERS, "soft"))
    top = sorted(plan.levers, key=lambda lever: -abs(lever.elasticity))
    if top:
        most = max(abs(lever.elasticity) for lever in top) or 1.0
        content.append(html.tag("h3", words.levers_title(plan)))
        rows = "".join(
            html.tag("div", escape(lever.name))
            + html.stacked_bar([(lever.name, abs(lever.elasticity) / most, BLUE)])
            + html.tag("div", f"{lever.elasticity:+.3f} %", class_="right")
            for lever in top
        )
        content.append(html.tag("div", rows, class_="memory"))
    return html.section("How sure, and what would help", *content)


def assumptions(plan: Plan, evidence: Sequence[Evidence]) -> str:
    """What was assumed, and every constant with its source, folded away."""
    counted = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds(evidence).items()))
    rows = [
        ["Model", plan.model],
        ["Hardware", words.case(plan).split(" on ", 1)[1].split(" · ")[0]],
        ["Number formats", plan.precision],
        ["Engine", plan.engine],
        ["Kernel calibration", plan.calibration],
        ["Requests", f"{_requests(plan)}; no queueing"],
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
    return html.section("Assumptions and sources", table, notes, folded)


def _requests(plan: Plan) -> str:
    if len(plan.mix) > 1:
        return words.lengths(plan)
    return f"{plan.isl:,} input and {plan.osl:,} output tokens, all alike"


def reading() -> str:
    """The terms."""
    terms = "".join(html.tag("dt", escape(t)) + html.tag("dd", escape(m)) for t, m in TERMS)
    return html.section("How to read this", html.tag("dl", terms))


def again(command: str) -> str:
    """The command that makes the plan again."""
    return html.section("To make it again", html.tag("pre", escape(command))) if command else ""
