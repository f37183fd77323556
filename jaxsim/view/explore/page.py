"""What does the live page show?  A form over the report of a plan."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jaxsim.space.deploy.result import Plan
from jaxsim.view.report.evidence import Evidence
from jaxsim.view.report.library import library_js, page_js, script_text
from jaxsim.view.report.page import render_report

PACKAGE = "jaxsim.view.explore"
_SCRIPTS = "<!--scripts-->"  # texts of a page are escaped: it stands there once


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
    *,
    final: bool = True,
) -> str:
    """The page of a plan without its scripts, under a form that holds `fields`.

    `known` has the names that a field may take, or that are offered for it. A page that is not
    `final` asks for the rest when it is opened.
    """
    more = {"fields": fields, "known": known, "final": final}
    return render_report(
        plan, evidence, command, link_bytes_per_s,
        template="explore.html", package=PACKAGE, more=more,
    )  # fmt: skip


def with_scripts(html: str) -> str:
    """The page with its scripts: what a browser opens. An open page has them and needs no others.

    A page without data, of targets that nothing meets, has nothing to draw.
    """
    drawn = (library_js(), page_js()) if 'id="data"' in html else ()
    scripts = "\n".join(f"<script>{text}</script>" for text in (*drawn, _script()))
    return html.replace(_SCRIPTS, scripts, 1)
