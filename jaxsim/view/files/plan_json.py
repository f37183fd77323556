"""What does a plan look like to a script?  `plan.json`: SI units, one schema, no NaN."""

from jaxsim._version import __version__, machine
from jaxsim.catalog.workload import Share, Workload
from jaxsim.space.deploy.result import Deployed, Held, InstanceShape, Plan, UnderRate, Unmet
from jaxsim.view.text import sentences
from jaxsim.view.text.costs import costs_of
from jaxsim.view.text.plain_json import clean

SCHEMA = "jaxsim.plan/1"
KINDS = ("disaggregated", "colocated")


def instance_dict(shape: InstanceShape) -> dict[str, object]:
    """One pool's instances."""
    return {
        "pool": shape.phase,
        "mode": shape.mode or None,
        "hardware": shape.hardware,
        "count": shape.count,
        "gpus_per_instance": shape.gpus_per_instance,
        "tp": shape.tp,
        "ep": shape.ep,
        "pp": shape.pp,
        "batch": shape.batch,
        "chunk": shape.chunk,
        "latency_s": shape.latency_s,
        "requests_per_s": shape.requests_per_s,
        "parts_s": shape.parts_s,
        "memory_bytes": shape.memory_bytes,
    }


def deployed_dict(deployed: Deployed, pooled: bool) -> dict[str, object]:
    """A deployment; with what only separate pools have where `pooled`."""
    described: dict[str, object] = {
        "output_tokens_per_s_per_gpu": deployed.output_tokens_per_s_per_gpu,
        "interval": deployed.interval,
        "ftl_s": deployed.ftl_s,
        "host_s": deployed.host_s,
        "ttl_s": deployed.ttl_s,
        "ttl_median_s": deployed.ttl_median_s,
        "gpus": deployed.gpus,
        "copies": deployed.copies,
        "requests_per_s": deployed.requests_per_s,
        "cost_usd_per_million_output_tokens": deployed.cost_usd_per_million_output_tokens,
        "output_tokens_per_joule": deployed.output_tokens_per_joule,
        "instances": [instance_dict(shape) for shape in deployed.instances],
        **({} if deployed.encoders is None else {"encoders": vars(deployed.encoders)}),
    }
    if not pooled:
        return described
    described["ctx_gen_ratio"] = deployed.ctx_gen_ratio
    described["kv_egress_bytes_per_s_per_gpu"] = deployed.kv_egress_bytes_per_s_per_gpu
    described["kv_ingress_bytes_per_s_per_gpu"] = deployed.kv_ingress_bytes_per_s_per_gpu
    proof = deployed.certificate
    described["certificate"] = proof and {
        "gap": proof.gap,
        "upper_bound": proof.upper_bound,
        "runner_up": proof.runner_up,
        "stable_range": proof.stable_range,
        "method": proof.method,
        "near_frac": proof.near_frac,
    }
    return described


def workload_dict(plan: Plan) -> dict[str, object]:
    """Lengths of a request, hits and drafts; of a mix a mean request's, and every workload's."""
    described: dict[str, object] = {"isl": plan.isl, "osl": plan.osl}
    served = [served_dict(one.workload) for one in plan.mix]
    if all(own == served[0] for own in served):
        described |= served[0]
    if len(plan.mix) > 1:
        described["mix"] = [
            {**share_dict(one), **own} for one, own in zip(plan.mix, served, strict=True)
        ]
    return described


def served_dict(workload: Workload) -> dict[str, float]:
    """What is served besides lengths: prefix hits, speculation, images, imbalance of experts."""
    counts = {name: int(getattr(workload, name)) for name in ("draft_tokens", "images")}
    fracs = {name: float(getattr(workload, name)) for name in ("hit_frac", "accept_frac")}
    return {**fracs, **counts, "imbalance": float(workload.imbalance)}


def share_dict(one: Share) -> dict[str, object]:
    """One workload of a mix."""
    return {"isl": one.workload.isl, "osl": one.workload.osl, "share": one.share}


