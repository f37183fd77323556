"""What does a plan say on a mix of workloads?  The workloads with their latencies, and the rules.

For one workload every function gives nothing.
"""

from jaxsim.space.deploy.result import Plan
from jaxsim.view.text import units

NO_LEVERS = (
    "What one percent more of a resource gives is worked out for one workload at a time: plan a "
    "workload of the mix by itself to see it."
)


def mix_rows(plan: Plan) -> list[list[str]]:
    """A table of the workloads, with their latencies at the recommended designs; its head first."""
    if len(plan.mix) == 1:
        return []
    best = plan.chosen
    rows = [["ISL", "OSL", "of requests", *(() if best is None else ("FTL (TTFT)", "TTL (TPOT)"))]]
    for k, one in enumerate(plan.mix):
        work = one.workload
        row = [f"{float(n):,.0f}" for n in (work.isl, work.osl)] + [units.percent(one.share)]
        if best is not None:
            own = best.by_workload[k]
            row += [units.seconds(own.ftl_s), units.seconds(own.ttl_s)]
        rows.append(row)
    return rows


def latency_rule(plan: Plan) -> str:
    """Whose latencies a mix's are."""
    best = plan.chosen
    if len(plan.mix) == 1 or best is None:
        return ""
    return (
        "FTL and TTL are those of instances that serve one workload alone, and each meets the "
        "targets; while workloads share an instance, all see its mean TTL, "
        f"{units.seconds(best.mixed_ttl_s)}."
    )


def at_mean_ttl(plan: Plan) -> str:
    """The gain of a mix where only its mean TTL meets the target."""
    gain = plan.gain_at_mean_ttl
    if gain is None:
        return ""
    held = f"{units.times(gain)} the {units.WORTH[plan.objective]} of co-located"
    return f"Were both held to TTL on the mix's mean only, disaggregated would give {held}."


def worst(plan: Plan, name: str) -> str:
    """The name of a latency: of a mix, it is that of the workload that waits longest."""
    return name if len(plan.mix) == 1 else f"{name}, worst"
