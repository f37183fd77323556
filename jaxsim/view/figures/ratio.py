"""How many prefill GPUs does a decode GPU need, along a frontier?"""

from typing import TYPE_CHECKING

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.space.deploy.result import Deployed, Plan
from jaxsim.view.figures.frontier import case, source
from jaxsim.view.figures.style import BLUE, GREY, INK, sheet
from jaxsim.view.text import units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NICE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


def draw_ratio(plan: Plan, size: str = "page") -> "Axes":
    """Prefill GPUs over decode GPUs of every design of a plan's disaggregated frontier.

    One ratio serves one interactivity: where the line is steep, a fixed ratio wastes GPUs at other
    targets. The plan's own is marked. `size` is `page`, `slide` (16:9) or `paper`.

    Raises InputError where the plan has no disaggregated frontier.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=1.0, ttl_s=0.02, space=space)
    >>> jaxsim.draw_ratio(plan).get_ylabel()
    'prefill GPUs per decode GPU'
    """
    curve = next((one for one in plan.curves if one.name == "disaggregated"), None)
    if curve is None or not len(curve.ttl_s):
        raise InputError(
            "the plan has no disaggregated frontier, and so no ratio: relax its FTL target."
        )
    order = np.argsort(-np.asarray(curve.ttl_s, float))
    x = 1.0 / np.asarray(curve.ttl_s, float)[order]
    ratio = np.asarray(curve.designs["ctx_gen_ratio"], float)[order]
    own = plan.disaggregated if isinstance(plan.disaggregated, Deployed) else None
    claim = f"From {units.compact(ratio.min())} to {units.compact(ratio.max())} prefill GPUs"
    claim += " per decode GPU along the frontier"
    with sheet(size, claim, case(plan), source(plan), tall=0.75) as figure:
        axes = figure.subplots()
        axes.plot(
            np.append(0.0, x),
            np.append(ratio[:1], ratio),
            drawstyle="steps-pre",
            color=BLUE,
            lw=2.0,
        )
        axes.axhline(1.0, color=GREY, lw=1.0)
        axes.set_yscale("log")
        low, high = ratio.min() / 1.3, ratio.max() * 2.5
        shown = [tick for tick in NICE if low <= tick <= high]
        axes.set_ylim(low, high)
        axes.set_yticks(shown, [f"{tick:g}" for tick in shown])
        axes.set_yticks([], minor=True)
        axes.set_xlim(0.0, 1.04 * float(x[-1]))
        target = 1.0 / plan.ttl_target_s
        if target <= axes.get_xlim()[1]:
            axes.axvline(target, color=INK, lw=1.1, ls=":")
            left = target < 0.6 * axes.get_xlim()[1]
            axes.annotate(
                f"TTL ≤ {units.seconds(plan.ttl_target_s)}", (target, 1.0),
                xycoords=axes.get_xaxis_transform(), xytext=(4 if left else -4, -4),
                textcoords="offset points", ha="left" if left else "right", va="top",
                fontsize="small",
            )  # fmt: skip
        if own is not None and own.ctx_gen_ratio is not None:
            at = 1.0 / own.ttl_s
            axes.plot([at], [own.ctx_gen_ratio], "o", ms=8, mfc="white", mec=BLUE, mew=2.2)
            axes.annotate(
                f"{units.compact(own.ctx_gen_ratio)}: the plan's", (at, own.ctx_gen_ratio),
                xytext=(9, 4), textcoords="offset points", ha="left", va="bottom", color=BLUE,
                fontsize="small",
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
            )  # fmt: skip
        axes.set_xlabel("interactivity: output tokens/s a user (1/TTL)")
        axes.set_ylabel("prefill GPUs per decode GPU")
    return axes
