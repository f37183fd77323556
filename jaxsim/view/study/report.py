"""Run the study: every selected claim, in the base reading and in all others, with pictures."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxsim._progress import Counted, tell
from jaxsim.catalog.errors import InputError
from jaxsim.view.study.claim import Claim, Finding
from jaxsim.view.study.claims import (
    Result,
    Tried,
    base_finding,
    chosen,
    limit_finding,
    robustness_of,
    try_readings,
)
from jaxsim.view.study.figures import PICTURES, Picture, draw, picture_of
from jaxsim.view.study.map import GainMap, gain_map, map_figure
from jaxsim.view.study.settings import settings
from jaxsim.view.study.source import Study

FIGURES = "figures"


@dataclass(frozen=True)
class StudyResult:
    """What a run found: claims, pictures by name (SVG), the map, and what it took."""

    results: tuple[Result, ...]
    pictures: dict[str, bytes]
    map: GainMap | None
    designs: int
    elapsed_s: float
    mixtures: int

    def of(self, claim: str) -> Result | None:
        """The result of a claim, or None if it was not selected."""
        return next((result for result in self.results if result.id == claim), None)


def figure_name(picture: Picture) -> str:
    """The file of a picture, in the folder of the study."""
    return f"{FIGURES}/{picture.name}.svg"


def run_study(
    claims: Sequence[str] = (),
    *,
    grid: str = "full",
    coarse: str = "coarse",
    mixtures: int | None = None,
    with_map: bool = True,
) -> StudyResult:
    """The selected claims (all if none is), on the `grid`; other readings on the `coarse` one."""
    started = time.perf_counter()
    known = settings()
    for name in (grid, coarse):
        if name not in known.grids:
            raise InputError(f"grid {name!r}: it is one of {', '.join(known.grids)}")
    selected = chosen(claims)
    fine, rough = Study(grid), Study(coarse)
    findings = {}
    for k, claim in enumerate(selected):
        tell(Counted("claims", k, len(selected), "claims"))
        findings[claim.id] = base_finding(fine, claim)
    pictures = {}
    for picture in PICTURES:
        if any(claim.id in picture.claims for claim in selected):
            tell(f"drawing {picture.name}")
            pictures[picture.name] = draw(picture, fine, known.base)
    fine.forget()
    limits = {}
    for k, claim in enumerate(selected):
        tell(Counted("claims at the limit of the chip", k, len(selected), "claims"))
        limits[claim.id] = limit_finding(fine, claim)
    fine.forget()
    count = known.mixtures if mixtures is None else mixtures
    tried = try_readings(rough, selected, known.readings(count))
    results = tuple(_result(claim, findings, limits, tried) for claim in selected)
    chart = None
    if with_map:
        tell("map of when to disaggregate")
        chart = gain_map(rough)
        pictures["map"] = map_figure(chart)
    return StudyResult(
        results=results,
        pictures=pictures,
        map=chart,
        designs=fine.count.designs + rough.count.designs,
        elapsed_s=time.perf_counter() - started,
        mixtures=count,
    )


def _result(
    claim: Claim,
    findings: Mapping[str, Finding],
    limits: Mapping[str, Finding | None],
    tried: Mapping[str, Tried],
) -> Result:
    return Result(
        text=settings().claims[claim.id],
        finding=findings[claim.id],
        robustness=robustness_of(claim, tried[claim.id]),
        figure=figure_name(picture_of(claim.id)),
        at_limit=limits[claim.id],
    )


def _parts(finding: Finding) -> list[dict[str, object]]:
    return [{"text": part.text, "holds": bool(part.holds)} for part in finding.parts]


def claims_json(study: StudyResult) -> list[dict[str, object]]:
    """The list that `claims.json` holds."""
    return [
        {
            "id": result.id,
            "claim": result.text.claim,
            "conditions": result.text.conditions,
            "verdict": result.finding.verdict,
            "value": result.finding.value,
            "expected": result.text.expected,
            "parts": _parts(result.finding),
            "why": result.finding.why,
            "would_have_to_be": result.finding.needed,
            "measures": result.finding.measures,
            "at_limit": result.at_limit
            and {
                "verdict": result.at_limit.verdict,
                "value": result.at_limit.value,
                "parts": _parts(result.at_limit),
            },
            "robustness": {
                "holds": result.robustness.holds,
                "partly": result.robustness.partly,
                "label": result.robustness.label,
                "readings": result.robustness.readings,
                "not_applicable": result.robustness.not_applicable,
                "by_unknown": {k: dict(v) for k, v in result.robustness.by_unknown.items()},
            },
            "figure": result.figure,
        }
        for result in study.results
    ]
