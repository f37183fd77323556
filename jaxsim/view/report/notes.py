"""How sure is a plan, on what does it rest, and how is its report read?"""

from collections.abc import Sequence

from jaxsim.space.deploy.result import Deployed, Plan
from jaxsim.view.report.evidence import Evidence, kinds
from jaxsim.view.report.templating import Table
from jaxsim.view.text import sentences, under_rate, units, workloads

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
    deployed = plan.disaggregated
    if not isinstance(deployed, Deployed) or deployed.kv_egress_bytes_per_s_per_gpu is None:
        return ""

    def rate(value: float | None) -> str:
        text = units.prefixed(value, "B/s")
        if value is None or not link_bytes_per_s:
            return text
        return f"{text} ({units.percent(value / link_bytes_per_s)} of its link)"

    return (
        f"The caches of finished prompts leave each prefill GPU at "
        f"{rate(deployed.kv_egress_bytes_per_s_per_gpu)} and reach each decode GPU at "
        f"{rate(deployed.kv_ingress_bytes_per_s_per_gpu)}, counted over the GPUs that hold "
        "distinct cache. What of the transfer prefill does not hide is part of the FTL."
    )


def sureness(plan: Plan) -> dict[str, object]:
    """The certificate, and what more of each resource would bring."""
    deployed = plan.disaggregated
    proof = deployed.certificate if isinstance(deployed, Deployed) else None
    top = sorted(plan.levers, key=lambda lever: -abs(lever.elasticity))
    most = max((abs(lever.elasticity) for lever in top), default=0.0) or 1.0
    rows = [
        (
            lever.name,
            lever.elasticity / most,
            f"{lever.elasticity:+.3f} %",
        )
        for lever in top
    ]
    table = Table(["more of", "gain, % per 1 %"], [[x.name, f"{x.elasticity:.4g}"] for x in top])
    mixed = proof is not None and len(plan.mix) > 1
    return {
        "certificate": "" if proof is None else sentences.certificate(proof),
        "no_levers": workloads.NO_LEVERS if mixed else "",
        "levers": {"title": sentences.levers_title(plan), "rows": rows, "table": table}
        if rows
        else None,
    }


def assumptions(plan: Plan, evidence: Sequence[Evidence]) -> dict[str, object]:
    """What was assumed, and every constant with its source, folded away."""
    counted = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds(evidence).items()))
    rows = [
        ["Model", plan.model],
        ["Hardware", sentences.case(plan).split(" on ", 1)[1].split(" · ")[0]],
        ["Number formats", plan.precision],
        ["Engine", plan.engine],
        ["Kernel calibration", plan.calibration],
        ["Requests", f"{_requests(plan)}; no queueing"],
        ["Under arrivals", _arrivals(plan)],
        ["Constants", counted],
    ]
    return {
        "assumptions": Table(["", ""], [row for row in rows if row[1]], left=(0, 1)),
        "notes": plan.notes,
        "evidence": [
            (
                f"{group.title} ({len(group.rows)})",
                Table(["number", "value", "kind", "source"], group.rows, (0, 2, 3), "fine"),
            )
            for group in evidence
        ],
    }


def measured(plan: Plan, evidence: Sequence[Evidence]) -> dict[str, object]:
    """How far predictions were from measurements: of kernels, of passes, of the gain."""
    kernels = [
        [row[0], row[1], row[3]]
        for group in evidence
        if group.title.startswith("Kernel calibration")
        for row in group.rows
        if row[2] in ("measured", "fitted")
    ]
    rows = [
        ["time of whole passes (σ of its log)", value, source]
        for group in evidence
        if group.title.startswith("Engine")
        for name, value, _, source in group.rows
        if name == "values.log_sigma"
    ]
    if plan.gain_interval is not None and plan.gain is not None:
        low, high = plan.gain_interval
        ends = f"{units.times(low)} – {units.times(high)}"
        rows.append(["gain of disaggregation, 80 %", ends, "what measured pairs left, and kernels"])
    beyond = "; ".join(plan.beyond_measured)
    return {
        "measured": Table(["what was compared", "left unexplained", "with what"], rows, (0, 2)),
        "kernels": Table(["kernels", "left unexplained", "with what"], kernels, (0, 2), "fine"),
        "beyond": [f"Beyond what was measured: {beyond}."] if beyond else [],
    }


def _arrivals(plan: Plan) -> str:
    return "" if plan.under_rate is None else under_rate.sentence(plan, plan.under_rate)


def _requests(plan: Plan) -> str:
    if len(plan.mix) > 1:
        return sentences.lengths(plan)
    return f"{plan.isl:,} input and {plan.osl:,} output tokens, all alike"
