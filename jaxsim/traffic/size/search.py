"""How many instances hold latency targets at a percentile, when requests arrive at random?

A plan's instances, full and without queues, are served requests that arrive at a rate; of each pool
there are then as many as it takes, and not one more.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.space.deploy.request import PlanRequest, gpu_weight
from jaxsim.space.deploy.result import Deployed, Held, InstanceShape, Plan, UnderRate
from jaxsim.traffic.read.requests import Requests
from jaxsim.traffic.simulate.records import DECODE, MIXED, PREFILL
from jaxsim.traffic.simulate.run import MOST_INSTANCES
from jaxsim.traffic.size.shapes import ROLES, Shapes, chunked, drawn, shapes_of
from jaxsim.traffic.size.trials import Trials

# What of the targets the steady-state plans are made for, of which the shapes are tried: a full
# instance at its target leaves nothing for queues.
TIGHTER = ((1.0, 1.0), (0.5, 0.8), (0.25, 0.6))
KINDS = ("disaggregated", "colocated")
RATE_STEPS = 7
FRESH_SEED = 17
MOST_ADDED = 3  # instances that other requests may ask for beyond what the first ones did


def steady_counts(shapes: Shapes) -> dict[int, int]:
    """As many instances as the mean rate needs, by the plan's own rates: what it says itself."""
    rate = float(shapes.request.requests_per_s or 0.0)
    return {
        role: max(math.ceil(rate / shape.requests_per_s - 1e-9), 1)
        for role, shape in shapes.shapes.items()
    }


def _simulable(shapes: Shapes) -> dict[int, int]:
    """The steady-state counts, or an InputError with the rate that can be simulated."""
    counts = steady_counts(shapes)
    if (total := sum(counts.values())) > MOST_INSTANCES:
        rate = float(shapes.request.requests_per_s or 0.0)
        raise InputError(
            f"{rate:g} requests/s need {total:,} instances, and at most {MOST_INSTANCES} are "
            f"simulated: ask for a part of the load, at most {rate * MOST_INSTANCES / total:.3g} "
            "requests/s, served by deployments side by side."
        )
    return counts


def least(
    shapes: Shapes,
    trials: Trials,
    affordable: Callable[[dict[int, int]], bool] = lambda _: True,
) -> Held | None:
    """The fewest instances that hold the targets, while they are `affordable`; else None.

    The search starts at counts that sustain the mean load; with fewer, queues grow without end.
    A missed TTFT adds prefill instances and a missed TPOT decode instances (the other pool where
    that one cannot grow): 1, 2, 4 and so on. Each pool is then bisected back, until one instance
    fewer of any pool misses a target. Where even the most instances miss one, nothing is tried.
    """
    first, most = shapes.least(), shapes.most()
    counts, step = dict(first), dict.fromkeys(first, 1)

    def at(counts: dict[int, int]) -> Held:
        return trials.held(shapes, counts)

    if not affordable(counts) or sum(counts.values()) > MOST_INSTANCES:
        return None
    if not at(counts).holds and trials.hopeless(shapes):
        return None
    while not (served := at(counts)).holds:
        role = _to_grow(served, shapes, counts, most)
        if role is None:
            return None
        more = min(counts[role] + step[role], most[role])
        fewer = {**counts, role: counts[role] + 1}
        if sum(counts.values()) - counts[role] + more > MOST_INSTANCES:
            return None
        if not affordable(fewer):
            return None
        step[role] *= 2
        counts[role] = more
    for role in sorted(counts, key=lambda r: -shapes.fleet.gpus[r]):
        if counts[role] == first[role]:
            continue

        def enough(count: int, role: int = role) -> bool:
            return at({**counts, role: count}).holds

        counts[role] = fewest(enough, first[role], counts[role], first[role] - 1)
    return at(counts)


def _to_grow(
    served: Held, shapes: Shapes, counts: Mapping[int, int], most: Mapping[int, int]
) -> int | None:
    """The pool that must be larger, by the target that is missed more; None where none may be."""
    able = [role for role in counts if counts[role] < most[role]]
    late = served.ttft_s / shapes.request.ftl_s >= served.tpot_s / shapes.request.ttl_s
    wanted = PREFILL if late else DECODE
    return wanted if wanted in able else able[0] if able else None


def fewest(enough: Callable[[int], bool], first: int, most: int, none: int = 0) -> int:
    """The least count that is enough, where `most` is and `none` not, looked for near `first`."""
    low, high, step = none, most, 1
    guess = min(first, most - 1)
    while high - low > 1:
        if enough(guess):
            high, guess = guess, guess - step
        else:
            low, guess = guess, guess + step
        step *= 2
        if not low < guess < high:
            guess = (low + high) // 2
    return high


def confirmed(shapes: Shapes, trials: Trials, smallest: Held, fresh: Requests) -> Held:
    """The same instances on other requests of the same law, one more of a pool where they fail."""
    counts = {ROLES[one.phase]: one.count for one in smallest.instances}
    most = shapes.most()
    again = trials.held(shapes, counts, fresh)
    for _ in range(MOST_ADDED):
        role = None if again.holds else _to_grow(again, shapes, counts, most)
        if role is None:
            break
        counts[role] += 1
        again = trials.held(shapes, counts, fresh)
    return again


