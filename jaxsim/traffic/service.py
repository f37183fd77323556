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
from jaxsim.catalog.engines import load_engine
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.space.deploy.uncertainty import EIGHTY_PERCENT
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.queueing import closed_loop, open_loop
from jaxsim.traffic.serving import MEASURES, Asked, served_by
from jaxsim.traffic.steps import MOST_SLOTS, steps_of

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


def under_load(
    setup: Setup,
    workload: Workload,
    decode: Layout,
    prefill: Layout | None,
    chunk_tokens: float,
    *,
    concurrency: float | None = None,
    requests_per_s: float | None = None,
) -> UnderLoad:
    """Latencies and rate at a concurrency or at a rate; aggregated where `prefill` is None."""
    if (concurrency is None) == (requests_per_s is None):
        raise InputError("the load is missing or given twice: a concurrency or a rate is needed.")
    ideal = load_engine("ideal").engine
    base = dataclasses.replace(setup.scenario(workload), engine=ideal)

    def scenario(layout: Layout):
        design = Deployment(layout.tp, layout.ep, layout.pp, 1.0, chunk_tokens)
        return dataclasses.replace(base, design=design)

    prompts = decode if prefill is None else prefill
    most = (concurrency or MOST_SLOTS) / decode.workers
    steps = steps_of(scenario(decode), scenario(prompts), most)
    if float(steps.weights_over_bytes) >= 0.0:
        raise InputError(
            f"{setup.model.name} does not fit: weights and reserve of an instance of "
            f"{decode.gpus / decode.workers:g} GPUs exceed the memory by "
            f"{float(steps.weights_over_bytes) / 1e9:,.1f} GB a GPU. Use more GPUs an instance."
        )
    gpus = decode.gpus + (0.0 if prefill is None else prefill.gpus)
    asked = Asked(
        concurrency=concurrency or 1.0,
        osl=workload.osl,
        isl=workload.isl,
        decoders=decode.workers,
        prefillers=prompts.workers,
        shared=float(prefill is None),
        closed=1.0,
        ten_runs=0.0,
        gpus=gpus,
    )
    card = setup.engine
    step_s, prompt, pools = served_by(steps, asked, card.engine, card.serving)
    if concurrency is not None:
        found, sustained = closed_loop(concurrency, step_s, prompt, pools, workload.osl), True
    else:
        found, sustained = open_loop(
            float(requests_per_s or 0.0), step_s, prompt, pools, workload.osl
        )
    one = {name: float(np.asarray(getattr(found, name))) for name in found.__dataclass_fields__}
    values = {
        "tpot": one["tpot_s"],
        "ttft": one["ttft_s"],
        "output_tokens_per_s_per_gpu": one["requests_per_s"] * float(workload.osl) / gpus,
    }
    mode = "aggregated" if prefill is None else "disaggregated"
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
    )
