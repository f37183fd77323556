"""How many instances hold latency targets at a percentile, when requests arrive at random?

A plan's instances, full and without queues, are served requests that arrive at a rate; of each pool
there are then as many as it takes, and not one more.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.space.deploy.request import PlanRequest, gpu_weight
from jaxsim.space.deploy.result import Deployed, Held, InstanceShape, Plan, UnderRate
from jaxsim.traffic.simulate.records import DECODE, MIXED, PREFILL
from jaxsim.traffic.simulate.run import MOST_INSTANCES
from jaxsim.traffic.size.shapes import ROLES, Shapes, drawn, held, shapes_of

# What of the targets the steady-state plans are made for, of which the shapes are tried: a full
# instance at its target leaves nothing for queues.
TIGHTER = ((1.0, 1.0), (0.5, 0.8), (0.25, 0.6))
RATE_STEPS = 7
FRESH_SEED = 17


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


def least(shapes: Shapes, progress: Callable[[str], None] = lambda _: None) -> Held | None:
    """The fewest instances that hold the targets; None where no number of them does.

    Every pool alone is the smallest: one instance fewer of it, and a target is missed. The more
    instances a pool has, the sooner come the tokens that it makes, so its number is found by
    halving, from what its capacity asks for.
    """
    tried: dict[tuple[int, ...], Held] = {}

    def at(counts: dict[int, int]) -> Held:
        key = tuple(counts.values())
        if key not in tried:
            progress(
                f"{' + '.join(map(str, key))} instances at {shapes.request.requests_per_s:g}/s"
            )
            tried[key] = held(shapes, counts)
        return tried[key]

    first, counts = shapes.least(), shapes.most()
    if sum(counts.values()) > MOST_INSTANCES or not at(counts).holds:
        return None
    for role in sorted(counts, key=lambda r: -shapes.fleet.gpus[r]):

        def enough(count: int, role: int = role) -> bool:
            return at({**counts, role: count}).holds

        counts[role] = fewest(enough, first[role], counts[role])
    return at(counts)


def fewest(enough: Callable[[int], bool], first: int, most: int) -> int:
    """The least count that is enough, where `most` is, looked for near `first`."""
    low, high, step = 0, most, 1
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


def confirmed(shapes: Shapes, found: Held, seed: int) -> Held:
    """The same instances on other requests of the same law, one more of a pool where they fail."""
    counts = {ROLES[one.phase]: one.count for one in found.instances}
    fresh = drawn(shapes.request, seed)
    for _ in range(3):
        again = held(shapes, counts, fresh)
        if again.holds:
            return again
        late = again.ttft_s > shapes.request.ftl_s
        role = MIXED if MIXED in counts else PREFILL if late else DECODE
        counts[role] += 1
    return held(shapes, counts, fresh)


def largest_rate(shapes: Shapes, counts: Mapping[int, int]) -> float:
    """The highest rate at which so many instances hold the targets, within 1 %; 0 where at none."""
    rate = float(shapes.request.requests_per_s or 0.0)
    low, high = 0.0, rate
    for _ in range(RATE_STEPS):
        middle = 0.5 * (low + high)
        if held(shapes, counts, shapes.requests.at_rate(middle)).holds:
            low = middle
        else:
            high = middle
    return low


def under_rate(
    plan: Plan,
    request: PlanRequest,
    setups: tuple[Setup, Setup],
    plan_at: Callable[[float, float], Plan],
    progress: Callable[[str], None] = lambda _: None,
) -> UnderRate:
    """The smallest deployment that holds the targets at the percentile, and the plan's own beside.

    `setups` are of prefill and decode, `plan_at` plans for other targets. The shapes that are
    counted are those of steady-state plans for the targets and for tighter ones.
    """
    by_role = {PREFILL: setups[0], DECODE: setups[1], MIXED: setups[1]}
    requests = drawn(request, 0)
    seen: set[tuple[object, ...]] = set()
    best: dict[str, Held] = {}
    steady: Held | None = None
    own: Shapes | None = None
    for ftl, ttl in TIGHTER:
        tight = plan
        if (ftl, ttl) != (1.0, 1.0):
            progress(f"shapes for {100 * ftl:g} % of TTFT and {100 * ttl:g} % of TPOT")
            tight = plan_at(ftl * request.ftl_s, ttl * request.ttl_s)
        for kind in ("disaggregated", "colocated"):
            deployed = getattr(tight, kind)
            if not isinstance(deployed, Deployed):
                continue
            key = tuple((s.phase, s.tp, s.ep, s.pp, s.batch, s.chunk) for s in deployed.instances)
            if key in seen:
                continue
            seen.add(key)
            shapes = shapes_of(deployed, by_role, request, requests)
            fewer = _weight(shapes.counted(shapes.least()), setups, request)
            if steady is None and kind == plan.recommended:
                progress("the steady-state plan")
                steady, own = held(shapes, _simulable(shapes)), shapes
            if kind in best and fewer >= _weight(best[kind].instances, setups, request):
                continue
            found = least(shapes, progress)
            found = found and confirmed(shapes, found, FRESH_SEED)
            if found is None or not found.holds:
                continue
            weight = _weight(found.instances, setups, request)
            if kind not in best or weight < _weight(best[kind].instances, setups, request):
                best[kind] = found
    if steady is None or own is None:
        raise InputError("no deployment meets the targets even without queues; widen them.")
    ranked = sorted(best, key=lambda kind: _weight(best[kind].instances, setups, request))
    return _told(request, len(requests), best, ranked, steady, own)


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
        largest = largest_rate(own, counts)
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
    )
