"""What does a pool look like in an engine's own words?

Batches and tokens are counted as each engine counts them (`catalog/flags.py`), and the plan's
memory is split as each engine's fraction splits it.
"""

import json
import math

from jaxsim.catalog.checkpoints import cache_of
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.model import BlockSparseGQA, CompressedMQA, ReusedSparseMLA, SparseMLA
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.settings import Settings

Option = tuple[str, str | None]

# What engines call the formats of a cache; `auto` is what the checkpoint's file asks for, or else
# the model's own 16 bits, for which TensorRT-LLM has no other word.
KV_NAMES = {
    "vllm": {"bf16": "bfloat16", "fp8": "fp8"},
    "sglang": {"bf16": "bfloat16", "fp8": "fp8_e4m3"},
    "trtllm": {"bf16": "auto", "fp8": "fp8", "nvfp4": "nvfp4"},
}
# Attention to selected tokens, for whose cache engines have defaults of their own.
SELECTED = (SparseMLA, ReusedSparseMLA, BlockSparseGQA, CompressedMQA)


def kv_name(order: Order, settings: Settings) -> str:
    """The format of the plan's cache, as the engine that is deployed calls it.

    It is named wherever `auto` could be another; `auto` also takes a model in fp16.
    """
    engine, format_ = settings.engine, order.kv
    known = KV_NAMES[engine]
    if format_ not in known:
        raise InputError(
            f"{engine} has no {format_} cache; it has {', '.join(known)}. "
            "Plan with another --precision."
        )
    if format_ != "bf16":
        return known[format_]
    kinds = [group.attention for group in order.model.model.groups]
    if engine == "sglang" and any(isinstance(kind, CompressedMQA) for kind in kinds):
        raise InputError(
            f"SGLang keeps the cache of {order.model.name} in FP8 only, and the plan has bf16; "
            "plan with --kv fp8."
        )
    asked = cache_of(order.model, settings.checkpoint)
    if engine == "trtllm" and asked not in ("bf16", ""):
        raise InputError(
            f"TensorRT-LLM keeps the cache as {settings.checkpoint} asks, in {asked}, and has no "
            f"word for the plan's bf16; plan with --kv {asked}, or name another --checkpoint."
        )
    plain = asked == "bf16" and not any(isinstance(kind, SELECTED) for kind in kinds)
    return "auto" if plain else known[format_]


def memory_fraction(memory_of: str, memory: dict[str, float]) -> float:
    """The part of memory that an engine is told to use, so that the plan's reserve stays free.

    With capacity C, weights W, activations A and reserve R: of `all` 1 - R/C, of
    `all_but_activations` 1 - (R + A)/C, of what is `left` after W and A 1 - R/(C - W - A).
    Rounded down to thousandths.
    """
    try:
        capacity, reserve = memory["capacity"], memory["reserve"]
        weights, activation = memory["weights"], memory["activation"]
    except KeyError as error:
        raise InputError(f"the plan does not say the {error} of a pool's memory.") from None
    free = {
        "all": 1.0 - reserve / capacity,
        "all_but_activations": 1.0 - (reserve + activation) / capacity,
        "left": 1.0 - reserve / max(capacity - weights - activation, 1.0),
    }[memory_of]
    if not 0.0 < free < 1.0:
        raise InputError(
            f"of a pool's memory a part of {free:.3f} is left for {memory_of}: it does not fit."
        )
    return math.floor(1000.0 * free) / 1000.0


def running(pool: Pool) -> int:
    """Requests of one data-parallel rank that run at once, on all pipeline stages.

    A decoding batch is divided among the stages; a batch of prompts passes them whole, and others
    follow it, so that as many batches as stages are under way.
    """
    return pool.rank_batch * (pool.pp if pool.role == "prefill" else 1)


