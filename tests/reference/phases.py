"""Prefill, decode and co-located, chunk by chunk, layer by layer and stage by stage."""

import math
from types import SimpleNamespace

from tests.reference import layers as work
from tests.reference.plain import FLOOR_FRAC, Kernel, Message

PARTS = ("projections", "attention", "ffn", "experts", "network", "elementwise", "head", "overhead")


def _factor(s, part, prompts) -> float:
    g = s.engine
    own = {
        "attention": (g.attention_factor, g.prefill_factor),
        "experts": (g.experts_factor, g.prefill_experts_factor),
        "network": (g.network_factor, g.network_factor),
    }
    return own.get(part, (g.gemm_factor, g.prefill_factor))[prompts]


def exposed_s(s, item, time) -> float:
    hidden = s.options.comm_overlap_frac if item.part == "network" else 0
    return (1 - hidden) * time(item)


def add_up(s, items: list[Kernel | Message], time, prompts=False) -> dict[str, float]:
    """Seconds by part: an engine multiplies what is not a launch floor."""
    result: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    for item in items:
        own = exposed_s(s, item, time)
        factor = _factor(s, item.part, prompts)
        result[item.part] += FLOOR_FRAC * own + (1 - FLOOR_FRAC) * own * factor
    return result


def host_bound(s, parts, issued, step_s, layer_s, host_layer_s, graph_frac) -> dict[str, float]:
    """With what the engine adds, once a stage, once a layer, and where the host is slower.

    A host issues every item, also a message to nobody, and spends a time on each layer.
    """
    host_s = issued * s.engine.host_launch_s * (1 - graph_frac)
    host_s += sum(host_layer_s for _ in work.every_layer(s))
    late_s = max(host_s - sum(parts.values()), 0.0)
    stages = [step_s] * int(s.design.pp)
    steps_s = sum(stages) + len(work.every_layer(s)) * layer_s
    return {**parts, "overhead": steps_s + late_s}


def common(s, rows, head_rows, everyone) -> list:
    result = work.ends(s, rows, head_rows) + work.hops(s, rows)
    for layer in work.every_layer(s):
        result += work.projections(s, layer, rows)
        result += work.feed_forward(s, layer, rows, everyone)
        result.append(work.norms(s, rows))
    return result


def busiest_stage_layers(s) -> int:
    return math.ceil(len(work.every_layer(s)) / s.design.pp)


def cut(s) -> list[tuple[float, float]]:
    """(tokens, past) of every chunk of a prompt, of equal tokens."""
    cached = s.workload.isl * s.workload.hit_frac
    fresh = s.workload.isl - cached
    count = max(math.ceil(round(fresh / s.design.chunk, 9)), 1)
    return [(round(fresh / count, 6), round(cached + k * fresh / count, 6)) for k in range(count)]


def chunk_passes(s, prompts, everyone, time) -> list[dict[str, float]]:
    """Seconds by part of every chunk's pass through all stages, of all ranks' prompts."""
    passes = []
    for tokens, past in cut(s):
        items = common(s, prompts * tokens, prompts, everyone * tokens)
        for layer in work.every_layer(s):
            items += work.context_attention(s, layer, prompts, tokens, past)
        parts = add_up(s, items, time, prompts=True)
        if s.workload.draft_tokens:  # a layer more passes over the prompt
            more = 1 + 1 / len(work.every_layer(s))
            parts = {part: own * (1 if part == "head" else more) for part, own in parts.items()}
        passes.append(
            host_bound(
                s,
                parts,
                len(items),
                s.engine.prefill_step_s,
                0.0,
                s.engine.prefill_layer_s,
                s.engine.prefill_graph_frac,
            )
        )
    return passes


