"""How does a validation read on a terminal?"""

from collections.abc import Iterable, Mapping
from typing import Any

from jaxsim.view.text.layout import Page, indent, table, wrap

MEASURES = {
    "tpot": "time per output token",
    "ttft": "time to first token, not queued",
    "ttft_all": "time to first token, all",
    "output_tokens_per_s_per_gpu": "output tokens/s/GPU",
}
COLUMNS = ("tpot", "ttft", "output_tokens_per_s_per_gpu")
KEYS = ("model", "gpu", "engine", "mode", "precision")
GROUPS_SHOWN = 12


def _percent(value: float | None, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{100 * value:+.0f} %" if signed else f"{100 * value:.1f} %"


def _overall(scores: Mapping[str, Any]) -> list[str]:
    rows = [["", "rows", "median", "mean", "p90", "bias", "in 80 % interval"]]
    for measure, title in MEASURES.items():
        own = scores[measure]
        if own["n"]:
            rows.append(
                [
                    title,
                    f"{own['n']:,}",
                    *(_percent(own[name]) for name in ("median", "mean", "p90")),
                    _percent(own["bias"], signed=True),
                    _percent(own["interval80"]),
                ]
            )
    return table(rows)


def _shown(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The errors to show above all: of headline rows, or where all are set apart, of those."""
    if found["overall"]["rows"] or not found["excluded"]:
        return found["overall"]
    return found["excluded"][0]


def _group_rows(groups: Iterable[Mapping[str, Any]], keys: tuple[str, ...]) -> list[list[str]]:
    rows = []
    for group in groups:
        count = max(group[measure]["n"] for measure in COLUMNS)
        cells = [" ".join(str(group[key]) for key in keys), f"{count:,}"]
        for measure in COLUMNS:
            own = group[measure]
            cells.append(_percent(own["median"]) if own["n"] else "-")
            cells.append(_percent(own["bias"], signed=True) if own["n"] else "")
        rows.append(cells)
    return rows


def render_validation(found: Mapping[str, Any], page: Page) -> str:
    """The errors as text: all, by key, the largest groups, what was left out."""
    coverage = found["coverage"]
    lines = [
        page.paint(f"Predictions against {found['file']}", "bold"),
        "",
        *indent(_overall(_shown(found))),
        "",
    ]
    if found["overall"]["rows"]:
        lines += [*_by_group(found, page), ""]
    lines += [*_gain(found["gain"], page), *_decisions(found["decisions"], page), ""]
    for entry in found["excluded"]:
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


def _gain(gain: Mapping[str, Any], page: Page) -> list[str]:
    """The gain of disaggregated over co-located runs, or why there is none."""
    if not gain["pairs"]:
        return wrap(f"Gain of disaggregation: {gain['reason']}.", page)
    side = gain["side"]
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
    return [*lines, "", *indent(table(rows)), ""]


def _decisions(found: Mapping[str, Any], page: Page) -> list[str]:
    """How well predictions choose among measured designs, or why that is not known."""
    if not found["choices"]:
        return wrap(f"Choice among measured designs: {found['reason']}.", page)
    return wrap(
        f"Choice among measured designs, {found['choices']} choices in {found['groups']} groups: "
        f"{_percent(found['mean'])} below the best in the mean, {_percent(found['median'])} in the "
        f"median; {_percent(found['missed'])} measured beyond the TPOT target.",
        page,
    )


def _by_group(found: Mapping[str, Any], page: Page) -> list[str]:
    """Errors by one key at a time, and of the largest groups."""
    header = ["", "rows", "TPOT", "", "TTFT", "", "tokens/s/GPU", ""]
    rows = [header]
    for key in found["by"]:
        if key not in KEYS and len(found["by"][key]) < 2:
            continue
        rows += _group_rows(found["by"][key], (key,))
        rows.append([""] * len(header))
    groups = [group for group in found["groups"] if len(found["groups"]) > 1]
    rows += _group_rows(groups[:GROUPS_SHOWN], KEYS)
    lines = [page.paint("Median error and bias", "bold"), "", *indent(table(rows))]
    if len(groups) > GROUPS_SHOWN:
        more = f"and {len(groups) - GROUPS_SHOWN} smaller groups (--format json)"
        lines += ["", *indent([more])]
    return lines
