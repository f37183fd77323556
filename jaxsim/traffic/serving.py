"""What would a measured run have shown, by the model?

Timed steps (`steps`), an engine's factors and overheads, and queueing give latency and rate.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.engine import FACTOR_OF_PART, Engine, Serving
from jaxsim.quantities import KERNEL_PARTS
from jaxsim.traffic.queueing import (
    Pools,
    Prompt,
    Service,
    StepTime,
    at_batch,
    closed_loop,
    open_loop,
    with_start,
)
from jaxsim.traffic.steps import Steps

# What a run is measured by, in the order of the outputs.
MEASURES = ("tpot", "ttft", "output_tokens_per_s_per_gpu")


class Asked(Record):
    """What a run asked for. `closed` is 1 in a closed loop, 0 where all requests wait at once.

    `ten_runs` is 1 where its client sends ten requests for each place, 0 where that is unknown.
    """

    concurrency: Scalar
    osl: Scalar
    isl: Scalar
    decoders: Scalar
    prefillers: Scalar
    shared: Scalar
    closed: Scalar
    ten_runs: Scalar
    gpus: Scalar


def factors(engine: Engine) -> jax.Array:
    """What the engine multiplies each of `KERNEL_PARTS` by."""
    return jnp.stack([jnp.asarray(getattr(engine, FACTOR_OF_PART[p])) for p in KERNEL_PARTS])


def _with_launches(kernels_s, floor_s, engine: Engine, prefill: bool = False):
    """Kernel seconds by part with part of their launch floors hidden."""
    each = factors(engine)
    if prefill:
        once_more = jnp.asarray(engine.prefill_experts_factor)
        each = engine.prefill_factor * each.at[KERNEL_PARTS.index("experts")].multiply(once_more)
    return (kernels_s - (1.0 - engine.launch_factor) * floor_s) @ each


def decode_step_s(steps: Steps, engine: Engine, batch: Scalar) -> Scalar:
    """A decode step at a batch of an instance, between the batches that were timed."""
    kernels_s = _with_launches(steps.decode_s, steps.decode_floor_s, engine)
    sequences = steps.batch / (steps.ranks * steps.decode_stretch)
    each_s = engine.decode_step_s + steps.layers * engine.decode_layer_s
    total_s = kernels_s + each_s + sequences * engine.decode_sequence_s
    return steps.decode_stretch * jnp.interp(batch, steps.batch, total_s)


def prompt_s(steps: Steps, engine: Engine) -> tuple[Scalar, Scalar]:
    """How long one prompt's passes take alone, and what it occupies among many."""
    each_s = engine.prefill_step_s + steps.layers * engine.prefill_layer_s
    passes_s = steps.passes * each_s
    alone_s = _with_launches(steps.prompt_s, steps.prompt_floor_s, engine, prefill=True)
    joint_s = _with_launches(steps.joint_s, steps.joint_floor_s, engine, prefill=True)
    return alone_s + passes_s, steps.prompt_stretch * (joint_s + passes_s) / steps.together


def served_by(
    steps: Steps, asked: Asked, engine: Engine, serving: Serving
) -> tuple[StepTime, Prompt, Pools]:
    """What queueing asks of a deployment: its step time by batch, its prompts, its pools."""
    alone_s, joint_s = prompt_s(steps, engine)
    shared = asked.shared
    # Prompts that arrive one by one share a pass with nobody; the more that decode, the likelier.
    prompt = Prompt(
        busy_s=jnp.where(shared > 0.5, serving.stall_frac * joint_s, joint_s),
        latency_s=alone_s,
        fixed_s=engine.request_s
        + serving.prompt_token_s * asked.isl
        + (1.0 - shared) * (serving.disaggregated_s + steps.transfer_s),
    )
    # Engines cap the sequences of each data-parallel rank, not of an instance.
    most = serving.most_sequences * steps.ranks
    slots = jnp.maximum(jnp.minimum(steps.slots * serving.slots_frac, most), 1.0)
    pools = Pools(
        decoders=asked.decoders,
        slots=slots,
        prefillers=asked.prefillers,
        shared=shared,
        variability=serving.variability,
        evenness=serving.evenness,
        steps_waited=serving.steps_waited,
    )

    def step_s(batch):
        return decode_step_s(steps, engine, batch)

    return step_s, prompt, pools


def predict(steps: Steps, asked: Asked, engine: Engine, serving: Serving) -> Service:
    """Latencies and rate of one run; every argument is of one row."""
    step_s, prompt, pools = served_by(steps, asked, engine, serving)
    loop = closed_loop(asked.concurrency, step_s, prompt, pools, asked.osl)
    runs = jnp.where(asked.ten_runs > 0.5, serving.start_runs, serving.other_runs)
    ttft_s = with_start(loop, asked.concurrency, prompt, pools, runs)
    loop = replace(loop, ttft_s=ttft_s)
    full = at_batch(pools.slots, step_s, prompt, pools, asked.osl)
    return jax.tree.map(lambda a, b: jnp.where(asked.closed > 0.5, a, b), loop, full)


def predict_at_rate(
    steps: Steps, asked: Asked, engine: Engine, serving: Serving, requests_per_s: Scalar
) -> Service:
    """Latencies of one run in which requests arrive at a rate, or of the most it can bear."""
    step_s, prompt, pools = served_by(steps, asked, engine, serving)
    return open_loop(requests_per_s, step_s, prompt, pools, asked.osl)[0]


predict_all = jax.jit(jax.vmap(predict, in_axes=(0, 0, None, None)))
