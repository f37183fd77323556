"""How is a plan put into words?  Sentences and names that the terminal and the report share."""

from collections.abc import Mapping

from jaxsim.quantities import MODE_TITLES, QUANTITIES
from jaxsim.space.deploy.result import (
    Certificate,
    Deployed,
    FrontierCurve,
    InstanceShape,
    Plan,
    Unmet,
)
from jaxsim.view.text import units

CURVES = {"co-located": "co-located, better mode"}
POOLS = {
    "prefill": "prefill",
    "decode": "decode",
    "colocated": "co-located",
    "disaggregated": "disaggregated",
}
MEMORY = ("weights", "kv", "activation", "reserve")
EQUAL_FRAC = 5e-4  # shown as 0.0 %
AXES = ("tp", "ep", "pp", "batch", "chunk")
PASSES = {"prefill": "a batch", "decode": "a step", "colocated": "a step"}

QUEUES = (
    "FTL and TTL are of full instances whose prompts follow one another: no request queues. What "
    "users see at N requests in the system or at R a second: `jaxsim estimate --concurrency N` "
    "or `--rate R`; pools in which targets hold under arrivals: `--rate R --percentile P`."
)
SIMULATED = (
    "Under arrivals, requests were simulated one by one; all else here is of full instances whose "
    "prompts follow one another, without queues."
)


def queues(plan: Plan) -> str:
    """What the plan knows of queues."""
    return QUEUES if plan.under_rate is None else SIMULATED


def curve_name(name: str) -> str:
    """A curve's name for a legend."""
    return CURVES.get(name, name)


def curve_design(curve: FrontierCurve, k: int) -> dict[str, str]:
    """The design behind a point of a curve, in words, by pool."""
    value = {name: float(column[k]) for name, column in curve.designs.items()}

    def widths(prefix: str) -> str:
        sizes = [f"{n.upper()}{value[prefix + n]:.0f}" for n in AXES[:3] if prefix + n in value]
        held = [f"{n} {value[prefix + n]:,.0f}" for n in AXES[3:] if prefix + n in value]
        return ", ".join(entry for entry in (" ".join(sizes), *held) if entry)

    def pool(name: str) -> str:
        count = value.get(f"{name}_instances")
        return widths(f"{name}_") if count is None else f"{count:.0f} × {widths(f'{name}_')}"

    if "prefill_tp" in value:
        return {name: pool(name) for name in ("prefill", "decode")}
    return {"design": widths("")}


def part_name(name: str) -> str:
    """The name of a part of the time or the memory in a table: that of its line in `quantities`."""
    known = QUANTITIES.get(f"{name}_s") or QUANTITIES.get(f"{name}_bytes")
    return known.long_name if known else name.replace("_", " ")


def mapping(shape: InstanceShape) -> str:
    """The parallel widths of an instance: `TP1 EP8 PP2`."""
    return f"TP{shape.tp} EP{shape.ep} PP{shape.pp}"


def held(shape: InstanceShape) -> str:
    """What an instance works on at once."""
    batch = f"batch {shape.batch:,}"
    return batch if shape.phase == "decode" else f"{batch}, chunk {shape.chunk:,} tokens"


def instances(shape: InstanceShape) -> str:
    """How many instances of what: `3 prefill instances TP1 EP8 PP2`."""
    plural = "" if shape.count == 1 else "s"
    mode = f" ({MODE_TITLES[shape.mode]})" if shape.mode else ""
    return f"{shape.count:,} {POOLS[shape.phase]} instance{plural} {mapping(shape)}{mode}"


def deployment(deployed: Deployed) -> str:
    """All pools of a deployment in one phrase."""
    return " + ".join(instances(shape) for shape in deployed.instances)


def recommendation(plan: Plan) -> str:
    """The recommendation in one sentence."""
    best = plan.chosen
    if best is None:
        return f"No design meets both targets{every(plan)}"
    kind = "disaggregated" if plan.recommended == "disaggregated" else "co-located"
    return f"Deploy {kind}: {deployment(best)}"


def case(plan: Plan) -> str:
    """What is served on what: model, hardware, precision, engine and lengths."""
    where = (
        plan.hardware
        if plan.prefill_hardware == plan.hardware
        else f"{plan.prefill_hardware} (prefill) and {plan.hardware} (decode)"
    )
    return f"{plan.model} on {where} · {plan.precision} · engine {plan.engine} · {lengths(plan)}"


def lengths(plan: Plan) -> str:
    """What requests are like."""
    if len(plan.mix) > 1:
        return f"a mix of {len(plan.mix)} workloads"
    return f"ISL {plan.isl:,}, OSL {plan.osl:,}"


def every(plan: Plan) -> str:
    """For whom a target holds, where that must be said."""
    return " for every workload" if len(plan.mix) > 1 else ""


def targets(plan: Plan) -> str:
    """What the plan must keep to."""
    text = (
        f"FTL (TTFT) ≤ {units.seconds(plan.ftl_target_s)}, "
        f"TTL (TPOT) ≤ {units.seconds(plan.ttl_target_s)}{every(plan)}"
    )
    return f"{text}{budget(plan)}"


def budget(plan: Plan) -> str:
    """The GPUs that may be used, as the end of a phrase; nothing without a limit."""
    if plan.max_gpus is None:
        return ""
    kind = "at most" if plan.exact_gpus is None else "exactly"
    return f", {kind} {plan.max_gpus:,} GPUs"


