"""How do load, lengths, pools, decisions and latencies go over time?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsim.view.figures.style import BLUE, GREEN, GREY, INK, ORANGE, sheet
from jaxsim.view.text import units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jaxsim.api.simulate import Simulated

BINS = 96
NAMES = {0: "co-located", 1: "prefill", 2: "decode"}
LABEL: Mapping[str, Any] = {"loc": "left", "fontsize": "small", "pad": 2.0}
# A legend at the right of a panel's title.
BESIDE: Mapping[str, Any] = {
    "loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.0, "borderpad": 0.0,
    "fontsize": "x-small",
}  # fmt: skip
STYLES = {0: "-", 1: "-", 2: "--"}
COLOURS = (GREY, BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00")
SIMULATED = "every request simulated, by a calibrated model; not measurements"


def draw_timeline(result: "Simulated", size: str = "page") -> "Axes":
    """Load, lengths, GPUs by pool, and the TTFT and TPOT of 95 of 100 requests, over time.

    Five panels, of which the first axes are returned; `.figure.axes` has all. Marks on the axis of
    GPUs are decisions, dotted lines targets. `size` is `page`, `slide` (16:9) or `paper`.

    >>> load = jaxsim.load_of(isl="300", osl="uniform:20:60", requests_per_s=2, duration_s=40)
    >>> pools = jaxsim.Pools(prefill={"tp": 1}, decode={"tp": 1})
    >>> result = jaxsim.simulate(
    ...     "llama-3.1-8b", "h100", load.drawn(0), ftl_s=2.0, ttl_s=0.05, pools=pools,
    ...     policies=["static"], engine="vllm", most_sequences=63,
    ... )
    >>> jaxsim.draw_timeline(result).get_title("left")
    'requests/s'
    """
    from matplotlib.ticker import LogLocator, NullLocator

    from jaxsim.traffic.measure.outcome import users_of

    run = next(iter(result.runs.values()))
    requests = run.requests
    end = max(requests.duration_s, 1.0)
    unit_s, unit = (3600.0, "h") if end > 3 * 3600 else (60.0, "min") if end > 300 else (1.0, "s")
    edges = np.linspace(0.0, end, BINS + 1)
    middle = 0.5 * (edges[1:] + edges[:-1]) / unit_s
    place = np.clip(np.searchsorted(edges, requests.arrival_s, side="right") - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    targets = f"TTFT ≤ {units.seconds(result.ftl_s)}, TPOT ≤ {units.seconds(result.ttl_s)}"
    case = " · ".join(filter(None, [result.case, requests.name, targets]))
    source = " · ".join(filter(None, [result.source, SIMULATED]))
    with sheet(size, _claim(result), case, source, tall=1.6) as figure:
        axes = figure.subplots(5, 1, sharex=True)
        axes[0].step(middle, count / np.diff(edges), where="mid", color=INK)
        axes[0].set_title("requests/s", **LABEL)
        isl = np.bincount(place, weights=requests.isl, minlength=BINS)
        osl = np.bincount(place, weights=requests.osl, minlength=BINS)
        axes[1].step(middle, isl / np.maximum(osl, 1.0), where="mid", color=INK)
        axes[1].set_title("ISL / OSL", **LABEL)
        for index, (name, one) in enumerate(result.runs.items()):
            # Later lines are thinner: where they agree, the ones below still show.
            color, width = COLOURS[index % len(COLOURS)], max(3.0 - 0.9 * index, 1.0)
            decided = [change.time_s / unit_s for change in one.changes]
            axes[2].plot(decided, np.full(len(decided), 0.0), "|", color=color, markersize=12)
            for role in one.fleet.roles:
                paid = _paid(one.spans, role, edges) * one.fleet.gpus[role]
                label = "_" if index else NAMES[role]  # its colours are in the next panel
                axes[2].step(
                    middle, paid, STYLES[role], where="mid", color=color, label=label, lw=width
                )
            users = users_of(one)
            for axis, values in ((axes[3], users.ttft_s), (axes[4], users.tpot_s)):
                own = [values[(place == b) & users.served] for b in range(BINS)]
                line = [np.quantile(v, 0.95) if len(v) else np.nan for v in own]
                axis.plot(middle, line, color=color, label=name, lw=width)
        axes[2].set_title("GPUs paid; marks: decisions", **LABEL)
        axes[2].set_ylim(bottom=0)
        axes[2].legend(ncols=6, **BESIDE)
        for axis, target, label in (
            (axes[3], result.ftl_s, "TTFT p95, s"),
            (axes[4], result.ttl_s, "TPOT p95, s"),
        ):
            axis.axhline(target, color=INK, linestyle=":", label="target")
            axis.set_yscale("log")
            low, high = axis.get_ylim()
            # Of more than a decade, only the decades: a panel has room for three labels.
            subs = (1.0,) if high > 12.0 * low else (1.0, 2.0, 5.0)
            axis.yaxis.set_major_locator(LogLocator(subs=subs, numticks=5))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_locator(NullLocator())
            axis.set_title(label, **LABEL)
        axes[3].legend(ncols=5, **BESIDE)
        axes[4].set_xlabel(f"time of arrival, {unit}")
    return axes[0]


def _claim(result: "Simulated") -> str:
    """How many requests met the targets under each policy."""
    each = [
        f"{name} {units.percent(float(result.table.attainment.sel(policy=name)))}"
        for name in result.runs
    ]
    return f"Requests within both targets: {', '.join(each)}"


def _paid(
    spans: Sequence[tuple[int, int, float, float]], role: int, edges: np.ndarray
) -> np.ndarray:
    """Mean number of instances of a role that are paid for, by bin."""
    total = np.zeros(len(edges) - 1)
    for _, own, start, stop in spans:
        if own == role:
            total += np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None)
    return total / np.diff(edges)
