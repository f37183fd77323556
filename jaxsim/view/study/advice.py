"""What follows for someone who designs a system?  Sentences made from the results."""

import numpy as np

from jaxsim.view.study.claim import NOT, PARTLY, REPRODUCED
from jaxsim.view.study.claims import Result
from jaxsim.view.study.map import BOUNDARY, GainMap
from jaxsim.view.study.report import StudyResult
from jaxsim.view.study.settings import UNKNOWNS, settings

Advice = tuple[str, str]


def headline(study: StudyResult) -> str:
    """The result in a line."""
    verdicts = [result.finding.verdict for result in study.results]
    if len(verdicts) == 1:
        word = {REPRODUCED: "reproduced", PARTLY: "partly reproduced", NOT: "not reproduced"}
        return f"{study.results[0].id} is {word[verdicts[0]]}: {study.results[0].text.claim}"
    full, part = verdicts.count(REPRODUCED), verdicts.count(PARTLY)
    return f"{full} of {len(verdicts)} claims reproduced, {part} in part, {verdicts.count(NOT)} not"


def lead(study: StudyResult) -> str:
    """What the headline means."""
    robust = [r.id for r in study.results if r.robustness.label == "robust"]
    open_ = [r.id for r in study.results if r.robustness.label == "finding"]
    text = (
        f"The base reading decides a verdict; {study.mixtures} random mixtures of what the study "
        "leaves open, with every FTL cutoff and TTL metric, say how far it can be trusted. "
    )
    text += f"Robust: {', '.join(robust) or 'none'}. "
    if open_:
        text += f"Held by few readings: {', '.join(open_)}."
    return text


def advice(study: StudyResult) -> list[Advice]:
    """What to do, each with the numbers that say so; only what the selected claims support."""
    items = [
        _when(study),
        _map_advice(study.map),
        _size(study),
        _latency(study),
        _ratio(study),
        _cap(study),
        _prefill(study),
        _decode(study),
        _network(study),
        _piggyback(study),
        _traffic(study),
        _unknowns(study),
    ]
    return [item for item in items if item is not None]


def _trust(*results: Result | None) -> str:
    shares = [r.robustness.holds for r in results if r is not None]
    ids = " and ".join(r.id for r in results if r is not None)
    return f"({ids}: in {100 * min(shares):.0f} % of the readings)" if shares else ""


def _when(study: StudyResult) -> Advice | None:
    heavy, light = study.of("C1"), study.of("C2")
    if heavy is None or light is None:
        return None
    gain, peak = heavy.finding.measures["mean_gain"], heavy.finding.measures["peak_gain"]
    little = max(light.finding.measures["mean_gains"])
    if gain < BOUNDARY:
        return (
            "Keep prefill and decode together for these models.",
            f"Even at 16k/2k the mean gain is {gain:.2f}×.",
        )
    return (
        "Disaggregate for long prompts with short outputs, and not for long outputs.",
        f"DeepSeek-R1 gains {gain:.2f}× on average and up to {peak:.2f}× at 16k/2k, and at most "
        f"{little:.2f}× when outputs dominate {_trust(light)}. {_metric(heavy)}",
    )


def _metric(result: Result) -> str:
    """How much the choice of the co-located TTL matters to a claim."""
    levels = result.robustness.by_unknown.get("ttl_metric", {})
    if len(levels) < 2:
        return ""
    text = ", ".join(f"the {name} gap: in {100 * frac:.0f} %" for name, frac in levels.items())
    return f"It hangs on which gap counts as the co-located TTL ({result.id} with {text})."


def _map_advice(chart: GainMap | None) -> Advice | None:
    if chart is None:
        return None
    data = chart.dataset
    gain = data.gain.values
    served = ~np.isnan(gain)
    share = float(np.mean(gain[served] >= BOUNDARY))
    words = []
    for model in data.model.values:
        one = data.gain.sel(model=model)
        lengths = one.isl / one.osl
        wins = (one >= BOUNDARY).values & ~np.isnan(one.values)
        known = ~np.isnan(one.values)
        ratios = np.broadcast_to(lengths.values[:, :, None], known.shape)
        levels = np.unique(ratios[known])
        sure = [r for r in levels if np.mean(wins[known & (ratios >= r)]) >= 0.9]
        limit = f"ISL/OSL of {_ratio_word(min(sure))}" if sure else "no ISL/OSL"
        words.append(f"{model} from {limit}")
    return (
        "Let the ratio of input to output length decide, and the model's size shift it.",
        f"Over the map, {100 * share:.0f} % of the cases that can be served gain at least "
        f"{100 * (BOUNDARY - 1):.0f} %; nine in ten do from: {'; '.join(words)}.",
    )


def _ratio_word(ratio: float) -> str:
    return f"{ratio:g}" if ratio >= 1 else f"1/{1 / ratio:g}"


def _size(study: StudyResult) -> Advice | None:
    result = study.of("C4")
    if result is None:
        return None
    small, middle, large = result.finding.measures["mean_gains"]
    grows = "grows" if small < middle < large else "does not simply grow"
    return (
        "Look at large models first." if small < large else "Do not count on size alone.",
        f"At 4096/256 the gain {grows} with size: 8B {small:.2f}×, 70B {middle:.2f}×, "
        f"405B {large:.2f}× {_trust(result)}.",
    )


