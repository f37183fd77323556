"""What should be deployed?  The whole journey from a set-up and targets to an answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.space.answer import (
    Certificate,
    Deployed,
    FrontierCurve,
    InstanceShape,
    Lever,
    Plan,
    Unmet,
)
from jaxsim.space.axes import Space, complete
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.space.diagnose import nothing_valid
from jaxsim.space.frontier import (
    MODES,
    Candidates,
    ColocatedCandidates,
    colocated_candidates,
    colocated_frontier,
    decode_candidates,
    disaggregated_frontier,
    prefill_candidates,
)
from jaxsim.space.match import match
from jaxsim.space.match_records import Match, NoMatch
from jaxsim.space.sensitivity_answer import levers
from jaxsim.space.uncertainty import Spread, better_probability, interval, spread_of

SECONDS_PER_HOUR = 3600.0
PARTS = (
    "projections_s", "attention_s", "ffn_s", "experts_s",
    "network_s", "elementwise_s", "head_s", "overhead_s",
)  # fmt: skip
MEMORY = ("weights_bytes", "kv_bytes", "activation_bytes", "reserve_bytes", "capacity_bytes")


@dataclass(frozen=True)
class Question:
    """What a plan is asked: traffic, targets, and what may be spent.

    `objective` is what throughput is divided by: `gpu`, `cost` or `power`. `ttl_metric` says
    whether the co-located token latency is the `mean` gap or the `median` one.
    """

    workload: Workload
    ftl_s: float
    ttl_s: float
    max_gpus: int | None = None
    exact_gpus: int | None = None
    fixed_ratio: float | None = None
    objective: str = "gpu"
    ttl_metric: str = "mean"
    tolerance: float = 0.03

    def __post_init__(self):
        for name in ("ftl_s", "ttl_s"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"{name} = {value}: a latency target is a positive time in seconds"
                )
        if self.objective not in ("gpu", "cost", "power"):
            raise InputError(f"objective {self.objective!r}: it is gpu, cost or power")
        if self.ttl_metric not in ("mean", "median"):
            raise InputError(f"ttl_metric {self.ttl_metric!r}: it is mean or median")
        if self.max_gpus is not None and self.exact_gpus is not None:
            raise InputError("give at most so many GPUs or exactly so many, not both")
        isl, osl = float(self.workload.isl), float(self.workload.osl)
        if not (isl >= 1 and osl >= 2):
            raise InputError(
                f"isl = {isl:g}, osl = {osl:g}: a prompt has at least 1 token and an answer at "
                "least 2 (the first one comes from prefill)"
            )


@dataclass(frozen=True)
class Swept:
    """The three phases over a space, and the set-ups they were evaluated with."""

    setup: Setup
    prefill_setup: Setup
    question: Question
    prefill: Designs
    decode: Designs
    colocated: Designs

    @property
    def points(self) -> int:
        return self.prefill.size + self.decode.size + self.colocated.size


def sweep_phases(
    setup: Setup,
    question: Question,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Swept:
    """Every design of every phase for one workload."""
    first = prefill_setup or setup
    isl, osl = (float(question.workload.isl),), (float(question.workload.osl),)
    designs = {}
    for phase, own in (("prefill", first), ("decode", setup), ("colocated", setup)):
        tell(f"evaluating {phase}")
        scenario = own.scenario(question.workload)
        filled = complete(space, scenario.model, scenario.hardware, isl[0])
        found = evaluate_phase(phase, scenario, filled, isl, osl)
        if not found.full("valid").any():
            widest = complete(None, scenario.model, scenario.hardware, isl[0])
            raise nothing_valid(
                found, lambda: evaluate_phase(phase, scenario, widest, isl, osl)  # noqa: B023
            )
        designs[phase] = found
    return Swept(setup, first, question, **designs)


def gpu_weight(setup: Setup, objective: str) -> float:
    """What one GPU counts under an objective: 1, its price, or its power."""
    hardware = setup.hardware.hardware
    return {
        "gpu": 1.0,
        "cost": float(hardware.price_usd_per_hour),
        "power": float(hardware.power_w),
    }[objective]


def plan(
    setup: Setup,
    question: Question,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Plan:
    """The best disaggregated and co-located deployments under the targets, and which to choose.

    All designs of the space are evaluated; pools are matched exactly (`match`), and the better of
    both modes of co-location is the baseline. An answer that no design gives says what is nearest.
    """
    started = time.perf_counter()
    swept = sweep_phases(setup, question, space, prefill_setup, tell)
    tell("matching pools")
    link = float(setup.hardware.hardware.scaleout.bytes_per_s)
    first = prefill_candidates(swept.prefill, gpu_weight(swept.prefill_setup, question.objective))
    second = decode_candidates(swept.decode, link, gpu_weight(setup, question.objective))
    both = colocated_candidates(swept.colocated, question.ttl_metric)
    disaggregated, apart = _disaggregated(swept, first, second)
    together_deployed, together = _colocated(swept, both)
    probability = None
    if apart is not None and together is not None:
        assert isinstance(disaggregated, Deployed)
        assert isinstance(together_deployed, Deployed)
        probability = better_probability(
            disaggregated.output_tokens_per_s_per_gpu,
            apart,
            together_deployed.output_tokens_per_s_per_gpu,
            together,
        )
    tell("drawing frontiers")
    curves = _curves(swept, first, second, both)
    return Plan(
        model=setup.model.name,
        hardware=setup.hardware.name,
        prefill_hardware=swept.prefill_setup.hardware.name,
        precision=setup.precision_name,
        engine=setup.engine.name,
        calibration=setup.calibration.name,
        isl=int(question.workload.isl),
        osl=int(question.workload.osl),
        ftl_target_s=question.ftl_s,
        ttl_target_s=question.ttl_s,
        max_gpus=question.max_gpus or question.exact_gpus,
        points_evaluated=swept.points,
        valid_points={
            name: int(np.count_nonzero(getattr(swept, name).full("valid")))
            for name in ("prefill", "decode", "colocated")
        },
        elapsed_s=time.perf_counter() - started,
        disaggregated=disaggregated,
        colocated=together_deployed,
        probability=probability,
        curves=curves,
        levers=_levers(swept, disaggregated, together_deployed),
    )


def _levers(swept: Swept, *found: Deployed | Unmet) -> tuple[Lever, ...]:
    """Elasticities of the better deployment."""
    met = [one for one in found if isinstance(one, Deployed)]
    best = max(met, key=lambda one: one.output_tokens_per_s_per_gpu, default=None)
    return levers(swept, best)


def _shape(
    designs: Designs,
    index: int,
    setup: Setup,
    *,
    count: int,
    mode: str = "",
    latency: str,
    requests_per_s: float,
) -> InstanceShape:
    at = designs.at(index)
    prefix = f"{mode}_" if mode else ""
    return InstanceShape(
        phase=designs.phase,
        mode=mode,
        hardware=setup.hardware.name,
        tp=int(at["tp"]),
        ep=int(at["ep"]),
        pp=int(at["pp"]),
        batch=int(at["batch"]),
        chunk=int(at.get("chunk", 0)),
        gpus_per_instance=int(designs.value("gpus", index)),
        count=count,
        latency_s=designs.value(latency, index),
        requests_per_s=requests_per_s,
        parts_s={name[:-2]: designs.value(prefix + name, index) for name in PARTS},
        memory_bytes={name[:-6]: designs.value(name, index) for name in MEMORY},
    )


def _spread(designs: Designs, index: int, setup: Setup, mode: str = "") -> Spread:
    prefix = f"{mode}_" if mode else ""
    parts = {name[:-2]: designs.value(prefix + name, index) for name in PARTS}
    return spread_of(parts, designs.phase, setup)


def _economics(tokens_per_s: float, spent: list[tuple[int, Setup]]) -> tuple[float, float]:
    """$ per million output tokens, and output tokens per joule, of (GPUs, set-up) pairs."""
    usd_per_hour = sum(n * float(s.hardware.hardware.price_usd_per_hour) for n, s in spent)
    watts = sum(n * float(s.hardware.hardware.power_w) for n, s in spent)
    return usd_per_hour / SECONDS_PER_HOUR / tokens_per_s * 1e6, tokens_per_s / watts


def _disaggregated(
    swept: Swept, first: Candidates, second: Candidates
) -> tuple[Deployed | Unmet, Spread | None]:
    question = swept.question
    found: Match | NoMatch = match(
        first.pool,
        second.pool,
        float(question.workload.osl),
        ftl_s=question.ftl_s,
        ttl_s=question.ttl_s,
        max_gpus=question.max_gpus,
        exact_gpus=question.exact_gpus,
        ratio=question.fixed_ratio,
        tolerance=question.tolerance,
    )
    if isinstance(found, NoMatch):
        return Unmet(found.reason, found.ftl_s_at_ttl, found.ttl_s_at_ftl), None
    i, j = int(first.index[found.prefill_index]), int(second.index[found.decode_index])
    prompt = _shape(
        swept.prefill, i, swept.prefill_setup,
        count=found.prefill_instances, latency="ftl_s",
        requests_per_s=swept.prefill.value("requests_per_s", i),
    )  # fmt: skip
    token = _shape(
        swept.decode, j, swept.setup,
        count=found.decode_instances, latency="ttl_s",
        requests_per_s=swept.decode.value("requests_per_s", j),
    )  # fmt: skip
    gpus_p = prompt.count * prompt.gpus_per_instance
    gpus_d = token.count * token.gpus_per_instance
    # 1/y = Σ GPUs / rate: each pool's relative error counts as its share of the paid GPUs.
    spread = _spread(swept.prefill, i, swept.prefill_setup).times(gpus_p / (gpus_p + gpus_d))
    spread = spread.plus(_spread(swept.decode, j, swept.setup).times(gpus_d / (gpus_p + gpus_d)))
    cost, per_joule = _economics(
        found.output_tokens_per_s, [(gpus_p, swept.prefill_setup), (gpus_d, swept.setup)]
    )
    proof = found.certificate
    kv_bytes = swept.prefill.value("kv_prompt_bytes", i)
    egress_gpus = _kv_gpus(swept.prefill, i, "kv_egress_bytes_per_s_per_gpu", kv_bytes)
    ingress_gpus = _kv_gpus(swept.decode, j, "kv_ingress_bytes_per_s_per_gpu", kv_bytes)
    deployed = Deployed(
        output_tokens_per_s_per_gpu=found.output_tokens_per_s_per_gpu,
        interval=interval(found.output_tokens_per_s_per_gpu, spread),
        ftl_s=found.ftl_s,
        ttl_s=found.ttl_s,
        ttl_median_s=None,
        gpus=int(found.gpus),
        requests_per_s=found.requests_per_s,
        instances=(prompt, token),
        cost_usd_per_million_output_tokens=cost,
        output_tokens_per_joule=per_joule,
        ctx_gen_ratio=found.ctx_gen_ratio,
        kv_egress_bytes_per_s_per_gpu=found.requests_per_s
        * kv_bytes
        / (prompt.count * egress_gpus),
        kv_ingress_bytes_per_s_per_gpu=found.requests_per_s
        * kv_bytes
        / (token.count * ingress_gpus),
        certificate=Certificate(
            gap=proof.gap,
            upper_bound=proof.upper_bound,
            runner_up=proof.runner_up.value if proof.runner_up else None,
            stable_range={
                "prefill_rate": proof.prefill_rate_range,
                "decode_rate": proof.decode_rate_range,
            },
            method=proof.method,
        ),
    )
    return deployed, spread


def _kv_gpus(designs: Designs, index: int, flow: str, kv_bytes: float) -> float:
    """GPUs of an instance that hold distinct cache: what its own rate implies."""
    return designs.value("requests_per_s", index) * kv_bytes / designs.value(flow, index)


def _colocated(swept: Swept, both: ColocatedCandidates) -> tuple[Deployed | Unmet, Spread | None]:
    question = swept.question
    ftl, ttl = both.ftl_s <= question.ftl_s, both.ttl_s <= question.ttl_s
    cap = question.max_gpus or question.exact_gpus or np.inf
    fits = both.gpus <= cap
    if not (ftl & ttl & fits).any():
        return _unmet_colocated(both, ftl, ttl, fits, cap), None
    count = np.floor(cap / both.gpus) if np.isfinite(cap) else np.ones_like(both.gpus)
    paid = question.exact_gpus or np.maximum(count, 1.0) * both.gpus
    worth = both.output_tokens_per_s_per_gpu * count * both.gpus / paid
    best = int(np.argmax(np.where(ftl & ttl & fits, worth, -np.inf)))
    index, mode = int(both.index[best]), MODES[int(both.mode[best])]
    instances = int(count[best])
    per_gpu = float(worth[best])
    gpus = int(both.gpus[best])
    rate = swept.colocated.value(f"{mode}_output_tokens_per_s_per_gpu", index) * gpus
    requests_per_s = rate / (float(question.workload.osl) - 1.0)
    shape = _shape(
        swept.colocated, index, swept.setup, count=instances, mode=mode,
        latency=f"{mode}_ttl_s", requests_per_s=requests_per_s,
    )  # fmt: skip
    spread = _spread(swept.colocated, index, swept.setup, mode)
    cost, per_joule = _economics(rate * instances, [(gpus * instances, swept.setup)])
    deployed = Deployed(
        output_tokens_per_s_per_gpu=per_gpu,
        interval=interval(per_gpu, spread),
        ftl_s=float(both.ftl_s[best]),
        ttl_s=swept.colocated.value(f"{mode}_ttl_s", index),
        ttl_median_s=swept.colocated.value(f"{mode}_ttl_median_s", index),
        gpus=gpus * instances,
        requests_per_s=requests_per_s * instances,
        instances=(shape,),
        cost_usd_per_million_output_tokens=cost,
        output_tokens_per_joule=per_joule,
    )
    return deployed, spread


def _unmet_colocated(both, ftl, ttl, fits, cap) -> Unmet:
    def least(values: np.ndarray, kept: np.ndarray) -> float | None:
        return float(values[kept].min()) if kept.any() else None

    if not len(both.ttl_s):
        return Unmet("No co-located design obeys every rule.", None, None)
    if not fits.any():
        return Unmet(f"No co-located instance fits in {cap:g} GPUs.", None, None)
    nearest_ftl, nearest_ttl = least(both.ftl_s, ttl & fits), least(both.ttl_s, ftl & fits)
    return Unmet("No co-located design meets both latency targets.", nearest_ftl, nearest_ttl)


def _curves(
    swept: Swept, first: Candidates, second: Candidates, both: ColocatedCandidates
) -> tuple[FrontierCurve, ...]:
    """The disaggregated frontier, and the co-located ones: over both modes, and piggybacked."""
    question = swept.question
    curves = [_disaggregated_curve(swept, first, second)]
    alone = colocated_candidates(swept.colocated, question.ttl_metric, ("piggybacked",))
    for name, candidates in (("co-located", both), ("co-located, piggybacked", alone)):
        front = colocated_frontier(candidates, question.ftl_s)
        index = candidates.index[front.candidate]
        modes = [MODES[m] for m in candidates.mode[front.candidate]]
        spreads = [
            _spread(swept.colocated, int(i), swept.setup, mode)
            for i, mode in zip(index, modes, strict=True)
        ]
        designs = _columns(swept.colocated, index)
        curves.append(
            _curve(name, front.ttl_s, front.output_tokens_per_s_per_gpu, spreads, designs)
        )
    return tuple(curve for curve in curves if len(curve.ttl_s))


def _columns(designs: Designs, index: np.ndarray, prefix: str = "") -> dict[str, np.ndarray]:
    where = np.unravel_index(index, designs.shape)
    return {
        prefix + name: np.asarray(values)[i]
        for (name, values), i in zip(designs.axes.items(), where, strict=True)
        if name not in ("isl", "osl")
    }


def _curve(name, ttl_s, y, spreads, designs) -> FrontierCurve:
    ends = [interval(float(v), spread) for v, spread in zip(y, spreads, strict=True)]
    low, high = np.array(ends).reshape(-1, 2).T
    return FrontierCurve(name, np.asarray(ttl_s), np.asarray(y), low, high, designs)


def _disaggregated_curve(swept: Swept, first: Candidates, second: Candidates) -> FrontierCurve:
    question = swept.question
    front = disaggregated_frontier(
        first,
        second,
        float(question.workload.osl),
        question.ftl_s,
        max_gpus=question.max_gpus,
        exact_gpus=question.exact_gpus,
        ratio=question.fixed_ratio,
        tolerance=question.tolerance,
    )
    i, j = first.index[front.prefill_index], second.index[front.decode_index]
    spreads = []
    for a, b, ratio in zip(i, j, front.ctx_gen_ratio, strict=True):
        share = ratio / (1.0 + ratio)
        prompt = _spread(swept.prefill, int(a), swept.prefill_setup).times(share)
        spreads.append(prompt.plus(_spread(swept.decode, int(b), swept.setup).times(1.0 - share)))
    designs = {
        **_columns(swept.prefill, i, "prefill_"),
        **_columns(swept.decode, j, "decode_"),
        "prefill_instances": front.prefill_instances,
        "decode_instances": front.decode_instances,
        "ctx_gen_ratio": front.ctx_gen_ratio,
    }
    return _curve("disaggregated", front.ttl_s, front.output_tokens_per_s_per_gpu, spreads, designs)
