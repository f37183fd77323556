"""Which plotting library does the page use?  BokehJS, out of the installed package, in one text.

`docs/report.md` says why it was chosen.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

PARTS = ("bokeh.min.js", "bokeh-api.min.js")


@cache
def library_js() -> str:
    """The library as one script for a page, with its licence.

    Read from the package's files: importing the package takes a second and is not needed.
    """
    spec = find_spec("bokeh")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("bokeh is missing; it draws the report: pip install bokeh")
    folder = Path(spec.submodule_search_locations[0]) / "server" / "static" / "js"
    return "\n".join(script_text((folder / name).read_text(encoding="utf-8")) for name in PARTS)


@cache
def page_js() -> str:
    """The logic of the page."""
    return script_text((Path(__file__).parent / "page.js").read_text(encoding="utf-8"))


def script_text(text: str) -> str:
    """A script that nothing in it can end early: `</script` occurs in strings alone."""
    return text.replace("</script", "<\\/script")