def _by_workload(plan: Plan, deployed: Deployed) -> dict[str, object]:
    """Latencies of every workload, and the mean gap between tokens in the mix."""
    pairs = zip(plan.mix, deployed.by_workload, strict=True)
    return {
        "mixed_ttl_s": deployed.mixed_ttl_s,
        "workloads": [
            {**share_dict(one), "ftl_s": own.ftl_s, "ttl_s": own.ttl_s} for one, own in pairs
        ],
    }


def under_rate_dict(result: UnderRate) -> dict[str, object]:
    """The same for scripts, in base units."""

    def held(one: Held | None) -> dict[str, object] | None:
        if one is None:
            return None
        return {
            "instances": [instance_dict(shape) for shape in one.instances],
            "gpus": one.gpus,
            "ttft_s": one.ttft_s,
            "tpot_s": one.tpot_s,
            "attainment": one.attainment,
            "holds": one.holds,
        }

    return {
        "requests_per_s": result.requests_per_s,
        "percentile": result.percentile,
        "cv": result.cv,
        "requests": result.requests,
        "kind": result.kind or None,
        "sized": held(result.sized),
        "other": held(result.other),
        "steady": held(result.steady),
        "largest_requests_per_s": result.largest_requests_per_s,
        "nearest": held(result.nearest),
    }


def plan_dict(plan: Plan) -> dict[str, object]:
    """The whole plan. A kind that meets no target is null, and `reason` and `nearest` say why."""
    described: dict[str, object] = {
        "schema": SCHEMA,
        "jaxsim_version": __version__,
        "model": plan.model,
        "hardware": plan.hardware,
        "prefill_hardware": plan.prefill_hardware,
        "precision": plan.precision,
        "formats": {pool: dict(own) for pool, own in plan.formats.items()},
        "notes": list(plan.notes),
        "engine": plan.engine,
        "calibration": plan.calibration,
        "calibration_sha256": plan.calibration_sha256,
        "machine": machine(),
        "workload": workload_dict(plan),
        "targets": {"ftl_s": plan.ftl_target_s, "ttl_s": plan.ttl_target_s},
        "objective": plan.objective,
        "max_gpus": plan.max_gpus,
        "exact_gpus": plan.exact_gpus,
        "points_evaluated": plan.points_evaluated,
        "valid_points": plan.valid_points,
        "elapsed_s": plan.elapsed_s,
        "recommended": plan.recommended,
        "gain": plan.gain,
        **({"gain_at_mean_ttl": plan.gain_at_mean_ttl} if len(plan.mix) > 1 else {}),
        "probability": plan.probability,
        "gain_interval": None if plan.gain_interval is None else list(plan.gain_interval),
        "beyond_measured": list(plan.beyond_measured),
        "headroom": dict(plan.headroom),
    }
    reason: dict[str, str] = {}
    nearest: dict[str, dict[str, float | None]] = {}
    for kind in KINDS:
        deployed = getattr(plan, kind)
        if isinstance(deployed, Unmet):
            described[kind] = None
            reason[kind] = deployed.reason
            nearest[kind] = {"ftl_s": deployed.ftl_s, "ttl_s": deployed.ttl_s}
        else:
            described[kind] = own = deployed_dict(deployed, pooled=kind == "disaggregated")
            if all(shape.price_usd_per_hour > 0.0 for shape in deployed.instances):
                own["costs"] = costs_of(deployed, plan.isl)
            if len(plan.mix) > 1:
                own |= _by_workload(plan, deployed)
    if reason:
        described["reason"], described["nearest"] = reason, nearest
    if plan.recommended is None:
        described["error"] = sentences.unmet_message(plan)
    if plan.under_rate is not None:
        described["under_rate"] = under_rate_dict(plan.under_rate)
    described["frontiers"] = [
        {
            "name": curve.name,
            "ttl_s": curve.ttl_s,
            "output_tokens_per_s_per_gpu": curve.output_tokens_per_s_per_gpu,
            "low": curve.low,
            "high": curve.high,
            "designs": curve.designs,
        }
        for curve in plan.curves
    ]
    described["levers"] = [
        {"name": lever.name, "elasticity": lever.elasticity} for lever in plan.levers
    ]
    return {key: clean(value) for key, value in described.items()}
