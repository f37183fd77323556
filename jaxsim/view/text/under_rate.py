"""What does a plan say of requests that arrive at random?  Sentences and a table."""

from jaxsim.space.deploy.result import Held, Plan, UnderRate
from jaxsim.view.text import sentences, units
from jaxsim.view.text.layout import Page, wrap
from jaxsim.view.text.tables import table

OTHER = {"disaggregated": "colocated", "colocated": "disaggregated"}


def arrivals(result: UnderRate) -> str:
    """The law of arrivals: `20 requests/s (Poisson)`."""
    kind = {0.0: "evenly spaced", 1.0: "Poisson"}.get(result.cv, f"gaps vary by {result.cv:g}")
    return f"{units.plain(result.requests_per_s)} requests/s ({kind})"


def sentence(plan: Plan, result: UnderRate) -> str:
    """What holds at the percentile, and what the steady-state plan would have given."""
    share = f"p{result.percentile:g}"
    if result.sized is None:
        told = (
            f"No number of instances of the shapes tried holds both targets at {share} of "
            f"{arrivals(result)}."
        )
    else:
        held = result.sized
        told = (
            f"At {arrivals(result)}, {held_words(held)} hold both targets at {share}: TTFT "
            f"{units.seconds(held.ttft_s)}, TPOT {units.seconds(held.tpot_s)}. With one instance "
            "fewer of a pool, one of two draws misses a target."
        )
    if result.nearest is not None:
        near = result.nearest
        told += (
            f" No {sentences.POOLS[OTHER[result.kind]]} deployment that was tried holds them: "
            f"{held_words(near)} come closest, TTFT {units.seconds(near.ttft_s)}, TPOT "
            f"{units.seconds(near.tpot_s)}."
        )
    steady = result.steady
    verdict = "which holds in the one draw tried" if steady.holds else "which does not hold"
    told += (
        f" The steady-state plan would give {held_words(steady)}: {share} TTFT "
        f"{units.seconds(steady.ttft_s)}, TPOT {units.seconds(steady.tpot_s)}, "
        f"{units.percent(steady.attainment)} of requests within both, {verdict}."
    )
    if result.largest_requests_per_s is None:
        return told
    cap = plan.max_gpus
    if cap is None:
        return f"{told} Its instances hold up to {result.largest_requests_per_s:.3g} requests/s."
    return (
        f"{told} Within {sentences.gpus(cap)}, the plan's own instances hold up to "
        f"{result.largest_requests_per_s:.3g} requests/s."
    )


def held_words(held: Held) -> str:
    """How many instances of what: `10 prefill + 4 decode instances (36 GPUs)`."""
    pools = " + ".join(f"{one.count:,} {sentences.POOLS[one.phase]}" for one in held.instances)
    plural = "" if sum(one.count for one in held.instances) == 1 else "s"
    return f"{pools} instance{plural} ({sentences.gpus(held.gpus)})"


def section(plan: Plan, page: Page) -> list[str]:
    """The section of a plan's text; empty where the request has no rate."""
    result = plan.under_rate
    if result is None:
        return []
    rows = [["", "GPUs", "TTFT", "TPOT", "within both"]]
    entries = [
        (f"sized, {sentences.POOLS.get(result.kind, '')}", result.sized),
        (f"sized, {sentences.POOLS.get(OTHER.get(result.kind, ''), '')}", result.other),
        ("steady-state plan", result.steady),
    ]
    for name, held in entries:
        if held is not None:
            rows.append(
                [
                    name,
                    units.count(held.gpus),
                    units.seconds(held.ttft_s),
                    units.seconds(held.tpot_s),
                    units.percent(held.attainment),
                ]
            )
    shapes = [] if result.sized is None else result.sized.instances
    made = [
        [
            sentences.POOLS[one.phase],
            f"{one.count:,} × {sentences.gpus(one.gpus_per_instance)}",
            sentences.mapping(one),
            sentences.held(one),
        ]
        for one in shapes
    ]
    return [
        page.paint(f"Under arrivals, p{result.percentile:g}", "bold"),
        *wrap(sentence(plan, result), page),
        *table(rows, page),
        *(table(made, page, range(4), head=None) if made else []),
    ]
