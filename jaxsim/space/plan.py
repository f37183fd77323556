"""What should be deployed?  From a set-up and a request to a plan."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from jaxsim._progress import tell
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.space.axes import Space
from jaxsim.space.deploy.candidates import gather
from jaxsim.space.deploy.curves import curves_of
from jaxsim.space.deploy.doubt import doubt_of
from jaxsim.space.deploy.encoders import check_pooled, excess_gpus, is_pooled, with_encoders
from jaxsim.space.deploy.headroom import headroom_of
from jaxsim.space.deploy.integers import with_integers
from jaxsim.space.deploy.mixture import mixed_phases
from jaxsim.space.deploy.other_targets import choices_of
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Deployed, Lever, Plan, Unmet
from jaxsim.space.deploy.select import best_colocated, best_disaggregated
from jaxsim.space.deploy.sweep import Evaluate, Swept, colocated_on_prefill, sweep_phases
from jaxsim.space.deploy.uncertainty import Spread
from jaxsim.space.designs import evaluate_phase
from jaxsim.space.sensitivity.plan_levers import levers


def plan(
    setup: Setup,
    request: PlanRequest,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    *,
    choices: bool = False,
) -> Plan:
    """The best disaggregated and co-located deployments under the targets, and which to choose.

    All designs of the space are evaluated for every workload of the request, and for one workload
    whole batches and chunks between those of the space (`with_integers`); pools are matched
    exactly (`match`), and the better of both modes of co-location is the baseline, on the hardware
    of either pool. Where no design
    meets the targets, the result says which are nearest. With `choices`, it also has the best
    deployments under other targets (`choices_of`). Encoders on GPUs of their own are counted last,
    and where a cap is exceeded pools are matched again within what they leave.
    """
    started = time.perf_counter()
    encodes = prefill_setup or setup if is_pooled(setup) else None
    if encodes is not None:
        check_pooled(request)
    swept = sweep_phases(setup, request, space, prefill_setup)
    tell("refining batches and chunks")
    matched = _matched(swept, space, started)
    if encodes is None:
        return _completed(matched, space, choices=choices)
    while over := excess_gpus(matched.plan, encodes, request):
        less = max((swept.request.max_gpus or 0) - over, 1)
        if less == swept.request.max_gpus:
            raise InputError(
                f"{request.max_gpus} GPUs are too few for instances and encoders of their own; "
                "give more, or leave the encoders on the GPUs of prefill"
            )
        swept = replace(swept, request=replace(swept.request, max_gpus=less))
        matched = _matched(swept, space, started)
    done = _completed(matched, space, choices=choices)
    return with_encoders(done, encodes, request)


def plan_stages(
    setup: Setup,
    request: PlanRequest,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    evaluate: Evaluate = evaluate_phase,
) -> Iterator[Plan]:
    """A plan as it becomes known; the last is what `plan` gives with `choices`.

    First the best of the designs of the space, without those between them; then the best of every
    whole batch and chunk; then what limits it, and the best under other targets. Each has frontiers
    and intervals, and choices under its own FTL target at least. Nothing is worked out before it
    is asked for. `evaluate` may keep what it evaluated (`HeldSweeps`).
    """
    if is_pooled(setup):
        raise InputError("encoders on GPUs of their own are not planned in stages: use `plan`")
    started = time.perf_counter()
    swept = sweep_phases(setup, request, space, prefill_setup, evaluate)
    tell("matching pools")
    matched = _matched(swept, space, started, evaluate, integers=False)
    yield replace(matched.plan, choices=choices_of(swept, space, matched.on_prefill, few=True))
    tell("refining batches and chunks")
    matched = _matched(swept, space, started, evaluate)
    few = choices_of(matched.swept, space, matched.on_prefill, few=True)
    yield replace(matched.plan, choices=few)
    yield _completed(matched, space, choices=True)


@dataclass(frozen=True)
class _Matched:
    """A plan without what limits it, and the designs behind it."""

    plan: Plan
    swept: Swept
    on_prefill: Swept | None


def _matched(
    swept: Swept,
    space: Space | None,
    started: float,
    evaluate: Evaluate = evaluate_phase,
    *,
    integers: bool = True,
) -> _Matched:
    """The best deployment of each kind and the frontiers, with whole `integers` or on the grid."""
    setup, request = swept.setup, swept.request
    if integers:
        swept = with_integers(swept, space)
    tell("matching pools")
    candidates = gather(swept)
    disaggregated, disaggregated_spread = best_disaggregated(swept, candidates)
    colocated, colocated_spread = best_colocated(swept, candidates)
    on_prefill = colocated_on_prefill(swept, space, evaluate)
    if on_prefill is not None:
        if integers:
            on_prefill = with_integers(on_prefill, space, ("colocated",))
        there = best_colocated(on_prefill, gather(on_prefill))
        if _worth(there[0], request) > _worth(colocated, request):
            colocated, colocated_spread = there
        else:
            on_prefill = None
    at_mean = gain_at_mean_ttl(swept, on_prefill)
    tell("drawing frontiers")
    result = Plan(
        model=setup.model.name,
        hardware=setup.hardware.name,
        prefill_hardware=swept.prefill_setup.hardware.name,
        precision=setup.precision_name,
        engine=setup.engine.name,
        calibration=setup.calibration.name,
        calibration_sha256=setup.calibration.sha256,
        mix=request.mix,
        ftl_target_s=request.ftl_s,
        ttl_target_s=request.ttl_s,
        max_gpus=request.cap,
        exact_gpus=request.exact_gpus,
        points_evaluated=swept.points,
        valid_points={
            name: int(np.count_nonzero(getattr(swept, name).full("valid")))
            for name in ("prefill", "decode", "colocated")
        },
        elapsed_s=time.perf_counter() - started,
        disaggregated=disaggregated,
        colocated=colocated,
        probability=None,
        curves=curves_of(swept, candidates, on_prefill),
        objective=request.objective,
        notes=notes_of_both(setup, swept.prefill_setup),
        formats={"prefill": swept.prefill_setup.formats, "decode": setup.formats},
        gain_at_mean_ttl=at_mean,
    )
    if disaggregated_spread is not None and colocated_spread is not None:
        result = _with_doubt(result, swept, disaggregated_spread.minus(colocated_spread))
    return _Matched(result, swept, on_prefill)


def _with_doubt(result: Plan, swept: Swept, between: Spread) -> Plan:
    """The plan with how sure its gain is; `between` is the spread of one kind over the other."""
    lengths = [one.workload for one in swept.request.mix]
    doubt = doubt_of(
        between.log_sigma,
        {name: max(float(getattr(one, name)) for one in lengths) for name in ("isl", "osl")},
        (swept.setup.hardware.name, swept.prefill_setup.hardware.name),
    )
    if result.gain is None:
        return result
    return replace(
        result,
        probability=doubt.probability(result.gain),
        gain_interval=doubt.interval(result.gain),
        beyond_measured=doubt.beyond,
    )


def _completed(matched: _Matched, space: Space | None, *, choices: bool) -> Plan:
    """The plan with levers and headroom and, with `choices`, the best under other targets."""
    swept, on_prefill, result = matched.swept, matched.on_prefill, matched.plan
    own = on_prefill or swept
    tell("what limits it")
    result = replace(result, levers=_levers(swept, own, result.disaggregated, result.colocated))
    if choices:
        result = replace(result, choices=choices_of(swept, space, on_prefill))
    return replace(result, headroom=_headroom(swept, on_prefill, result))


def _headroom(swept: Swept, on_prefill: Swept | None, result: Plan) -> dict[str, float]:
    """What kernels at the limit of the chip would give either kind, by its name."""
    each = {
        kind: headroom_of(swept, own, on_prefill)
        for kind in ("disaggregated", "colocated")
        if isinstance(own := getattr(result, kind), Deployed)
    }
    return {kind: factor for kind, factor in each.items() if factor is not None}


def notes_of_both(setup: Setup, prefill: Setup) -> tuple[str, ...]:
    """What to know of the model and its formats, those of either pool where they differ."""
    other = [note for note in prefill.notes if note not in setup.notes]
    return (*(f"Prefill, {note[0].lower()}{note[1:]}" for note in other), *setup.notes)


def _worth(deployed: Deployed | Unmet, request: PlanRequest) -> float:
    """By the objective; -1 where the targets are not met."""
    return deployed.worth(request.objective) if isinstance(deployed, Deployed) else -1.0


def gain_at_mean_ttl(swept: Swept, on_prefill: Swept | None = None) -> float | None:
    """Disaggregated over co-located where both hold TTL on the mean of the mix alone.

    A plan holds instances to the targets even while they serve one workload alone. That is hard on
    co-location, where a workload of long prompts and short outputs would delay every step; in the
    mix, all requests share its steps and see its mean TTL. The mean is exact where a step's time is
    affine in the mean context. FTL is still held for every workload. None for one workload, where
    either kind meets nothing, and for medians, which have no such mean.
    """
    request = swept.request
    if len(swept.each) == 1 or request.ttl_metric != "mean":
        return None
    weaker = replace(swept, mean=mixed_phases(swept.each, request, mean_ttl=True))
    candidates = gather(weaker)
    disaggregated, _ = best_disaggregated(weaker, candidates)
    if on_prefill is not None:
        weaker = replace(on_prefill, mean=mixed_phases(on_prefill.each, request, mean_ttl=True))
        candidates = gather(weaker)
    colocated, _ = best_colocated(weaker, candidates)
    if isinstance(disaggregated, Unmet) or isinstance(colocated, Unmet):
        return None
    return disaggregated.worth(request.objective) / colocated.worth(request.objective)


def _levers(
    swept: Swept, on_prefill: Swept, disaggregated: Deployed | Unmet, colocated: Deployed | Unmet
) -> tuple[Lever, ...]:
    """Elasticities of the better deployment; of one workload only.

    `on_prefill` has the co-located designs.

    Of a mix, which workload a target binds changes with the inputs, and no derivative says how.
    """
    if len(swept.each) > 1:
        return ()
    request = swept.request
    if _worth(colocated, request) > _worth(disaggregated, request):
        return levers(on_prefill, colocated if isinstance(colocated, Deployed) else None)
    return levers(swept, disaggregated if isinstance(disaggregated, Deployed) else None)
