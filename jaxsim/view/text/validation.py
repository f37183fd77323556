"""How does a validation read on a terminal?"""

from collections.abc import Iterable

from jaxsim.truth.decisions import Decisions
from jaxsim.truth.gain_of_pairs import GainSummary
from jaxsim.truth.validate import KEYS, Group, Key, Scored, Scores, Summary
from jaxsim.view.text.layout import Page, indent, wrap
from jaxsim.view.text.tables import table


class ValidationSummary(Summary):
    """What `jaxsim validate --format json` prints: errors of rows, gains and choices."""

    file: str
    gain: GainSummary
    decisions: Decisions


MEASURES: dict[Scored, str] = {
    "tpot": "time per output token",
    "ttft": "time to first token, not queued",
    "ttft_all": "time to first token, all",
    "output_tokens_per_s_per_gpu": "output tokens/s/GPU",
}
COLUMNS: tuple[Scored, ...] = ("tpot", "ttft", "output_tokens_per_s_per_gpu")
GROUPS_SHOWN = 12


def _percent(value: float | None, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{100 * value:+.0f} %" if signed else f"{100 * value:.1f} %"


def _overall(scores: Scores, page: Page) -> list[str]:
    rows = [["", "rows", "median", "mean", "p90", "bias", "in 80 % interval"]]
    for measure, title in MEASURES.items():
        own = scores[measure]
        if own["n"]:
            rows.append(
                [
                    title,
                    f"{own['n']:,}",
                    _percent(own["median"]),
                    _percent(own["mean"]),
                    _percent(own["p90"]),
                    _percent(own["bias"], signed=True),
                    _percent(own["interval80"]),
                ]
            )
    return table(rows, page)


def _shown(result: Summary) -> Scores:
    """The errors to show above all: of headline rows, or where all are set apart, of those."""
    if result["overall"]["rows"] or not result["excluded"]:
        return result["overall"]
    return result["excluded"][0]


def _group_rows(groups: Iterable[Group], keys: tuple[Key, ...]) -> list[list[str]]:
    rows = []
    for group in groups:
        count = max(group[measure]["n"] for measure in COLUMNS)
        cells = [" ".join(group.get(key, "") for key in keys), f"{count:,}"]
        for measure in COLUMNS:
            own = group[measure]
            cells.append(_percent(own["median"]) if own["n"] else "-")
            cells.append(_percent(own["bias"], signed=True) if own["n"] else "")
        rows.append(cells)
    return rows


def render_validation(result: ValidationSummary, page: Page) -> str:
    """The errors as text: all, by key, the largest groups, what was left out."""
    coverage = result["coverage"]
    lines = [
        page.paint(f"Predictions against {result['file']}", "bold"),
        "",
        *_overall(_shown(result), page),
        "",
    ]
    if result["overall"]["rows"]:
        lines += [*_by_group(result, page), ""]
    lines += [*_gain(result["gain"], page), *_decisions(result["decisions"], page), ""]
    for entry in result["excluded"]:
        own = entry["tpot"]
        error = f": TPOT off by {_percent(own['median'])}" if own["n"] else ""
        lines += wrap(f"Apart, {entry['rows']:,} rows, {entry['reason']}{error}.", page)
    lines.append(
        f"Predicted {coverage['predicted']:,} of {coverage['rows']:,} rows "
        f"({_percent(coverage['predicted'] / coverage['rows'])})."
    )
    for reason, count in coverage["reasons"].items():
        lines += wrap(f"{count:,} not: {reason}", page, by=2, hang=2)
    return page.finish(lines)


def _gain(gain: GainSummary, page: Page) -> list[str]:
    """The gain of disaggregated over co-located runs, or why there is none."""
    if (side := gain["side"]) is None:
        return wrap(f"Gain of disaggregation: {gain['reason']}.", page)
    lines = wrap(
        f"Gain of disaggregation, {gain['pairs']} pairs of frontiers at {gain['points']} "
        f"interactivities: off by {_percent(gain['median'])} in the median, "
        f"{_percent(gain['mean'])} in the mean; 80 % intervals hold "
        f"{_percent(gain['interval80'])}; right side at {side['right']} of {side['points']} points "
        "whose measured gain is beyond 15 %.",
        page,
    )
    if (same := gain["one_engine"]) is not None:
        lines += wrap(
            f"Where both modes ran on one engine, {same['pairs']} pairs at {same['points']}: "
            f"{_percent(same['median'])} in the median, {_percent(same['mean'])} in the mean; "
            f"right side at {same['side']['right']} of {same['side']['points']}.",
            page,
        )
    rows = [["probability stated", "points", "mean", "true"]]
    rows += [
        [
            f"{100 * one['from']:.0f} – {100 * one['to']:.0f} %",
            f"{one['points']}",
            _percent(one["stated"]),
            _percent(one["right"]),
        ]
        for one in gain["reliability"]
    ]
    return [*lines, "", *table(rows, page), ""]


def _decisions(regret: Decisions, page: Page) -> list[str]:
    """How well predictions choose among measured designs, or why that is not known."""
    if not regret["choices"]:
        return wrap(f"Choice among measured designs: {regret['reason']}.", page)
    return wrap(
        f"Choice among measured designs, {regret['choices']} choices in {regret['groups']} groups: "
        f"{_percent(regret['mean'])} below the best in the mean, {_percent(regret['median'])} in "
        f"the median; {_percent(regret['missed'])} measured beyond the TPOT target.",
        page,
    )


def _by_group(result: Summary, page: Page) -> list[str]:
    """Errors by one key at a time, and of the largest groups."""
    header = ["", "rows", "TPOT", "bias", "TTFT", "bias", "tokens/s/GPU", "bias"]
    rows = [header]
    for key, groups in result["by"].items():
        if key not in KEYS and len(groups) < 2:
            continue
        rows += _group_rows(groups, (key,))
        rows.append([""] * len(header))
    groups = result["groups"] if len(result["groups"]) > 1 else []
    rows += _group_rows(groups[:GROUPS_SHOWN], KEYS)
    lines = [page.paint("Median error and bias", "bold"), "", *table(rows, page, drop=(7, 5, 3))]
    if len(groups) > GROUPS_SHOWN:
        more = f"and {len(groups) - GROUPS_SHOWN} smaller groups (--format json)"
        lines += ["", *indent([more])]
    return lines
