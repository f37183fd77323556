"""How do the controllers in use decide?  Each under its own name, by its documented rule."""

from dataclasses import dataclass

import numpy as np

from jaxsim.traffic.policy.forecast import forecast
from jaxsim.traffic.policy.matching import needed
from jaxsim.traffic.policy.view import Decision, View, within
from jaxsim.traffic.simulate.records import DECODE, MIXED, PREFILL


@dataclass
class DynamoThroughput:
    """Dynamo's planner by throughput: ⌈demand / rate of an engine⌉ of each pool, 180 s apart."""

    interval_s: float = 180.0
    name: str = "dynamo-throughput"

    def decide(self, view: View) -> Decision:
        """No headroom: a pool is as large as demand over rate, rounded up."""
        return Decision(needed(view, forecast(view, "last"), 1.0), "⌈demand / rate⌉")


@dataclass
class DynamoLoad:
    """Dynamo's planner by load: one more or one fewer, by queue of prefill and cache of decode."""

    interval_s: float = 30.0
    queue_up: float = 0.5
    queue_down: float = 0.2
    kv_up: float = 0.9
    kv_down: float = 0.5
    name: str = "dynamo-load"

    def decide(self, view: View) -> Decision:
        """Thresholds per worker, a step of one."""
        counts = {}
        for role, count in view.counts.items():
            queue = view.waiting[role] / max(count, 1)
            used = view.kv_used_frac[role]
            by_queue = role != DECODE
            up = queue > self.queue_up if by_queue else used > self.kv_up
            down = queue < self.queue_down if by_queue else used < self.kv_down
            if role == MIXED:
                up, down = up or used > self.kv_up, down and used < self.kv_down
            counts[role] = within(view, role, count + (1 if up else -1 if down else 0))
        return Decision(counts, "queue and cache per worker")


@dataclass
class Hpa:
    """Kubernetes' horizontal autoscaler on queue depth: ⌈n · metric / target⌉, tolerance 10 %.

    It shrinks only to the most that the last five minutes recommended.
    """

    target: float = 4.0
    interval_s: float = 15.0
    stabilised_s: float = 300.0
    metric: str = "queue"
    name: str = "hpa"

    def __post_init__(self):
        self.recent: list[dict[int, int]] = []

    def decide(self, view: View) -> Decision:
        """The ratio rule of each pool."""
        wanted = {}
        for role, count in view.counts.items():
            if self.metric == "kv":
                ratio = view.kv_used_frac[role] / self.target
            else:
                ratio = view.waiting[role] / max(count, 1) / self.target
            steady = abs(ratio - 1.0) <= 0.1
            wanted[role] = count if steady else within(view, role, np.ceil(count * ratio))
        size = max(int(self.stabilised_s / self.interval_s), 1)
        self.recent = [*self.recent, wanted][-size:]
        counts = {
            role: max(wanted[role], min(count, max(one[role] for one in self.recent)))
            for role, count in view.counts.items()
        }
        return Decision(counts, f"{self.metric} per instance over {self.target:g}")


@dataclass
class LlmdSlo:
    """llm-d's law: s = max(p90 TTFT / target, p90 TPOT / target) over 45 s; up above 0.55, down
    below 0.40. Nothing is decided in the first 100 s.
    """

    interval_s: float = 45.0
    up: float = 0.55
    down: float = 0.40
    warm_s: float = 100.0
    name: str = "llm-d"

    def decide(self, view: View) -> Decision:
        """One more or one fewer of the pool whose latency is nearer to its target."""
        if view.time_s < self.warm_s or not len(view.ttft_s):
            return Decision(dict(view.counts), "warming up")
        ttft = float(np.quantile(view.ttft_s, 0.9)) / view.ftl_s
        tpot = float(np.quantile(view.tpot_s, 0.9)) / view.ttl_s if len(view.tpot_s) else 0.0
        shares = {PREFILL: ttft, DECODE: tpot, MIXED: max(ttft, tpot)}
        counts = {
            role: within(
                view,
                role,
                count + (1 if shares[role] > self.up else -1 if shares[role] < self.down else 0),
            )
            for role, count in view.counts.items()
        }
        return Decision(counts, f"p90 TTFT {ttft:.2f}, TPOT {tpot:.2f} of targets")


@dataclass
class TokenVelocity:
    """Tokens that arrive per second over tokens that an instance processes per second, by pool."""

    interval_s: float = 10.0
    busy_frac: float = 0.9
    name: str = "token-velocity"

    def decide(self, view: View) -> Decision:
        """Prompt tokens size prefill, output tokens decode, by the last interval."""
        now = forecast(view, "last")
        counts = {}
        for role in view.counts:
            rate = view.fleet.capacity(role, now.lengths, view.ttl_s)
            length = now.osl if role == DECODE else now.isl
            velocity = now.requests_per_s * length
            counts[role] = within(view, role, np.ceil(velocity / (self.busy_frac * rate * length)))
        return Decision(counts, "token velocity")
