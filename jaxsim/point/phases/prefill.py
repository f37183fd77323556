"""How fast does a pool that only prefills finish prompts?"""

import jax
import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Flag, Scalar
from jaxsim.catalog.model import AbstractRecurrent
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.encoder import encoder_items
from jaxsim.point.exact_division import ceil_div
from jaxsim.point.feasible import Rules, rules_of
from jaxsim.point.footprint import Memory, memory_of
from jaxsim.point.forward import (
    Parts,
    add_parts,
    common_items,
    context_only_items,
    drafting_share,
    host_s,
    issued_frac,
    launches,
    layers_of,
    sum_parts,
    with_overhead,
)
from jaxsim.point.items import ContextTokens
from jaxsim.point.ranks import Ranks, busiest_share, rank_requests, ranks_of
from jaxsim.point.transfer import Transfer, transfer_of


class Prefill(Record):
    """A prefill instance: first-token latency, rate, memory, and which rules it breaks.

    `compute_s` is the prompts' own time through the pipeline and `ftl_s` adds what of the KV
    transfer is not hidden behind it, and `host_s` before and after the passes. `parts` split the
    passes of one prompt through all stages.
    """

    ftl_s: Scalar
    compute_s: Scalar
    host_s: Scalar
    requests_per_s: Scalar
    input_tokens_per_s_per_gpu: Scalar
    gpus: Scalar
    chunks: Scalar
    bubble_frac: Scalar
    transfer: Transfer
    parts: Parts
    memory: Memory
    rules: Rules
    transfer_fits: Flag
    valid: Flag


class Chunks(Record):
    """How a prompt is cut: `count` chunks of `tokens`, the first after `cached` tokens."""

    count: Scalar
    tokens: Scalar
    cached: Scalar

    @property
    def last_past(self):
        return self.cached + (self.count - 1.0) * self.tokens


def chunks_of(scenario: Scenario) -> Chunks:
    """The chunks of the part of a prompt that is not in the prefix cache, of equal tokens.

    A state cannot be cut like a cache: a model with recurrent layers goes on from the last snapshot
    that was kept, one every `snapshot_tokens`.
    """
    workload = scenario.workload
    cached = workload.isl * workload.hit_frac
    attentions = [group.attention for group in scenario.model.groups]
    if any(isinstance(attention, AbstractRecurrent) for attention in attentions):
        every = scenario.options.snapshot_tokens
        cached = every * jnp.floor(cached / every)
    fresh = jnp.maximum(workload.isl - cached, 1.0)
    chunk = scenario.design.chunk
    count = ceil_div(jnp.maximum(fresh, chunk), chunk)
    return Chunks(count=count, tokens=fresh / count, cached=cached)


def rank_prompts(batch: Scalar, ranks: Ranks) -> Scalar:
    """Prompts of one attention rank, on the busiest rank; at least one."""
    return rank_requests(batch, ranks)


class PromptTime(Record):
    """Passes of one batch of prompts: their mean, and the last one, through all stages."""

    mean: Parts
    last: Parts


def two_places(count: Scalar) -> tuple[Scalar, Scalar]:
    r"""Two places among chunks 0 … C-1 whose mean of a cubic is that of all: m ∓ s.

    m = (C-1)/2 and s² = (C²-1)/12 are the mean and variance of a chunk's place.
    """
    middle = 0.5 * (count - 1.0)
    square = (count * count - 1.0) / 12.0
    single = square <= 0.0  # the root's gradient at 0 is infinite, and there is nothing to spread
    spread = jnp.where(single, 0.0, jnp.sqrt(jnp.where(single, 1.0, square)))
    return middle - spread, middle + spread


