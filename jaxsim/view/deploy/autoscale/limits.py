"""At which load does a pool break the plan's targets?  Thresholds for scaling, from the plan."""

import math
from dataclasses import dataclass
from typing import cast

from scipy.optimize import brentq

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.order import Order, Pool

# Service times of one plan are all alike, so that half of what random ones would wait is waited:
# (1 + c²)/2 with c = 0, the mean of Pollaczek and Khinchine for one server.
VARIABILITY = 0.5


# The busiest that a pool may be where no target limits it.
BUSIEST = 0.95


@dataclass(frozen=True)
class Limits:
    """What one replica of a pool can take before a target breaks.

    `busy_frac` of its full rate is where the first token's target would break in a queue; there,
    it has `requests_per_s`, `kv_frac` of its cache is in use, and `waiting` requests wait.
    Replicas stay between `least` and `most`.
    """

    role: str
    busy_frac: float
    requests_per_s: float
    waiting: float
    kv_frac: float
    least: int
    most: int


def limits_of(order: Order, pool: Pool, factor: float = 2.0) -> Limits:
    """The thresholds of a pool; `most` is `factor` times the plan's replicas."""
    busy = busiest_frac(order, pool)
    least, most = replicas_of(pool, factor)
    return Limits(
        role=pool.role,
        busy_frac=busy,
        requests_per_s=busy * pool.requests_per_s,
        waiting=waiting_allowed(order, pool),
        kv_frac=busy * kv_frac(pool),
        least=least,
        most=most,
    )


def replicas_of(pool: Pool, factor: float) -> tuple[int, int]:
    """The fewest and the most replicas of a pool: one, and `factor` times the plan's."""
    if not factor >= 1.0:
        raise InputError(f"--max-factor {factor:g}: at least 1 is needed.")
    return 1, math.ceil(factor * pool.count)


def slack_s(order: Order) -> float:
    """Seconds that a request may wait for one pool before its first token is late.

    Where prefill and decode are apart it waits for both, and each has half.
    """
    slack = order.ftl_target_s - order.ftl_s
    if slack <= 0.0:
        raise InputError(
            f"The plan's first token takes {order.ftl_s:.3g} s, and its target is "
            f"{order.ftl_target_s:.3g} s: no request may wait, at any load. `jaxsim plan … "
            "--rate R --percentile P` plans pools in which queues fit; or plan with a longer --ftl."
        )
    return slack / len(order.pools)


def busiest_frac(order: Order, pool: Pool) -> float:
    r"""How busy a replica may be so that the mean wait for it still fits before the target.

    With r its full rate and c places, 1 to prefill and the batch to decode, the ρ at which

    $$ \frac{v}{r}\,\frac{\rho^{\sqrt{2(c+1)}-1}}{1-\rho} = \mathrm{slack} $$

    (`traffic.queueing`); each replica has a queue of its own.
    """
    slack = slack_s(order)
    if not math.isfinite(slack):
        return BUSIEST
    places = 1.0 if pool.role == "prefill" else float(pool.batch)
    power = math.sqrt(2.0 * (places + 1.0)) - 1.0
    allowed = slack * pool.requests_per_s / VARIABILITY

    def over(busy: float) -> float:
        return busy**power - allowed * (1.0 - busy)

    return cast(float, brentq(over, 0.0, 1.0))


def waiting_allowed(order: Order, pool: Pool) -> float:
    """Requests that may wait for one replica: those it serves in the slack; at least one."""
    slack = slack_s(order)
    if not math.isfinite(slack):
        return float(pool.batch)
    return max(1.0, pool.requests_per_s * slack)


def kv_frac(pool: Pool) -> float:
    """The part of a GPU's room for the cache that the plan's batch fills."""
    memory = pool.memory_bytes
    room = memory["capacity"] - memory["reserve"] - memory["weights"] - memory["activation"]
    if room <= 0:
        raise InputError(f"{pool.named()}: the plan leaves no room for the cache.")
    return min(1.0, memory["kv"] / room)
