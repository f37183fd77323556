"""What does a frontier look like?  Throughput against interactivity, its uncertainty, the gain."""

from typing import TYPE_CHECKING

import numpy as np

from jaxsim.space.deploy.result import Deployed, FrontierCurve, InstanceShape, Plan
from jaxsim.view.figures.style import BLUE, COLOURS, GREY, SOURCE, sheet
from jaxsim.view.text import sentences, units
from jaxsim.view.text.gain import gain_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NICE_TTL_MS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 500, 1000)


def staircase(curve: FrontierCurve) -> tuple[np.ndarray, ...]:
    """Interactivity, throughput and both ends of its interval, by rising interactivity."""
    ttl_s = np.asarray(curve.ttl_s, dtype=float)
    order = np.argsort(-ttl_s)
    columns = (curve.output_tokens_per_s_per_gpu, curve.low, curve.high)
    return (1.0 / ttl_s[order], *(np.asarray(column, dtype=float)[order] for column in columns))


def draw_frontier(plan: Plan, size: str = "page") -> "Axes":
    """The frontiers of a plan: output tokens/s/GPU against interactivity, with 80 % bands.

    The axes of throughput are returned; `.figure` has those of the gain below too, and `savefig`.
    The best at the targets are marked. `size` is `page`, `slide` (16:9) or `paper`.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=1.0, ttl_s=0.02, space=space)
    >>> jaxsim.draw_frontier(plan, "slide").get_ylabel()
    'output tokens/s/GPU'
    """
    from matplotlib.patches import Patch

    with sheet(size, _title(plan), case(plan), source(plan)) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1.0))
        for curve in plan.curves:
            _draw_curve(upper, curve)
        right = max((1.0 / float(np.min(c.ttl_s)) for c in plan.curves if len(c.ttl_s)), default=1)
        upper.set_xlim(0.0, 1.04 * right)
        upper.set_ylim(bottom=0.0)
        _draw_target(upper, plan)
        _draw_choices(upper, plan)
        upper.set_ylabel("output tokens/s/GPU")
        upper.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
        handles, labels = upper.get_legend_handles_labels()
        band = Patch(color=GREY, alpha=0.25, lw=0)
        upper.legend([*handles, band], [*labels, "80 % interval"], loc="upper right")
        _ttl_axis(upper, right)
        _draw_gain(lower, plan)
        lower.set_xlabel("interactivity: output tokens/s a user (1/TTL)")
    return upper


def source(plan: Plan) -> str:
    """On what the numbers of a plan's pictures rest."""
    return f"{plan.calibration} calibration, engine {plan.engine} · {SOURCE}"


def case(plan: Plan) -> str:
    """What a picture is about, in a line."""
    return f"{sentences.case(plan)} · {sentences.constraint(plan)}"


def _title(plan: Plan) -> str:
    at = "" if plan.gain is None else f" at TTL ≤ {units.seconds(plan.ttl_target_s)}"
    return gain_title(plan) + at


def _draw_curve(axes: "Axes", curve: FrontierCurve) -> None:
    x, y, low, high = staircase(curve)
    colour = COLOURS.get(curve.name, GREY)
    main = curve.name in ("disaggregated", "co-located")
    # What a faster design gives, a slower target has too: steps, not an interpolation.
    start = np.concatenate([[0.0], x]), np.concatenate([y[:1], y])
    axes.plot(
        *start,
        drawstyle="steps-pre",
        color=colour,
        lw=2.2 if main else 1.4,
        ls="-" if main else (0, (4, 2)),
        label=sentences.curve_name(curve.name),
    )
    if main:
        ends = [np.concatenate([end[:1], end]) for end in (low, high)]
        axes.fill_between(start[0], ends[0], ends[1], step="pre", color=colour, alpha=0.13, lw=0)


