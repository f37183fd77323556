"""What do users see of a deployment at a load?  The public verb, on names or records."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from jaxsim.api.keywords import ServeKeywords, setup_with
from jaxsim.api.request import request_of
from jaxsim.catalog.bounds import whole
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.engine_limits import Limits, batched_tokens
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.workload import Workload
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.service import Offered, UnderLoad, under_load

POOL = ("tp", "ep", "pp", "instances")
# Output lengths more spread than this are no longer a gamma distribution's few cells.
MOST_CV = 2.0


@dataclass(frozen=True)
class ServeRequest:
    """A load and the instances that serve it, in a steady state or in one finite run.

    The load is `concurrency` requests in the system at all times, or `requests_per_s` that arrive
    at random (Poisson). `instances` decode with (tp, ep, pp); `prefill` gives the same four numbers
    of a prefill pool, and where it is None the same instances process prompts too. A pass over
    prompts holds at most `chunk` tokens (default: what the engine has on that GPU, 8,192 or, with
    vLLM on small ones and on A100, 2,048). With `prompts`, a run of so many requests that are all
    sent at once, `concurrency` of them in flight, whose output lengths have the coefficient of
    variation `osl_cv` (0: all alike; about 1 for conversations). `limits` are of the engine.

    >>> jaxsim.ServeRequest(jaxsim.Workload(1024, 128), tp=1, concurrency=16).instances
    1
    """

    workload: Workload
    tp: float
    ep: float = 1
    pp: float = 1
    instances: float = 1
    prefill: Mapping[str, float] | None = None
    concurrency: float | None = None
    requests_per_s: float | None = None
    prompts: float | None = None
    osl_cv: float = 0.0
    chunk: float | None = None
    limits: Limits | None = None

    def __post_init__(self):
        for name in ("concurrency", "requests_per_s", "prompts"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} = {value}: a number of more than 0 is needed")
        if not (np.isfinite(self.osl_cv) and 0.0 <= self.osl_cv <= MOST_CV):
            raise InputError(f"osl_cv = {self.osl_cv}: from 0 to {MOST_CV:g} is allowed")
        if self.osl_cv > 0.0 and self.prompts is None:
            raise InputError(
                "osl_cv counts in a run of so many prompts, whose longest answers end it: give "
                "prompts too. In a steady state means are what they are."
            )
        if self.chunk is not None and not (np.isfinite(self.chunk) and self.chunk >= 1):
            raise InputError(f"chunk = {self.chunk}: at least 1 token is needed")
        _ = self.decode_layout, self.prefill_layout  # raise for a pool that cannot be

    @property
    def decode_layout(self) -> Layout:
        """The instances that decode."""
        return pool_layout({name: getattr(self, name) for name in POOL})

    @property
    def prefill_layout(self) -> Layout | None:
        """The prefill pool; None where the decode instances process prompts."""
        return None if self.prefill is None else pool_layout(self.prefill, "prefill ")


def pool_layout(pool: Mapping[str, float], prefix: str = "") -> Layout:
    """A pool of equal instances from (tp, ep, pp, instances); what is not given is 1."""
    if unknown := sorted(set(pool) - set(POOL)):
        raise InputError(f"{prefix}{unknown[0]}: unknown; a pool has {', '.join(POOL)}")
    tp, ep, pp, instances = [whole(prefix + name, pool.get(name, 1)) for name in POOL]
    return Layout(tp, ep, pp, instances)


def serve(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload | ServeRequest,
    **keywords: Unpack[ServeKeywords],
) -> UnderLoad:
    """Latencies and rate under load, queues included, in a steady state.

    Keywords are the fields of `ServeRequest` (`tp`, `ep`, `pp`, `instances`, `prefill`,
    `concurrency` or `requests_per_s`, `prompts`, `osl_cv`, `chunk`, `limits`),
    `precision`, `engine` and `options`; or give a `ServeRequest` in place of the workload. Seconds;
    tokens/s per GPU.

    Raises InputError for a load or a pool that cannot be, TypeError for an unknown keyword.

    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> found = jaxsim.serve("llama-3.1-8b", "h100", work, tp=1, concurrency=16)
    >>> found.sustained, found.gpus, found.ttft_s > found.tpot_s > 0
    (True, 1, True)
    """
    request = request_of("serve", ServeRequest, workload, keywords)
    setup = setup_with(model, hardware, keywords)
    decode, prefill = request.decode_layout, request.prefill_layout
    for layout, prefix in ((decode, ""), (prefill, "prefill ")):
        if layout is not None and layout.ep > 1 and not setup.model.is_moe:
            raise InputError(
                f"{prefix}ep = {layout.ep:g}: {setup.model.name} is dense; leave ep at 1"
            )
    default = batched_tokens(setup.engine.name, setup.hardware)
    result = under_load(
        setup,
        request.workload,
        decode,
        prefill,
        float(default if request.chunk is None else request.chunk),
        Offered(request.concurrency, request.requests_per_s, request.prompts, request.osl_cv),
        request.limits,
    )
    return replace(result, formats=setup.formats, notes=setup.notes)
