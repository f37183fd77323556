"""What do sensitivities look like?  A tornado of the levers, and resources along a frontier."""

from typing import TYPE_CHECKING

import numpy as np

from jaxsim.space.sensitivity.along import Along
from jaxsim.space.sensitivity.result import Sensitivity
from jaxsim.view.figures.style import SOURCE, sheet
from jaxsim.view.text import units
from jaxsim.view.text.levers import factor_name
from jaxsim.view.text.sentences import POOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UP, DOWN, LINE = "#0072B2", "#D55E00", "#222222"
# Okabe and Ito's colours, then greys for what is not a resource of the chip.
COLOURS = (
    "#56B4E9", "#0072B2", "#004C7A", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#9AA5B1",
    "#D5DAE0",
)  # fmt: skip


def draw_tornado(result: Sensitivity, size: str = "page") -> "Axes":
    """Exact effects of every lever at each factor, with what its elasticity predicts.

    Bars: throughput gained, %, the deployment optimised again; lines: by the elasticity. `size` is
    `page`, `slide` (16:9) or `paper`.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> little = jaxsim.SensitivityRequest(kind="colocated", levers=1, domains=False)
    >>> targets = {"ftl_s": 1.0, "ttl_s": 0.02}
    >>> result = jaxsim.sensitivity("llama-3.1-8b", "h100", work, little, space=space, **targets)
    >>> jaxsim.draw_tornado(result).get_xlabel().split(",")[0]
    'throughput gained'
    """
    levers = [lever for lever in result.levers if lever.effects][::-1]
    most = [units.percent(max(abs(e.exact or 0.0) for e in lever.effects)) for lever in levers]
    claim = "No lever was solved for"
    if levers:
        claim = f"Throughput moves most with {levers[-1].title}: by up to {most[-1]}"
    tall = (2.3 + 0.62 * max(len(levers), 1)) / 6.6
    with sheet(size, claim, case_of(result), source_of(result), tall=tall) as figure:
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
        factors = ", ".join(factor_name(e.factor) for e in levers[-1].effects) if levers else ""
        axes.set_xlabel(
            f"throughput gained, %, with inputs at {factors}\n"
            "(bars: optimised again; lines: by the elasticity)"
        )
    return axes


def case_of(result: Sensitivity) -> str:
    """What a sensitivity is of, in a line: model, hardware, lengths and targets."""
    request, kinds = result.request, dict.fromkeys(s.hardware for s in result.deployed.instances)
    work = request.only_workload
    return (
        f"{result.model} on {' and '.join(kinds)} · {result.kind.replace('colo', 'co-lo')} · "
        f"ISL {float(work.isl):,.0f}, OSL {float(work.osl):,.0f} · "
        f"FTL ≤ {units.seconds(request.ftl_s)}, TTL ≤ {units.seconds(request.ttl_s)}"
    )


def source_of(result: Sensitivity) -> str:
    """On what the numbers rest."""
    return f"{result.calibration} calibration, engine {result.engine} · {SOURCE}"


def resources_figure(along: Along, case: str) -> "Figure":
    """Shares of the time by resource along a frontier, one picture for each pool."""
    count = len(along.attributions)
    with sheet("page", "What limits along the frontier", case, tall=(2.9 * count + 0.9) / 6.6) as (
        figure
    ):
        all_axes = np.atleast_1d(figure.subplots(count, 1, sharex=True))
        interactivity = 1.0 / np.asarray(along.ttl_s, float)
        order = np.argsort(interactivity)
        for axes, (pool, result) in zip(all_axes, along.attributions.items(), strict=True):
            shares = 100.0 * result.by_resource[order].T
            shown = [i for i in range(len(shares)) if shares[i].max(initial=0.0) > 0.05]
            axes.stackplot(
                interactivity[order], shares[shown],
                labels=[result.resources[i] for i in shown],
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