def prompt_time(
    scenario: Scenario, ranks: Ranks, sequences: Scalar, prompts: Scalar, chunks: Chunks
) -> PromptTime:
    r"""Mean and last pass over the chunks of `prompts`, `sequences` of the busiest attention rank.

    The mean over chunks k = 0 … C-1 of a smooth f(k) is taken at two places,
    $\tfrac12 f(m - s) + \tfrac12 f(m + s)$: exact for cubics, and for C = 1 and 2. Where a window
    or a top-k bends f, the pass is within about 1 %.
    """
    engine = scenario.engine
    rows = sequences * chunks.tokens
    common = common_items(scenario, ranks, rows, sequences, prompts * chunks.tokens)
    common += [item.times(1.0 / chunks.count) for item in encoder_items(scenario, ranks, sequences)]
    common_parts = sum_parts(common, scenario, prompts=True)

    def own_at(past: Scalar):
        projected = past * (1.0 - scenario.options.keep_up_projected)
        tokens = ContextTokens(sequences, chunks.tokens, past, projected)
        return context_only_items(scenario, ranks, tokens)

    # The layer that drafts passes over the prompt too, for a cache of its own.
    drafted = 1.0 + drafting_share(scenario)

    def finish(own_parts: dict[str, Scalar]):
        parts = add_parts(common_parts, own_parts)
        return with_overhead(
            {name: own * (1.0 if name == "head" else drafted) for name, own in parts.items()},
            issued,
            engine.prefill_step_s,
            0.0,
            issued_frac(rows, engine.graph_tokens) * engine.prefill_layer_s,
            engine.prefill_graph_frac,
            scenario,
        )

    early, late = two_places(chunks.count)
    last = own_at(chunks.last_past)
    issued = launches(common) + launches(last)

    def at(index: Scalar):
        own = own_at(chunks.cached + index * chunks.tokens)
        return sum_parts(own, scenario, prompts=True)

    mean_own = jax.tree.map(lambda a, b: 0.5 * (a + b), at(early), at(late))
    return PromptTime(mean=finish(mean_own), last=finish(sum_parts(last, scenario, prompts=True)))


def prefill(scenario: Scenario) -> Prefill:
    r"""One prefill instance working on `design.batch` prompts at once, chunk by chunk.

    With C chunks, a pass through all stages of $t_k$ and a busiest stage that holds the share σ
    of the layers (1/pp if they divide), prompts streaming back to back,

    $$ \mathrm{FTL} = t_{host} + \sum_k \sigma t_k + (1 - \sigma)\, t_{fill} + t_{KV,exposed}, \quad
       r = \frac{B}{\sum_k \sigma t_k} $$

    where the pipeline drains through the last chunk ($t_{fill} = t_{C-1}$) if chunks have equal
    tokens, and through a mean one if they take equal time: chunked pipeline parallelism.
    """
    ranks = ranks_of(scenario.design)
    batch = scenario.design.batch
    chunks = chunks_of(scenario)
    sequences = rank_prompts(batch, ranks)
    time = prompt_time(scenario, ranks, sequences, batch, chunks)
    share = busiest_share(layers_of(scenario), ranks.pp)
    mean_s, last_s = time.mean.total_s, time.last.total_s
    occupied_s = chunks.count * share * mean_s
    fill_s = last_s + scenario.options.equal_time_chunks * (mean_s - last_s)
    drained_s = (1.0 - share) * fill_s
    compute_s = occupied_s + drained_s
    requests_per_s = batch / occupied_s
    around_s = host_s(scenario, handed_over=True)

    transfer = transfer_of(scenario, ranks, sequences, requests_per_s, compute_s)
    memory = memory_of(
        scenario,
        ranks,
        sequences=sequences,
        context=scenario.workload.isl,
        rows=sequences * chunks.tokens,
        head_rows=sequences,
        projected=sequences * (chunks.last_past + chunks.tokens),
    )
    rules = rules_of(scenario, ranks, memory)
    return Prefill(
        ftl_s=around_s + compute_s + transfer.kv_exposed_s,
        compute_s=compute_s,
        host_s=around_s,
        requests_per_s=requests_per_s,
        input_tokens_per_s_per_gpu=requests_per_s * scenario.workload.isl / ranks.gpus,
        gpus=ranks.gpus,
        chunks=chunks.count,
        bubble_frac=drained_s / compute_s,
        transfer=transfer,
        parts=jax.tree.map(lambda seconds: chunks.count * seconds, time.mean),
        memory=memory,
        rules=rules,
        transfer_fits=jnp.asarray(transfer.kv_link_frac <= 1.0),
        valid=rules.valid,
    )
