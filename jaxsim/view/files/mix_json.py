"""What does a plan for a mix look like to a script?  The schema of `plan.json` where it applies."""

from typing import Any

from jaxsim._version import __version__
from jaxsim.space.deploy.mix_result import MixDeployed, MixPlan
from jaxsim.space.deploy.result import Unmet
from jaxsim.view.files.plan_json import SCHEMA, deployed_dict
from jaxsim.view.text.mix import KINDS, unmet_message
from jaxsim.view.text.plain_json import clean


def mix_dict(plan: MixPlan) -> dict[str, Any]:
    """The whole plan; `workload` is {mix: [{isl, osl, share}]}, and there are no frontiers.

    A deployment has its worst latencies over workloads in `ftl_s` and `ttl_s`, those of each
    workload in `workloads`, and the mean gap between tokens in the mix as `mixed_ttl_s`.
    """
    described: dict[str, Any] = {
        "schema": SCHEMA,
        "jaxsim_version": __version__,
        "model": plan.model,
        "hardware": plan.hardware,
        "prefill_hardware": plan.prefill_hardware,
        "precision": plan.precision,
        "engine": plan.engine,
        "calibration": plan.calibration,
        "workload": {"mix": [_share(plan, k) for k in range(len(plan.mix))]},
        "targets": {"ftl_s": plan.ftl_target_s, "ttl_s": plan.ttl_target_s},
        "max_gpus": plan.max_gpus,
        "points_evaluated": plan.points_evaluated,
        "valid_points": plan.valid_points,
        "elapsed_s": plan.elapsed_s,
        "recommended": plan.recommended,
        "gain": plan.gain,
        "gain_at_mean_ttl": plan.gain_at_mean_ttl,
        "probability": plan.probability,
    }
    reason: dict[str, str] = {}
    nearest: dict[str, dict[str, float | None]] = {}
    for kind in KINDS:
        found = getattr(plan, kind)
        if isinstance(found, Unmet):
            described[kind] = None
            reason[kind] = found.reason
            nearest[kind] = {"ftl_s": found.ftl_s, "ttl_s": found.ttl_s}
        else:
            described[kind] = _deployed(plan, found, pooled=kind == "disaggregated")
    if reason:
        described["reason"], described["nearest"] = reason, nearest
    if plan.recommended is None:
        described["error"] = unmet_message(plan)
    described["notes"] = plan.notes
    return clean(described)


def _share(plan: MixPlan, k: int) -> dict[str, Any]:
    one = plan.mix[k]
    return {"isl": one.isl, "osl": one.osl, "share": one.share}


def _deployed(plan: MixPlan, found: MixDeployed, pooled: bool) -> dict[str, Any]:
    """A deployment, with the latencies of every workload."""
    return {
        **deployed_dict(found.deployed, pooled),
        "mixed_ttl_s": found.mixed_ttl_s,
        "workloads": [
            {**_share(plan, k), "ftl_s": found.ftl_s[k], "ttl_s": found.ttl_s[k]}
            for k in range(len(plan.mix))
        ],
    }