def _latency(study: StudyResult) -> Advice | None:
    result = study.of("C5")
    if result is None:
        return None
    texts = [
        f"{name} {own['relaxed']:.2f}× at the relaxed end, {own['peak']:.2f}× at the peak "
        f"({100 * own['position']:.0f} % into the range), {own['tight']:.2f}× at the tight end"
        for name, own in result.finding.measures.items()
    ]
    return (
        "Expect least from disaggregation where latency does not matter.",
        f"The gain over the latency range: {'; '.join(texts)}.",
    )


def _ratio(study: StudyResult) -> Advice | None:
    ratio, fixed = study.of("C14"), study.of("C15")
    if ratio is None or fixed is None:
        return None
    relaxed, tight = ratio.finding.measures["relaxed"][0], ratio.finding.measures["tight"][0]
    return (
        "Make the ratio of prefill to decode GPUs elastic.",
        f"R1's best ratio goes from {relaxed:.2f} to {tight:.2f} as the TTL target tightens. "
        f"Fixed at 3.5 it keeps {fixed.finding.measures['relaxed']:.2f} of the best throughput at "
        f"the relaxed and {fixed.finding.measures['tight']:.2f} at the tight end; fixed at 0.5 it "
        f"peaks at {fixed.finding.measures['plateau']:.2f}.",
    )


def _cap(study: StudyResult) -> Advice | None:
    result = study.of("C23")
    if result is None:
        return None
    caps, kept = result.finding.measures["caps"], result.finding.measures["kept"]
    enough = next((cap for cap, k in zip(caps, kept, strict=True) if k >= 0.95), None)
    text = ", ".join(
        f"{cap:.0f} GPUs keep {100 * k:.0f} %" for cap, k in zip(caps, kept, strict=True)
    )
    plan = f"Plan for at least {enough:.0f} GPUs." if enough else "Plan for more GPUs than these."
    return plan, f"Integer instances cost throughput when GPUs are few: {text} of the frontier."


def _prefill(study: StudyResult) -> Advice | None:
    result, strict = study.of("C8"), study.of("C9")
    if result is None:
        return None
    ratio, kept = result.finding.measures["ratio"], result.finding.measures["throughput"]
    ahead = strict is not None and strict.finding.verdict != NOT
    return (
        "For long prompts lengthen the pipeline before widening the group.",
        f"32 stages with chunks cut FTL to 1/{1 / ratio:.0f} at {100 * kept:.0f} % of throughput"
        + (", and the best configuration grows in PP first. " if ahead else ". ")
        + result.finding.why,
    )


def _decode(study: StudyResult) -> Advice | None:
    moe, dense = study.of("C11"), study.of("C12")
    if moe is None or dense is None:
        return None
    return (
        "Give decode wide expert parallelism, and tensor parallelism only where latency asks.",
        f"R1: {moe.finding.value}. 70B: {dense.finding.value}.",
    )


def _network(study: StudyResult) -> Advice | None:
    flow, domain = study.of("C20"), study.of("C17")
    if flow is None or domain is None:
        return None
    largest = flow.finding.measures["largest"]
    nic = settings().criteria["nic_bytes_per_s"]
    r1 = domain.finding.measures["R1"]
    return (
        "Spend on the scale-up domain before the network between pools.",
        f"KV transfer needs at most {largest / 1e9:.1f} GB/s a GPU, 1/{nic / largest:.0f} of a NIC "
        f"{_trust(flow)}; an NVLink domain of 72 instead of 8 gives R1 {max(r1):.2f}× in its best "
        "third of the range.",
    )


def _piggyback(study: StudyResult) -> Advice | None:
    result = study.of("C6")
    if result is None:
        return None
    own = result.finding.measures
    return (
        "Do not rely on piggybacking under tight latency.",
        f"Where it serves at all it reaches {own['latent']:.2f} of co-located overall on R1 and "
        f"{own['dense']:.2f} on 70B; keeping up-projected K/V brings R1 to {own['kept']:.2f}. "
        + result.finding.why,
    )


def _traffic(study: StudyResult) -> Advice | None:
    result = study.of("C22")
    if result is None:
        return None
    errors = result.finding.measures["median_error"]
    text = ", ".join(f"{100 * e:.0f} % at sigma {s}" for s, e in errors.items())
    return (
        "Plan with median lengths only while they spread little.",
        f"A constant length misses the frontier of a log-normal mix by {text}.",
    )


def _unknowns(study: StudyResult) -> Advice | None:
    """Which unknown decides most claims."""
    if len(study.results) < 5:
        return None
    moved: dict[str, list[str]] = {}
    for result in study.results:
        decisive = result.robustness.decisive
        if decisive is not None and decisive[1] >= 0.25:
            moved.setdefault(decisive[0], []).append(result.id)
    if not moved:
        return None
    text = "; ".join(
        f"{UNKNOWNS[name]} ({', '.join(ids)})"
        for name, ids in sorted(moved.items(), key=lambda item: -len(item[1]))
    )
    return (
        "Settle these before you argue about the rest.",
        f"What decides whether a claim holds: {text}.",
    )
