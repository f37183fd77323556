"""How does every picture look?  One style, a claim, a case, a source, and three sizes."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from jaxsim._version import __version__
from jaxsim.catalog.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stay apart for colour-blind readers and in grey (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#5F6B76"
INK, GRID = "#222222", "#E6E9EC"
COLOURS = {
    "disaggregated": BLUE,
    "co-located": ORANGE,
    "co-located, piggybacked": GREEN,
    "co-located, in-flight batching": "#CC79A7",
}
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8A949E",
    "axes.labelcolor": INK,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "svg.hashsalt": "jaxsim",
}
PNG_DPI = 160
SOURCE = "a calibrated model's predictions, not measurements"


@dataclass(frozen=True)
class Size:
    """A width and a usual height in inches, the size of text in points, dots an inch."""

    width_in: float
    height_in: float
    text_pt: float
    dpi: int


# A report's page; a 16:9 slide of 1,920 × 1,080 dots, to be read from afar; two columns of a paper.
SIZES = {
    "page": Size(9.6, 6.6, 10.0, PNG_DPI),
    "slide": Size(12.8, 7.2, 15.0, 150),
    "paper": Size(6.9, 4.9, 7.5, 300),
}


def size_of(name: str) -> Size:
    """A size by its name."""
    if name not in SIZES:
        raise InputError(f"size {name!r}: it is one of {', '.join(SIZES)}.")
    return SIZES[name]


@contextmanager
def sheet(
    size: str, claim: str, case: str, source: str = SOURCE, *, tall: float = 1.0,
    style: Mapping[str, Any] | None = None,
) -> Generator["Figure", None, None]:  # fmt: skip
    """An empty figure with its claim in bold, its case in grey under it, and its source below.

    `tall` is its height over the usual one, but for a slide, which has one height. Drawn within
    the block, it is in the style of all; `style` overrides some of it.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    own = size_of(size)
    height = own.height_in * (1.0 if size == "slide" else tall)
    line = 1.35 * own.text_pt / 72.0 / height  # of the figure's height
    settings: dict[Any, Any] = {**STYLE, "font.size": own.text_pt}
    settings.update(style or {})
    with mpl.rc_context(settings):
        figure = Figure((own.width_in, height), dpi=own.dpi)
        top, bottom = (2.9 if case else 1.8) * line, 1.3 * line
        figure.set_layout_engine(
            ConstrainedLayoutEngine(rect=(0.01, bottom, 0.98, 1 - top - bottom))
        )
        bold = min(1.3 * own.text_pt, _narrowed(claim, own, 1.15, 1.3 * own.text_pt))
        figure.text(0.01, 1 - 0.35 * line, claim, fontsize=bold, fontweight="bold", va="top")
        figure.text(0.01, 1 - 1.65 * line, case, fontsize=_narrowed(case, own), color=GREY,
                    va="top")  # fmt: skip
        figure.text(0.01, 0.3 * line, f"jaxsim {__version__} · {source}", va="bottom", color=GREY,
                    fontsize=0.8 * _narrowed(source, own, 0.8))  # fmt: skip
        yield figure
        for axes in figure.axes:
            _settle(axes, own)


_CHARACTER = 0.58  # mean width of a character of text over its size


def _narrowed(text: str, own: Size, share: float = 1.0, most_pt: float | None = None) -> float:
    """The size of text, in points, at which a line of it fits the figure's width."""
    wide = _CHARACTER * share * len(text) / 72.0
    return min(most_pt or own.text_pt, 0.97 * own.width_in / max(wide, 1e-9))


def _settle(axes: "Axes", own: Size) -> None:
    """Fix what matplotlib would read of its settings when it draws, so that any may save it.

    Lines are as thick as text is large.
    """
    thick, legend = own.text_pt / SIZES["page"].text_pt, axes.get_legend()
    for line in (*axes.lines, *(legend.get_lines() if legend else ())):
        line.set_linewidth(thick * line.get_linewidth())
        line.set_markersize(thick * line.get_markersize())
        line.set_markeredgewidth(thick * line.get_markeredgewidth())
    for axis in (axes.xaxis, axes.yaxis):
        held = axis.get_tick_params()
        given = held.get("labelsize", own.text_pt)
        axis.set_tick_params(
            labelsize=given if isinstance(given, float) else 0.9 * own.text_pt,
            color="#8A949E", labelcolor="#444444",
        )  # fmt: skip
        axis.set_tick_params(which="minor", labelsize=0.9 * own.text_pt)
        if axis.get_gridlines() and axis.get_gridlines()[0].get_visible():
            axis.grid(True, color=GRID, linewidth=0.8)


def image(drawn: "Axes | Figure", format: str) -> bytes:
    """A figure, or that of axes, as the bytes of a PNG or SVG file: the same ones each time."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure = cast("Figure", drawn.figure)
    (FigureCanvasSVG if format == "svg" else FigureCanvasAgg)(figure)
    written = BytesIO()
    metadata = {"Date": None} if format == "svg" else {"Software": None}
    with mpl.rc_context(STYLE):
        figure.savefig(written, format=format, dpi=PNG_DPI, metadata=metadata)
    return written.getvalue()
