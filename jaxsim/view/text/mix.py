"""What does a plan for a mix say on a terminal?  The recommendation, the mix, then how sure."""

from collections.abc import Callable

from jaxsim.space.deploy.mix_result import MixDeployed, MixPlan
from jaxsim.space.deploy.result import Unmet
from jaxsim.view.text import units, words
from jaxsim.view.text.layout import Page, indent, table, wrap
from jaxsim.view.text.plan import pools

KINDS = ("disaggregated", "colocated")
LATENCIES = (
    "FTL and TTL are those of instances that serve one workload alone, and each meets the targets; "
    "while workloads share an instance, all see its mean TTL"
)


def render_mix(plan: MixPlan, page: Page) -> str:
    """The whole plan as text."""
    sections = [_head(plan, page), _pools(plan, page), _mix(plan, page), _comparison(plan, page)]
    sections += [_sureness(plan, page), _foot(plan, page)]
    lines = [line for section in sections if section for line in (*section, "")]
    return page.finish(lines[:-1])


def targets(plan: MixPlan) -> str:
    """What every workload of the plan must keep to."""
    text = (
        f"FTL (TTFT) ≤ {units.seconds(plan.ftl_target_s)}, "
        f"TTL (TPOT) ≤ {units.seconds(plan.ttl_target_s)} for every workload"
    )
    return text if plan.max_gpus is None else f"{text}, at most {plan.max_gpus:,} GPUs"


def unmet_message(plan: MixPlan) -> str:
    """One message for targets that nothing meets."""
    return (
        f"no design of {plan.model} on {plan.hardware} meets {targets(plan)} of the mix. "
        f"{words.attainable(plan, 'disaggregated')} {words.attainable(plan, 'colocated')} "
        "Relax a target, or serve the workloads that need most by pools of their own."
    )


def _head(plan: MixPlan, page: Page) -> list[str]:
    best = plan.chosen
    answer, colour = "No design meets both targets for every workload", "yellow"
    if best is not None:
        kind = words.POOLS[plan.recommended or ""]
        answer, colour = f"Deploy {kind}: {words.deployment(best.deployed)}", "green"
    where = plan.hardware
    if plan.prefill_hardware != plan.hardware:
        where = f"{plan.prefill_hardware} (prefill) and {plan.hardware} (decode)"
    count = len(plan.mix)
    lengths = "1 workload" if count == 1 else f"a mix of {count} workloads"
    case = f"{plan.model} on {where} · {plan.precision} · engine {plan.engine} · {lengths}"
    return [
        *(page.paint(line, "bold", colour) for line in wrap(answer, page)),
        *wrap(case, page),
        *wrap(f"Targets: {targets(plan)}", page),
    ]


def _pools(plan: MixPlan, page: Page) -> list[str]:
    if plan.chosen is None:
        return []
    return pools(plan.chosen.deployed, plan.prefill_hardware != plan.hardware, page)


def _mix(plan: MixPlan, page: Page) -> list[str]:
    """The workloads, and their latencies at the chosen designs."""
    best = plan.chosen
    rows = [["ISL", "OSL", "of requests", *(() if best is None else ("FTL (TTFT)", "TTL (TPOT)"))]]
    for k, one in enumerate(plan.mix):
        row = [f"{one.isl:,}", f"{one.osl:,}", units.percent(one.share)]
        if best is not None:
            row += [units.seconds(best.ftl_s[k]), units.seconds(best.ttl_s[k])]
        rows.append(row)
    lines = table(rows, left=())
    found = [page.paint("The mix", "bold"), *indent([page.paint(lines[0], "dim"), *lines[1:]])]
    if best is not None and len(plan.mix) > 1:
        found += wrap(f"{LATENCIES}, {units.seconds(best.mixed_ttl_s)}.", page)
    return found


def _comparison(plan: MixPlan, page: Page) -> list[str]:
    both: dict[str, MixDeployed] = {
        words.POOLS[kind]: found
        for kind in KINDS
        if isinstance(found := getattr(plan, kind), MixDeployed)
    }
    if not both:
        return []
    limits = {
        "FTL, worst workload": f"≤ {units.seconds(plan.ftl_target_s)}",
        "TTL, worst workload": f"≤ {units.seconds(plan.ttl_target_s)}",
    }
    cells: dict[str, Callable[[MixDeployed], str]] = {
        "Output tokens/s/GPU": lambda d: units.count(d.deployed.output_tokens_per_s_per_gpu),
        "  80 % interval": lambda d: " – ".join(map(units.count, d.deployed.interval)),
        "FTL, worst workload": lambda d: units.seconds(d.deployed.ftl_s),
        "TTL, worst workload": lambda d: units.seconds(d.deployed.ttl_s),
        "  mean of the mix": lambda d: units.seconds(d.mixed_ttl_s),
        "Requests/s": lambda d: units.plain(d.deployed.requests_per_s),
        "GPUs": lambda d: units.count(d.deployed.gpus),
        "$ per million output": lambda d: units.usd(d.deployed.cost_usd_per_million_output_tokens),
        "Output tokens/joule": lambda d: units.plain(d.deployed.output_tokens_per_joule),
    }
    rows = [["", *both, "target"]]
    rows += [
        [name, *(cell(found) for found in both.values()), limits.get(name, "")]
        for name, cell in cells.items()
    ]
    lines = table(rows)
    return indent([page.paint(lines[0], "dim"), *lines[1:]])


def verdict(plan: MixPlan) -> str:
    """What disaggregation gains over co-location, and how sure that is."""
    gain, chance = plan.gain, plan.probability
    if gain is None:
        return ""
    better, other = "Disaggregated", "co-located"
    if gain < 1.0:
        better, other, gain = "Co-located", "disaggregated", 1.0 / gain
        chance = None if chance is None else 1.0 - chance
    per = {"gpu": "GPU", "cost": "dollar", "power": "watt"}[plan.objective]
    text = f"{better} gives {units.times(gain)} the throughput per {per} of {other}"
    if chance is None:
        return f"{text}."
    return f"{text}; it wins with probability {units.probability(chance)}."


def _sureness(plan: MixPlan, page: Page) -> list[str]:
    best = plan.chosen
    lines = wrap(verdict(plan), page)
    if plan.gain_at_mean_ttl is not None and len(plan.mix) > 1:
        held = f"{units.times(plan.gain_at_mean_ttl)} the throughput of co-located"
        text = f"Were both held to TTL on the mix's mean only, disaggregated would give {held}."
        lines += wrap(text, page)
    if best is not None and best.deployed.certificate is not None:
        lines += wrap(words.certificate(best.deployed.certificate), page)
    for kind in KINDS:
        if isinstance(getattr(plan, kind), Unmet):
            lines += wrap(words.attainable(plan, kind), page)
    return lines


def _foot(plan: MixPlan, page: Page) -> list[str]:
    text = f"Evaluated {plan.points_evaluated:,} designs × workloads"
    valid = sum(plan.valid_points.values())
    if valid:
        text += f" ({valid:,} designs obey every rule for all)"
    text += f" in {units.seconds(plan.elapsed_s)}; calibration {plan.calibration}."
    lines = [page.paint(line, "dim") for line in wrap(text, page)]
    for note in plan.notes:
        lines += wrap(f"Note: {note}", page, 0, 2)
    return lines
