"""What does the time of each chosen instance go to?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxsim.quantities import PARTS
from jaxsim.space.deploy.result import Deployed, InstanceShape, Plan
from jaxsim.view.figures.frontier import case, source
from jaxsim.view.figures.style import sheet
from jaxsim.view.text import sentences, units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (
    "#56B4E9", "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#F0E442", "#999999",
)  # fmt: skip
PART_COLOURS = dict(zip(PARTS, COLOURS, strict=True))


def draw_breakdown(plan: Plan, size: str = "page") -> "Axes":
    """Where the time of each chosen instance goes, as shares of a batch of prompts or of a step.

    `size` is `page`, `slide` (16:9) or `paper`; `.figure.savefig` saves it.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=1.0, ttl_s=0.02, space=space)
    >>> jaxsim.draw_breakdown(plan).get_xlabel()
    'share of the time'
    """
    shapes = [
        shape
        for deployed in (plan.disaggregated, plan.colocated)
        if isinstance(deployed, Deployed)
        for shape in deployed.instances
    ]
    names = [n for n in PART_COLOURS if any(shape.parts_s.get(n, 0.0) > 0.0 for shape in shapes)]
    style = {"axes.grid": False, "axes.spines.left": False}
    tall = (2.7 + 0.72 * max(len(shapes), 1)) / 6.6
    claim = f"Where the time goes at TTL ≤ {units.seconds(plan.ttl_target_s)}"
    with sheet(size, claim, case(plan), source(plan), tall=tall, style=style) as figure:
        axes = figure.subplots()
        for row, shape in enumerate(shapes):
            _draw_shares(axes, row, shape, names)
        axes.set_yticks(range(len(shapes)), [_row_label(shape) for shape in shapes])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlim(0.0, 1.0)
        axes.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %")
        axes.set_xlabel("share of the time")
        _part_legend(axes, names)
    return axes


def _draw_shares(axes: "Axes", row: int, shape: InstanceShape, names: Sequence[str]) -> None:
    total = sum(shape.parts_s.values()) or 1.0
    left = 0.0
    for name in names:
        share = shape.parts_s.get(name, 0.0) / total
        axes.barh(row, share, left=left, height=0.62, color=PART_COLOURS[name], lw=0)
        if share >= 0.045:
            dark = name in ("attention", "experts", "network")
            axes.text(
                left + share / 2,
                row,
                f"{100 * share:.0f} %",
                ha="center",
                va="center",
                fontsize="small",
                color="white" if dark else "#1D1D1D",  # not the ink of a dark page
            )
        left += share
    text = f"{units.seconds(total)}\n{sentences.PASSES[shape.phase]}"
    axes.text(1.012, row, text, va="center", fontsize="small", transform=axes.get_yaxis_transform())


def _row_label(shape: InstanceShape) -> str:
    return f"{sentences.POOLS[shape.phase]}\n{sentences.mapping(shape)}"


def _part_legend(axes: "Axes", names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=PART_COLOURS[name], label=sentences.part_name(name)) for name in names]
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=4,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.2,
    )