def flow_shop(stage_times: list[list[float]]) -> float:
    """When the last chunk leaves the last stage, event by event.

    A chunk enters a stage when it has left the one before and the chunk before it has left this
    one. `stage_times[k][j]` is chunk k's time on stage j.
    """
    free = [0.0] * len(stage_times[0])
    for times in stage_times:
        left = 0.0
        for j, own in enumerate(times):
            left = max(left, free[j]) + own
            free[j] = left
    return free[-1]


def stage_shares(s) -> list[float]:
    """Layers of each stage over all, fullest first."""
    total, stages = len(work.every_layer(s)), int(s.design.pp)
    full = busiest_stage_layers(s)
    held, left = [], total
    for j in range(stages):
        own = min(full, left - (stages - j - 1)) if left > 0 else 0
        held.append(max(own, 0))
        left -= held[-1]
    return [own / total for own in held]


def prefill(s, time) -> SimpleNamespace:
    """One batch of prompts through the pipeline, and the rate of many behind one another."""
    ranks = work.data_parallel(s)
    prompts = max(math.ceil(s.design.batch / ranks), 1)
    passes = chunk_passes(s, prompts, s.design.batch, time)
    totals = [sum(parts.values()) for parts in passes]
    shares = stage_shares(s)
    compute_s = flow_shop([[share * total for share in shares] for total in totals])
    occupied_s = max(shares) * sum(totals)
    return SimpleNamespace(
        compute_s=compute_s,
        requests_per_s=s.design.batch / occupied_s,
        chunks=len(passes),
        parts={part: sum(own[part] for own in passes) for part in PARTS},
        totals=totals,
        shares=shares,
        prompts=prompts,
    )


def per_step(s) -> float:
    """Tokens a step yields: the first is certain, draft k counts if all before it were accepted."""
    return sum(s.workload.accept_frac**k for k in range(int(s.workload.draft_tokens) + 1))


def _drafted(s, parts) -> dict[str, float]:
    drafts = s.workload.draft_tokens
    one_layer = drafts / len(work.every_layer(s))
    return {
        part: own * (1 + (drafts if part == "head" else one_layer)) for part, own in parts.items()
    }


def _round_of_micro_batches(s, pass_s) -> float:
    share = busiest_stage_layers(s) / len(work.every_layer(s))
    return max(s.design.pp * share, 1.0) * pass_s


def _micro_batch(s) -> int:
    return max(math.ceil(s.design.batch / (work.data_parallel(s) * s.design.pp)), 1)


def step_items(s, context) -> list[Kernel | Message]:
    """What one pass of one micro-batch does."""
    queries = 1 + s.workload.draft_tokens
    sequences = _micro_batch(s)
    decoding = max(s.design.batch / s.design.pp, 1) * queries
    items = common(s, sequences * queries, sequences * queries, decoding)
    for layer in work.every_layer(s):
        items += work.decode_attention(s, layer, sequences, queries, context)
    return items


def decode_step(s, context, time) -> dict[str, float]:
    """Seconds by part of one pass of one micro-batch."""
    sequences = _micro_batch(s)
    items = step_items(s, context)
    return host_bound(
        s,
        _drafted(s, add_up(s, items, time)),
        len(items),
        s.engine.decode_step_s + sequences * s.engine.decode_sequence_s,
        s.engine.decode_layer_s,
        0.0,
        s.engine.decode_graph_frac,
    )


def decode(s, time) -> SimpleNamespace:
    isl, osl = s.workload.isl, s.workload.osl
    parts = decode_step(s, isl + osl / 2, time)
    step_s = _round_of_micro_batches(s, sum(parts.values()))
    end_s = _round_of_micro_batches(s, sum(decode_step(s, isl + osl, time).values()))
    ttl_s = step_s / per_step(s)
    return SimpleNamespace(
        step_s=step_s,
        ttl_s=ttl_s,
        ttl_end_s=end_s / per_step(s),
        requests_per_s=s.design.batch / (ttl_s * (osl - 1)),
        parts=parts,
    )