def step_requests(pool: Pool) -> int:
    """Requests of one step on one data-parallel rank: a batch of prompts, or a micro-batch."""
    return pool.rank_batch if pool.role == "prefill" else -(-pool.rank_batch // pool.pp)


def prompt_tokens(order: Order, pool: Pool) -> int:
    """Prompt tokens of a pass: of each prompt of a batch to prefill, or of a rank where co-located.

    A pass to prefill takes a chunk of every prompt of its batch, at most all of it; a co-located
    one takes as many whole prompts as its chunk holds.
    """
    if not pool.chunk:
        return order.isl
    return pool.chunk if pool.role == "colocated" else min(pool.chunk, order.isl)


def step_tokens(order: Order, pool: Pool) -> int:
    """Tokens of one step on one data-parallel rank: prompts, decoding with its drafts, or both."""
    chunk = prompt_tokens(order, pool)
    decoding = step_requests(pool) * (1 + order.draft_tokens)
    if pool.role == "prefill":
        return pool.rank_batch * chunk
    if pool.role == "decode":
        return decoding
    return chunk + (decoding if pool.mode == "piggybacked" else 0)


def serve_options(order: Order, pool: Pool, settings: Settings) -> list[Option]:
    """The options of one server of a pool, without those of its place among nodes."""
    made = {"vllm": _vllm, "sglang": _sglang}[settings.engine](order, pool, settings)
    settings.flags.check([name for name, _ in made])
    return made


def words_of(options: list[Option]) -> list[str]:
    """Options as words of a command."""
    return [word for pair in options for word in pair if word is not None]


def _vllm(order: Order, pool: Pool, settings: Settings) -> list[Option]:
    flag = settings.flags
    sequences = running(pool)
    tokens = max(step_tokens(order, pool), sequences)
    made: list[Option] = [
        (flag["served_name"].name, settings.served),
        (flag["attention_tp"].name, str(pool.tp)),
        (flag["pp"].name, str(pool.pp)),
        (flag["context"].name, str(order.context)),
        (flag["batch"].name, str(sequences)),
        (flag["tokens"].name, str(tokens)),
        (flag["kv_dtype"].name, kv_name(order, settings)),
        (flag["memory"].name, _fraction(flag["memory"].memory_of, pool)),
    ]
    if pool.attention_dp > 1:
        made.insert(2, (flag["attention_dp"].name, str(pool.attention_dp)))
    if order.model.is_moe and pool.ep > 1:
        made.append((flag["expert_parallel"].name, None))
        if pool.attention_dp > 1:
            made.append((flag["all_to_all"].name, _vllm_all_to_all(pool)))
    if settings.quantize:
        made.append((flag["quantization"].name, settings.quantize))
    if order.hit_frac and pool.role != "decode":
        made.append((flag["prefix_cache"].name, None))
    if order.draft_tokens:
        drafts: dict[str, object] = {"method": "eagle3", "model": settings.drafter}
        if not settings.drafter:
            drafts = {"method": "mtp"}
        drafts["num_speculative_tokens"] = order.draft_tokens
        made.append((flag["speculation"].name, json.dumps(drafts, separators=(",", ":"))))
    return made


def _vllm_all_to_all(pool: Pool) -> str:
    """Kernels for the exchange between experts: by maker, domain and phase."""
    if pool.vendor == "AMD":
        return "mori_low_latency" if pool.role == "decode" else "mori_high_throughput"
    if pool.vendor != "NVIDIA":
        return "allgather_reducescatter"
    if pool.domain_gpus > pool.gpus_per_node:
        return "flashinfer_nvlink_one_sided"
    return "deepep_low_latency" if pool.role == "decode" else "deepep_high_throughput"


def _sglang(order: Order, pool: Pool, settings: Settings) -> list[Option]:
    flag = settings.flags
    made: list[Option] = [
        (flag["served_name"].name, settings.served),
        (flag["attention_tp"].name, str(pool.width)),
        (flag["pp"].name, str(pool.pp)),
        (flag["context"].name, str(order.context)),
        (flag["batch"].name, str(running(pool) * pool.attention_dp)),
        (flag["kv_dtype"].name, kv_name(order, settings)),
        (flag["memory"].name, _fraction(flag["memory"].memory_of, pool)),
    ]
    if pool.attention_dp > 1:
        own = flag["attention_dp"]
        made.insert(2, (own.name, str(pool.attention_dp)))
        if own.also:
            made.insert(3, (own.also, None))
    if order.model.is_moe:
        made.append((flag["expert_parallel"].name, str(pool.ep)))
        if pool.ep == pool.width and pool.attention_dp > 1 and pool.vendor in ("NVIDIA", "AMD"):
            made.append((flag["all_to_all"].name, "deepep" if pool.vendor == "NVIDIA" else "mori"))
            mode = {"prefill": "normal", "decode": "low_latency"}.get(pool.role, "auto")
            made.append((flag["all_to_all_mode"].name, mode))
    if pool.role != "decode":
        colocated = pool.role == "colocated"
        chunk = prompt_tokens(order, pool) if colocated else step_tokens(order, pool)
        made.append((flag["tokens"].name, str(chunk * pool.attention_dp)))
        made.append((flag["prefill_tokens"].name, str(chunk)))
    if pool.mode == "piggybacked":
        made.append((flag["mixed"].name, None))
    if settings.quantize:
        made.append((flag["quantization"].name, settings.quantize))
    if order.draft_tokens:
        drafts = order.draft_tokens
        made += [
            (flag["speculation"].name, "EAGLE3" if settings.drafter else "NEXTN"),
            (flag["speculation_steps"].name, str(drafts)),
            (flag["speculation_topk"].name, "1"),
            (flag["speculation_tokens"].name, str(drafts + 1)),
        ]
        if settings.drafter:
            made.append((flag["drafter"].name, settings.drafter))
    return made


def _fraction(memory_of: str, pool: Pool) -> str:
    return f"{memory_fraction(memory_of, pool.memory_bytes):.3f}"


def trtllm_config(order: Order, pool: Pool, settings: Settings) -> dict[str, object]:
    """The YAML of one TensorRT-LLM server, as nested tables; only keys of its version."""
    flag = settings.flags
    batch = step_requests(pool)
    tokens = max(step_tokens(order, pool), batch)
    values: dict[str, object] = {
        "attention_tp": pool.width,
        "pp": pool.pp,
        "attention_dp": pool.tp == 1 and pool.width > 1,
        "batch": batch,
        "tokens": tokens,
        "context": order.context,
        "chunked": pool.role != "decode" and 0 < pool.chunk < order.isl,
        "memory": memory_fraction(flag["memory"].memory_of, pool.memory_bytes),
        "kv_dtype": kv_name(order, settings),
        "reuse": order.hit_frac > 0.0,
    }
    if order.model.is_moe:
        values |= {"expert_parallel": pool.ep, "expert_tp": pool.expert_tp}
    if pool.role != "colocated":
        values["transfer"] = settings.connector.upper()
        values["transfer_tokens"] = order.context
    if pool.role == "prefill":
        values["no_overlap"] = True
    else:
        values["graph_padding"] = True
        values["graph_batches"] = _graph_batches(batch)
    blocks = any(isinstance(g.attention, BlockSparseGQA) for g in order.model.model.groups)
    if blocks and "sparse" in flag.flags:
        values["sparse"] = "minimax_m3"
    if order.draft_tokens:
        values["speculation"] = "Eagle3" if settings.drafter else "MTP"
        values["speculation_tokens"] = order.draft_tokens
        if settings.drafter:
            values["drafter"] = settings.drafter
    flag.check([flag[key].name for key in values])
    nested: dict[str, object] = {}
    for key, value in values.items():
        *parents, last = flag[key].name.split(".")
        table = nested
        for parent in parents:
            inner = table.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise TypeError(f"{flag[key].name}: {parent} is a value and a table")
            table = inner
        table[last] = value
    return nested


def _graph_batches(batch: int) -> list[int]:
    """Powers of two up to the batch, and the batch."""
    powers = [2**n for n in range(batch.bit_length()) if 2**n < batch]
    return [*powers, batch]
