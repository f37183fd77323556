"""What do sensitivities look like?  A tornado of the levers, and resources along a frontier."""

from typing import TYPE_CHECKING

import numpy as np

from jaxsim.space.sensitivity.along import Along
from jaxsim.space.sensitivity.result import Sensitivity
from jaxsim.view.figures.frontier import STYLE
from jaxsim.view.text.levers import factor_name
from jaxsim.view.text.words import POOLS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UP, DOWN, LINE = "#0072B2", "#D55E00", "#222222"
# Okabe and Ito's colours, then greys for what is not a resource of the chip.
COLOURS = (
    "#56B4E9", "#0072B2", "#004C7A", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#9AA5B1",
    "#D5DAE0",
)  # fmt: skip


def tornado_figure(result: Sensitivity) -> "Figure":
    """Exact effects of every lever at each factor, with what its elasticity predicts."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    levers = [lever for lever in result.levers if lever.effects][::-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 1.6 + 0.62 * max(len(levers), 1)), layout="constrained")
        axes = figure.subplots()
        for row, lever in enumerate(levers):
            for effect in sorted(lever.effects, key=lambda e: -abs(np.log(e.factor))):
                if effect.exact is None:
                    continue
                near = abs(np.log(effect.factor)) < np.log(1.2)
                axes.barh(
                    row, 100.0 * effect.exact,
                    height=0.62, color=UP if effect.factor > 1.0 else DOWN,
                    alpha=1.0 if near else 0.45 if effect.factor < 2.0 else 0.25, linewidth=0,
                )  # fmt: skip
                axes.plot(
                    [100.0 * effect.local] * 2, [row - 0.36, row + 0.36], color=LINE, linewidth=1.0
                )
        axes.set_yticks(range(len(levers)), [lever.title for lever in levers])
        axes.axvline(0.0, color=LINE, linewidth=0.8)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("throughput gained, % (bars: optimised again; lines: by the elasticity)")
        factors = ", ".join(factor_name(e.factor) for e in levers[-1].effects) if levers else ""
        axes.set_title(f"What would change the throughput: inputs at {factors}", loc="left")
    return figure


def resources_figure(along: Along) -> "Figure":
    """Shares of the time by resource along a frontier, one picture for each pool."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        count = len(along.attributions)
        figure = Figure(figsize=(9.6, 2.9 * count + 0.4), layout="constrained")
        all_axes = np.atleast_1d(figure.subplots(count, 1, sharex=True))
        interactivity = 1.0 / np.asarray(along.ttl_s, float)
        order = np.argsort(interactivity)
        for axes, (pool, attribution) in zip(all_axes, along.attributions.items(), strict=True):
            shares = 100.0 * attribution.by_resource[order].T
            shown = [i for i in range(len(shares)) if shares[i].max(initial=0.0) > 0.05]
            axes.stackplot(
                interactivity[order], shares[shown],
                labels=[attribution.resources[i] for i in shown],
                colors=[COLOURS[i % len(COLOURS)] for i in shown], linewidth=0,
            )  # fmt: skip
            axes.set_xscale("log")
            for set_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                set_formatter("{x:g}")
            axes.set_ylim(0.0, 100.0)
            axes.set_ylabel("% of the time")
            axes.set_title(f"What {POOLS[pool]} waits for", loc="left")
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True)
        all_axes[-1].set_xlabel("interactivity, tokens/s a user")
    return figure
