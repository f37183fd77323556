"""What does a run of so many requests show, with its start and its end?

A benchmark that sends all its requests at once, or few more than it keeps in flight, is not a
steady state: prompts queue at its start, and at its end fewer and fewer decode.
"""

import jax
import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Flag, Scalar
from jaxsim.catalog.engine import Engine, Serving
from jaxsim.traffic.queueing import Pools, Prompt, StepTime
from jaxsim.traffic.serving import Load, served_by
from jaxsim.traffic.steps import Steps

# Cells in which a run is followed, and how many of them a request decodes in, at least and at most.
CELLS = 640
LEAST_CELLS, MOST_CELLS = 6.0, 48.0


class FiniteRun(Record):
    """What users see of a whole run; `followed` is false where it is too long to be followed.

    `requests_per_s` is over the time from the first request sent to the last token received.
    """

    ttft_s: Scalar
    tpot_s: Scalar
    requests_per_s: Scalar
    duration_s: Scalar
    followed: Flag


def finite_run(
    prompts: Scalar,
    concurrency: Scalar,
    step_s: StepTime,
    prompt: Prompt,
    pools: Pools,
    osl: Scalar,
    prompts_per_step: Scalar,
) -> FiniteRun:
    r"""A run of `prompts` requests, `concurrency` of them in flight at most, all sent at once.

    Time advances in cells of Δ decode steps, K of which are a request's p = OSL - 1 steps. In a
    cell b requests decode, a are admitted, as many as places, what is left, and a step's budget
    allow (`prompts_per_step`, less than 1 where a prompt takes several passes), and it lasts

    $$ \Delta\, t(b) + s\, a\, S / n_d $$

    with t the step, S a prompt's busy time and s = 1 where prompts are processed by the instances
    that decode; elsewhere a is what n_p servers finish in the cell. Requests leave K cells later:
    lengths are taken as alike. The first token comes after the wait for admission, half a cell and
    the prompt's own passes.
    """
    steps = jnp.maximum(osl - 1.0, 1.0)
    places = jnp.minimum(concurrency, pools.slots * pools.decoders)
    waves = prompts / places
    shared = pools.shared > 0.5
    # Waves overlap by what admission takes: cells for all of them, and as many again as slack.
    start = jnp.where(
        shared,
        prompts / (prompts_per_step * pools.decoders) / steps,
        prompts * prompt.busy_s / pools.prefillers / (steps * step_s(jnp.ones_like(places))),
    )
    life = jnp.clip(jnp.floor(CELLS / (waves + start + 2.0)), LEAST_CELLS, MOST_CELLS)
    cell = steps / life

    def advance(carry: tuple[jax.Array, ...], index: Scalar):
        left, now_s, decoding, admitted, ends_s = carry
        past = index - life.astype(int)
        gone = jnp.where(past >= 0, admitted[jnp.maximum(past, 0)], 0.0)
        decoding = jnp.maximum(decoding - gone, 0.0)
        batch = jnp.maximum(decoding / pools.decoders, 1e-3)
        alone_s = cell * step_s(batch)
        budget = jnp.where(
            shared,
            cell * prompts_per_step * pools.decoders,
            alone_s * pools.prefillers / prompt.busy_s,
        )
        new = jnp.minimum(jnp.minimum(left, places - decoding), budget)
        # Those admitted decode with the others in this cell already.
        batch = jnp.maximum((decoding + new) / pools.decoders, 1e-3)
        lasts_s = cell * step_s(batch) + pools.shared * new * prompt.busy_s / pools.decoders
        busy = decoding + new > 1e-3
        now_s = jnp.where(busy, now_s + lasts_s, now_s)
        state = (
            left - new, now_s, decoding + new,
            admitted.at[index].set(new), ends_s.at[index].set(now_s),
        )  # fmt: skip
        return state, lasts_s

    empty = jnp.zeros(CELLS)
    begin = (jnp.asarray(prompts, empty.dtype), empty[0], empty[0], empty, empty)
    (left, _, _, admitted, ends_s), lasts_s = jax.lax.scan(advance, begin, jnp.arange(CELLS))
    begins_s = ends_s - lasts_s
    last = jnp.minimum(jnp.arange(CELLS) + life.astype(int), CELLS) - 1
    spent_s = ends_s[last] - begins_s
    ttft_s = prompt.fixed_s + prompt.latency_s
    ttft_s = ttft_s + jnp.sum(admitted * (begins_s + 0.5 * lasts_s)) / prompts
    duration_s = prompt.fixed_s + prompt.latency_s + jnp.max(ends_s)
    return FiniteRun(
        ttft_s=ttft_s,
        tpot_s=jnp.sum(admitted * spent_s) / (prompts * steps),
        requests_per_s=prompts / duration_s,
        duration_s=duration_s,
        followed=left < 1e-3 * prompts,
    )


def predict_finite(
    steps: Steps, load: Load, engine: Engine, serving: Serving, prompts: Scalar
) -> FiniteRun:
    """A measured run of so many requests; every argument is of one row."""
    step_s, prompt, pools = served_by(steps, load, engine, serving)
    per_step = steps.prompts_per_pass / steps.passes
    return finite_run(prompts, load.concurrency, step_s, prompt, pools, load.osl, per_step)