def _draw_target(axes: "Axes", plan: Plan) -> None:
    x = 1.0 / plan.ttl_target_s
    if x > axes.get_xlim()[1]:
        return
    axes.axvspan(0.0, x, color="#F1F3F5", zorder=0)
    axes.axvline(x, color="#222222", lw=1.1, ls=":")
    axes.annotate(
        f"TTL ≤ {units.seconds(plan.ttl_target_s)}",
        (x, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(4 if x < 0.6 * axes.get_xlim()[1] else -4, -4),  # the legend is on the right
        textcoords="offset points",
        ha="left" if x < 0.6 * axes.get_xlim()[1] else "right",
        va="top",
        fontsize="small",
        color="#222222",
    )


def _draw_choices(axes: "Axes", plan: Plan) -> None:
    """Mark the best deployments.

    Frontiers fall, so there is room above the upper one and in the corner under the lower one.
    """
    choices: list[tuple[str, Deployed]] = [
        (name, deployed)
        for name, deployed in (
            ("disaggregated", plan.disaggregated),
            ("co-located", plan.colocated),
        )
        if isinstance(deployed, Deployed)
    ]
    choices.sort(key=lambda entry: -entry[1].output_tokens_per_s_per_gpu)
    for rank, (name, deployed) in enumerate(choices):
        x, y = 1.0 / deployed.ttl_s, deployed.output_tokens_per_s_per_gpu
        colour = COLOURS[name]
        axes.plot([x], [y], "o", ms=8, mfc="white", mec=colour, mew=2.2, zorder=7)
        across = x / axes.get_xlim()[1]
        at, vertical, across_at = (0.012, 0.035), "bottom", "left"
        if rank == 0 and across < 0.42:  # over the falling curve, left of the legend
            at, vertical = (max(across + 0.06, 0.3), 0.95), "top"
        elif rank == 0:  # a fast target: the curve is low there, under the legend there is room
            at, vertical, across_at = (0.98, 0.66), "top", "right"
        axes.annotate(
            f"{units.count(y)} tokens/s/GPU\n" + "\n".join(map(_label, deployed.instances)),
            (x, y),
            fontsize="small",
            color=colour,
            bbox={"boxstyle": "round,pad=0.35", "fc": "white", "ec": colour, "lw": 0.8},
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.8, "shrinkB": 5},
            zorder=6,
            textcoords="axes fraction",
            xytext=at,
            va=vertical,
            ha=across_at,
        )


def _label(shape: InstanceShape) -> str:
    pool = "" if shape.phase == "colocated" else f"{shape.phase} "
    return f"{shape.count} × {pool}{sentences.mapping(shape)}, batch {shape.batch:,}"


def _ttl_axis(axes: "Axes", right: float) -> None:
    """Token latencies along the top, where they are far enough apart."""
    shown: list[float] = []
    for ttl_ms in NICE_TTL_MS:
        x = 1000.0 / ttl_ms
        if x <= 1.04 * right and all(abs(x - other) > 0.055 * right for other in shown):
            shown.append(x)
    top = axes.secondary_xaxis("top")
    top.set_xticks(shown, [f"{1000.0 / x:.0f}" for x in shown])
    top.set_xlabel("TTL (TPOT), ms", fontsize="small")
    top.tick_params(length=3)


def at_least(curve: FrontierCurve, x: np.ndarray) -> np.ndarray:
    """The curve's throughput at each interactivity; NaN past its end."""
    own, y, _, _ = staircase(curve)
    where = np.searchsorted(own, x, side="left")
    return np.append(y, np.nan)[where]


def _draw_gain(axes: "Axes", plan: Plan) -> None:
    named = {curve.name: curve for curve in plan.curves}
    axes.axhline(1.0, color="#444444", lw=1.0)
    axes.set_ylabel("disaggregated\n/ co-located", fontsize="small")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}×")
    if "disaggregated" not in named or "co-located" not in named:
        return
    disaggregated, colocated = named["disaggregated"], named["co-located"]
    x = np.unique(np.concatenate([staircase(disaggregated)[0], staircase(colocated)[0]]))
    gain = at_least(disaggregated, x) / at_least(colocated, x)
    kept = np.isfinite(gain)
    if not kept.any():
        return
    x, gain = x[kept], gain[kept]
    start = np.concatenate([[0.0], x]), np.concatenate([gain[:1], gain])
    axes.plot(*start, drawstyle="steps-pre", color=BLUE, lw=1.6)
    axes.fill_between(start[0], start[1], 1.0, step="pre", color=BLUE, alpha=0.13, lw=0)
    # The end of a frontier may be far above the rest: show up to a multiple of the middle.
    top = min(float(gain.max()), 2.0 * float(np.median(gain)))
    axes.set_ylim(min(0.9, 0.95 * float(gain.min())), max(1.1, 1.08 * top))
    axes.axvline(1.0 / plan.ttl_target_s, color="#222222", lw=1.1, ls=":")
