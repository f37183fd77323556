"""How do pools follow the mix of lengths, and the load?

*Matched*: the GPUs stay, and every interval they are divided anew between the pools by jaxsim's
exact matching at the lengths expected. *Elastic*: as many instances as the load expected needs.
"""

from dataclasses import dataclass

import numpy as np

from jaxsim.space.match.records import Match, Pool
from jaxsim.space.match.solve import match
from jaxsim.traffic.policy.forecast import forecast
from jaxsim.traffic.policy.view import Decision, View, Window, within
from jaxsim.traffic.simulate.capacity import Lengths
from jaxsim.traffic.simulate.fleet import Fleet
from jaxsim.traffic.simulate.records import DECODE, PREFILL


def divided(fleet: Fleet, gpus: float, lengths: Lengths, ttl_s: float) -> dict[int, int] | None:
    """Counts by role that serve most requests/s with so many GPUs; None where none fit."""
    rates = {r: fleet.capacity(r, lengths, ttl_s) for r in (PREFILL, DECODE)}
    prefill, decode = (
        Pool(np.array([rates[role]]), np.array([fleet.gpus[role]]), np.array([0.0]))
        for role in (PREFILL, DECODE)
    )
    matched = match(prefill, decode, max(float(lengths.osl.mean()), 2.0), exact_gpus=float(gpus))
    if not isinstance(matched, Match):
        return None
    counts = {PREFILL: matched.prefill_instances, DECODE: matched.decode_instances}
    # A plan that fits several times is repeated; what is left goes to the shorter pool.
    counts = {role: count * max(matched.copies, 1) for role, count in counts.items()}
    left = gpus - sum(fleet.gpus[role] * count for role, count in counts.items())
    while True:
        short = min(counts, key=lambda role: counts[role] * rates[role])
        if fleet.gpus[short] > left:
            return counts
        counts[short] += 1
        left -= fleet.gpus[short]


@dataclass
class Matched:
    """Dynamic rate matching: the same GPUs, divided anew every interval."""

    forecast: str = "last"
    interval_s: float = 60.0
    name: str = "matched"

    def decide(self, view: View) -> Decision:
        """The exact division at the lengths expected; GPUs change their role."""
        expected = forecast(view, self.forecast)
        gpus = sum(view.fleet.gpus[r] * view.counts[r] for r in view.counts)
        if len(view.counts) < 2:
            return Decision(dict(view.counts), "one pool: nothing to divide")
        division = divided(view.fleet, gpus, expected.lengths, view.ttl_s)
        if division is None:
            return Decision(dict(view.counts), "no division fits these GPUs")
        counts = {role: within(view, role, count) for role, count in division.items()}
        return Decision(counts, f"ISL {expected.isl:.0f}, OSL {expected.osl:.0f}", convert=True)


def needed(view: View, expected: Window, busy_frac: float) -> dict[int, int]:
    """Instances by role that serve a load at this part of their capacity."""
    lengths = expected.lengths
    busy = {
        r: expected.requests_per_s / view.fleet.capacity(r, lengths, view.ttl_s)
        for r in view.counts
    }
    return {role: within(view, role, np.ceil(n / busy_frac - 1e-9)) for role, n in busy.items()}


@dataclass
class Elastic:
    """Pools of the size that the load expected needs, at lengths expected: matched and scaled.

    Growth is at once; a pool shrinks only to what the last `patience` decisions all allowed.
    """

    forecast: str = "last"
    interval_s: float = 60.0
    busy_frac: float = 0.75
    patience: int = 3
    name: str = "elastic"

    def __post_init__(self):
        self.recent: list[dict[int, int]] = []

    def decide(self, view: View) -> Decision:
        """⌈λ / (ρ μ)⌉ of each pool."""
        expected = forecast(view, self.forecast)
        self.recent = [*self.recent, needed(view, expected, self.busy_frac)][-self.patience :]
        counts = {role: max(one[role] for one in self.recent) for role in view.counts}
        return Decision(
            counts,
            f"{expected.requests_per_s:.2f} requests/s, ISL {expected.isl:.0f}, "
            f"OSL {expected.osl:.0f}",
        )


@dataclass
class FixedRatio:
    """Elastic pools that keep the ratio they began with, as a plan of one mean workload has it."""

    forecast: str = "last"
    interval_s: float = 60.0
    name: str = "fixed-ratio"

    def __post_init__(self) -> None:
        self.elastic = Elastic()
        self.first: dict[int, int] = {}

    def decide(self, view: View) -> Decision:
        """The fewest whole pools in the first ratio that are as large as elastic ones."""
        self.first = self.first or dict(view.counts)
        self.elastic.forecast = self.forecast
        wanted = self.elastic.decide(view)
        scale = max(wanted.counts[role] / count for role, count in self.first.items())
        counts = {
            role: within(view, role, np.ceil(scale * count - 1e-9))
            for role, count in self.first.items()
        }
        return Decision(counts, wanted.reason)
