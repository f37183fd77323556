"""How is a page written from a template?  Jinja2, with every text escaped.

Templates are in `templates/` of a package; those of `view/report` are found from every other:
`base.html` is the frame of a page and `parts.html` what pages share (tables, bars, pictures).
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jaxsim._version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT = "jaxsim.view.report"


@dataclass(frozen=True)
class Table:
    """Rows of plain texts; columns in `left` are flush left, the others flush right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)
    style: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG picture that is part of the page itself, and what it shows.

    One that `has_curves` takes the page's colours of the kinds of deployment.
    """

    svg: bytes
    alt: str
    caption: str
    has_curves: bool = False


# The greys of `view/figures/style.py` and what a page calls them, which differs by day and night.
_GREYS = {
    "#222222": "ink", "#444444": "ink", "#5f6b76": "soft", "#8a949e": "soft", "#e6e9ec": "line",
    "#f1f3f5": "wash",
}  # fmt: skip
_CURVES = {"#0072b2": "disaggregated", "#d55e00": "colocated", "#009e73": "piggybacked"}
_WORDY = re.compile(
    r"^.*?(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->"
    r'| xmlns(:\w+)?="[^"]*"|(?<=<g) id="[^"]*"',
    re.S,
)


def themed(drawn: Picture) -> str:
    """An SVG picture as a part of a page, in the page's own colours for ink, lines and ground.

    White is the ground but for text, which is white on a colour that stays.
    """
    text = _WORDY.sub("", drawn.svg.decode()).replace("xlink:href", "href")
    text = re.sub(r"(<(?:path|use)\b[^>]*?fill: )#ffffff", r"\1var(--page)", text)
    for colour, name in {**_GREYS, **(_CURVES if drawn.has_curves else {})}.items():
        text = text.replace(f": {colour}", f": var(--{name})")
    return re.sub(r'<svg width="[^"]*" height="[^"]*"', "<svg", text, count=1)


@cache
def environment(package: str) -> "Environment":
    """The templates of a package, and those of `view/report`."""
    import jinja2

    packages = dict.fromkeys((package, REPORT))
    templates = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def in_csv(table: Table) -> str:
        text = io.StringIO()
        csv.writer(text).writerows([table.head, *table.rows])
        return text.getvalue()

    templates.filters |= {"csv": in_csv, "themed": themed}
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return templates


def render(name: str, values: dict[str, object], package: str = REPORT) -> str:
    """The page that a template makes of the values; a missing one is an error."""
    return environment(package).get_template(name).render({"version": __version__, **values})
