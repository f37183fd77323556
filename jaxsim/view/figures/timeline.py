"""How do load, lengths, pools, decisions and latencies go over time?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxsim.api.simulate import Simulated

BINS = 96
NAMES = {0: "co-located", 1: "prefill", 2: "decode"}
STYLES = {0: "-", 1: "-", 2: "--"}


def draw_timeline(path: Path, result: "Simulated") -> None:
    """Five panels over time: load, ISL/OSL, GPUs by pool, TTFT and TPOT at p95 with targets."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from jaxsim.traffic.measure.outcome import users_of

    run = next(iter(result.runs.values()))
    requests = run.requests
    end = max(requests.duration_s, 1.0)
    unit_s, unit = (3600.0, "h") if end > 3 * 3600 else (60.0, "min") if end > 300 else (1.0, "s")
    edges = np.linspace(0.0, end, BINS + 1)
    middle = 0.5 * (edges[1:] + edges[:-1]) / unit_s
    place = np.clip(np.searchsorted(edges, requests.arrival_s, side="right") - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    figure, axes = plt.subplots(5, 1, figsize=(9, 11), sharex=True, layout="constrained")
    axes[0].step(middle, count / np.diff(edges), where="mid", color="0.2")
    axes[0].set_ylabel("requests/s")
    isl = np.bincount(place, weights=requests.isl, minlength=BINS)
    osl = np.bincount(place, weights=requests.osl, minlength=BINS)
    axes[1].step(middle, isl / np.maximum(osl, 1.0), where="mid", color="0.2")
    axes[1].set_ylabel("ISL / OSL")
    for index, (name, one) in enumerate(result.runs.items()):
        # Later lines are thinner: where they agree, the ones below still show.
        color, width = f"C{index}", max(3.0 - 0.9 * index, 1.0)
        decided = [change.time_s / unit_s for change in one.changes]
        axes[2].plot(decided, np.full(len(decided), 0.0), "|", color=color, markersize=12)
        for role in one.fleet.roles:
            paid = _paid(one.spans, role, edges) * one.fleet.gpus[role]
            label = f"{name}, {NAMES[role]}"
            axes[2].step(
                middle, paid, STYLES[role], where="mid", color=color, label=label, lw=width
            )
        users = users_of(one)
        for axis, values in ((axes[3], users.ttft_s), (axes[4], users.tpot_s)):
            own = [values[(place == b) & users.served] for b in range(BINS)]
            line = [np.quantile(v, 0.95) if len(v) else np.nan for v in own]
            axis.plot(middle, line, color=color, label=name, lw=width)
    axes[2].set_ylabel("GPUs paid")
    axes[2].set_ylim(bottom=0)
    axes[2].legend(fontsize=8, ncols=3)
    for axis, target, label in (
        (axes[3], result.ftl_s, "TTFT p95, s"),
        (axes[4], result.ttl_s, "TPOT p95, s"),
    ):
        axis.axhline(target, color="0.4", linestyle=":", label="target")
        axis.set_yscale("log")
        axis.set_ylabel(label)
        axis.legend(fontsize=8, ncols=4)
    axes[4].set_xlabel(f"time of arrival, {unit}")
    axes[0].set_title(requests.name)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _paid(
    spans: Sequence[tuple[int, int, float, float]], role: int, edges: np.ndarray
) -> np.ndarray:
    """Mean number of instances of a role that are paid for, by bin."""
    total = np.zeros(len(edges) - 1)
    for _, own, start, stop in spans:
        if own == role:
            total += np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None)
    return total / np.diff(edges)
