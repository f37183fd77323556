"""What does the live page show?  A form over the report of a plan."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jaxsim.space.deploy.result import Plan
from jaxsim.view.report.evidence import Evidence
from jaxsim.view.report.library import script_text
from jaxsim.view.report.page import render_report

PACKAGE = "jaxsim.view.explore"


@cache
def _script() -> str:
    return script_text((Path(__file__).parent / "explore.js").read_text(encoding="utf-8"))


def render_live(
    plan: Plan,
    evidence: Sequence[Evidence],
    command: str,
    link_bytes_per_s: float | None,
    fields: Mapping[str, str],
    known: Mapping[str, Sequence[str]],
) -> str:
    """The page of a plan, under a form that holds `fields`.

    `known` has the names that a field may take, or that are offered for it.
    """
    more = {"fields": fields, "known": known, "explore": _script()}
    return render_report(
        plan, evidence, command, link_bytes_per_s,
        template="explore.html", package=PACKAGE, more=more,
    )  # fmt: skip
