"""What does a plan say on a terminal?  The recommendation first, then why, then how sure."""

from collections.abc import Callable

from jaxsim.quantities import MODE_TITLES
from jaxsim.space.deploy.result import Deployed, FrontierCurve, InstanceShape, Plan, Unmet
from jaxsim.view.text import headroom, sentences, under_rate, units, workloads
from jaxsim.view.text.ascii_plot import KEEP, Line, plot
from jaxsim.view.text.gain import verdict
from jaxsim.view.text.layout import Page, indent, wrap
from jaxsim.view.text.tables import table, with_bars

MARKS = "●○·+*"
LEVERS_SHOWN = 6
PART_SHOWN_FRAC = 0.005


def render_plan(plan: Plan, page: Page) -> str:
    """The whole plan as text."""
    sections = [
        _head(plan, page),
        _pools(plan, page),
        _mix(plan, page),
        under_rate.section(plan, page),
        _comparison(plan, page),
        _sureness(plan, page),
        _limits(plan, page),
        _levers(plan, page),
        _frontier(plan, page),
        _foot(plan, page),
    ]
    lines: list[str] = []
    for section in sections:
        if section:
            lines += [*section, ""]
    return page.finish(lines[:-1])


def _heading(text: str, page: Page) -> str:
    return page.paint(text, "bold")


def _head(plan: Plan, page: Page) -> list[str]:
    colour = "green" if plan.recommended else "yellow"
    advice = wrap(sentences.recommendation(plan), page)
    return [
        *(page.paint(line, "bold", colour) for line in advice),
        *wrap(sentences.case(plan), page),
        *wrap(f"Targets: {sentences.targets(plan)}", page),
    ]


def _pools(plan: Plan, page: Page) -> list[str]:
    best = plan.chosen
    if best is None:
        return []
    two_kinds = plan.prefill_hardware != plan.hardware
    lines = [*pools(best, two_kinds, page), *_left_over(plan, best, page)]
    lines += wrap(sentences.use_of_rest(plan, best), page, 2)
    other = {"disaggregated": "colocated", "colocated": "disaggregated"}[plan.recommended or ""]
    compared = getattr(plan, other)
    if isinstance(compared, Deployed):
        lines += ["", f"  compared with {sentences.POOLS[other]}:"]
        lines += [*pools(compared, two_kinds, page), *_left_over(plan, compared, page)]
    return lines


def _left_over(plan: Plan, deployed: Deployed, page: Page) -> list[str]:
    text = sentences.use_of_budget(plan, deployed)
    return wrap(text, page, 2) if text else []


def pools(best: Deployed, two_kinds: bool, page: Page) -> list[str]:
    """The instances of a deployment, a line each, and the GPUs in all."""
    rows = [
        [
            sentences.POOLS[shape.phase],
            f"{shape.count:,} × {sentences.gpus(shape.gpus_per_instance)}",
            sentences.mapping(shape),
            sentences.held(shape),
            shape.hardware if two_kinds else "",
        ]
        for shape in best.instances
    ]
    if best.encoders is not None:
        rows.append(
            [
                "encoder",
                f"{best.encoders.count:,} × 1 GPU",
                "the whole encoder",
                f"{units.seconds(best.encoders.latency_s)} a prompt's images",
                best.encoders.hardware if two_kinds else "",
            ]
        )
    modes = [MODE_TITLES[shape.mode] for shape in best.instances if shape.mode]
    total = ", ".join([f"{sentences.gpus(best.gpus)} in all", *modes])
    if best.ctx_gen_ratio is not None:
        ratio = units.compact(best.ctx_gen_ratio)
        total += f", {ratio} prefill GPU{'' if ratio == '1' else 's'} per decode GPU"
    return [*table(rows, page, range(5), head=None), *wrap(total, page, 2, 2)]


def _mix(plan: Plan, page: Page) -> list[str]:
    rows = workloads.mix_rows(plan)
    if not rows:
        return []
    return [
        _heading("The mix", page),
        *table(rows, page, (), head="dim"),
        *wrap(workloads.latency_rule(plan), page),
    ]


def _comparison(plan: Plan, page: Page) -> list[str]:
    both: dict[str, Deployed] = {
        sentences.POOLS.get(kind, kind): one
        for kind in ("disaggregated", "colocated")
        if isinstance(one := getattr(plan, kind), Deployed)
    }
    if not both:
        return []
    ftl, ttl = (workloads.worst(plan, name) for name in ("FTL (TTFT)", "TTL (TPOT)"))
    limits = {
        ftl: f"≤ {units.seconds(plan.ftl_target_s)}",
        ttl: f"≤ {units.seconds(plan.ttl_target_s)}",
    }
    rows: list[list[str]] = [["", *both, "target"]]
    rows_of_mix = len(plan.mix) > 1
    cells: dict[str, Callable[[Deployed], str]] = {
        "Output tokens/s/GPU": lambda d: units.count(d.output_tokens_per_s_per_gpu),
        "  80 % interval": lambda d: " – ".join(units.count(end) for end in d.interval),
        ftl: lambda d: units.seconds(d.ftl_s),
        "  host and hand-over": lambda d: units.seconds(d.host_s) if d.host_s else "",
        ttl: lambda d: units.seconds(d.ttl_s),
        "  mean of the mix": lambda d: units.seconds(d.mixed_ttl_s) if rows_of_mix else "",
        "  median": lambda d: "" if d.ttl_median_s is None else units.seconds(d.ttl_median_s),
        "Tokens/s a user": lambda d: units.plain(1.0 / d.ttl_s),
        "Requests/s": lambda d: units.plain(d.requests_per_s),
        "GPUs": lambda d: units.count(d.gpus),
        "$ per million output": lambda d: units.usd(d.cost_usd_per_million_output_tokens),
        "Output tokens/joule": lambda d: units.plain(d.output_tokens_per_joule),
        "KV out, prefill GPU": lambda d: _rate(d.kv_egress_bytes_per_s_per_gpu),
        "KV in, decode GPU": lambda d: _rate(d.kv_ingress_bytes_per_s_per_gpu),
    }
    for name, cell in cells.items():
        row = [cell(deployed) for deployed in both.values()]
        if any(text for text in row):
            rows.append([name, *row, limits.get(name, "")])
    return table(rows, page, head="dim")


