"""What do users see of a deployment over a trace, under each of several policies?  From Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
import xarray as xr

from jaxsim._progress import tell
from jaxsim._version import __version__
from jaxsim.api.keywords import SetupKeywords, setup_with
from jaxsim.api.plan import plan as plan_of
from jaxsim.api.request import request_of
from jaxsim.api.serve import pool_layout
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.power import idle_power_frac
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.space.deploy.result import Deployed
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.measure.outcome import outcome
from jaxsim.traffic.policy.baselines import (
    DynamoLoad,
    DynamoThroughput,
    Hpa,
    LlmdSlo,
    TokenVelocity,
)
from jaxsim.traffic.policy.forecast import check_forecast
from jaxsim.traffic.policy.matching import Elastic, FixedRatio, Matched
from jaxsim.traffic.policy.view import Policy, Static
from jaxsim.traffic.read.requests import Requests
from jaxsim.traffic.service import CHUNK_TOKENS
from jaxsim.traffic.simulate.fleet import Fleet, fleet_of
from jaxsim.traffic.simulate.records import DECODE, MIXED, PREFILL
from jaxsim.traffic.simulate.run import Run, Service, simulate_run
from jaxsim.traffic.simulate.step_times import role_law

POLICIES = {
    "static": Static, "matched": Matched, "fixed-ratio": FixedRatio, "elastic": Elastic,
    "hpa": Hpa, "llm-d": LlmdSlo,
    "dynamo-throughput": DynamoThroughput, "dynamo-load": DynamoLoad,
    "token-velocity": TokenVelocity,
}  # fmt: skip
ROLES = {PREFILL: "prefill", DECODE: "decode", MIXED: "colocated"}
HELD = ("static", "matched")  # their GPUs do not change
HOUR_S = 3600.0
# An elastic pool may grow to this many times what the fixed one has.
GROWTH = 2


@dataclass(frozen=True)
class Pools:
    """Instances that serve: (tp, ep, pp) of each role, and how many there are at first.

    `prefill` and `decode`, or `colocated`: each a mapping with tp, ep, pp and instances.

    >>> pools = jaxsim.Pools(prefill={"tp": 1}, decode={"tp": 2, "instances": 3})
    >>> [layout.gpus for layout in pools.layouts().values()]
    [1.0, 6.0]
    """

    prefill: Mapping[str, float] | None = None
    decode: Mapping[str, float] | None = None
    colocated: Mapping[str, float] | None = None

    def layouts(self) -> dict[int, Layout]:
        """The pools by role; an InputError unless they are one pool or a pair."""
        given = {PREFILL: self.prefill, DECODE: self.decode, MIXED: self.colocated}
        pools = {role: pool for role, pool in given.items() if pool is not None}
        if set(pools) not in ({MIXED}, {PREFILL, DECODE}):
            raise InputError("pools: give prefill and decode, or colocated alone.")
        return {role: pool_layout(pool, f"{ROLES[role]} ") for role, pool in pools.items()}


@dataclass(frozen=True)
class Simulated:
    """Runs of policies on the same requests; `case` says model and hardware, `source` constants."""

    table: xr.Dataset
    runs: dict[str, Run]
    outcomes: dict[str, dict[str, float | str]]
    ftl_s: float
    ttl_s: float
    pools: Pools
    case: str = ""
    source: str = ""
    setup: Setup | None = None


def policy_of(name: str, interval_s: float | None, forecast: str) -> Policy:
    """A fresh controller by name."""
    if name not in POLICIES:
        raise InputError(f"policy {name!r}: it is one of {', '.join(POLICIES)}.")
    check_forecast(forecast)
    chosen: Policy = POLICIES[name]()
    if name in ("matched", "elastic", "fixed-ratio"):
        chosen.forecast = forecast  # type: ignore[attr-defined]
    if interval_s is not None and name != "static":
        if not (np.isfinite(interval_s) and interval_s > 0.0):
            raise InputError(f"an interval of {interval_s:g} s: more than 0 is needed.")
        chosen.interval_s = interval_s
    return chosen


def pools_from_plan(deployed: Deployed, requests: Requests, busy_frac: float) -> Pools:
    """The pools of a plan, as many of each as the mean rate needs."""
    pools = {}
    for one in deployed.instances:
        count = max(int(np.ceil(requests.requests_per_s / (busy_frac * one.requests_per_s))), 1)
        pools[one.phase] = {"tp": one.tp, "ep": one.ep, "pp": one.pp, "instances": count}
    return Pools(**pools)


@dataclass(frozen=True)
class SimulateRequest:
    """Requests over time, the targets that they are judged by, and how they are served.

    Without `pools`, those that `jaxsim.plan` recommends at the mean lengths, as many as the mean
    rate needs at `busy_frac` of their capacity. `policies` decide every `interval_s` seconds, by a
    `forecast` of the load. A prompt pass holds `chunk` tokens, an instance at most `most_sequences`
    requests. It starts in `startup_s` and changes its role in `convert_s` seconds. Of a prompt's
    tokens some are of its `images`.

    >>> load = jaxsim.load_of(isl="256", osl="32", requests_per_s=2.0, duration_s=10.0)
    >>> jaxsim.SimulateRequest(load.drawn(0), ftl_s=1.0, ttl_s=0.05).policies
    ('static', 'matched', 'elastic')
    """

    requests: Requests
    ftl_s: float
    ttl_s: float
    pools: Pools | None = None
    policies: Sequence[str] = ("static", "matched", "elastic")
    interval_s: float | None = None
    forecast: str = "last"
    busy_frac: float = 0.75
    service: Service | None = None
    chunk: float = CHUNK_TOKENS
    most_sequences: int | None = None
    startup_s: float = 120.0
    convert_s: float = 30.0
    images: float = 0.0


class SimulateKeywords(SetupKeywords, total=False):
    """Fields of a `SimulateRequest`."""

    ftl_s: float
    ttl_s: float
    pools: Pools | None
    policies: Sequence[str]
    interval_s: float | None
    forecast: str
    busy_frac: float
    service: Service | None
    chunk: float
    most_sequences: int | None
    startup_s: float
    convert_s: float
    images: float


def simulate(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    requests: Requests | SimulateRequest,
    **keywords: Unpack[SimulateKeywords],
) -> Simulated:
    """Serve the requests under each policy; what users saw and what it cost, side by side.

    Keywords are the fields of `SimulateRequest`, and `precision`, `engine`, `options`; or give a
    `SimulateRequest` in place of the requests. Pools of static and matched policies keep their
    GPUs; the others may grow to twice as many instances and start with the same.

    Raises InputError for pools and policies that cannot be, TypeError for an unknown keyword.

    >>> load = jaxsim.load_of(isl="300", osl="uniform:20:60", requests_per_s=2, duration_s=40)
    >>> pools = jaxsim.Pools(prefill={"tp": 1}, decode={"tp": 1})
    >>> found = jaxsim.simulate(
    ...     "llama-3.1-8b", "h100", load.drawn(0), ftl_s=2.0, ttl_s=0.05, pools=pools,
    ...     policies=["static"], engine="vllm", most_sequences=63,
    ... )
    >>> bool(found.table.attainment > 0.9)
    True
    """
    request = request_of("simulate", SimulateRequest, requests, keywords)
    requests, pools, ftl_s, ttl_s = request.requests, request.pools, request.ftl_s, request.ttl_s
    setup = setup_with(model, hardware, keywords)
    mean = Workload(float(requests.isl.mean()), max(float(requests.osl.mean()), 2.0))
    mean = replace(mean, images=request.images)
    if pools is None:
        planned = plan_of(
            model, hardware, replace(mean, isl=float(round(mean.isl)), osl=float(round(mean.osl))),
            ftl_s=ftl_s, ttl_s=ttl_s, precision=keywords.get("precision"),
            engine=keywords.get("engine"), options=keywords.get("options"),
        )  # fmt: skip
        both = planned.disaggregated, planned.colocated
        chosen = next((one for one in both if isinstance(one, Deployed)), None)
        if chosen is None:
            raise InputError("no deployment meets the targets at the mean lengths; widen them.")
        pools = pools_from_plan(chosen, requests, request.busy_frac)
    layouts = pools.layouts()
    tell("timing steps")
    fleet = _fleet(setup, mean, layouts, request)
    counts = {role: int(layout.workers) for role, layout in layouts.items()}
    runs, outcomes = {}, {}
    for name in request.policies:
        run = simulate_run(
            requests, fleet, counts, policy_of(name, request.interval_s, request.forecast),
            limits=_limits(name, counts, fleet), service=request.service,
            targets_s=(ftl_s, ttl_s), told=name,
        )  # fmt: skip
        runs[name], outcomes[name] = run, outcome(run, ftl_s, ttl_s)
    case = f"{setup.model.name} on {setup.hardware.name} · {setup.precision_name}"
    source = f"{setup.calibration.name} calibration, engine {setup.engine.name}"
    table = _table(outcomes, requests, ftl_s, ttl_s)
    return Simulated(table, runs, outcomes, ftl_s, ttl_s, pools, case, source, setup)


def _fleet(
    setup: Setup, mean: Workload, layouts: Mapping[int, Layout], request: SimulateRequest
) -> Fleet:
    """Step times, prices and power of every role, for requests of the mean lengths."""
    longest = float((request.requests.isl + request.requests.osl).max())
    laws = {
        role: role_law(
            setup, mean, layout, longest,
            chunk=request.chunk, most=request.most_sequences, pooled=role == PREFILL,
        )
        for role, layout in layouts.items()
    }  # fmt: skip
    card = setup.hardware.hardware
    return fleet_of(
        laws.get(MIXED),
        laws.get(PREFILL),
        laws.get(DECODE),
        usd_per_gpu_s=float(card.price_usd_per_hour) / HOUR_S,
        power_w=float(card.power_w),
        idle_frac=idle_power_frac(),
        startup_s=request.startup_s,
        convert_s=request.convert_s,
    )


def _limits(name: str, counts: dict[int, int], fleet: Fleet) -> dict[int, tuple[int, int]]:
    """How small and how large each pool may become under a policy."""
    if name == "static":
        return {role: (count, count) for role, count in counts.items()}
    if name in HELD:
        gpus = sum(fleet.gpus[role] * count for role, count in counts.items())
        return {
            role: (1, max(int(gpus // fleet.gpus[role]), count)) for role, count in counts.items()
        }
    return {role: (1, GROWTH * count) for role, count in counts.items()}


def _table(
    outcomes: dict[str, dict[str, float | str]], requests: Requests, ftl_s: float, ttl_s: float
) -> xr.Dataset:
    names = [name for name in next(iter(outcomes.values())) if name != "policy"]
    # Roles differ by fleet, never by policy: every outcome has the same measures.
    data = {
        name: ("policy", np.array([float(one[name]) for one in outcomes.values()]), _units(name))
        for name in names
    }
    return xr.Dataset(
        data,
        coords={"policy": list(outcomes)},
        attrs={
            "requests": requests.name, "ftl_target_s": ftl_s, "ttl_target_s": ttl_s,
            "jaxsim_version": __version__,
        },
    )  # fmt: skip


def _units(name: str) -> dict[str, str]:
    """Units and a readable name of a measure, from its suffix."""
    ends = (("_per_s", "1/s"), ("_s", "s"), ("seconds", "s"))
    units = next((unit for suffix, unit in ends if name.endswith(suffix)), "1")
    return {
        "units": {
            "usd": "USD",
            "joules": "J",
            "usd_per_million_output_tokens": "USD",
            "output_tokens_per_joule": "1/J",
        }.get(name, units),
        "long_name": name.replace("_", " "),
    }
