"""What does the study's page say?  One file that needs no network, written from the results."""

import numpy as np

from jaxsim._version import __version__
from jaxsim.view.report.templating import Picture, Table, render
from jaxsim.view.study.advice import advice, headline, lead
from jaxsim.view.study.claim import NOT, PARTLY, REPRODUCED
from jaxsim.view.study.claims import Result
from jaxsim.view.study.figures import PICTURES
from jaxsim.view.study.map import BOUNDARY, GainMap
from jaxsim.view.study.report import StudyResult
from jaxsim.view.study.settings import SELECTED, SWEPT, UNKNOWNS, settings
from jaxsim.view.text import units

LABELS = {
    "robust": "robust.",
    "depends": "it depends on the reading.",
    "finding": "few readings hold it.",
}

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
    ("Today's kernels, limit of the chip", "As measured, with launch floors; and with datasheet "
     "peaks at the share that kernels are documented to reach, no launch floors, and reductions in "
     "the switch. The second is no prediction: it says what better kernels could change."),
    ("Robust, depends, finding", "A claim that holds in at least 95 %, in between, or in at most "
     "40 % of the readings."),
)  # fmt: skip


def percent(frac: float) -> str:
    """A fraction in percent."""
    return f"{100 * frac:.0f} %"


def render_page(study: StudyResult, command: str) -> str:
    """The whole page, by the template `study.html`; `command` is what makes it again."""
    known = settings()
    assumed, unknowns = _assumptions()
    values: dict[str, object] = {
        "title": "The study of disaggregation, claim by claim",
        "kicker": (
            f"Beyond the Buzz: A Pragmatic Take on Inference Disaggregation (arXiv 2506.05508), "
            f"repeated on {known.hardware}, precision {known.precision}"
        ),
        "headline": headline(study),
        "lead": lead(study),
        "cards": _cards(study),
        "advice": advice(study),
        "claims": [_claim(result) for result in study.results],
        "map": _map(study.map, study.pictures.get("map")),
        "pictures": _pictures(study),
        "assumed": assumed,
        "unknowns": unknowns,
        "terms": TERMS,
        "command": command,
        "footer": (
            f"jaxsim {__version__} evaluated {study.designs:,} designs in {study.elapsed_s:.0f} s. "
            "Numbers are predictions of a calibrated model, not measurements of a deployment. "
            "Nothing was fitted to a claim."
        ),
    }
    return render("study.html", values, package="jaxsim.view.study")


def _cards(study: StudyResult) -> list[tuple[str, str, str]]:
    """Key figures: a name, a value and what it stands against."""
    verdicts = [result.finding.verdict for result in study.results]
    labels = [result.robustness.label for result in study.results]
    readings = max((r.robustness.readings for r in study.results), default=0)
    return [
        ("Reproduced", str(verdicts.count(REPRODUCED)), f"of {len(verdicts)} claims"),
        ("Partly", str(verdicts.count(PARTLY)), "the main point, not all of it"),
        ("Not", str(verdicts.count(NOT)), "with the mechanism below"),
        ("Robust", str(labels.count("robust")), "hold in 95 % of the readings"),
        ("Readings", f"{readings:,}", f"{study.mixtures + 1} mixtures of the unknowns"),
        ("Designs", units.prefixed(float(study.designs), ""), f"in {study.elapsed_s:.0f} s"),
    ]


def _map(chart: GainMap | None, svg: bytes | None) -> Picture | None:
    if chart is None or svg is None:
        return None
    data = chart.dataset
    caption = (
        f"Colour: gain in the base reading; grey: no disaggregated design meets the targets. "
        f"Solid line: where the gain reaches {100 * (BOUNDARY - 1):.0f} %. Dotted lines: where it "
        f"does so in 20 % and in 80 % of {data.attrs['readings']} readings of the study: the band "
        f"of uncertainty. FTL ≤ {data.attrs['ftl_s']:g} s. {chart.designs:,} designs; map.nc holds "
        "the numbers."
    )
    alt = "Maps of the gain of disaggregation over input and output length"
    return Picture(svg, alt, caption, True)


def _pictures(study: StudyResult) -> list[tuple[Picture, list[dict[str, object]]]]:
    """Every picture with the claims that it shows; those without a selected claim are left out."""
    pictures: list[tuple[Picture, list[dict[str, object]]]] = []
    for picture in PICTURES:
        claims = [_claim(result) for result in study.results if result.id in picture.claims]
        if claims:
            drawn = Picture(study.pictures[picture.name], picture.title, picture.caption, True)
            pictures.append((drawn, claims))
    return pictures


def _claim(result: Result) -> dict[str, object]:
    """What the page says of a claim: the verdict, its parts, and in how many readings it holds."""
    finding, robust = result.finding, result.robustness
    text = f"Holds in {percent(robust.holds)} of {robust.readings} readings"
    if robust.holds < 1.0:
        text += f", and in part in {percent(robust.partly)} more"
    text += f": {LABELS[robust.label]}"
    if robust.not_applicable:
        text += f" In {robust.not_applicable} readings no design meets the FTL cutoff."
    return {
        "id": result.id,
        "claim": result.text.claim,
        "conditions": result.text.conditions,
        "expected": result.text.expected,
        "verdict": finding.verdict,
        "value": finding.value,
        "parts": [(part.text, part.holds) for part in finding.parts],
        "why": finding.why,
        "needed": finding.needed,
        "limit": result.at_limit,
        "holds": percent(robust.holds),
        "readings": robust.readings,
        "label": robust.label,
        "robustness": text,
        "levels": _levels(result),
    }


def _levels(result: Result) -> list[tuple[str, list[tuple[str, str]]]]:
    """In how many percent of the readings a claim holds, at each choice of what matters to it."""
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    for name, levels in result.robustness.by_unknown.items():
        if len(levels) < 2 or np.ptp(list(levels.values())) < 0.1:
            continue
        shares = [(level, f"{100 * frac:.0f}") for level, frac in levels.items()]
        rows.append((UNKNOWNS[name], shares))
    return rows


def _assumptions() -> tuple[str, Table]:
    """What was assumed, in words, and the choices for what the study leaves open."""
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
    return text, Table(["unknown", "choices", "source"], rows, left=(0, 1, 2), style="fine")


def _word(value: object) -> str:
    return value if isinstance(value, str) else f"{value:g}"