def _rate(value: float | None) -> str:
    return "" if value is None else units.prefixed(value, "B/s")


def _sureness(plan: Plan, page: Page) -> list[str]:
    lines = wrap(verdict(plan), page) + wrap(workloads.at_mean_ttl(plan), page)
    best = plan.chosen
    if best is not None and best.certificate is not None:
        lines += wrap(sentences.certificate(best.certificate), page)
    for kind in ("disaggregated", "colocated"):
        if best is not None and isinstance(getattr(plan, kind), Unmet):
            lines += wrap(sentences.attainable(plan, kind), page)
    return [*lines, *wrap(headroom.sentence(plan), page)]


def _limits(plan: Plan, page: Page) -> list[str]:
    best = plan.chosen
    if best is None:
        return []
    compared = plan.disaggregated if plan.recommended == "colocated" else plan.colocated
    shapes = best.instances + (compared.instances if isinstance(compared, Deployed) else ())
    lines = [_heading("Where the time goes, and the memory", page)]
    for shape in shapes:
        lines += _limits_of(shape, page)
    return lines


def _limits_of(shape: InstanceShape, page: Page) -> list[str]:
    total = sum(shape.parts_s.values())
    shown = [part for part in sentences.shares(shape.parts_s) if part[2] >= PART_SHOWN_FRAC]
    rows = [[name, units.seconds(seconds), units.percent(share)] for name, seconds, share in shown]
    name = f"{sentences.POOLS[shape.phase]}: {units.seconds(total)} {sentences.PASSES[shape.phase]}"
    lines = with_bars(rows, [share for _, _, share in shown], page, by=4)
    memory = ", ".join(
        f"{use} {units.prefixed(size, 'B')}"
        for use, size in sentences.memory_parts(shape)
        if size > 0
    )
    capacity = shape.memory_bytes.get("capacity")
    if capacity:
        memory += f" of {units.prefixed(capacity, 'B')}"
    return [
        *indent([name]),
        *(page.paint(line, "cyan") for line in lines),
        *(wrap(f"memory: {memory}", page, 4, 2) if memory else []),
    ]


def _levers(plan: Plan, page: Page) -> list[str]:
    if len(plan.mix) > 1 and plan.chosen is not None:
        return [page.paint(line, "dim") for line in wrap(workloads.NO_LEVERS, page)]
    if not plan.levers:
        return []
    top = sorted(plan.levers, key=lambda lever: -abs(lever.elasticity))[:LEVERS_SHOWN]
    most = max(abs(lever.elasticity) for lever in top) or 1.0
    shown = [lever for lever in top if abs(lever.elasticity) >= 0.005]
    if not shown:
        return []
    rows = [[lever.name, f"{lever.elasticity:+.2f} %"] for lever in shown]
    bars = [abs(lever.elasticity) / most for lever in shown]
    return [_heading(sentences.levers_title(plan), page), *with_bars(rows, bars, page, most=28)]


def _points(curve: FrontierCurve) -> list[tuple[float, float]]:
    pairs = zip(curve.ttl_s, curve.output_tokens_per_s_per_gpu, strict=True)
    return [(1.0 / float(ttl), float(y)) for ttl, y in pairs if ttl > 0.0 and y == y]


def _frontier(plan: Plan, page: Page) -> list[str]:
    lines = [
        Line(sentences.curve_name(curve.name), mark, points)
        for curve, mark in zip(plan.curves, MARKS, strict=False)
        if (points := _points(curve))
    ]
    if not lines:
        return []
    title = f"Frontier at {sentences.constraint(plan)}"
    drawn = plot(
        lines,
        width=min(page.width, 90) - 2,
        height=12,
        x_label="interactivity, tokens/s a user",
        y_label="output tokens/s/GPU",
        target=1.0 / plan.ttl_target_s,
    )
    legend = drawn.pop().strip()
    legend_lines = [line.replace(KEEP, " ") for line in wrap(legend, page, 2)]
    return [_heading(title, page), *indent(drawn), *legend_lines]


def _foot(plan: Plan, page: Page) -> list[str]:
    valid = sum(plan.valid_points.values())
    many = len(plan.mix) > 1
    text = f"Evaluated {plan.points_evaluated:,} designs{' × workloads' if many else ''}"
    if valid:
        text += f" ({valid:,} obey every rule{sentences.every(plan)})"
    text += f" in {units.seconds(plan.elapsed_s)}; calibration {plan.calibration}."
    lines = [page.paint(line, "dim") for line in wrap(text, page)]
    if plan.chosen is not None:
        lines += [page.paint(line, "dim") for line in wrap(sentences.queues(plan), page)]
    for note in plan.notes:
        lines += wrap(f"Note: {note}", page, 0, 2)
    return lines
