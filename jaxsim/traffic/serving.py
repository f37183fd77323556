"""What does the model predict for a measured run?

Latency and rate, from timed steps (`steps`), an engine's factors and overheads, and queueing.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Scalar
from jaxsim.catalog.engine import Engine, Serving, factor_of
from jaxsim.point.forward import issued_frac
from jaxsim.quantities import KERNEL_PARTS
from jaxsim.traffic.queueing import (
    Pools,
    Prompt,
    Service,
    StepTime,
    at_batch,
    backlog_wait_s,
    closed_loop,
    open_loop,
    with_start,
)
from jaxsim.traffic.steps import Steps

# What a run is measured by, in the order of the outputs.
MEASURES = ("tpot", "ttft", "output_tokens_per_s_per_gpu")


class Load(Record):
    """The load of a run, and the instances that serve it.

    `closed` is 1 in a closed loop, 0 where all requests wait at once. `shared` is 1 co-located.
    `ten_runs` is 1 where its client sends ten requests for each place, 0 where that is unknown.
    `polled_steps` is how many decode steps a new prompt waits for, on average, until a scheduler
    that was told to look for requests only once in several steps does so. `mixes` is 1 where
    prompts ride in the steps that decode, 0 where they have passes of their own. `rounds` is 1 in a
    closed loop of requests of one length, which go round together. `inferencex` is 1 where its
    client and its options of servers were used, `even` where requests of a rate come at equal
    intervals, and `of_medians` where medians are asked for: of a closed loop, without its start. A
    server may have been told to capture passes of up to `graph_tokens` (0: as its engine does), and
    to decode `most_sequences` of a rank at most.
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
    polled_steps: Scalar = 0.0
    mixes: Scalar = 1.0
    rounds: Scalar = 0.0
    inferencex: Scalar = 0.0
    even: Scalar = 0.0
    of_medians: Scalar = 0.0
    graph_tokens: Scalar = 0.0
    most_sequences: Scalar = 1e9


def factors(engine: Engine, prompts: bool) -> jax.Array:
    """What the engine multiplies the work of each of `KERNEL_PARTS` by."""
    names = [factor_of(part, prompts) for part in KERNEL_PARTS]
    return jnp.stack([jnp.asarray(getattr(engine, name)) for name in names])


def _kernels_s(kernels_s: Scalar, floor_s: Scalar, engine: Engine, prompts: bool = False):
    """Seconds of kernels: launch floors and work, each times its factors."""
    floors_s = engine.launch_factor * jnp.sum(floor_s, axis=-1)
    return floors_s + (kernels_s - floor_s) @ factors(engine, prompts)


def decode_step_s(steps: Steps, engine: Engine, batch: Scalar) -> Scalar:
    """A decode step at a batch of an instance, between the batches that were timed."""
    kernels_s = _kernels_s(steps.decode_s, steps.decode_floor_s, engine)
    sequences = steps.batch / (steps.ranks * steps.decode_stretch)
    each_s = engine.decode_step_s + steps.layers * engine.decode_layer_s
    total_s = kernels_s + each_s + sequences * engine.decode_sequence_s
    return steps.decode_stretch * jnp.interp(batch, steps.batch, total_s)


def prompt_s(steps: Steps, engine: Engine) -> tuple[Scalar, Scalar, Scalar]:
    """How long one prompt's passes take alone, what it occupies among many, and the least of that.

    A pass takes its kernels, or the host that issues them where it is slower, and a step of the
    scheduler. The least is the work of the latter's kernels on a chip whose memory takes no time.
    """
    steps_s = steps.passes * engine.prefill_step_s
    host_s = steps.passes * steps.layers * engine.prefill_layer_s
    joined = steps.pass_tokens * steps.prompts_per_pass / steps.prompt_ranks
    alone_s = _kernels_s(steps.prompt_s, steps.prompt_floor_s, engine, prompts=True)
    joint_s = _kernels_s(steps.joint_s, steps.joint_floor_s, engine, prompts=True)
    each = steps.prompt_stretch / steps.prompts_per_pass
    return (
        steps_s
        + jnp.maximum(alone_s, issued_frac(steps.pass_tokens, engine.graph_tokens) * host_s),
        each * (steps_s + jnp.maximum(joint_s, issued_frac(joined, engine.graph_tokens) * host_s)),
        each * (steps.joint_alone_s @ factors(engine, prompts=True)),
    )


def added_s(steps: Steps, engine: Engine, batch: Scalar) -> Scalar:
    """What one prompt of a joint pass adds to decode steps of a batch, as weights are read once.

    A step that a prompt rides in is issued kernel by kernel, where those of decoded tokens alone
    were captured.
    """
    host_s = steps.passes * steps.layers * engine.prefill_layer_s
    joined = steps.pass_tokens * steps.prompts_per_pass / steps.prompt_ranks
    weights = factors(engine, prompts=True)
    more_s = jnp.interp(batch, steps.batch, steps.added_s @ weights)
    rows_s = jnp.interp(batch, steps.batch, steps.rows_s @ weights)
    issued_s = issued_frac(joined, engine.graph_tokens) * host_s
    each = steps.prompt_stretch / steps.prompts_per_pass
    return each * (steps.passes * engine.prefill_step_s + jnp.maximum(more_s, issued_s - rows_s))