def prompts_in_a_pass(s) -> int:
    """Whole prompts that are packed into one pass, one after another until the next is too long."""
    fresh = round(s.workload.isl * (1 - s.workload.hit_frac), 9)
    packed = 0
    while (packed + 1) * fresh <= s.design.chunk:
        packed += 1
    return max(packed, 1)


def in_flight(s, time) -> SimpleNamespace:
    """Prefill iterations and decode steps in turn: a long run of steps, counted out."""
    step_s = decode(s, time).step_s
    together = prompts_in_a_pass(s)
    everyone = together * work.data_parallel(s)
    passes = [sum(parts.values()) for parts in chunk_passes(s, together, everyone, time)]
    share = busiest_stage_layers(s) / len(work.every_layer(s))
    slots = s.design.batch / work.data_parallel(s)
    finished = slots * per_step(s) / (s.workload.osl - 1)  # requests of a rank that end in a step
    prefill_s = finished / together * share * sum(passes)
    gap_s = (step_s + prefill_s) / per_step(s)
    # A prompt's chunks follow one another through the stages.
    prompt_s = flow_shop([[part * total for part in stage_shares(s)] for total in passes])
    return SimpleNamespace(
        ttl_s=gap_s,
        ftl_s=step_s / 2 + prompt_s,
        per_step=finished / together * len(passes),
        tokens_per_s_per_gpu=s.design.batch / gap_s / (work.width(s) * s.design.pp),
    )


def piggybacked(s, time) -> SimpleNamespace:
    """Every chunk of a prompt in a decode step of its own, each step timed at its own past.

    Prompts that fit into one chunk ride together.
    """
    packed = prompts_in_a_pass(s)
    queries, sequences = 1 + s.workload.draft_tokens, _micro_batch(s)
    context = s.workload.isl + s.workload.osl / 2
    chunks = cut(s)
    plain = step_items(s, context)
    mixed = []
    for tokens, past in chunks:
        decoding = max(s.design.batch / s.design.pp, 1) * queries
        shared = common(
            s,
            sequences * queries + packed * tokens,
            sequences * queries + packed / len(chunks),
            decoding + packed * tokens * work.data_parallel(s),
        )
        for layer in work.every_layer(s):
            shared += work.decode_attention(s, layer, sequences, queries, context)
        alone = []
        for layer in work.every_layer(s):
            alone += work.context_attention(s, layer, packed, tokens, past)
        # What the chunk adds to the work has the factor of prompts, the rest that of decoding.
        parts = dict.fromkeys(PARTS, 0.0)
        for item, without in zip(shared, plain, strict=True):
            own, before = exposed_s(s, item, time), exposed_s(s, without, time)
            same = (1 - FLOOR_FRAC) * min(own, before)
            added = (1 - FLOOR_FRAC) * own - same
            decoding_s = same * _factor(s, item.part, False)
            parts[item.part] += FLOOR_FRAC * own + decoding_s + added * _factor(s, item.part, True)
        parts = _drafted(s, parts)
        for part, own in add_up(s, alone, time, prompts=True).items():
            parts[part] += own
        issued = len(shared) + len(alone)
        g = s.engine
        step_s = max(g.decode_step_s, g.prefill_step_s) + sequences * g.decode_sequence_s
        layers = (g.decode_layer_s, g.prefill_layer_s)
        whole = host_bound(s, parts, issued, step_s, *layers, g.prefill_graph_frac)
        mixed.append(_round_of_micro_batches(s, sum(whole.values())))
    plain_s = decode(s, time).step_s
    slots = s.design.batch / work.data_parallel(s)
    needed = slots * per_step(s) / (s.workload.osl - 1) * len(chunks) / packed / s.design.pp
    often = min(needed, 1.0)
    mean_s = often * sum(mixed) / len(mixed) + (1 - often) * plain_s
    return SimpleNamespace(
        ttl_s=mean_s / per_step(s),
        ftl_s=plain_s / 2 + sum(mixed),
        sustained=needed <= 1,
        often=often,
    )
