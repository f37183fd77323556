"""What does a controller see, and what does it decide?"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from jaxsim.traffic.simulate.capacity import Lengths
from jaxsim.traffic.simulate.fleet import Fleet


@dataclass(frozen=True)
class Window:
    """Arrivals of one interval: requests/s and mean lengths (of the last ones seen, if none).

    `spread` are the lengths of the latest requests: how they spread about the means.
    """

    requests_per_s: float
    isl: float
    osl: float
    spread: Lengths

    @property
    def lengths(self) -> Lengths:
        """Lengths that spread as the latest ones did, with the means of this interval."""
        return self.spread.at_means(max(self.isl, 1.0), max(self.osl, 1.0))


@dataclass(frozen=True)
class View:
    """What can be seen at a decision: by role, counts of instances, queues, use of the cache.

    `windows` are past intervals, the last one just over; `ahead` is the next one, for an oracle.
    `ttft_s` and `tpot_s` are of requests that had their first token, or ended, lately.
    """

    time_s: float
    interval_s: float
    windows: list[Window]
    ahead: Window
    counts: dict[int, int]
    starting: dict[int, int]
    waiting: dict[int, int]
    running: dict[int, int]
    kv_used_frac: dict[int, float]
    ttft_s: np.ndarray
    tpot_s: np.ndarray
    fleet: Fleet
    limits: dict[int, tuple[int, int]]
    ftl_s: float
    ttl_s: float


@dataclass(frozen=True)
class Decision:
    """Counts of instances by role from now on, and why; `convert` reuses GPUs of the other role."""

    counts: dict[int, int]
    reason: str
    convert: bool = False


@runtime_checkable
class Policy(Protocol):
    """A controller: its name, how often it decides, and how."""

    name: str
    interval_s: float

    def decide(self, view: View) -> Decision:
        """Counts from now on."""
        ...


@dataclass
class Static:
    """No decision after the first."""

    name: str = "static"
    interval_s: float = np.inf
    history: list[Decision] = field(default_factory=list)

    def decide(self, view: View) -> Decision:
        """The same counts."""
        return Decision(dict(view.counts), "fixed")


def within(view: View, role: int, count: float) -> int:
    """A count within the bounds of its role."""
    low, high = view.limits[role]
    return int(min(max(round(count), low), high))
