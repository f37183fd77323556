"""Which instances were tried on which requests, and how long will the rest take?"""

import time
from collections.abc import Mapping

from jaxsim._progress import tell
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Held
from jaxsim.traffic.read.requests import Requests
from jaxsim.traffic.simulate.records import MIXED
from jaxsim.traffic.simulate.run import MOST_INSTANCES
from jaxsim.traffic.size.shapes import Shapes, held

SHORT = 3.0  # times that a request at its targets stays: a run that tells what never holds
SURELY = 1.1  # a target missed by so much in a short run is missed in a long one


def lateness(held: Held, request: PlanRequest) -> float:
    """The latency at the percentile over its target, of the target that is missed more."""
    return max(held.ttft_s / request.ftl_s, held.tpot_s / request.ttl_s)


class Trials:
    """Runs of a sizing, each simulated once; it tells the step, the rate, the time left.

    `steps` are the deployments that are looked at, some of which need no run. The first run
    compiles the program of all: it is no part of a rate.
    """

    def __init__(self, steps: int = 1):
        self.steps, self.step = steps, 0
        self.began_s, self.requests, self.busy_s = time.monotonic(), 0, 0.0
        self.known: dict[tuple[object, ...], tuple[Shapes, Requests, Held]] = {}

    def begin(self, what: str) -> None:
        """The next deployment is looked at."""
        self.step += 1
        self._show(what)

    def held(
        self, shapes: Shapes, counts: Mapping[int, int], requests: Requests | None = None
    ) -> Held:
        """What so many instances of these shapes give users, by default on the shapes' requests."""
        requests = shapes.requests if requests is None else requests
        key = (id(shapes), id(requests), *counts.items())
        if key not in self.known:
            self._show(f"{' + '.join(map(str, counts.values()))} instances")
            began_s = time.monotonic()
            # What is held beside the result keeps the two identities from being given again.
            self.known[key] = (shapes, requests, held(shapes, counts, requests))
            lasted_s = time.monotonic() - began_s
            if len(self.known) == 1:
                self.began_s += lasted_s
            else:
                self.busy_s += lasted_s
                self.requests += len(requests)
        return self.known[key][2]

    def nearest(self, kind: str, request: PlanRequest) -> Held | None:
        """Of instances of a kind that miss a target, those that miss it least; None untried."""
        missed = [
            held
            for shapes, _, held in self.known.values()
            if (MIXED in shapes.shapes) == (kind == "colocated") and not held.holds
        ]
        return min(missed, key=lambda held: lateness(held, request), default=None)

    def hopeless(self, shapes: Shapes) -> bool:
        """Whether even the most instances miss a target clearly, in a short run."""
        most, request = shapes.most(), shapes.request
        if sum(most.values()) > MOST_INSTANCES:
            return False
        count = int(SHORT * shapes.stay_s * float(request.requests_per_s or 0.0))
        trial = self.held(shapes, most, shapes.requests.first(count))
        return lateness(trial, request) > SURELY

    def _show(self, what: str) -> None:
        told = f"sizing {min(max(self.step, 1), self.steps)} of {self.steps}"
        if self.step > 1:
            done = self.step - 1
            left_s = (time.monotonic() - self.began_s) * (self.steps - done) / done
            told += f", about {left_s:.0f} s left"
        told += f": {what}"
        if self.busy_s > 0.0:
            told += f"; {self.requests / self.busy_s:,.0f} requests/s"
        tell(told)
