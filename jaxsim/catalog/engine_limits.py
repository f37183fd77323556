"""What does a serving engine allow: sequences, tokens of a pass, memory, context?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from jaxsim.catalog._datum import DataFile
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.names import DATA

# What TensorRT-LLM, vLLM and SGLang have on data-centre GPUs, for engines that are not known.
BATCHED_TOKENS = 8192.0
NUMBERS = ("max_sequences", "max_batched_tokens", "memory_frac")


@dataclass(frozen=True)
class Limits:
    """Limits that an engine was given; None: its own defaults, and what its fit says.

    `max_sequences` counts a data-parallel rank's (vLLM's max_num_seqs), `memory_frac` is the part
    of a GPU's memory that the engine takes (gpu_memory_utilization).
    """

    max_sequences: float | None = None
    memory_frac: float | None = None

    def __post_init__(self):
        value = self.max_sequences
        if value is not None and not (math.isfinite(value) and value >= 1):
            raise InputError(f"max_sequences = {value}: at least 1 is needed")
        if self.memory_frac is not None and not 0.0 < self.memory_frac <= 1.0:
            raise InputError(
                f"memory_frac = {self.memory_frac}: more than 0 and at most 1 is needed"
            )


@cache
def _defaults(engine: str, hardware: str, hbm_bytes: float) -> Mapping[str, float | str]:
    file = DataFile(DATA / "limits.toml")
    if engine not in file.root:
        return {}
    table = file.root.table(engine)
    numbers = {name: table.number(name) for name in NUMBERS}
    if "small" in table:
        small = table.table("small")
        if hardware in small.label("also").split() or hbm_bytes < small.number("below_bytes"):
            numbers |= {name: small.number(name) for name in NUMBERS if name in small}
    told = {
        "from_version": table.label("from_version"),
        "kv": table.choice("kv", ("bf16", "fp8")),
        "passes": table.choice("passes", ("mixed", "apart")),
    }
    return {**told, **numbers}


def engine_defaults(engine: str, hardware: HardwareCard) -> Mapping[str, float | str]:
    """An engine's own defaults on a GPU and the version from which they hold; empty if unknown."""
    return _defaults(engine, hardware.name, float(hardware.hardware.chip.hbm_bytes))


def batched_tokens(engine: str, hardware: HardwareCard) -> float:
    """Prompt tokens that a pass holds at most where no limit is given."""
    return float(engine_defaults(engine, hardware).get("max_batched_tokens", BATCHED_TOKENS))


def mixes_prompts(engine: str, hardware: HardwareCard) -> bool:
    """Whether prompts ride in the steps that decode; else decoding waits for their passes."""
    return engine_defaults(engine, hardware).get("passes", "mixed") == "mixed"


def most_sequences(engine: str, hardware: HardwareCard, fitted: float) -> float:
    """Sequences of a rank where no limit is given: the engine's own cap, or the fit's if lower."""
    return min(float(engine_defaults(engine, hardware).get("max_sequences", math.inf)), fitted)


def of_each_rank(engine: str, stated: float, ranks: float) -> float:
    """What an engine allows each of its data-parallel attention ranks of a limit that was stated.

    SGLang divides sequences and prompt tokens among the ranks of one server; others give all to
    each.
    """
    file = DataFile(DATA / "limits.toml")
    divided = engine in file.root and "divided" in file.root.table(engine)
    return max(stated / ranks, 1.0) if divided else stated


def memory_frac(engine: str, hardware: HardwareCard, gpus: float, ranks: float) -> float | None:
    """The part of a GPU's memory that an engine takes for weights and cache on its own account.

    None for engines that are not known. SGLang keeps the rest free by a sum over what a server's
    passes and graphs need, larger with data-parallel attention `ranks` of its `gpus`.
    """
    file, hbm = DataFile(DATA / "limits.toml"), float(hardware.hardware.chip.hbm_bytes)
    stated = engine_defaults(engine, hardware).get("memory_frac")
    if stated is None or "kept_free" not in file.root.table(engine):
        return None if stated is None else float(stated)
    table = file.root.table(engine).table("kept_free")
    number = table.number
    graph = number("graph_batch") if gpus < number("many_gpus") else number("many_graph_batch")
    free = number("always_bytes") + number("token_bytes") * batched_tokens(engine, hardware)
    free += number("graph_bytes") * graph + number("gpu_bytes") * gpus
    if ranks > 1.0:
        free += number("rank_graph_bytes") * graph * ranks
    return 1.0 - max(free, number("least_bytes")) / hbm


def within_context(model: ModelCard, isl: float, osl: float) -> bool:
    """Whether prompt and output fit into the model's context; true where that is not known."""
    return not model.max_context_tokens or bool(isl + osl <= model.max_context_tokens)


def check_context(model: ModelCard, isl: float, osl: float) -> None:
    """Refuse requests that grow beyond the context of the model."""
    if not within_context(model, isl, osl):
        raise InputError(
            f"ISL {isl:,.0f} and OSL {osl:,.0f} are {isl + osl:,.0f} tokens, beyond the context of "
            f"{model.name}, {model.max_context_tokens:,.0f}. Shorten the requests, or state the "
            "longer context that it is served with (rope scaling) by --max-context (of a sweep's "
            "file, max_context; in Python, max_context_tokens of the model)."
        )