def use_of_budget(plan: Plan, deployed: Deployed) -> str:
    """How often the unit of a deployment fits in the GPUs given, and what is left; "" if none are.

    `Of 64 GPUs: 10 units of 2 prefill + 4 decode instances (6 GPUs each), 4 GPUs left over.`
    """
    if plan.max_gpus is None:
        return ""
    copies, left = deployed.copies, plan.max_gpus - deployed.gpus
    unit = " + ".join(
        f"{shape.count // copies:,} {POOLS[shape.phase]}" for shape in deployed.instances
    )
    many = sum(shape.count for shape in deployed.instances) > copies
    idle = "" if plan.exact_gpus is None or not left else ", idle and paid"
    return (
        f"Of {plan.max_gpus:,} GPUs: {copies:,} unit{'s' if copies > 1 else ''} of {unit} "
        f"instance{'s' if many else ''} ({gpus(deployed.gpus // copies)} each), "
        f"{gpus(left) if left else 'none'} left over{idle}."
    )


def use_of_rest(plan: Plan, best: Deployed) -> str:
    """What the GPUs that a deployment leaves of those given may do; "" where none are left."""
    left = 0 if plan.max_gpus is None else plan.max_gpus - best.gpus
    if not left or plan.exact_gpus is not None:
        return ""
    other = plan.colocated
    text = f"`--gpus exactly:{plan.max_gpus}` plans for all of them."
    if plan.recommended != "disaggregated" or not isinstance(other, Deployed):
        return text
    size = other.gpus // other.copies
    count = left // size
    if not count:
        return text
    more = f"{count:,} co-located instance{'' if count == 1 else 's'} ({gpus(count * size)})"
    return f"Those left over hold {more}; {text}"


def gpus(count: int) -> str:
    """A number of GPUs: `1 GPU`, `1,024 GPUs`."""
    return f"{count:,} GPU{'' if count == 1 else 's'}"


def constraint(plan: Plan) -> str:
    """What every point of the plan's frontiers keeps to."""
    text = f"FTL ≤ {units.seconds(plan.ftl_target_s)}{every(plan)}"
    return f"{text}{budget(plan)}"


def levers_title(plan: Plan) -> str:
    """What the levers of a plan are percents of, as a heading."""
    what = units.WORTH[plan.objective] if plan.objective != "gpu" else "throughput"
    return f"{what.capitalize()} gained by one percent more of"


def certificate(proof: Certificate) -> str:
    """How sure it is that no other match is better."""
    if proof.gap <= 1e-9:
        text = "Rate matching, every pair of designs considered: proved optimal."
    else:
        text = (
            "Rate matching, every pair of designs considered: proved within "
            f"{units.percent(proof.gap)} of any number of instances."
        )
    if proof.runner_up is not None and proof.upper_bound > 0.0:
        more = proof.runner_up / (proof.upper_bound * (1.0 - proof.gap)) - 1.0
        if abs(more) < EQUAL_FRAC:
            text += " Another pair of designs gives as much."
        else:
            text += f" The next pair of designs gives {units.percent(more, signed=True)}."
    ranges = " or ".join(
        f"all {_rates(name)} change by {units.percent(low - 1.0, signed=True)} to "
        f"{units.percent(high - 1.0, signed=True)}"
        for name, (low, high) in proof.stable_range.items()
    )
    near = units.percent(proof.near_frac)
    return f"{text} No other is {near} better while {ranges}." if ranges else text


def _rates(name: str) -> str:
    """`prefill_rate` and `prefill` are prefill rates."""
    return f"{name.removesuffix('_rate').replace('_', ' ')} rates"


def attainable(plan: Plan, kind: str) -> str:
    """Why a kind of deployment does not meet the targets, and the nearest that it can meet."""
    unmet = getattr(plan, kind)
    assert isinstance(unmet, Unmet)
    near = []
    if unmet.ttl_s is not None:
        near.append(f"TTL {units.seconds(unmet.ttl_s)} at FTL ≤ {units.seconds(plan.ftl_target_s)}")
    if unmet.ftl_s is not None:
        near.append(f"FTL {units.seconds(unmet.ftl_s)} at TTL ≤ {units.seconds(plan.ttl_target_s)}")
    reason = f"{unmet.reason.rstrip('.')}{every(plan)}"
    said = f"nearest attainable is {', or '.join(near)}" if near else reason
    return f"{POOLS[kind].capitalize()}: {said}."


def unmet_message(plan: Plan) -> str:
    """One message for targets that nothing meets."""
    advice = (
        "Relax a target, or give faster hardware or a narrower precision."
        if len(plan.mix) == 1
        else "Relax a target, or serve the workloads that need most by pools of their own."
    )
    return (
        f"no design of {plan.model} on {plan.hardware} meets {targets(plan)}. "
        f"{attainable(plan, 'disaggregated')} {attainable(plan, 'colocated')} {advice}"
    )


def shares(parts_s: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Parts as (name, seconds, share), longest first; those without any time are left out."""
    total = sum(parts_s.values())
    parts_shown = [
        (part_name(name), seconds, seconds / total)
        for name, seconds in parts_s.items()
        if seconds > 0.0
    ]
    return sorted(parts_shown, key=lambda part: -part[1])


def memory_parts(shape: InstanceShape) -> list[tuple[str, float]]:
    """Uses of the fullest GPU's memory, as (name, bytes), and what is free."""
    parts = [
        (part_name(name), shape.memory_bytes[name]) for name in MEMORY if name in shape.memory_bytes
    ]
    capacity = shape.memory_bytes.get("capacity")
    if capacity is not None:
        parts.append(("free", max(capacity - sum(size for _, size in parts), 0.0)))
    return parts
