"""What latency do users see when requests queue?

A serving run keeps `concurrency` requests in the system (closed loop) or sends them at a rate
(open loop). Each waits for its prompt to be processed, on the GPUs that also decode (co-located) or
on a pool of their own (disaggregated), and then decodes among the others.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsim._record import Record, replace_leaf
from jaxsim._scalar import Flag, Scalar

# Halvings of the bracket of the decode batch: 2^-40 of it is below rounding in single precision.
BISECTIONS = 40
# A server this busy has a queue of about 50,000 prompts; nearer to 1 all is rounding.
BUSIEST_FRAC = 0.99999


class Prompt(Record):
    """What one prompt costs.

    `busy_s` is how long it occupies a prefill server, `latency_s` how long its own passes take from
    the first to the last, and `fixed_s` what precedes and follows (tokenisation, transfer).
    """

    busy_s: Scalar
    latency_s: Scalar
    fixed_s: Scalar


class Pools(Record):
    """Who serves: `decoders` instances with `slots` places each, and `prefillers` servers.

    `shared` is 1 where prompts are processed by the instances that decode, whose steps they
    lengthen, and 0 where they have instances of their own. `variability` is (1 + c²)/2 of the
    service times, with c their coefficient of variation: 0.5 where all prompts are alike.
    `evenness` is 1 where prompts arrive at random, less where they come in clumps (`clumped`).
    `steps_waited` is how many decode steps a new prompt waits for on the GPUs that decode: half a
    step until the one under way ends, more where a scheduler looks for requests seldom or hands
    tokens out a step later. `others_frac` is the part of the load that a new prompt meets: in a
    closed loop of N requests, (N - 1)/N, as it does not meet itself; 1 where arrivals are many.
    `beside_frac` is the same of the n requests that an instance has places for, (n - 1)/n: the part
    of its prompts that hold up a request that decodes there.

    In a closed loop of requests of one length, `round_prompts` of each prefill server come round
    after round (0 where lengths differ), spread by `round_jitter` (`round_wait_s`). `lockstep` is
    true where, beside, no request decodes while a prompt waits; a pass holds `prompts_per_pass`.
    """

    decoders: Scalar
    slots: Scalar
    prefillers: Scalar
    shared: Scalar
    variability: Scalar = 0.5
    evenness: Scalar = 1.0
    steps_waited: Scalar = 0.5
    others_frac: Scalar = 1.0
    beside_frac: Scalar = 1.0
    round_prompts: Scalar = 0.0
    round_jitter: Scalar = 0.0
    apart: Flag = False
    lockstep: Flag = False
    prompts_per_pass: Scalar = 1.0


class Service(Record):
    """What users see in a steady state, and how busy the pools are.

    `waiting_s` is the part of `ttft_s` spent in queues; `decode_batch` is the mean number of
    requests that an instance decodes at once.
    """

    ttft_s: Scalar
    tpot_s: Scalar
    requests_per_s: Scalar
    waiting_s: Scalar
    decode_batch: Scalar
    prefill_busy_frac: Scalar


StepTime = Callable[[Scalar], Scalar]


def queue_wait_s(busy_frac: Scalar, busy_s: Scalar, servers: Scalar, variability: Scalar) -> Scalar:
    r"""Mean wait before service at `servers` equal servers, first come first served.

    $$ W = v \, \frac{S}{c} \, \frac{\rho^{\sqrt{2(c+1)} - 1}}{1 - \rho} $$

    Pollaczek and Khinchine's mean for one server (v = (1 + c²)/2), and Sakasegawa's power for
    several (Annals of the Institute of Statistical Mathematics 29, 1977). Poisson arrivals.
    """
    busy = jnp.clip(busy_frac, 1e-9, BUSIEST_FRAC)  # a power of 0 has no finite gradient
    power = jnp.sqrt(2.0 * (servers + 1.0)) - 1.0
    return variability * busy_s / servers * busy**power / (1.0 - busy)


def clumped(busy_frac: Scalar, evenness: Scalar) -> Scalar:
    r"""How busy prefill is while prompts arrive, if they arrive in clumps.

    $$ \rho' = \frac{\rho}{\sqrt{\rho^2 + e^2 (1 - \rho^2)}} $$

    Requests that began at one time end at nearly one time, and the prompts of their successors
    arrive in a fraction of the round. That fraction is at least ρ, because prefill served the first
    ones one after another, and at least e, because lengths differ: with lengths uniform in [0.8,
    1], e starts at 0.2 and grows by the root of the number of rounds. e = 1 is an even flow, where
    ρ' = ρ.
    """
    busy = jnp.clip(busy_frac, 1e-9, BUSIEST_FRAC)
    return busy / jnp.sqrt(busy * busy + evenness * evenness * (1.0 - busy * busy))


def before_frac(pools: Pools) -> Scalar:
    r"""The part of a round's prompts that are done when the mean one of it is, (1 + m/N)/2.

    N prompts are processed in passes of m, so that the mean of them ends with the middle pass.
    """
    prompts = jnp.maximum(pools.round_prompts, 1.0)
    return 0.5 * (1.0 + jnp.minimum(pools.prompts_per_pass, prompts) / prompts)


def round_wait_s(busy_s: Scalar, pools: Pools) -> Scalar:
    r"""Mean wait of a prompt for others of its round, in a closed loop of requests of one length.

    Request k of a round ended its prompt after k S, and each decodes the same number of steps. So
    prompts of the next round come just as fast as they are served, whatever the load, and the queue
    is a reflected random walk of N steps:

    $$ W = j \, S \sqrt{N - 1} $$

    With steps of deviation σ the mean of the walk is $\tfrac23 \sqrt{2/\pi}\, \sigma \sqrt{N}$, so
    j is about half of how much one prompt's time departs from the next one's. Where no request
    decodes while a prompt waits (`lockstep`), all of a round begin to decode together and end
    together: then all prompts of a round come at once, and $W = (N + m) S / 2 - S$.
    """
    others = jnp.maximum(pools.round_prompts - 1.0, 1e-6)  # a root of 0 has no finite gradient
    spread_s = pools.round_jitter * busy_s * jnp.sqrt(others)
    at_once_s = (before_frac(pools) * pools.round_prompts - 1.0) * busy_s
    return jnp.where(pools.lockstep, jnp.maximum(at_once_s, 0.0), spread_s)


def at_batch(batch: Scalar, step_s: StepTime, prompt: Prompt, pools: Pools, osl: Scalar) -> Service:
    r"""The steady state in which every instance decodes `batch` requests.

    With p = OSL - 1 tokens after the first, t the step and S a prompt's busy time,

    $$ \mathrm{TPOT} = t(b) + s\,g\,\frac{b\,S}{p}, \qquad X = \frac{n_d\,b}{p\,\mathrm{TPOT}},
       \qquad \rho = \frac{X\,S}{n_p} $$

    where s is 1 if prompts are processed between decode steps and 0 if elsewhere. Each of b
    requests ends once in p tokens, and its successor's prompt holds up all others; no request is
    held up by its own prompt, so that only the part g = `beside_frac` of them count. The first
    token takes what precedes it, the wait for steps and for other prompts, and its own passes. It
    meets the part f = `others_frac` of the load: f of the wait for prompts, and a step under way
    with probability 1 - exp(-f b), as if those that decode were many and independent.
    """
    gaps = jnp.maximum(osl - 1.0, 1.0)
    together = jnp.where(pools.lockstep, pools.round_prompts, batch)
    step = step_s(together)
    # In lockstep, what is done before a request decodes includes its own prompt.
    after_frac = jnp.where(pools.lockstep, 1.0 - before_frac(pools), pools.beside_frac)
    tpot_s = step + pools.shared * after_frac * together * prompt.busy_s / gaps
    rate = pools.decoders * batch / (gaps * tpot_s)
    busy = rate * prompt.busy_s / pools.prefillers
    # A round of requests of one length is a clump of its own.
    even = jnp.where(pools.round_prompts > 0.0, 1.0, pools.evenness)
    clumped_frac = clumped(busy, even)
    waiting_s = queue_wait_s(clumped_frac, prompt.busy_s, pools.prefillers, pools.variability)
    waiting_s = jnp.maximum(pools.others_frac * waiting_s, round_wait_s(prompt.busy_s, pools))
    decoding = -jnp.expm1(-pools.others_frac * batch)
    waiting_s = waiting_s + decoding * pools.steps_waited * step
    return Service(
        ttft_s=prompt.fixed_s + prompt.latency_s + waiting_s,
        tpot_s=tpot_s,
        requests_per_s=rate,
        waiting_s=waiting_s,
        decode_batch=batch,
        prefill_busy_frac=busy,
    )


def _solve(target: Scalar, at: Callable[[Scalar], Scalar], low: Scalar, high: Scalar) -> Scalar:
    """The argument where an increasing function meets a target, or the nearer end of the bracket.

    Bisection finds it; one Newton step from there gives it the gradient of the implicit function.
    """

    def halve(_: Scalar, bracket: tuple[jax.Array, jax.Array]):
        low, high = bracket
        middle = 0.5 * (low + high)
        below = at(middle) < target
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jnp.asarray(low), jnp.asarray(high)
    first, last = jax.lax.fori_loop(0, BISECTIONS, halve, (low, high))
    root = jax.lax.stop_gradient(0.5 * (first + last))
    value, slope = jax.jvp(at, (root,), (jnp.ones_like(root),))
    slope = jax.lax.stop_gradient(slope)
    inside = (root > low * 1.0001) & (root < high * 0.9999) & (slope > 0.0)
    step = (target - value) / jnp.where(slope > 0.0, slope, 1.0)
    return jnp.where(inside, root + step - jax.lax.stop_gradient(step), root)


def closed_loop(
    concurrency: Scalar, step_s: StepTime, prompt: Prompt, pools: Pools, osl: Scalar
) -> Service:
    r"""What users see when `concurrency` requests are in the system at all times.

    N = X · (TTFT + (OSL - 1) · TPOT) holds by construction: the decode batch b solves

    $$ N = X(b)\,\mathrm{TTFT}(b) + n_d\,b $$

    and where the slots hold fewer, those left over wait for one to become free. `step_s` must not
    fall with the batch, nor rise faster than it.
    """

    most = jnp.minimum(concurrency / pools.decoders, pools.slots)
    fracs = tuple(jnp.maximum(1.0 - 1.0 / requests, 0.0) for requests in (concurrency, most))
    pools = replace_leaf(lambda p: (p.others_frac, p.beside_frac), pools, fracs)

    def held(batch: Scalar):
        state = at_batch(batch, step_s, prompt, pools, osl)
        return state.requests_per_s * state.ttft_s + pools.decoders * batch

    least = 1e-3 * jnp.minimum(1.0, most)
    batch = _solve(jnp.asarray(concurrency), held, least, most)
    state = at_batch(batch, step_s, prompt, pools, osl)
    gaps = jnp.maximum(osl - 1.0, 1.0)
    ttft_s = concurrency / state.requests_per_s - gaps * state.tpot_s
    ttft_s = jnp.maximum(ttft_s, prompt.fixed_s + prompt.latency_s)
    return replace_leaf(
        lambda record: (record.ttft_s, record.waiting_s),
        state,
        (ttft_s, ttft_s - prompt.fixed_s - prompt.latency_s),
    )


def open_loop(
    requests_per_s: Scalar, step_s: StepTime, prompt: Prompt, pools: Pools, osl: Scalar
) -> tuple[Service, Flag]:
    """What users see at a rate of Poisson arrivals, and whether the pools can sustain it.

    The decode batch b solves X(b) = rate. A rate beyond what full slots or busy prefill servers
    sustain has no steady state: the numbers then are those at the limit.
    """

    def rate(batch: Scalar):
        return at_batch(batch, step_s, prompt, pools, osl).requests_per_s

    batch = _solve(jnp.asarray(requests_per_s), rate, 1e-6 * pools.slots, pools.slots)
    state = at_batch(batch, step_s, prompt, pools, osl)
    most = rate(jnp.asarray(pools.slots))
    sustained = (requests_per_s <= most) & (state.prefill_busy_frac < BUSIEST_FRAC)
    return state, sustained


def backlog_wait_s(prompts: Scalar, places: Scalar, requests_per_s: Scalar, most_per_s: Scalar):
    r"""Mean wait for a place where requests come faster than they are served.

    Of N = `prompts` that come at \lambda, the first P find `places`; the k-th after them comes k /
    \lambda after the P-th and finds a place k / X after it, X = `most_per_s`:

    $$ W = \frac{(N - P)^2}{2 N} \left( \frac{1}{X} - \frac{1}{\lambda} \right) $$
    """
    beyond = jnp.maximum(prompts - places, 0.0)
    slower_s = 1.0 / most_per_s - 1.0 / jnp.maximum(requests_per_s, 1e-9)
    return beyond**2 / (2.0 * jnp.maximum(prompts, 1.0)) * jnp.maximum(slower_s, 0.0)


def with_start(steady: Service, concurrency: Scalar, prompt: Prompt, pools: Pools, runs: Scalar):
    r"""Mean time to the first token of a run that begins with all requests at once.

    Of `runs` requests per place, one begins in the burst, where on average half of the others are
    served first:

    $$ \mathrm{TTFT} = \mathrm{TTFT}_{steady} + \frac{1}{R}\max\left(0,
       \frac{(N - 1)\,S}{2\,n_p} - W\right) $$
    """
    burst_s = 0.5 * (concurrency - 1.0) * prompt.busy_s / pools.prefillers
    return steady.ttft_s + jnp.maximum(burst_s - steady.waiting_s, 0.0) / runs
