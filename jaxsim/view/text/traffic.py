"""How do policies compare on a trace, on a terminal and as JSON?"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxsim.view.text import units
from jaxsim.view.text.layout import Page, wrap
from jaxsim.view.text.tables import table

if TYPE_CHECKING:
    from jaxsim.api.simulate import Simulated
    from jaxsim.traffic.read.requests import Requests

MOST_DECISIONS = 5


def traffic_dict(result: "Simulated", requests: "Requests") -> dict[str, object]:
    """The comparison as JSON has it, in base units, every decision with its reason."""
    return {
        "schema": "jaxsim.traffic/1",
        "requests": {
            "name": requests.name,
            "count": len(requests),
            "duration_s": requests.duration_s,
            "requests_per_s": requests.requests_per_s,
            "isl_mean": float(requests.isl.mean()),
            "osl_mean": float(requests.osl.mean()),
            "skipped": requests.skipped.count,
            "skipped_lines": list(requests.skipped.named),
        },
        "targets": {"ftl_s": result.ftl_s, "ttl_s": result.ttl_s},
        "formats": {} if result.setup is None else result.setup.formats,
        "policies": list(result.outcomes.values()),
        "decisions": {
            name: [
                {"time_s": c.time_s, "instances": _named(c.counts), "reason": c.reason}
                for c in run.changes
            ]
            for name, run in result.runs.items()
        },
    }


def _named(counts: dict[int, int]) -> dict[str, int]:
    names = {0: "colocated", 1: "prefill", 2: "decode"}
    return {names[role]: count for role, count in counts.items()}


def render_traffic(result: "Simulated", requests: "Requests", page: Page) -> str:
    """One column a policy: attainment, latencies, use, GPU-hours, cost."""
    outcomes = list(result.outcomes.values())
    title = (
        f"{requests.name}: {len(requests):,} requests in {units.seconds(requests.duration_s)}, "
        f"{requests.requests_per_s:.2f}/s, mean ISL {requests.isl.mean():.0f}, OSL "
        f"{requests.osl.mean():.0f}; targets TTFT {units.seconds(result.ftl_s)}, TPOT "
        f"{units.seconds(result.ttl_s)}"
    )

    def row(label: str, name: str, show: Callable[..., str]) -> list[str]:
        return [label, *(show(one[name]) for one in outcomes)]

    def hours(value: float) -> str:
        return f"{value / 3600.0:,.1f}"

    rows = [
        ["", *(str(one["policy"]) for one in outcomes)],
        row("Attainment", "attainment", units.percent),
        row("  worst minute", "worst_minute_attainment", units.percent),
        row("Goodput, requests/s", "goodput_requests_per_s", units.plain),
        row("Good tokens/s/GPU", "good_tokens_per_gpu_s", units.plain),
        row("GPUs, mean", "gpus_mean", units.plain),
        row("GPU-hours", "gpu_seconds", hours),
        row("  above ⌈λ/μ⌉", "regret_gpu_seconds", hours),
        row("Cost", "usd", units.usd),
        row("  per million output", "usd_per_million_output_tokens", units.usd),
        row("Output tokens/joule", "output_tokens_per_joule", units.plain),
    ]
    for name, label in (("ttft", "TTFT"), ("tpot", "TPOT"), ("gap", "Gap (ITL)")):
        for share in ("50", "95", "99"):
            rows.append(row(f"{label} p{share}", f"{name}_p{share}_s", units.seconds))
    if "colocated_busy_frac" in outcomes[0]:
        rows.append(row("TPOT due to prompts", "stall_s_per_token", units.seconds))
    for name in ("colocated", "prefill", "decode"):
        if f"{name}_busy_frac" in outcomes[0]:
            rows.append(row(f"Busy, {name}", f"{name}_busy_frac", units.percent))
            rows.append(row("  instances, mean", f"{name}_instances_mean", units.plain))
    if float(outcomes[0]["kv_exposed_mean_s"]) > 0.0:
        rows.append(row("Cache transfer, exposed", "kv_exposed_mean_s", units.seconds))
    if "recovery_s" in outcomes[0]:
        rows.append(row("Interrupted by faults", "interrupted", units.count))
        rows.append(row("  recovered after", "recovery_s", units.seconds))
    rows.append(row("Changes of the pools", "changes", units.count))
    lines = [page.paint(line, "bold") for line in wrap(title, page)]
    lines += ["", *table(rows, page)]
    for name, run in result.runs.items():
        if run.changes:
            lines += ["", f"  First decisions, {name}:"]
            lines += [
                f"    {change.time_s:8.0f} s  "
                + ", ".join(f"{count} {role}" for role, count in _named(change.counts).items())
                + f"  ({change.reason})"
                for change in run.changes[:MOST_DECISIONS]
            ]
    if requests.skipped.count:
        named = "; ".join(requests.skipped.named)
        lines += ["", *wrap(f"{requests.skipped.count} lines were left out: {named}", page)]
    lost = {one["policy"]: int(one["refused"]) + int(one["given_up"]) for one in outcomes}
    if any(lost.values()):
        told = ", ".join(f"{name} {count:,}" for name, count in lost.items() if count)
        lines += ["", *wrap(f"Requests that were refused, or whose clients gave up: {told}.", page)]
    if result.setup is not None:
        lines += ["", *(line for note in result.setup.notes for line in wrap(note, page))]
    return page.finish(lines)
