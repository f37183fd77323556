"""What does a run of so many requests show, with its start and its end?

A benchmark that sends all its requests at once, or few more than it keeps in flight, is not a
steady state: prompts queue at its start, and at its end fewer and fewer decode.
"""

import jax
import jax.numpy as jnp

from jaxsim._record import Record
from jaxsim._scalar import Flag, Scalar
from jaxsim.catalog.engine import Engine, Serving
from jaxsim.traffic.queueing import Pools, Prompt, StepTime, round_wait_s
from jaxsim.traffic.serving import Load, served_by
from jaxsim.traffic.steps import Steps

# Cells in which a run is followed, and how many of them a request decodes in, at least and at most.
CELLS = 640
LEAST_CELLS, MOST_CELLS = 6.0, 48.0
# Coefficients of variation below which output lengths are alike, and requests that count as none
# where lengths are spread: the expected number that are longer than the longest of a run is a half.
ALIKE, NONE_LEFT = 0.05, 0.5


def leaving(life: Scalar, spread: Scalar) -> jax.Array:
    r"""The part of requests that leave after each number of cells, 1 to `CELLS`; their mean is K.

    All after K cells where lengths are alike, else by a gamma distribution of mean K and
    coefficient of variation c, of shape $1/c^2$: exponential for c = 1.
    """
    cells = jnp.arange(CELLS) + 1.0
    shape = 1.0 / jnp.maximum(spread, ALIKE) ** 2
    below = jax.scipy.special.gammainc(shape, shape * (cells + 0.5) / life)
    spread_out = jnp.diff(below, prepend=0.0)
    return jnp.where(spread < ALIKE, (cells == life).astype(below.dtype), spread_out)


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
    spread: Scalar = 0.0,
) -> FiniteRun:
    r"""A run of `prompts` requests, `concurrency` of them in flight at most, all sent at once.

    Time advances in cells of Δ decode steps; the p = OSL - 1 steps of a request are K cells. In a
    cell, b requests decode and a are admitted: the least of free places, prompts left, and what
    the budget of a step allows (`prompts_per_step`, below 1 where a prompt takes several passes),
    which is no limit where prompts have passes of their own, before others decode on. A cell lasts

    $$ \Delta\, t(b) + s\, a\, S / n_d $$

    with t the step, S a prompt's busy time and s = 1 where prompts are processed by the instances
    that decode; elsewhere a is what n_p servers finish in the cell. Requests leave K cells later
    where output lengths are alike; `spread` is their coefficient of variation (`leaving`). A
    request is sent when fewer than `concurrency` are in flight. TTFT is the wait for admission,
    the prompts admitted before it in its cell, and its own passes. TPOT is the mean over requests,
    with equal weights. Of the prompts of its cell, a request is held up by those alone that follow
    its own pass: of a of them, m in a pass, (a - m)/2 in the mean. Where prompts ride in steps,
    those of the cell after its last hold it up for as long, as it leaves in the middle of it. A
    prompt that follows a request which has ended waits for others of its round as in a closed loop
    (`round_wait_s`) where it finds a place.
    """
    spread = jnp.asarray(spread, dtype=float)
    servers = jnp.where(pools.shared > 0.5, pools.decoders, pools.prefillers)
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
    # The longest of many outputs is a logarithm of their number longer than the mean.
    tail = spread * jnp.log(2.0 * prompts)
    life = jnp.clip(jnp.floor(CELLS / (waves + start + tail + 2.0)), LEAST_CELLS, MOST_CELLS)
    cell = steps / life
    leave = leaving(life, spread)
    backwards = jnp.concatenate([leave[::-1], jnp.zeros(CELLS)])
    none_left = jnp.where(spread < ALIKE, 1e-3, NONE_LEFT)

    later_s = round_wait_s(prompt.busy_s, pools)

    def advance(carry: tuple[jax.Array, ...], index: Scalar):
        left, now_s, decoding, admitted = carry
        parts = jax.lax.dynamic_slice(backwards, (CELLS - index,), (CELLS,))
        gone = admitted @ parts
        decoding = jnp.maximum(decoding - gone, 0.0)
        batch = jnp.maximum(decoding / pools.decoders, 1e-3)
        alone_s = cell * step_s(batch)
        budget = jnp.where(
            shared,
            jnp.where(pools.apart, prompts, cell * prompts_per_step * pools.decoders),
            alone_s * pools.prefillers / prompt.busy_s,
        )
        new = jnp.minimum(jnp.minimum(left, places - decoding), budget)
        # Those admitted decode with the others in this cell already.
        batch = jnp.maximum((decoding + new) / pools.decoders, 1e-3)
        steps_s = cell * step_s(batch)
        lasts_s = steps_s + pools.shared * new * prompt.busy_s / pools.decoders
        # Sent and not admitted: those beyond the client's cap are not sent yet.
        queue = jnp.maximum(jnp.minimum(left - new, concurrency - decoding - new), 0.0)
        # Prompts of one pass have their first tokens together, at its end. Those of the start are
        # sent at once; later ones follow requests that were admitted pass by pass.
        joined = jnp.minimum(new, jnp.maximum(prompts_per_step, 1.0))
        met = jnp.where(index == 0, 0.5 * (new + joined), joined) - 1.0
        others_s = jnp.maximum(met, 0.0) * prompt.busy_s / servers
        others_s = jnp.maximum(others_s, jnp.where(index == 0, 0.0, later_s))
        among_s = others_s + pools.steps_waited * step_s(batch)
        first_s = jnp.where(
            pools.apart, 0.5 * (new + joined) * prompt.busy_s / servers, 0.5 * lasts_s
        )
        waited_s = queue * lasts_s + new * jnp.where(queue > 0.5, first_s, among_s)
        busy = decoding + new > none_left
        now_s = jnp.where(busy, now_s + lasts_s, now_s)
        state = (left - new, now_s, decoding + new, admitted.at[index].set(new))
        return state, (steps_s, waited_s)

    empty = jnp.zeros(CELLS)
    begin = (jnp.asarray(prompts, empty.dtype), empty[0], empty[0], empty)
    cells = jnp.arange(CELLS)
    (left, lasted_s, decoding, admitted), (steps_s, waited_s) = jax.lax.scan(advance, begin, cells)
    # Of requests that are admitted in a cell: the mean of time over steps, as they leave.
    weights = leave / (cell * (cells + 1.0))
    own = admitted / pools.decoders
    passes = jnp.minimum(own, jnp.maximum(prompts_per_step, 1.0))
    behind = jnp.where(pools.apart, 0.0, 0.5 * (own - passes))

    def until_they_leave(each_cell: jax.Array, before: jax.Array, after: jax.Array) -> jax.Array:
        total = jnp.cumsum(each_cell)
        last = total + jnp.concatenate([after[1:], jnp.zeros(1)])
        last = jnp.concatenate([last, jnp.full(CELLS - 1, total[-1])])
        return jnp.correlate(last, weights, mode="valid") - jnp.sum(weights) * (
            total - each_cell + before
        )

    nothing = jnp.zeros(CELLS)
    alone_s = until_they_leave(steps_s, nothing, nothing)
    others = until_they_leave(own, jnp.maximum(0.5 * (own + passes), 1.0), behind)
    each_s = alone_s + pools.shared * jnp.maximum(others, 0.0) * prompt.busy_s
    ttft_s = prompt.fixed_s + prompt.latency_s
    ttft_s = ttft_s + jnp.sum(waited_s) / prompts
    duration_s = prompt.fixed_s + prompt.latency_s + lasted_s
    return FiniteRun(
        ttft_s=ttft_s,
        tpot_s=jnp.sum(admitted * each_s) / prompts,
        requests_per_s=prompts / duration_s,
        duration_s=duration_s,
        followed=(left < 1e-3 * prompts) & ((spread < ALIKE) | (decoding <= none_left)),
    )


def came_together(
    steps: Steps, load: Load, serving: Serving, prompts: Scalar, spread: Scalar
) -> Scalar:
    """The part of so many prompts that comes with others: those of the start, all in rounds.

    Where output lengths are alike, requests that began together end together, and so do those
    that follow them begin.
    """
    places = jnp.minimum(load.concurrency, steps.slots * serving.slots_frac * load.decoders)
    return jnp.where(jnp.asarray(spread) < ALIKE, 1.0, jnp.minimum(places / prompts, 1.0))


def predict_finite(
    steps: Steps, load: Load, engine: Engine, serving: Serving, prompts: Scalar, spread: Scalar
) -> FiniteRun:
    """A measured run of so many requests, their outputs of such a spread; every argument is of one
    row.
    """
    at_once = came_together(steps, load, serving, prompts, spread)
    step_s, prompt, pools = served_by(steps, load, engine, serving, at_once)
    per_step = steps.prompts_per_pass / steps.passes
    return finite_run(prompts, load.concurrency, step_s, prompt, pools, load.osl, per_step, spread)
