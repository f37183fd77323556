"""What did users see of a run, and what did it cost?"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxsim.traffic.policy.regret import least_counts
from jaxsim.traffic.simulate.capacity import lengths_of
from jaxsim.traffic.simulate.faults import recovery_s
from jaxsim.traffic.simulate.records import (
    DECODE,
    FAILED,
    GAP_BINS,
    GAP_HIGH_S,
    GAP_LOW_S,
    LOST,
    MIXED,
    PREFILL,
    REFUSED,
    SERVED,
)
from jaxsim.traffic.simulate.run import Run

QUANTILES = (0.5, 0.9, 0.95, 0.99)
ROLE_NAMES = {MIXED: "colocated", PREFILL: "prefill", DECODE: "decode"}
MINUTE_S = 60.0


@dataclass(frozen=True)
class Users:
    """Latencies by request, in the order of arrival; infinite where none was served."""

    arrival_s: np.ndarray
    ttft_s: np.ndarray
    tpot_s: np.ndarray
    e2e_s: np.ndarray
    served: np.ndarray


def users_of(run: Run) -> Users:
    """What the client of each request saw, of its last attempt; front-end time included."""
    a, count = run.state.attempts, run.count
    last = np.arange(count)
    retries = np.arange(run.shape.requests, int(run.state.retries_end))
    if len(retries):  # later attempts come later in the arrays
        last[a.origin[retries]] = retries
    arrival = np.asarray(a.arrival_s[:count])
    front = run.fleet.fixed_s + run.fleet.token_s * a.isl[:count]
    served = np.asarray(a.status[last] == SERVED)
    first = np.where(served, a.first_s[last], np.inf)
    ended = np.where(served, a.finished_s[last], np.inf)
    steps = np.maximum(a.osl[:count] - 1, 1)
    tpot = np.where(served, (ended - np.where(served, first, 0.0)) / steps, np.inf)
    return Users(arrival, first - arrival + front, tpot, ended - arrival + front, served)


def gap_quantiles(run: Run, shares: Sequence[float] = QUANTILES) -> list[float]:
    """Quantiles of single gaps between tokens, to the width of a bin (4 %)."""
    gaps = run.state.gaps
    edges = np.geomspace(GAP_LOW_S, GAP_HIGH_S, GAP_BINS + 1)
    total = np.cumsum(gaps)
    if total[-1] <= 0.0:
        return [float("nan")] * len(shares)
    places = np.searchsorted(total, np.asarray(shares) * total[-1])
    return np.sqrt(edges[places] * edges[places + 1]).tolist()


def outcome(run: Run, ftl_s: float, ttl_s: float) -> dict[str, float | str]:
    """All measures of a run under targets, in base units."""
    users = users_of(run)
    one = run.state.instances
    good = (users.ttft_s <= ftl_s) & (users.tpot_s <= ttl_s)
    end = max(run.end_s, 1e-9)
    gpu_s = sum(run.fleet.gpus[role] * (stop - start) for _, role, start, stop in run.spans)
    tokens = float(run.requests.osl[users.served].sum())
    joules = joules_of(run)
    statuses = run.state.attempts.status
    measures: dict[str, float | str] = {
        "policy": run.policy,
        "requests": run.count,
        "served": int(users.served.sum()),
        "given_up": int((statuses == 2).sum()),
        "refused": int(((statuses == LOST) | (statuses == REFUSED)).sum()),
        "interrupted": int((statuses == FAILED).sum()),
        "preempted": int(run.state.attempts.preempted.sum()),
        "attainment": float(good.mean()),
        "goodput_requests_per_s": float(good.sum()) / end,
        "output_tokens_per_s": tokens / end,
        "duration_s": end,
        "gpu_seconds": gpu_s,
        "gpus_mean": gpu_s / end,
        "usd": gpu_s * run.fleet.usd_per_gpu_s,
        "joules": joules,
        "usd_per_million_output_tokens": 1e6 * gpu_s * run.fleet.usd_per_gpu_s / max(tokens, 1.0),
        "output_tokens_per_joule": tokens / max(joules, 1e-9),
        "good_tokens_per_gpu_s": float(run.requests.osl[good].sum()) / max(gpu_s, 1e-9),
        "changes": len(run.changes),
        "hit_frac": float(run.state.attempts.hit.sum()) / float(run.requests.isl.sum()),
        "worst_minute_attainment": worst_minute(users, good),
    }
    for name, values in (("ttft", users.ttft_s), ("tpot", users.tpot_s), ("e2e", users.e2e_s)):
        own = np.sort(values[users.served])
        for share in QUANTILES:
            measures[f"{name}_p{share * 100:g}_s"] = (
                float(np.quantile(own, share)) if len(own) else float("nan")
            )
        measures[f"{name}_mean_s"] = float(own.mean()) if len(own) else float("nan")
    gaps = gap_quantiles(run)
    measures |= {f"gap_p{s * 100:g}_s": g for s, g in zip(QUANTILES, gaps, strict=True)}
    decoded = max(float(one.tokens.sum()), 1.0)
    measures["stall_s_per_token"] = float(one.stalled_token_s.sum()) / decoded
    for role in run.fleet.roles:
        name = ROLE_NAMES[role]
        paid = sum(stop - start for _, r, start, stop in run.spans if r == role)
        own = one.role == role
        busy = float(one.prefill_busy_s[own].sum() + one.decode_busy_s[own].sum())
        measures[f"{name}_busy_frac"] = busy / max(paid, 1e-9)
        measures[f"{name}_instances_mean"] = paid / end
    sent = run.state.attempts.sent_s[: run.count]
    passed = run.state.attempts.passed_s[: run.count]
    moved = np.isfinite(sent)
    measures["kv_exposed_mean_s"] = (
        float((sent[moved] - passed[moved]).mean()) if moved.any() else 0.0
    )
    measures["link_busy_frac"] = float(one.out_busy_s.max()) / end
    if run.faults:
        first_s = min(fault.time_s for fault in run.faults)
        measures["recovery_s"] = recovery_s(users.arrival_s, good, first_s)
    measures["regret_gpu_seconds"] = gpu_s - least_gpu_seconds(run, ttl_s)
    return measures


def joules_of(run: Run) -> float:
    r"""Energy: $\sum_r P\,g_r\,(b_r + f\,(T_r - b_r))$, by role $b$ s busy of $T$ s paid for.

    A busy GPU takes the power of its datasheet, an idle one the share $f$ of it.
    """
    one, fleet, total = run.state.instances, run.fleet, 0.0
    for role, gpus in fleet.gpus.items():
        paid = sum(stop - start for _, own, start, stop in run.spans if own == role)
        busy = float((one.prefill_busy_s + one.decode_busy_s)[one.role == role].sum())
        total += gpus * (busy + fleet.idle_frac * max(paid - busy, 0.0))
    return total * fleet.power_w


def worst_minute(users: Users, good: np.ndarray) -> float:
    """The least attainment among minutes with at least ten arrivals (of all, if there are none)."""
    minute = (users.arrival_s // MINUTE_S).astype(int)
    total = np.bincount(minute)
    own = np.bincount(minute, weights=good)
    enough = total >= 10
    return float((own[enough] / total[enough]).min()) if enough.any() else float(good.mean())


def least_gpu_seconds(run: Run, ttl_s: float, window_s: float = MINUTE_S) -> float:
    """A lower bound: GPU-seconds of ⌈λ(t)/μ(t)⌉ instances of each role, by windows of a minute.

    The time in which requests arrive is cut into windows as near to `window_s` as fit.
    """
    requests = run.requests
    windows = max(round(requests.duration_s / window_s), 1)
    edges = np.linspace(0.0, max(requests.duration_s, 1e-9), windows + 1)
    window_s = float(edges[1])
    places = np.searchsorted(requests.arrival_s, edges)
    places[-1] = len(requests)
    spans = list(itertools.pairwise(places.tolist()))
    load = np.diff(places) / window_s
    own = [slice(first, last) if last > first else slice(None) for first, last in spans]
    lengths = [lengths_of(requests.isl[one], requests.osl[one]) for one in own]
    total = 0.0
    for role, gpus in run.fleet.gpus.items():
        rate = np.array([run.fleet.capacity(role, one, ttl_s) for one in lengths])
        total += gpus * window_s * float(least_counts(load, rate).sum())
    return total
