"""What does the study's page say?  One file that needs no network, written from the results."""

from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from jaxsim._version import __version__
from jaxsim.view.report import html
from jaxsim.view.study.advice import advice, headline, lead
from jaxsim.view.study.claim import NOT, PARTLY, REPRODUCED
from jaxsim.view.study.claims import Result
from jaxsim.view.study.figures import PICTURES
from jaxsim.view.study.map import BOUNDARY, GainMap
from jaxsim.view.study.report import StudyResult
from jaxsim.view.study.settings import SELECTED, SWEPT, UNKNOWNS, settings
from jaxsim.view.text import units

STYLE = """
main { max-width: 1120px; }
.badge { display: inline-block; min-width: 82px; text-align: center; border-radius: 10px;
  padding: 1px 9px; font-size: 12.5px; font-weight: 600; color: #fff; }
.reproduced { background: #00795a; } .partly { background: #b07300; } .not { background: #b3261e; }
.robust { background: #0072b2; } .depends { background: #5f6b76; } .finding { background: #8b5a9e; }
table.claims td { font-size: 14px; }
.claim { border-left: 4px solid var(--line); padding: 2px 0 2px 16px; margin: 18px 0 22px; }
.claim.is-reproduced { border-color: #00795a; } .claim.is-partly { border-color: #b07300; }
.claim.is-not { border-color: #b3261e; }
.claim h3 { margin: 0 0 4px; font-size: 16px; }
.claim ul { margin: 6px 0; padding-left: 0; list-style: none; font-size: 15px; }
.claim li.yes::before { content: "✓ "; color: #00795a; font-weight: 700; }
.claim li.no::before { content: "✗ "; color: #b3261e; font-weight: 700; }
.levels { font-size: 13px; color: var(--soft); margin: 6px 0 2px; }
.levels b { color: var(--ink); font-weight: 600; }
.meter { display: inline-block; width: 42px; height: 9px; border-radius: 3px;
  background: var(--line); overflow: hidden; margin: 0 4px 0 3px; }
.meter i { display: block; height: 100%; background: var(--blue); }
ol.advice li { margin: 9px 0; max-width: 84ch; }
"""

TERMS = (
    ("FTL (TTFT)", "First-token latency: from a prompt's arrival to its first output token."),
    ("TTL (TPOT)", "Token-to-token latency: the gap between two output tokens of one request."),
    ("Interactivity", "1/TTL: the output tokens per second that one user sees."),
    ("Throughput per GPU", "Output tokens/s over all GPUs, prefill and decode together."),
    ("Co-located overall", "The better of in-flight batching and piggybacking at each latency."),
    ("Gain", "Disaggregated over co-located overall throughput at the same latency targets; means "
     "are geometric, over evenly spaced interactivities, where both serve and either depends on "
     "latency."),
    ("ctx:gen", "Prefill GPUs over decode GPUs of a rate-matched deployment."),
    ("Reading", "One choice for everything that the study leaves open. The base reading takes the "
     "first of each."),
    ("Robust, depends, finding", "A claim that holds in at least 95 %, in between, or in at most "
     "40 % of the readings."),
)  # fmt: skip


def badge(word: str) -> str:
    """A verdict or a label as a coloured word."""
    return html.tag("span", escape(word), class_=f"badge {word}")


def percent(frac: float) -> str:
    """A fraction in percent."""
    return f"{100 * frac:.0f} %"


def render_page(study: StudyResult, command: str) -> str:
    """The whole page."""
    folder = files("jaxsim.view.report")
    template = Template((folder / "report.html").read_text(encoding="utf-8"))
    known = settings()
    sections = [
        _cards(study),
        _section("What a system architect should do", _advice(study)),
        _section("Claims", _table(study)),
        _map(study.map, study.pictures.get("map")),
        *_claims(study),
        _section("What was assumed", _assumptions()),
        _section("How to read this page", _terms()),
        _section("Again", html.tag("pre", escape(command))),
    ]
    return template.substitute(
        version=escape(__version__),
        title="The study of disaggregation, claim by claim",
        style=(folder / "report.css").read_text(encoding="utf-8") + STYLE,
        kicker=escape(
            f"Beyond the Buzz: A Pragmatic Take on Inference Disaggregation (arXiv 2506.05508), "
            f"repeated on {known.hardware}, precision {known.precision}"
        ),
        headline=escape(headline(study)),
        lead=html.paragraph(lead(study), "lead"),
        body="\n".join(section for section in sections if section),
        footer=escape(
            f"jaxsim {__version__} evaluated {study.designs:,} designs in {study.elapsed_s:.0f} s. "
            "Numbers are predictions of a calibrated model, not measurements of a deployment. "
            "Nothing was fitted to a claim."
        ),
    )


def _section(title: str, *content: str) -> str:
    inner = "".join(content)
    return html.tag("section", html.tag("h2", escape(title)) + inner) if inner else ""


def _cards(study: StudyResult) -> str:
    verdicts = [result.finding.verdict for result in study.results]
    labels = [result.robustness.label for result in study.results]
    readings = max((r.robustness.readings for r in study.results), default=0)
    cards = [
        html.card("Reproduced", str(verdicts.count(REPRODUCED)), f"of {len(verdicts)} claims"),
        html.card("Partly", str(verdicts.count(PARTLY)), "the main point, not all of it"),
        html.card("Not", str(verdicts.count(NOT)), "with the mechanism below"),
        html.card("Robust", str(labels.count("robust")), "hold in 95 % of the readings"),
        html.card("Readings", f"{readings:,}", f"{study.mixtures + 1} mixtures of the unknowns"),
        html.card(
            "Designs", units.prefixed(float(study.designs), ""), f"in {study.elapsed_s:.0f} s"
        ),
    ]
    return html.tag("div", "".join(cards), class_="cards")


