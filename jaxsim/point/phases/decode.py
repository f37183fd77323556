"""How fast does a pool that only decodes produce tokens?"""

import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Flag, Scalar
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.feasible import Rules, rules_of
from jaxsim.point.footprint import Memory, memory_of
from jaxsim.point.forward import (
    Parts,
    Spent,
    common_items,
    decode_only_items,
    engine_factor,
    item_spent,
    launches,
    layers_of,
    sum_items,
    with_overhead,
)
from jaxsim.point.items import DecodeTokens
from jaxsim.point.ranks import Ranks, busiest_share, rank_requests, ranks_of
from jaxsim.point.transfer import ingress_bytes_per_s_per_gpu


class Decode(Record):
    """A decode instance: latency, rate, memory, and which rules it breaks.

    `ttl_s` is the token-to-token latency at the mean context, ISL + OSL/2; `ttl_end_s` at the
    last token. `parts` split one forward pass through all stages.
    """

    ttl_s: Scalar
    ttl_end_s: Scalar
    requests_per_s: Scalar
    output_tokens_per_s: Scalar
    output_tokens_per_s_per_gpu: Scalar
    gpus: Scalar
    kv_ingress_bytes_per_s_per_gpu: Scalar
    tokens_per_step: Scalar
    parts: Parts
    memory: Memory
    rules: Rules
    transfer_fits: Flag
    valid: Flag


def tokens_per_step(draft_tokens: Scalar, accept_frac: Scalar) -> Scalar:
    """Tokens a step yields: 1 + a + … + a^d = (1 - a^(d+1)) / (1 - a), d drafts, acceptance a.

    Leviathan, Kalman and Matias, "Fast inference from transformers via speculative decoding",
    2023, equation 1.
    """
    accept = jnp.clip(accept_frac, 1e-6, 1.0 - 1e-6)  # the limits are 1 and d + 1, within 1e-6·d²
    return -jnp.expm1((draft_tokens + 1.0) * jnp.log(accept)) / (1.0 - accept)


def rank_sequences(batch: Scalar, ranks: Ranks) -> Scalar:
    """Sequences of one attention rank in one micro-batch, on the busiest rank; at least one."""
    return rank_requests(batch, ranks, ranks.pp)


def stage_sequences(batch: Scalar, ranks: Ranks) -> Scalar:
    """Sequences of one micro-batch on all attention ranks together; at least one."""
    return jnp.maximum(batch / ranks.pp, 1.0)


class StepTime(Record):
    """One decode step without prompts: the pass and the latency it gives, at two contexts.

    `spent` is what each item of the pass takes: those that all passes have, then attention.
    """

    parts: Parts
    step_s: Scalar
    step_end_s: Scalar
    spent: tuple[Spent, ...]


def pipelined_s(pass_s: Scalar, ranks: Ranks, layers: Scalar) -> Scalar:
    """Step latency when `pp` micro-batches circulate: pp · the busiest stage, at least the pass."""
    return jnp.maximum(ranks.pp * busiest_share(layers, ranks.pp), 1.0) * pass_s


def draft_parts(parts: dict[str, Scalar], scenario: Scenario) -> dict[str, Scalar]:
    """What drafting adds: each draft token runs one more layer and the head (an MTP module)."""
    drafts = scenario.workload.draft_tokens
    one_layer = drafts / layers_of(scenario)
    return {
        name: seconds * (1.0 + (drafts if name == "head" else one_layer))
        for name, seconds in parts.items()
    }


def step_time(scenario: Scenario, ranks: Ranks) -> StepTime:
    """Time of one decode step at the mean and at the last context."""
    workload, engine = scenario.workload, scenario.engine
    sequences = rank_sequences(scenario.design.batch, ranks)
    queries = 1.0 + workload.draft_tokens
    rows = sequences * queries
    stage_rows = stage_sequences(scenario.design.batch, ranks) * queries
    common = common_items(scenario, ranks, rows, rows, stage_rows)
    common_spent = [item_spent(item, scenario) for item in common]

    def at(context: Scalar):
        tokens = DecodeTokens(sequences, queries, context)
        own = decode_only_items(scenario, ranks, tokens)
        items = [*common, *own]
        spent = (*common_spent, *(item_spent(item, scenario) for item in own))
        seconds = [
            one.floor_s + engine_factor(scenario, item.part) * one.working_s
            for item, one in zip(items, spent, strict=True)
        ]
        parts = with_overhead(
            draft_parts(sum_items(items, seconds), scenario),
            launches(items),
            engine.decode_step_s + sequences * engine.decode_sequence_s,
            engine.decode_layer_s,
            0.0,
            engine.decode_graph_frac,
            scenario,
        )
        return parts, spent

    mean, spent = at(workload.isl + 0.5 * workload.osl)
    end, _ = at(workload.isl + workload.osl)
    layers = layers_of(scenario)
    return StepTime(
        parts=mean,
        step_s=pipelined_s(mean.total_s, ranks, layers),
        step_end_s=pipelined_s(end.total_s, ranks, layers),
        spent=spent,
    )


def decode(scenario: Scenario) -> Decode:
    r"""One decode instance serving `design.batch` requests at once.

    $$ \mathrm{TTL} = \frac{t_{step}}{n_{step}}, \qquad
       r = \frac{B}{\mathrm{TTL}\,(\mathrm{OSL} - 1)} $$

    with $n_{step}$ the tokens a step yields (1 without speculation); the first token of a request
    comes from prefill. With `pp` > 1, `pp` micro-batches of B/pp circulate, and a step takes
    pp times the busiest stage. Assumes a full batch at the mean context.
    """
    ranks = ranks_of(scenario.design)
    workload, batch = scenario.workload, scenario.design.batch
    step = step_time(scenario, ranks)
    gained = tokens_per_step(workload.draft_tokens, workload.accept_frac)
    ttl_s = step.step_s / gained
    tokens_per_s = batch / ttl_s
    requests_per_s = tokens_per_s / jnp.maximum(workload.osl - 1.0, 1.0)

    held = rank_requests(batch, ranks)
    queries = 1.0 + workload.draft_tokens
    memory = memory_of(
        scenario,
        ranks,
        sequences=held,
        context=workload.isl + workload.osl + workload.draft_tokens,
        rows=rank_sequences(batch, ranks) * queries,
        head_rows=rank_sequences(batch, ranks) * queries,
        projected=0.0,
    )
    rules = rules_of(scenario, ranks, memory)
    ingress = ingress_bytes_per_s_per_gpu(scenario, ranks, requests_per_s)
    return Decode(
        ttl_s=ttl_s,
        ttl_end_s=step.step_end_s / gained,
        requests_per_s=requests_per_s,
        output_tokens_per_s=tokens_per_s,
        output_tokens_per_s_per_gpu=tokens_per_s / ranks.gpus,
        gpus=ranks.gpus,
        kv_ingress_bytes_per_s_per_gpu=ingress,
        tokens_per_step=gained,
        parts=step.parts,
        memory=memory,
        rules=rules,
        transfer_fits=jnp.asarray(ingress <= scenario.hardware.scaleout.bytes_per_s),
        valid=rules.valid,
    )