def shared_s(alone_s: Scalar, joint_s: Scalar, together: Scalar, most: Scalar) -> Scalar:
    r"""What each of m prompts takes of a pass that they share.

    A pass takes a + m s: alone, with one, and as a pass that is full does, with `most`, M:

    $$ \frac{a}{m} + s, \qquad a + s = t_1, \qquad \frac{a}{M} + s = \frac{t_M}{M} $$

    """
    m = jnp.clip(together, 1.0, most)
    full = jnp.maximum(1.0 - 1.0 / most, 1e-6)
    each_s = jnp.maximum(alone_s - joint_s, 0.0) / full
    return joint_s + each_s * (1.0 / m - 1.0 / most)


def served_by(
    steps: Steps, load: Load, engine: Engine, serving: Serving, at_once: Scalar = 0.0
) -> tuple[StepTime, Prompt, Pools]:
    """What `queueing` needs of a deployment: step time by batch, cost of a prompt, pools.

    Of prompts that have passes of their own, the part `at_once` comes together with others and
    fills passes, and so do all in rounds; the rest shares a pass with those that come while it
    waits.
    """
    told = jnp.asarray(load.graph_tokens)
    engine = replace(engine, graph_tokens=jnp.where(told > 0.0, told, engine.graph_tokens))
    alone_s, joint_s, least_s = prompt_s(steps, engine)
    shared = load.shared
    decoding = jnp.minimum(load.concurrency / load.decoders, steps.slots * serving.slots_frac)
    rides = (shared > 0.5) & (load.mixes > 0.5)
    waited = serving.steps_waited + load.polled_steps
    joins = jnp.where(shared > 0.5, 1.0 + waited * decoding / load.osl, steps.prompts_per_pass)
    together = jnp.minimum(joins, load.concurrency / load.prefillers)
    apart = (shared > 0.5) & (load.mixes < 0.5)
    lockstep = apart & (load.rounds > 0.5)
    full = jnp.minimum(steps.prompts_per_pass, load.concurrency / load.prefillers)
    passes = (alone_s * steps.prompt_stretch, joint_s)
    few_s, full_s = (shared_s(*passes, m, steps.prompts_per_pass) for m in (together, full))
    joint_s = few_s + jnp.where(lockstep, 1.0, at_once) * (full_s - few_s)
    joint_s = jnp.where(rides, added_s(steps, engine, decoding), joint_s)
    prompt = Prompt(
        busy_s=jnp.where(shared > 0.5, least_s + serving.stall_frac * (joint_s - least_s), joint_s),
        latency_s=alone_s,
        fixed_s=engine.request_s
        + load.inferencex * serving.client_s
        + engine.prompt_token_s * load.isl
        + (1.0 - shared) * (engine.disaggregated_s + steps.transfer_s),
    )
    # Engines cap the sequences of each data-parallel rank, not of an instance.
    most = jnp.minimum(serving.most_sequences, load.most_sequences) * steps.ranks
    slots = jnp.maximum(jnp.minimum(steps.slots * serving.slots_frac, most), 1.0)
    places = slots * load.decoders / load.prefillers
    pools = Pools(
        decoders=load.decoders,
        slots=slots,
        prefillers=load.prefillers,
        shared=shared,
        variability=jnp.where(load.even > 0.5, 0.0, serving.variability),
        evenness=serving.evenness,
        round_prompts=load.rounds * jnp.minimum(load.concurrency / load.prefillers, places),
        round_jitter=serving.round_jitter,
        apart=apart,
        lockstep=lockstep,
        prompts_per_pass=steps.prompts_per_pass,
        steps_waited=waited,
    )

    def step_s(batch: Scalar):
        return decode_step_s(steps, engine, batch)

    return step_s, prompt, pools


def predict(steps: Steps, load: Load, engine: Engine, serving: Serving) -> Service:
    """Latencies and rate of one run; every argument is of one row."""
    step_s, prompt, pools = served_by(steps, load, engine, serving)
    loop = closed_loop(load.concurrency, step_s, prompt, pools, load.osl)
    runs = jnp.where(load.ten_runs > 0.5, serving.start_runs, serving.other_runs)
    started_s = with_start(loop, load.concurrency, prompt, pools, runs)
    ttft_s = jnp.where(load.of_medians > 0.5, loop.ttft_s, started_s)
    # N = X · T holds over a whole run, whose start is part of its mean latency.
    rate = load.concurrency / (ttft_s + (load.osl - 1.0) * loop.tpot_s)
    loop = replace(loop, ttft_s=ttft_s, requests_per_s=rate)
    full = at_batch(pools.slots, step_s, prompt, pools, load.osl)
    return jax.tree.map(lambda a, b: jnp.where(load.closed > 0.5, a, b), loop, full)


def predict_at_rate(
    steps: Steps,
    load: Load,
    engine: Engine,
    serving: Serving,
    requests_per_s: Scalar,
    prompts: Scalar = 0.0,
) -> Service:
    """Latencies of one run in which requests arrive at a rate, or of the most it can bear.

    Of so many `prompts` that come faster, each waits for those before it (0: not stated).
    """
    step_s, prompt, pools = served_by(steps, load, engine, serving)
    state, sustained = open_loop(requests_per_s, step_s, prompt, pools, load.osl)
    places = pools.slots * pools.decoders
    wait_s = backlog_wait_s(prompts, places, requests_per_s, state.requests_per_s)
    wait_s = jnp.where(sustained, 0.0, wait_s)
    return replace(state, ttft_s=state.ttft_s + wait_s, waiting_s=state.waiting_s + wait_s)


predict_all = jax.jit(jax.vmap(predict, in_axes=(0, 0, None, None)))
