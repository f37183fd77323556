"""What do users see of a deployment at a load?  The public verb, on names or records."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.engine import Options
from jaxsim.catalog.engines import EngineCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.limits import Limits
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.service import CHUNK_TOKENS, UnderLoad, under_load

POOL = ("tp", "ep", "pp", "instances")


def _layout(pool: Mapping[str, float], prefix: str, is_moe: bool, model: str) -> Layout:
    """A pool of equal instances, or an error about the width that cannot be."""
    if unknown := sorted(set(pool) - set(POOL)):
        raise InputError(f"{prefix}{unknown[0]}: unknown; a pool has {', '.join(POOL)}")
    sizes = {name: float(pool.get(name, 1)) for name in POOL}
    for name, value in sizes.items():
        if not (np.isfinite(value) and value >= 1 and value == int(value)):
            raise InputError(f"{prefix}{name} = {value}: a whole number of at least 1 is needed")
    if sizes["ep"] > 1 and not is_moe:
        raise InputError(f"{prefix}ep = {sizes['ep']:g}: {model} is dense; leave ep at 1")
    return Layout(sizes["tp"], sizes["ep"], sizes["pp"], sizes["instances"])


def serve(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload,
    *,
    concurrency: float | None = None,
    requests_per_s: float | None = None,
    tp: float,
    ep: float = 1,
    pp: float = 1,
    instances: float = 1,
    prefill: Mapping[str, float] | None = None,
    chunk: float | None = None,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
    prompts: float | None = None,
    limits: Limits | None = None,
) -> UnderLoad:
    """Latencies and rate under load, queues included, in a steady state.

    Either `concurrency` requests are in the system at all times, or `requests_per_s` arrive at
    random. `instances` decode with (tp, ep, pp); `prefill` gives the same four numbers of a pool of
    its own, and where it is None the same instances process prompts too. A pass over prompts holds
    at most `chunk` tokens (default: 8,192, as engines do). With `prompts`, a run of so many
    requests that are all sent at once, `concurrency` of them in flight. `limits` are of the engine.
    """
    for name, value in (
        ("concurrency", concurrency),
        ("requests_per_s", requests_per_s),
        ("prompts", prompts),
    ):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} = {value}: a number of more than 0 is needed")
    tokens = float(CHUNK_TOKENS if chunk is None else chunk)
    if not (np.isfinite(tokens) and tokens >= 1):
        raise InputError(f"chunk = {chunk}: at least 1 token is needed")
    setup = setup_of(model, hardware, precision, engine, options)
    moe, name = setup.model.is_moe, setup.model.name
    layout = _layout({"tp": tp, "ep": ep, "pp": pp, "instances": instances}, "", moe, name)
    prefill_layout = None if prefill is None else _layout(prefill, "prefill ", moe, name)
    found = under_load(
        setup,
        workload,
        layout,
        prefill_layout,
        tokens,
        concurrency=concurrency,
        requests_per_s=requests_per_s,
        prompts=prompts,
        limits=limits,
    )
    return replace(found, formats=setup.formats, notes=setup.notes)
