"""Which shapes of one stage and its pipeline can a serving engine express?

Rules of the versions in `data/deploy`, on numbers alone, so that a search can keep to them.
"""

import math
from collections.abc import Mapping

from jaxsim.catalog.cards import ModelCard

RULES = ("vllm", "sglang", "trtllm", "neuron", "distserve")
# A server of these is one prefill and one decode instance.
PAIRED = ("distserve",)
# These take prompts whole.
WHOLE_PROMPTS = ("distserve",)
# These load weights, and keep caches, in 16 bits only.
SIXTEEN_BIT = ("distserve",)


def model_why_not(rules: str, moe: bool, formats: Mapping[str, str]) -> str:
    """Why an engine cannot run a model in these formats of its tensors; empty if it can."""
    if rules == "distserve" and moe:
        return "DistServe serves dense models only"
    other = sorted({name for name in formats.values() if name not in ("bf16", "fp16")})
    if rules in SIXTEEN_BIT and other:
        said = ", ".join(other)
        return f"DistServe has 16-bit weights and caches only, not {said}: --precision bf16"
    return ""


def has_windows(card: ModelCard) -> bool:
    """Whether some layers attend to a sliding window only."""
    groups = card.model.groups
    windows = (getattr(group.attention, "window_tokens", math.inf) for group in groups)
    return any(math.isfinite(float(window)) for window in windows)


def handed_over(rules: str, pp: int, role: str, windows: bool) -> bool:
    """Whether a pool of `pp` stages can hand its cache over whatever the other pool's stages are.

    SGLang decodes with one stage, or with as many as prefill has; vLLM's NIXL connector takes no
    stages to prefill where layers have windows.
    """
    if pp == 1 or role == "colocated":
        return True
    alone = rules == "sglang" and role == "decode"
    return not (alone or (rules == "vllm" and windows))


def why_not(
    rules: str, tp: int, ep: int, pp: int, moe: bool, role: str = "", node_gpus: int = 0
) -> str:
    """Why an engine cannot express a shape; empty if it can.

    A stage is `max(tp, ep)` GPUs. `role` is prefill, decode or colocated, where a rule depends on
    it, and `node_gpus` the GPUs of a node, where instances may span several.
    """
    width = max(tp, ep)
    ranks = width // tp
    if rules == "vllm":
        if moe and 1 < ep < width:
            return (
                f"vLLM spreads experts over all {width} GPUs of a stage or splits every expert "
                f"over them; EP {ep} with experts split {width // ep} ways is in between"
            )
        if role == "decode" and pp > 1:
            return "vLLM's connectors have no decode side with pipeline stages"
        if node_gpus and ranks > 1 and width * pp > node_gpus and node_gpus % (tp * pp):
            return (
                f"a data-parallel rank of vLLM ({tp * pp} GPUs) cannot straddle nodes of "
                f"{node_gpus} GPUs beside others"
            )
    if rules == "trtllm" and tp not in (1, width):
        return (
            "TensorRT-LLM splits attention over all GPUs of a stage or runs it data parallel on "
            f"every one; TP {tp} with {ranks} data-parallel ranks is in between"
        )
    if rules == "neuron":
        if width != tp or pp > 1:
            return (
                "vLLM-Neuron splits attention over all chips of an instance, without data-parallel "
                "ranks or pipeline stages"
            )
        if node_gpus and width > node_gpus:
            return f"an instance of vLLM-Neuron stays on one node of {node_gpus} chips"
    if rules == "distserve" and (moe or width != tp):
        return "DistServe serves dense models with tensor and pipeline parallelism only"
    return ""