def largest_rate(shapes: Shapes, trials: Trials, counts: Mapping[int, int]) -> float:
    """The highest rate at which so many instances hold the targets, within 1 %; 0 where at none."""
    rate = float(shapes.request.requests_per_s or 0.0)
    low, high = 0.0, rate
    for _ in range(RATE_STEPS):
        middle = 0.5 * (low + high)
        if trials.held(shapes, counts, shapes.requests.at_rate(middle)).holds:
            low = middle
        else:
            high = middle
    return low


def under_rate(
    plan: Plan,
    request: PlanRequest,
    setups: tuple[Setup, Setup],
    plan_at: Callable[[float, float], Plan],
) -> UnderRate:
    """The smallest deployment that holds the targets at the percentile, and the plan's own beside.

    `setups` are of prefill and decode, `plan_at` plans for other targets. The shapes that are
    counted are those of steady-state plans for the targets and for tighter ones.
    """
    by_role = {PREFILL: setups[0], DECODE: setups[1], MIXED: setups[1]}
    requests, fresh = drawn(request, 0), drawn(request, FRESH_SEED)
    trials = Trials(len(KINDS) * len(TIGHTER))
    best: dict[str, Held] = {}
    steady: Held | None = None
    own: Shapes | None = None

    def weight(instances: Sequence[InstanceShape]) -> float:
        return _weight(instances, setups, request)

    for kind, deployed in _candidates(plan, request, plan_at, trials):
        shapes = shapes_of(deployed, by_role, request, requests)
        if steady is None and kind == plan.recommended:
            steady, own = trials.held(shapes, _simulable(shapes)), shapes
        for fewer in chunked(deployed):  # the steady state spreads prompts over all ranks
            other = shapes_of(fewer, by_role, request, requests)
            if weight(other.counted(other.least())) < weight(shapes.counted(shapes.least())):
                shapes = other
        below = weight(best[kind].instances) if kind in best else math.inf

        def affordable(
            counts: dict[int, int], shapes: Shapes = shapes, below: float = below
        ) -> bool:
            return weight(shapes.counted(counts)) < below

        smallest = least(shapes, trials, affordable)
        smallest = smallest and confirmed(shapes, trials, smallest, fresh)
        if smallest is not None and smallest.holds and weight(smallest.instances) < below:
            best[kind] = smallest
    if steady is None or own is None:
        raise InputError("no deployment meets the targets even without queues; widen them.")
    ranked = sorted(best, key=lambda kind: weight(best[kind].instances))
    return _told(request, trials, len(requests), best, ranked, steady, own)


def _candidates(
    plan: Plan,
    request: PlanRequest,
    plan_at: Callable[[float, float], Plan],
    trials: Trials,
) -> Iterator[tuple[str, Deployed]]:
    """Deployments whose shapes are tried, by kind: of the plan, and of some for tighter targets."""
    seen: set[tuple[object, ...]] = set()
    for ftl, ttl in TIGHTER:
        tight = plan
        for kind in KINDS:
            trials.begin(f"for {100 * ftl:g} % of TTFT, {100 * ttl:g} % of TPOT")
            if tight is plan and (ftl, ttl) != (1.0, 1.0):
                tight = plan_at(ftl * request.ftl_s, ttl * request.ttl_s)
            deployed = getattr(tight, kind)
            if not isinstance(deployed, Deployed):
                continue
            key = tuple((s.phase, s.tp, s.ep, s.pp, s.batch, s.chunk) for s in deployed.instances)
            if key not in seen:
                seen.add(key)
                yield kind, deployed


def _weight(
    instances: Sequence[InstanceShape], setups: Sequence[Setup], request: PlanRequest
) -> float:
    """What instances cost by the objective: GPUs, dollars or watts."""
    return sum(
        one.count * one.gpus_per_instance
        * gpu_weight(setups[0 if one.phase == "prefill" else 1], request.objective)
        for one in instances
    )  # fmt: skip


def _told(
    request: PlanRequest,
    trials: Trials,
    count: int,
    best: Mapping[str, Held],
    ranked: Sequence[str],
    steady: Held,
    own: Shapes,
) -> UnderRate:
    """The result; where a cap on GPUs is exceeded, what rate its own instances hold."""
    sized = best[ranked[0]] if ranked else None
    cap, largest = request.cap, None
    if sized is None or (cap is not None and sized.gpus > cap):
        counts = {role: one.count for role, one in own.shapes.items()}
        if cap is None:
            counts = steady_counts(own)
        largest = largest_rate(own, trials, counts)
    return UnderRate(
        requests_per_s=float(request.requests_per_s or 0.0),
        percentile=float(request.percentile or 0.0),
        cv=request.cv,
        requests=count,
        kind=ranked[0] if ranked else "",
        sized=sized,
        other=best[ranked[1]] if len(ranked) > 1 else None,
        steady=steady,
        largest_requests_per_s=largest,
        nearest=None
        if len(ranked) != 1
        else trials.nearest(KINDS[1 - KINDS.index(ranked[0])], request),
    )