def _advice(study: StudyResult) -> str:
    items = "".join(
        html.tag("li", f"<b>{escape(what)}</b> {escape(why)}") for what, why in advice(study)
    )
    return html.tag("ol", items, class_="advice") if items else ""


def _table(study: StudyResult) -> str:
    head = "".join(
        html.tag("th", text, class_="l")
        for text in ("", "claim", "verdict", "found", "expected", "holds in", "")
    )
    rows = []
    for result in study.results:
        robust = result.robustness
        cells = [
            f'<a href="#{result.id}">{result.id}</a>',
            escape(result.text.claim),
            badge(result.finding.verdict),
            escape(result.finding.value),
            escape(result.text.expected),
            f"{percent(robust.holds)} of {robust.readings}",
            badge(robust.label),
        ]
        rows.append(html.tag("tr", "".join(html.tag("td", c, class_="l") for c in cells)))
    inner = html.tag("thead", html.tag("tr", head)) + html.tag("tbody", "".join(rows))
    return html.tag("div", html.tag("table", inner, class_="claims"), class_="scroll")


def _map(chart: GainMap | None, svg: bytes | None) -> str:
    if chart is None or svg is None:
        return ""
    data = chart.dataset
    caption = (
        f"Colour: gain in the base reading; grey: no disaggregated design meets the targets. "
        f"Solid line: where the gain reaches {100 * (BOUNDARY - 1):.0f} %. Dotted lines: where it "
        f"does so in 20 % and in 80 % of {data.attrs['readings']} readings of the study: the band "
        f"of uncertainty. FTL ≤ {data.attrs['ftl_s']:g} s. {chart.designs:,} designs; map.nc holds "
        "the numbers."
    )
    alt = "Maps of the gain of disaggregation over input and output length"
    return _section("When to disaggregate", html.picture(svg, alt, caption))


def _claims(study: StudyResult) -> list[str]:
    sections = []
    for picture in PICTURES:
        results = [r for r in study.results if r.id in picture.claims]
        if results:
            drawn = html.picture(study.pictures[picture.name], picture.title, picture.caption)
            inner = "".join(_claim(result) for result in results)
            sections.append(_section(picture.title, drawn, inner))
    return sections


def _claim(result: Result) -> str:
    finding, robust = result.finding, result.robustness
    parts = "".join(
        html.tag("li", escape(part.text), class_="yes" if part.holds else "no")
        for part in finding.parts
    )
    title = f"{result.id}. {escape(result.text.claim)} {badge(finding.verdict)}"
    words = f"{escape(result.text.conditions)}. Expected: {escape(result.text.expected)}."
    text = (
        f"Holds in {percent(robust.holds)} of {robust.readings} readings"
        + (f", and in part in {percent(robust.partly)} more: " if robust.holds < 1.0 else ": ")
        + {"robust": "robust.", "depends": "it depends on the reading.",
           "finding": "few readings hold it."}[robust.label]
    )  # fmt: skip
    if robust.not_applicable:
        text += f" In {robust.not_applicable} readings no design meets the FTL cutoff."
    why = html.paragraph(f"Why: {finding.why}") if finding.why else ""
    inner = (
        html.tag("h3", title)
        + html.tag("p", words, class_="soft")
        + html.tag("p", f"<b>{escape(finding.value)}</b>")
        + html.tag("ul", parts)
        + why
        + html.paragraph(text)
        + _levels(result)
    )
    return html.tag("div", inner, class_=f"claim is-{finding.verdict}", id=result.id)


def _levels(result: Result) -> str:
    """How often the claim holds at each level of the unknowns that matter."""
    robust = result.robustness
    rows = []
    for name, levels in robust.by_unknown.items():
        if len(levels) < 2 or np.ptp(list(levels.values())) < 0.1:
            continue
        shown = " ".join(
            f'{escape(level)}<span class="meter"><i style="width:{100 * frac:.0f}%"></i></span>'
            f"{100 * frac:.0f}%"
            for level, frac in levels.items()
        )
        rows.append(html.tag("div", f"<b>{escape(UNKNOWNS[name])}</b>: {shown}"))
    if not rows:
        return ""
    title = html.tag("div", "What it depends on: readings in which it holds, by choice")
    return html.tag("div", title + "".join(rows), class_="levels")


def _assumptions() -> str:
    known = settings()
    rows = [
        [UNKNOWNS[name], ", ".join(_word(v) for v in known.unknowns[name]),
         known.provenance[f"unknowns.{name}"].note or known.provenance[f"unknowns.{name}"].source]
        for name in (*SWEPT, *SELECTED)
    ]  # fmt: skip
    text = (
        "GPUs and requests are unlimited; there is no queueing, no prefix reuse, no speculation, "
        "unless a claim says otherwise. The prefill pool is the study's Algorithm 1, matching its "
        "Algorithm 2 in the limit of exact balance. What the study leaves open, with our choices; "
        "the first is the base reading:"
    )
    return html.paragraph(text) + html.table(
        ["unknown", "choices", "source"], rows, left=(0, 1, 2), class_="fine"
    )


def _word(value: object) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _terms() -> str:
    return html.tag(
        "dl",
        "".join(html.tag("dt", escape(t)) + html.tag("dd", escape(m)) for t, m in TERMS),
    )
