"""How well does one pool serve prompts and decoding together?

It composes prefill and decode on the same GPUs, in the two ways in use: whole iterations of either
kind in turn (in-flight batching), or chunks of prompts that ride in decode steps (piggybacking).
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Flag, Scalar
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.encoder import encoder_items
from jaxsim.point.exact_division import floor_div
from jaxsim.point.feasible import Rules, rules_of
from jaxsim.point.footprint import Memory, memory_of
from jaxsim.point.forward import (
    Parts,
    Spent,
    add_parts,
    common_items,
    context_only_items,
    decode_only_items,
    engine_factor,
    host_s,
    issued_frac,
    item_spent,
    launches,
    layers_of,
    sum_items,
    sum_parts,
    with_overhead,
)
from jaxsim.point.items import ContextTokens, DecodeTokens, Item
from jaxsim.point.phases.decode import (
    StepTime,
    draft_parts,
    pipelined_s,
    rank_sequences,
    stage_sequences,
    step_time,
    tokens_per_step,
)
from jaxsim.point.phases.prefill import chunks_of, prompt_time
from jaxsim.point.ranks import Ranks, busiest_share, rank_requests, ranks_of


class Mode(Record):
    """One way of sharing a pool: latencies and rate of an instance.

    `ttl_s` is the mean gap between tokens, `ttl_median_s` the median gap. `prompt_share` is the
    fraction of decode steps that prompts disturb. `parts` split the passes that one decode step
    takes on average, prompts included.
    """

    ftl_s: Scalar
    ttl_s: Scalar
    ttl_median_s: Scalar
    output_tokens_per_s_per_gpu: Scalar
    prompt_share: Scalar
    parts: Parts
    valid: Flag


class Colocated(Record):
    """A co-located instance in both modes, its memory, and which rules it breaks."""

    ifb: Mode
    piggybacked: Mode
    requests_per_s: Scalar
    gpus: Scalar
    host_s: Scalar
    memory: Memory
    rules: Rules
    valid: Flag


def prompts_per_pass(scenario: Scenario) -> Scalar:
    """Whole prompts of an attention rank that one pass takes: floor(chunk / fresh), at least 1.

    `chunk` is what engines call `max_num_batched_tokens`, counted over prompt tokens: it may hold
    several prompts, of which only tokens outside the prefix cache count.
    """
    fresh = jnp.maximum(scenario.workload.isl * (1.0 - scenario.workload.hit_frac), 1.0)
    return jnp.maximum(floor_div(scenario.design.chunk, fresh), 1.0)


def prompts_per_step(scenario: Scenario, ranks: Ranks, gained: Scalar) -> Scalar:
    """Prompts that each attention rank must start a step to stay full: b · n_step / (OSL - 1)."""
    sequences = scenario.design.batch / ranks.attention_dp
    return sequences * gained / jnp.maximum(scenario.workload.osl - 1.0, 1.0)


def in_flight_batching(scenario: Scenario, ranks: Ranks, steps: StepTime, gained: Scalar) -> Mode:
    r"""Prefill iterations and decode iterations in turn, on one instance with one mapping.

    Every attention rank prefills one prompt, or as many as fill `chunk` tokens, in an iteration of
    $t_p$, in C iterations if the prompt is longer. A decode step of $t_d$ is followed, on average,
    by n iterations, where n keeps the batch full:

    $$ \mathrm{TTL}_{mean} = \frac{t_d + n\,t_p}{n_{step}}, \qquad
       \mathrm{TTL}_{median} = \frac{1}{n_{step}}\begin{cases}
         t_d & n < \tfrac12 \\ t_d + \max(n, 1)\,t_p & \text{else} \end{cases} $$

    A request waits half a step and then prefills without a break: FTL = t_host + t_d/2 + C·t_p.
    """
    per_pass = prompts_per_pass(scenario)
    chunks = chunks_of(scenario)
    layers = layers_of(scenario)
    time = prompt_time(scenario, ranks, per_pass, per_pass * ranks.attention_dp, chunks)
    share = busiest_share(layers, ranks.pp)
    mean_s = time.mean.total_s
    iteration_s = share * mean_s
    per_prompt = chunks.count / per_pass
    often = prompts_per_step(scenario, ranks, gained) * per_prompt
    ttl_s = (steps.step_s + often * iteration_s) / gained
    disturbed_s = steps.step_s + jnp.maximum(often, 1.0) * iteration_s
    median_s = jnp.where(often < 0.5, steps.step_s, disturbed_s) / gained
    prompt_s = chunks.count * iteration_s + (1.0 - share) * time.last.total_s
    return Mode(
        ftl_s=host_s(scenario, handed_over=False) + 0.5 * steps.step_s + prompt_s,
        ttl_s=ttl_s,
        ttl_median_s=median_s,
        output_tokens_per_s_per_gpu=scenario.design.batch / ttl_s / ranks.gpus,
        prompt_share=jnp.minimum(often, 1.0),
        parts=jax.tree.map(lambda own, prompt: own + often * prompt, steps.parts, time.mean),
        valid=jnp.asarray(True),
    )


def mixed_s(item: Item, scenario: Scenario, without: Spent) -> Scalar:
    """Seconds of an item of a decode step that a chunk joins; `without` is what it took before.

    As much work as there was before has the factor of decoding; what a chunk adds, that of prompts.
    """
    spent = item_spent(item, scenario)
    before = engine_factor(scenario, item.part)
    added = engine_factor(scenario, item.part, prompts=True)
    same_s = jnp.minimum(spent.working_s, without.working_s)
    return spent.floor_s + before * same_s + added * (spent.working_s - same_s)


def mixed_parts(scenario: Scenario, ranks: Ranks, past: Scalar, steps: StepTime) -> Parts:
    """A decode step in which each attention rank also takes a chunk of one prompt, or whole ones.

    `steps` is the step without it. It is one pass: it has the larger overhead of a decode step's
    and a prompt pass's, with what each sequence costs.
    """
    workload, engine = scenario.workload, scenario.engine
    chunks = chunks_of(scenario)
    sequences = rank_sequences(scenario.design.batch, ranks)
    queries = 1.0 + workload.draft_tokens
    projected = past * (1.0 - scenario.options.keep_up_projected)
    decoded = DecodeTokens(sequences, queries, workload.isl + 0.5 * workload.osl)
    # Chunks of `pp` micro-batches circulate like their decode tokens, with prompts of their own.
    per_pass = prompts_per_pass(scenario)
    prompt = ContextTokens(per_pass, chunks.tokens, past, projected)
    decoding = stage_sequences(scenario.design.batch, ranks) * queries
    common = common_items(
        scenario,
        ranks,
        decoded.rows + prompt.rows,
        decoded.rows + per_pass / chunks.count,
        decoding + prompt.rows * ranks.attention_dp,
    )
    own = decode_only_items(scenario, ranks, decoded)
    context = context_only_items(scenario, ranks, prompt)
    context += [item.times(1.0 / chunks.count) for item in encoder_items(scenario, ranks, 1.0)]
    both = [*common, *own]
    seconds = [
        mixed_s(item, scenario, spent) for item, spent in zip(both, steps.spent, strict=True)
    ]
    parts = add_parts(
        draft_parts(sum_items(both, seconds), scenario),
        sum_parts(context, scenario, prompts=True),
    )
    return with_overhead(
        parts,
        launches(both) + launches(context),
        jnp.maximum(engine.decode_step_s, engine.prefill_step_s)
        + sequences * engine.decode_sequence_s,
        engine.decode_layer_s,
        issued_frac(decoded.rows + prompt.rows, engine.graph_tokens) * engine.prefill_layer_s,
        engine.prefill_graph_frac,
        scenario,
    )


def piggybacking(scenario: Scenario, ranks: Ranks, steps: StepTime, gained: Scalar) -> Mode:
    r"""Chunks of prompts ride in decode steps (chunked prefill).

    Each micro-batch of each attention rank carries a chunk of one prompt, or k whole prompts where
    a chunk holds them. To keep the batch full, the fraction $f$ of steps, with C chunks a prompt
    and $n$ prompts a step, must carry one:

    $$ f = \frac{n\,C}{k\,pp}, \qquad \mathrm{TTL}_{mean} = \frac{f\,t_m + (1 - f)\,t_d}{n_{step}},
       \qquad \mathrm{FTL} = t_{host} + \tfrac12 t_d + C\,t_m $$

    With f > 1 the mix cannot be sustained: the design is not valid, and a larger chunk is another
    design. The median step is a mixed one where f > ½. Agrawal et al., "Sarathi-Serve", OSDI 2024.
    """
    chunks = chunks_of(scenario)
    passes = chunks.count / (prompts_per_pass(scenario) * ranks.pp)
    often = prompts_per_step(scenario, ranks, gained) * passes
    share = jnp.minimum(often, 1.0)
    middle = chunks.cached + 0.5 * (chunks.count - 1.0) * chunks.tokens
    parts = mixed_parts(scenario, ranks, middle, steps)
    joined_s = pipelined_s(parts.total_s, ranks, layers_of(scenario))
    ttl_s = (share * joined_s + (1.0 - share) * steps.step_s) / gained
    median_s = jnp.where(share > 0.5, joined_s, steps.step_s) / gained
    return Mode(
        ftl_s=host_s(scenario, handed_over=False) + 0.5 * steps.step_s + chunks.count * joined_s,
        ttl_s=ttl_s,
        ttl_median_s=median_s,
        output_tokens_per_s_per_gpu=scenario.design.batch / ttl_s / ranks.gpus,
        prompt_share=share,
        parts=jax.tree.map(
            lambda mixed, own: share * mixed + (1.0 - share) * own, parts, steps.parts
        ),
        valid=often <= 1.0,
    )


def colocated(scenario: Scenario) -> Colocated:
    """One instance that prefills and decodes `design.batch` requests, in both modes.

    `batch` counts the requests being decoded, `chunk` the prompt tokens of each attention rank
    that ride in a step (piggybacked) or fill a prefill iteration (in-flight batching): a part of
    one prompt, or several whole ones.
    `requests_per_s` is of the better mode.
    """
    ranks = ranks_of(scenario.design)
    workload, batch = scenario.workload, scenario.design.batch
    gained = tokens_per_step(workload.draft_tokens, workload.accept_frac)
    steps = step_time(scenario, ranks)
    ifb = in_flight_batching(scenario, ranks, steps, gained)
    piggybacked = piggybacking(scenario, ranks, steps, gained)

    chunks = chunks_of(scenario)
    per_pass = prompts_per_pass(scenario)
    prompt_rows = per_pass * chunks.tokens
    decoded = rank_sequences(batch, ranks) * (1.0 + workload.draft_tokens)
    memory = memory_of(
        scenario,
        ranks,
        sequences=rank_requests(batch, ranks) + per_pass,
        context=workload.isl + workload.osl + workload.draft_tokens,
        rows=decoded + jnp.maximum(prompt_rows, jnp.minimum(scenario.design.chunk, workload.isl)),
        head_rows=decoded + per_pass,
        projected=per_pass * (chunks.last_past + chunks.tokens),
    )
    rules = rules_of(scenario, ranks, memory)
    better = jnp.maximum(
        ifb.output_tokens_per_s_per_gpu,
        jnp.where(piggybacked.valid, piggybacked.output_tokens_per_s_per_gpu, 0.0),
    )
    return Colocated(
        ifb=replace(ifb, valid=rules.valid),
        piggybacked=replace(piggybacked, valid=rules.valid & piggybacked.valid),
        requests_per_s=better * ranks.gpus / jnp.maximum(workload.osl - 1.0, 1.0),
        gpus=ranks.gpus,
        host_s=host_s(scenario, handed_over=False),
        memory=memory,
        rules=rules,
        valid=rules.valid,
    )
