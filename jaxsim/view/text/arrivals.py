"""How do the errors of simulated runs read on a terminal?"""

from collections.abc import Mapping, Sequence
from statistics import median

from jaxsim.view.text.layout import Page, wrap
from jaxsim.view.text.tables import table

SHOWN = ("ttft_p50", "ttft_p90", "ttft_p99", "tpot_mean", "e2e_mean")
Errors = Mapping[str, Mapping[str, float]]


def render_arrivals(
    overall: Errors,
    overload: Errors,
    groups: Sequence[tuple[str, Errors]],
    goals: Mapping[str, float],
    coverage: tuple[int, int, Mapping[str, int]],
    moves: tuple[Sequence[tuple[float, float]], float],
    page: Page,
) -> str:
    """Median errors and biases of every measure, by family, beside the goals.

    `moves` are transfers of caches, seconds measured and predicted, and their goal.
    """
    rows = [["", "runs", *(name.replace("_", " ") for name in SHOWN)]]
    rows.append(_row("all within capacity", overall))
    if overload:
        rows.append(_row("past capacity", overload))
    rows.append(["goal", "", *(f"{100 * goals[n]:.0f} %" if n in goals else "" for n in SHOWN)])
    by_family = [["", "runs", *rows[0][2:]], *(_row(name, errors) for name, errors in groups)]
    total, predicted, reasons = coverage
    lines = [
        page.paint(f"{predicted} of {total} runs simulated; median error (median signed)", "bold"),
        *table(rows, page),
        "",
        *table(by_family, page),
    ]
    if moves[0]:
        errors = [predicted / measured - 1.0 for measured, predicted in moves[0]]
        sizes = [abs(error) for error in errors]
        told = (
            f"{len(errors)} transfers of caches: median error {100 * median(sizes):.0f} % "
            f"({100 * median(errors):+.0f}), largest {100 * max(sizes):.0f} %; goal "
            f"{100 * moves[1]:.0f} %. Their setup and share of the line rate were fitted to "
            "transfers of this kind."
        )
        lines += ["", *wrap(told, page)]
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
