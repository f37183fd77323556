"""Does every picture say what it is of, in every size, with all of its text inside?"""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

import jaxsim
from jaxsim.view.figures.style import SIZES

PLANNED = ("draw_frontier", "draw_breakdown", "draw_ratio")


@pytest.fixture
def drawn(plan):
    """A function from the name of a picture and a size to its axes."""
    shape = xr.DataArray(
        [[1.3, np.inf, np.nan], [0.91, 1.04, 7.2]],
        {"isl": [1024, 131072], "osl": [64, 512, 2048]},
        ("isl", "osl"),
        attrs={"model": "deepseek-r1", "hardware": "gb200-nvl72", "precision": "checkpoint",
               "engine": "trtllm", "calibration": "b200", "ftl_target_s": 5.0,
               "ttl_target_s": 0.05},
    )  # fmt: skip
    curve = replace(
        plan.curves[0],
        designs={
            **plan.curves[0].designs,
            "ctx_gen_ratio": np.geomspace(2.0, 0.02, len(plan.curves[0].ttl_s)),
        },
    )
    whole = replace(plan, curves=(curve, *plan.curves[1:]))

    def draw(name, size):
        return getattr(jaxsim, name)(whole if name in PLANNED else shape, size)

    return draw


def texts(axes):
    return [one for one in axes.figure.findobj(Text) if one.get_text().strip()]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*PLANNED, "draw_gain_map"])
def test_it_names_its_case_and_source_and_no_text_is_cut(drawn, name, size):
    axes = drawn(name, size)
    figure = axes.figure
    figure.draw_without_rendering()
    said = " ".join(one.get_text() for one in texts(axes))
    for part in (
        "deepseek-r1 on gb200-nvl72",
        "FTL ≤ ",
        "TTL ≤ ",
        "jaxsim ",
        "calibration",
        "engine ",
    ):
        assert part in said, part
    assert any(own_axes.get_xlabel() for own_axes in figure.axes)
    width, height = figure.bbox.size
    own = SIZES[size]
    assert (figure.get_figwidth(), figure.dpi) == (own.width_in, own.dpi)
    if size == "slide":
        assert (width, height) == (1920, 1080)
    ticks = {
        one for own_axes in figure.axes for axis in (own_axes.xaxis, own_axes.yaxis)
        for one in axis.get_ticklabels(which="both")
    }  # fmt: skip
    for one in set(texts(axes)) - ticks:  # a tick beyond the limits has a label that is not shown
        box = one.get_window_extent()
        kept = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert kept or not one.get_visible(), (one.get_text(), box)
        assert one.get_fontsize() >= 0.55 * own.text_pt, one.get_text()


def test_the_same_figure_saved_anywhere_has_the_same_sizes(drawn, tmp_path):
    """Whatever matplotlib's settings are when it is saved: all was settled when it was drawn."""
    import matplotlib as mpl

    sizes = []
    for pt in (4.0, 30.0):
        axes = drawn("draw_frontier", "paper")
        with mpl.rc_context({"font.size": pt, "grid.color": "red"}):
            axes.figure.savefig(tmp_path / f"{pt}.png")
        sizes.append((tmp_path / f"{pt}.png").read_bytes())
    assert sizes[0] == sizes[1]


def test_what_cannot_be_drawn_is_refused(drawn, plan):
    with pytest.raises(jaxsim.InputError, match="page, slide, paper"):
        drawn("draw_frontier", "poster")
    with pytest.raises(jaxsim.InputError, match="isl and osl"):
        jaxsim.draw_gain_map(xr.DataArray([1.0], dims="isl"))
    with pytest.raises(jaxsim.InputError, match="no disaggregated frontier"):
        jaxsim.draw_ratio(replace(plan, curves=plan.curves[1:]))
