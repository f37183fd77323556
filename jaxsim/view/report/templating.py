"""How is a page written from a template?  Jinja2, with every text escaped.

Templates are in `templates/` of a package; those of `view/report` are found from every other:
`base.html` is the frame of a page and `parts.html` what pages share (tables, bars, pictures).
"""

import base64
import csv
import io
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
    """An SVG picture that is part of the page itself, and what it shows."""

    svg: bytes
    alt: str
    caption: str


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

    def in_base64(data: bytes) -> str:
        return base64.b64encode(data).decode("ascii")

    def in_csv(table: Table) -> str:
        text = io.StringIO()
        csv.writer(text).writerows([table.head, *table.rows])
        return text.getvalue()

    templates.filters |= {"base64": in_base64, "csv": in_csv}
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return templates


def render(name: str, values: dict[str, object], package: str = REPORT) -> str:
    """The page that a template makes of the values; a missing one is an error."""
    return environment(package).get_template(name).render({"version": __version__, **values})
