"""At which load does a pool break the plan's targets?  Thresholds for scaling, from the plan."""

import math
from dataclasses import dataclass

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.order import Order, Pool

# Service times of one plan are all alike, so that half of what random ones would wait is waited:
# (1 + c²)/2 with c = 0, the mean of Pollaczek and Khinchine for one server.
VARIABILITY = 0.5


@dataclass(frozen=True)
class Limits:
    """What one replica of a pool can take before a target breaks.

    `requests_per_s` is the rate at which the first token's target would break in a queue, or, to
    decode, the rate of a full batch. `waiting` is how many requests may wait for one replica.
    `kv_frac` is the part of the cache in use at the plan's batch. Replicas stay between `least`
    and `most`.
    """

    role: str
    requests_per_s: float
    waiting: float
    kv_frac: float
    running: int
    least: int
    most: int


def limits_of(order: Order, pool: Pool, factor: float = 2.0) -> Limits:
    """The thresholds of a pool; `most` is `factor` times the plan's replicas."""
    if not factor >= 1.0:
        raise InputError(f"--max-factor {factor:g}: at least 1 is needed.")
    rate = pool.requests_per_s
    safe = rate * busiest_frac(order, rate) if pool.role == "prefill" else rate
    return Limits(
        role=pool.role,
        requests_per_s=safe,
        waiting=waiting_allowed(order, pool, rate),
        kv_frac=kv_frac(pool),
        running=pool.batch,
        least=1,
        most=max(1, math.ceil(factor * pool.count)),
    )


def slack_s(order: Order) -> float:
    """Seconds that a request may wait before its first token is late."""
    return max(0.0, order.ftl_target_s - order.ftl_s)


def busiest_frac(order: Order, rate: float) -> float:
    r"""How busy prefill may be so that the mean wait still fits before the target.

    $$ v\,\frac{1}{r}\,\frac{\rho}{1-\rho} \le \mathrm{slack} \quad\Rightarrow\quad
       \rho = \frac{x}{1+x}, \; x = \frac{r\,\mathrm{slack}}{v} $$

    With no target of its own, 0.95 of the rate is taken.
    """
    slack = slack_s(order)
    if not math.isfinite(slack):
        return 0.95
    ratio = rate * slack / VARIABILITY
    return ratio / (1.0 + ratio) if ratio > 0 else 0.0


def waiting_allowed(order: Order, pool: Pool, rate: float) -> float:
    """Requests that may wait for one replica: those it serves in the slack; at least one."""
    slack = slack_s(order)
    if pool.role == "decode" or not math.isfinite(slack):
        return float(max(1, math.ceil(0.1 * pool.batch)))
    return max(1.0, rate * slack)


def kv_frac(pool: Pool) -> float:
    """The part of a GPU's room for the cache that the plan's batch fills."""
    memory = pool.memory_bytes
    room = memory["capacity"] - memory["reserve"] - memory["weights"] - memory["activation"]
    if room <= 0:
        raise InputError(f"{pool.named()}: the plan leaves no room for the cache.")
    return min(1.0, memory["kv"] / room)
