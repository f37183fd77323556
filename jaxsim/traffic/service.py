"""What do users see of a deployment under load?

Requests wait for their prompts to be processed, and decode among others: at a number of requests
that are in the system at all times (a closed loop), or at a rate at which they arrive (an open
one). The same steps, engines and queues predict measured runs in `validate`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine_limits import (
    Limits,
    check_context,
    engine_defaults,
    mixes_prompts,
    most_sequences,
)
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.known_engines import load_engine
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.point.feasible import broken_by
from jaxsim.space.deploy.diagnose import RULES
from jaxsim.space.deploy.uncertainty import EIGHTY_PERCENT
from jaxsim.traffic.finite import came_together, finite_run
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.queueing import closed_loop, open_loop
from jaxsim.traffic.serving import MEASURES, Load, served_by
from jaxsim.traffic.steps import MOST_SLOTS, Steps, steps_of

# Prompt tokens of one pass that the three engines allow by default on data-centre GPUs (vLLM's
# max_num_batched_tokens, SGLang's chunked_prefill_size, TensorRT-LLM's max_num_tokens).
CHUNK_TOKENS = 8192.0


@dataclass(frozen=True)
class UnderLoad:
    """What users of a deployment see, in a steady state, in base units; means, not tails.

    `ttft_s` includes `waiting_s`, the time in queues. `concurrency` requests are in the system:
    requests/s times the time that each spends in it. An instance decodes `decode_batch` of them at
    once, of `slots` that its memory and its engine allow; prefill works for `prefill_busy_frac` of
    the time. `intervals` hold tpot, ttft and output_tokens_per_s_per_gpu with 80 %, by what the fit
    of the engine left unexplained. `sustained` is false where requests arrive faster than they can
    be served: queues then grow without end, and the numbers are those at the limit.

    `ttft_parts_s` is what the time to the first token is made of: `host` (before and after the
    passes), `handover` (from one pool to the other, with what of the cache's transfer is not
    hidden), `passes` and `waiting`. `limits` are those in force: sequences of a data-parallel rank,
    prompt tokens of a pass, the part of the memory that the engine takes, and `kv_tokens`, what the
    cache of an instance holds. `duration_s` is of a run of so many `prompts`, whose output lengths
    have the coefficient of variation `osl_cv`; None in a steady state.

    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> found = jaxsim.serve("llama-3.1-8b", "h100", work, tp=1, concurrency=16)
    >>> in_system_s = found.ttft_s + 127 * found.tpot_s
    >>> round(found.requests_per_s * in_system_s)
    16
    """

    mode: str
    ttft_s: float
    tpot_s: float
    requests_per_s: float
    output_tokens_per_s_per_gpu: float
    waiting_s: float
    concurrency: float
    decode_batch: float
    slots: float
    prefill_busy_frac: float
    gpus: int
    sustained: bool
    intervals: Mapping[str, tuple[float, float]]
    formats: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    ttft_parts_s: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    engine_defaults: Mapping[str, float | str] = field(default_factory=dict)
    prompts: float | None = None
    osl_cv: float = 0.0
    duration_s: float | None = None


def check_layout(setup: Setup, scenario: Scenario, layout: Layout, pool: str) -> None:
    """Refuse a pool that breaks a rule, but for memory, which is judged by what it serves."""
    broken = [name for name in broken_by(scenario) if name != "fits_memory"]
    if broken:
        shape = f"TP{layout.tp:g} EP{layout.ep:g} PP{layout.pp:g}"
        why = ", and ".join(RULES[name] for name in broken)
        raise InputError(
            f"{setup.model.name} cannot be served by {pool}instances {shape}: they {why}."
        )


@dataclass(frozen=True)
class Offered:
    """What a deployment is to serve: requests at a concurrency, or at a rate.

    With `prompts`, a run of so many requests that all arrive at its start, `concurrency` of them
    in flight at most, their output lengths of the coefficient of variation `osl_cv`.
    """

    concurrency: float | None = None
    requests_per_s: float | None = None
    prompts: float | None = None
    osl_cv: float = 0.0

    def __post_init__(self) -> None:
        if (self.concurrency is None) == (self.requests_per_s is None):
            raise InputError(
                "the load is missing or given twice: a concurrency or a rate is needed."
            )
        if self.prompts is not None and self.concurrency is None:
            raise InputError(
                "a run of so many prompts needs a concurrency: how many are in flight."
            )


def _steps(
    setup: Setup,
    workload: Workload,
    decode: Layout,
    prefill: Layout | None,
    chunk_tokens: float,
    limits: Limits,
    most: float,
) -> tuple[Steps, float]:
    """The timed steps of the pools, and the part of the memory that is held in reserve.

    `most` is the largest decode batch of an instance. Raises InputError where a layout breaks a
    rule or the weights do not fit.
    """
    ideal = dataclasses.replace(
        load_engine("ideal").engine, popularity_variance=setup.engine.engine.popularity_variance
    )
    if limits.memory_frac is not None:
        ideal = dataclasses.replace(ideal, reserve_frac=1.0 - limits.memory_frac)
    base = dataclasses.replace(setup.scenario(workload), engine=ideal)

    def scenario(layout: Layout):
        design = Deployment(layout.tp, layout.ep, layout.pp, 1.0, chunk_tokens)
        return dataclasses.replace(base, design=design)

    first = decode if prefill is None else prefill
    check_layout(setup, scenario(decode), decode, "")
    if prefill is not None:
        check_layout(setup, scenario(prefill), prefill, "prefill ")
    steps = steps_of(scenario(decode), scenario(first), most)
    if float(steps.weights_over_bytes) >= 0.0:
        raise InputError(
            f"{setup.model.name} does not fit: weights and reserve of an instance of "
            f"{decode.gpus / decode.workers:g} GPUs exceed the memory by "
            f"{float(steps.weights_over_bytes) / 1e9:,.1f} GB a GPU. Use more GPUs an instance."
        )
    return steps, float(np.asarray(ideal.reserve_frac))


def under_load(
    setup: Setup,
    workload: Workload,
    decode: Layout,
    prefill: Layout | None,
    chunk_tokens: float,
    offered: Offered,
    limits: Limits | None = None,
) -> UnderLoad:
    """Latencies and rate of what is offered; co-located where `prefill` is None."""
    concurrency, prompts = offered.concurrency, offered.prompts
    check_context(setup.model, float(workload.isl), float(workload.osl))
    limits = limits or Limits()
    steps, reserve_frac = _steps(
        setup, workload, decode, prefill, chunk_tokens, limits,
        (concurrency or MOST_SLOTS) / decode.workers,
    )  # fmt: skip
    gpus = decode.gpus + (0.0 if prefill is None else prefill.gpus)
    load = Load(
        concurrency=concurrency or 1.0,
        osl=workload.osl,
        isl=workload.isl,
        decoders=decode.workers,
        prefillers=(prefill or decode).workers,
        shared=float(prefill is None),
        closed=1.0,
        ten_runs=0.0,
        gpus=gpus,
        mixes=float(mixes_prompts(setup.engine.name, setup.hardware)),
        rounds=float(concurrency is not None and offered.osl_cv == 0.0),
    )
    card = setup.engine
    serving = card.serving
    most = limits.max_sequences
    if most is None:
        most = most_sequences(card.name, setup.hardware, float(serving.most_sequences))
    serving = dataclasses.replace(serving, most_sequences=most)
    at_once = 0.0
    if prompts is not None:
        at_once = came_together(steps, load, serving, prompts, offered.osl_cv)
    step_s, prompt, pools = served_by(steps, load, card.engine, serving, at_once)
    if concurrency is not None:
        served, sustained = closed_loop(concurrency, step_s, prompt, pools, workload.osl), True
    else:
        served, sustained = open_loop(
            float(offered.requests_per_s or 0.0), step_s, prompt, pools, workload.osl
        )
    run = None
    if prompts is not None:
        per_step = steps.prompts_per_pass / steps.passes
        run = finite_run(
            prompts, concurrency or 1.0, step_s, prompt, pools, workload.osl, per_step,
            offered.osl_cv,
        )  # fmt: skip
        if not bool(run.followed):
            raise InputError(
                f"a run of {prompts:,.0f} prompts is a steady state but for its ends: leave the "
                "number of prompts out."
            )
        served = dataclasses.replace(
            served,
            ttft_s=run.ttft_s,
            tpot_s=run.tpot_s,
            requests_per_s=run.requests_per_s,
            waiting_s=run.ttft_s - prompt.fixed_s - prompt.latency_s,
            decode_batch=run.requests_per_s * run.tpot_s * (workload.osl - 1.0) / decode.workers,
        )
    one = {name: float(np.asarray(getattr(served, name))) for name in served.__dataclass_fields__}
    values = {
        "tpot": one["tpot_s"],
        "ttft": one["ttft_s"],
        "output_tokens_per_s_per_gpu": one["requests_per_s"] * float(workload.osl) / gpus,
    }
    mode = "colocated" if prefill is None else "disaggregated"
    kinds = card.kind_sigmas.get(mode, card.sigmas)
    spreads = {name: np.exp(EIGHTY_PERCENT * kinds.get(name, card.log_sigma)) for name in MEASURES}
    in_system_s = one["ttft_s"] + (float(workload.osl) - 1.0) * one["tpot_s"]
    return UnderLoad(
        mode=mode,
        ttft_s=values["ttft"],
        tpot_s=values["tpot"],
        requests_per_s=one["requests_per_s"],
        output_tokens_per_s_per_gpu=values["output_tokens_per_s_per_gpu"],
        waiting_s=one["waiting_s"],
        concurrency=one["requests_per_s"] * in_system_s,
        decode_batch=one["decode_batch"],
        slots=float(np.asarray(pools.slots)),
        prefill_busy_frac=one["prefill_busy_frac"],
        gpus=int(gpus),
        sustained=bool(np.asarray(sustained)),
        intervals={
            name: (values[name] / float(spreads[name]), values[name] * float(spreads[name]))
            for name in MEASURES
        },
        ttft_parts_s={
            "host": float(
                np.asarray(card.engine.request_s + card.engine.prompt_token_s * load.isl)
            ),
            "handover": 0.0
            if prefill is None
            else float(np.asarray(card.engine.disaggregated_s + steps.transfer_s)),
            "passes": float(np.asarray(prompt.latency_s)),
            "waiting": one["waiting_s"],
        },
        limits={
            "max_sequences": float(np.asarray(serving.most_sequences)),
            "max_batched_tokens": float(chunk_tokens),
            "memory_frac": 1.0 - reserve_frac,
            "max_context_tokens": float(setup.model.max_context_tokens),
            "kv_tokens": float(steps.slots) * (float(workload.isl) + 0.5 * float(workload.osl)),
        },
        engine_defaults=engine_defaults(card.name, setup.hardware),
        prompts=prompts,
        osl_cv=offered.osl_cv,
        duration_s=None if run is None else float(np.asarray(run.duration_s)),
    )
