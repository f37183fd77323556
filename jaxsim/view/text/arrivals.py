"""How do the errors of simulated runs read on a terminal?"""

from collections.abc import Mapping, Sequence

from jaxsim.view.text.layout import Page, indent, table, wrap

SHOWN = ("ttft_p50", "ttft_p90", "ttft_p99", "tpot_mean", "e2e_mean")
Errors = Mapping[str, Mapping[str, float]]


def render_arrivals(
    overall: Errors,
    overload: Errors,
    groups: Sequence[tuple[str, Errors]],
    goals: Mapping[str, float],
    coverage: tuple[int, int, Mapping[str, int]],
    page: Page,
) -> str:
    """Median errors and biases of every measure, by family, beside the goals."""
    rows = [["", "runs", *(name.replace("_", " ") for name in SHOWN)]]
    rows.append(_row("all within capacity", overall))
    if overload:
        rows.append(_row("past capacity", overload))
    rows.append(["goal", "", *(f"{100 * goals[n]:.0f} %" if n in goals else "" for n in SHOWN)])
    by_family = [["", "runs", *rows[0][2:]], *(_row(name, errors) for name, errors in groups)]
    total, predicted, reasons = coverage
    lines = [
        page.paint(f"{predicted} of {total} runs simulated; median error (median signed)", "bold"),
        *indent(table(rows)),
        "",
        *indent(table(by_family)),
    ]
    if reasons:
        told = "; ".join(f"{reason} ({count})" for reason, count in reasons.items())
        lines += ["", *wrap(f"Not simulated: {told}.", page)]
    return page.finish(lines)


def _row(name: str, errors: Errors) -> list[str]:
    count = max((int(own["n"]) for own in errors.values()), default=0)
    cells = [
        f"{100 * errors[m]['median']:.0f} % ({100 * errors[m]['bias']:+.0f})"
        if m in errors
        else "-"
        for m in SHOWN
    ]
    return [name, f"{count:,}", *cells]
