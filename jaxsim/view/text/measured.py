"""How is it said what held of a plan?"""

from typing import Literal, NotRequired, TypedDict

from jaxsim.view.text.layout import Page, wrap

Measure = Literal["ttft", "tpot", "output_tokens_per_s_per_gpu"]

NAMES: dict[Measure, tuple[str, str, float]] = {
    "ttft": ("first-token latency", "ms", 1e3),
    "tpot": ("token-to-token latency", "ms", 1e3),
    "output_tokens_per_s_per_gpu": ("output tokens/s/GPU", "", 1.0),
}


class PlanOf(TypedDict):
    """The plan that was measured."""

    model: str
    kind: str
    engine: str
    concurrency: float
    digest: str


class CauseOf(TypedDict):
    """One constant that would explain a difference by itself: times `factor`, `deviations` away."""

    name: str
    share: float
    factor: float
    deviations: float


class Explained(TypedDict):
    """Measured over predicted, whether inside the 80 % interval, and what would explain it."""

    ratio: float
    inside: bool
    causes: list[CauseOf]


class Run(TypedDict):
    """One measured run against its plan: latencies in seconds, None where not measured."""

    concurrency: float | None
    requests_per_s: float | None
    at_the_plans_load: bool
    measured: dict[Measure, float | None]
    planned: dict[Measure, float]
    predicted_at_this_load: dict[str, float]
    interval80: dict[str, tuple[float, float]]
    held: dict[Measure, bool | None]
    queued: bool
    explained: NotRequired[dict[Measure, Explained]]


class HeldFile(TypedDict):
    """What `jaxsim validate --plan --format json` prints; `verdict` is nearest to the load."""

    schema: str
    plan: PlanOf
    verdict: Run
    runs: list[Run]
    left_out: dict[str, int]


def render_held(result: HeldFile, page: Page) -> str:
    """The verdict, each number on a line, and what would explain the difference."""
    verdict, plan = result["verdict"], result["plan"]
    load = verdict["concurrency"]
    said = f"{load:g} requests at once" if load else f"{verdict['requests_per_s']:.3g} requests/s"
    lines = [
        f"{plan['model']}, {plan['kind']}: measured at {said}; the plan runs at "
        f"{plan['concurrency']:g} at once."
    ]
    for name, (words, unit, scale) in NAMES.items():
        value = verdict["measured"][name]
        if value is None:
            lines.append(f"{words}: not measured.")
            continue
        ours = verdict["predicted_at_this_load"][name]
        state = {True: "holds", False: "does not hold", None: "measured at another load"}
        lines.append(
            f"{words}: {value * scale:.4g} {unit}".rstrip()
            + f" measured, {verdict['planned'][name] * scale:.4g} planned, {ours * scale:.4g} "
            f"predicted at this load: {state[verdict['held'][name]]}."
        )
    for name, own in verdict.get("explained", {}).items():
        lines += _cause_lines(NAMES[name][0], own)
    return "\n".join(page.finish(wrap(line, page)) for line in lines)


def _cause_lines(words: str, own: Explained) -> list[str]:
    percent = 100.0 * (own["ratio"] - 1.0)
    if own["inside"]:
        return [f"The {words} is {percent:+.0f} % off, inside the 80 % interval."]
    likeliest, *others = own["causes"]
    told = (
        f"The {words} is {percent:+.0f} % off, outside the 80 % interval. Most likely cause: "
        f"{likeliest['name']} times {likeliest['factor']:.2f} "
        f"({abs(likeliest['deviations']):.1f} deviations)"
    )
    rest = "; ".join(
        f"{one['name']} times {one['factor']:.2f} ({abs(one['deviations']):.1f})" for one in others
    )
    return [told + (f"; or {rest}." if rest else ".")]
