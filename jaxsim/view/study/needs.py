"""What would have to be true for a claim to hold?  Solved through the model, claim by claim."""

from collections.abc import Callable
from functools import partial

import numpy as np

from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.silicon_limit import limit_constants
from jaxsim.point.attention.base import causal_pairs
from jaxsim.point.roofline import kernel_s, one_peak_flop_per_s
from jaxsim.point.work import ContextAttention, DecodeAttention
from jaxsim.view.study.claim import criterion, least_of, number
from jaxsim.view.study.claims_gain import HEAVY
from jaxsim.view.study.claims_pipeline import PIPELINES, cpp_ratio, long_prompt
from jaxsim.view.study.claims_pools import rungs, step_parts
from jaxsim.view.study.settings import Setting
from jaxsim.view.study.source import Study

CHUNK = 2048.0  # tokens of the chunk whose attention is told
LATENT = {"qk_dim": 576.0, "v_dim": 512.0, "kv_dim": 576.0, "kv_heads": 1.0}
HEADS = {"heads": 128.0, "kv_heads": 128.0, "qk_dim": 192.0, "v_dim": 128.0}
LEAST = 0.02  # of what attention takes: less is no attention at all


def chunk_share(scenario: Scenario, past: float) -> float:
    """The fraction of peak arithmetic at which a chunk attends to `past` tokens and itself."""
    fit, chip = scenario.kernels.context_latent, scenario.hardware.chip
    work = ContextAttention(
        sequences=1.0, queries=CHUNK, past=past, pairs=causal_pairs(CHUNK, past, past + CHUNK),
        kv_bytes_per_element=1.0, activation_bytes_per_element=1.0, **HEADS,
    )  # fmt: skip
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip) * chip.multiprocessors
    return float(work.flop / peak / kernel_s(work, fit, chip))


def needs_of_pipelines(study: Study, setting: Setting) -> str:
    """C8: at which share of the peak a chunk would have to attend to its past."""
    keep, equal = PIPELINES["K/V kept, equal time"]
    kept = setting.mixed(keep_up_projected=keep, equal_time_chunks=equal)
    wanted = number("cpp_ftl_ratio") * criterion("number_factor")

    def ratio(hidden_frac: float) -> float:
        return cpp_ratio(study, kept.mixed(hidden_frac=hidden_frac).mixture)[0]

    if ratio(1.0) > wanted:
        best = 1.0 / ratio(1.0)
        return f"Even if reading the past hid behind arithmetic, FTL would fall to 1/{best:.0f}."
    hidden = least_of(lambda frac: ratio(frac) <= wanted, 0.0, 1.0)
    case, past = long_prompt(), long_prompt().isl / 2
    now, then = (
        chunk_share(study.sweeper.scenario(case, kept.mixed(hidden_frac=frac).mixture), past)
        for frac in (0.0, hidden)
    )
    reached = limit_constants()[0]["context_latent"]["peak_frac"]
    plausible = "plausible" if then <= reached else "more than any kernel reaches"
    factor = criterion("number_factor")
    stated = 1.0 / number("cpp_ftl_ratio")
    return (
        f"FTL would fall to 1/{1 / wanted:.0f}, within a factor of {factor:g} of the study's "
        f"1/{stated:.0f}, if a chunk of {CHUNK:,.0f} tokens attended to {past:,.0f} earlier ones "
        f"at {100 * then:.0f} % of peak arithmetic instead of {100 * now:.0f} %. Kernels without a "
        f"past reach {100 * reached:.0f} %: {plausible}."
    )


def needs_of_ratio(study: Study, setting: Setting) -> str:
    """C14: what R1's decode attention, or its prefill, would have to take at the relaxed end."""
    matched = study.matched(HEAVY, setting)
    first = int(rungs(matched)[0])
    now, wanted = float(matched.ctx_gen_ratio[first]), float(number("ratio_relaxed"))
    place = {name: float(column[first]) for name, column in matched.decode.items()}
    scenario = study.sweeper.scenario(HEAVY, setting.mixture)
    taken_s = step_parts(study, HEAVY, setting, place)["attention"]
    floor = datasheet_attention_s(scenario, place) / taken_s

    def ratio(factor: float) -> float:
        frontier = study.matched(HEAVY, setting.mixed(decode_attention=factor))
        return float(frontier.ctx_gen_ratio[rungs(frontier)[0]])

    texts, less = [], 1.0
    for target in (wanted / criterion("number_factor"), wanted):
        if ratio(LEAST) < target:
            texts.append(f"{target:.1f} is not reached even without attention in decode")
            continue
        less = least_of(partial(_reaches, ratio, target), 0.0, 1.0 - LEAST, steps=6)
        texts.append(
            f"{target:.1f} if attention took {1.0 - less:.2f} of its time in a decode step"
        )
    prompts, gpus = matched.prefill["requests_per_s"], matched.prefill["gpus"]
    tokens = HEAVY.isl * prompts / gpus
    more_s = (wanted / now - 1.0) / prompts
    possible = "possible" if floor < 1.0 - less else "impossible"
    return (
        f"R1 would start at {', at '.join(texts)}; the datasheet's peaks allow {floor:.2f}: "
        f"{possible}. Or at {wanted:.1f} if a GPU prefilled {tokens * now / wanted:,.0f} tokens/s "
        f"instead of {tokens:,.0f}, {now / wanted:.2f} of what measured kernels give, as with "
        f"{1e3 * more_s:.0f} ms more for each prompt of an instance of "
        f"{gpus:.0f} GPUs, where engines take 8 to 20 ms of the host: no plausible overhead, but "
        "plausible as a slower prefill. An overhead of decode batches lowers the ratio."
    )


def _reaches(ratio: Callable[[float], float], target: float, less: float) -> bool:
    return ratio(1.0 - less) >= target


def datasheet_attention_s(scenario: Scenario, place: dict[str, float]) -> float:
    """Seconds of the latent attention of a decode step by the datasheet's peaks alone."""
    fit, chip = scenario.kernels.decode_latent, scenario.hardware.chip
    ranks = max(place["tp"], place["ep"]) / place["tp"] * place["pp"]
    work = DecodeAttention(
        sequences=place["batch"] / ranks, queries=1.0, heads=HEADS["heads"] / place["tp"],
        context=HEAVY.isl + 0.5 * HEAVY.osl, kv_bytes_per_element=1.0, **LATENT,
    )  # fmt: skip
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip) * chip.multiprocessors
    one_s = np.maximum(work.flop / peak, work.hbm_bytes / chip.hbm_bytes_per_s)
    layers = sum(float(np.asarray(group.layers)) for group in scenario.model.groups)
    return float(one_s) * layers


NEEDS = {"C8": needs_of_pipelines, "C14": needs_of_ratio}
