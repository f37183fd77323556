"""What is Dynamo's planner told?  Targets, budget and floors from the plan, and its profile."""

import json

from jaxsim.view.deploy.autoscale.limits import limits_of, replicas_of
from jaxsim.view.deploy.autoscale.profile import Profile, json_text
from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.platforms import dynamo_release
from jaxsim.view.deploy.settings import Settings

MOUNT = "/workspace/profile"
# Seconds between decisions; the planner's own default.
INTERVAL_S = 180


def planner_config(
    order: Order, settings: Settings, factor: float, profiled: bool
) -> dict[str, object]:
    """The planner's configuration; only keys of its `PlannerConfig`."""
    bounds = [replicas_of(pool, factor) for pool in order.pools]
    gpus = sum(most * pool.gpus for (_, most), pool in zip(bounds, order.pools, strict=True))
    first, last = order.pools[0], order.pools[-1]
    described: dict[str, object] = {
        "environment": "kubernetes",
        "backend": settings.engine,
        "mode": "disagg" if order.kind == "disaggregated" else "agg",
        "optimization_target": "sla" if profiled else "load",
        "pre_deployment_sweeping_mode": "none",
        "ttft_ms": _ms(order.ftl_target_s, order.ftl_s),
        "itl_ms": _ms(order.ttl_target_s, order.ttl_s),
        "enable_throughput_scaling": profiled,
        "enable_load_scaling": not profiled,
        "throughput_adjustment_interval_seconds": INTERVAL_S,
        "max_throughput_scaling_replicas": max(most for _, most in bounds),
        "min_endpoint": min(least for least, _ in bounds),
        "max_gpu_budget": gpus,
        "prefill_engine_num_gpu": first.gpus,
        "decode_engine_num_gpu": last.gpus,
    }
    if profiled:
        described["profile_results_dir"] = MOUNT
    else:
        # One pool: the planner adds prompts that wait to the cache in use.
        full = limits_of(order, last, factor).kv_frac
        described |= {
            "decode_scale_up_kv_rate": round(100.0 * full, 2),
            "decode_scale_down_kv_rate": round(50.0 * full, 2),
        }
    return described


def _ms(target_s: float, planned_s: float) -> float:
    """A target in milliseconds; the plan's own latency where there is none."""
    return round(1e3 * (target_s if target_s < 1e6 else planned_s), 3)


def planner_component(
    order: Order, settings: Settings, factor: float, profiled: bool
) -> dict[str, object]:
    """The planner as one more component of a graph."""
    config = planner_config(order, settings, factor, profiled)
    container: dict[str, object] = {
        "name": "main",
        "image": dynamo_release().images["planner"],
        "command": ["python3", "-m", "dynamo.planner"],
        "args": ["--config", json.dumps(config)],
    }
    pod: dict[str, object] = {"containers": [container]}
    if profiled:
        container["volumeMounts"] = [{"name": "profile", "mountPath": MOUNT, "readOnly": True}]
        pod["volumes"] = [{"name": "profile", "configMap": {"name": f"{settings.name}-profile"}}]
    return {"name": "Planner", "type": "planner", "replicas": 1, "podTemplate": {"spec": pod}}


def profile_map(settings: Settings, profile: Profile) -> dict[str, object]:
    """The profile as a ConfigMap."""
    held = {f"{name}_raw_data.json": json_text(profile, name) for name in ("prefill", "decode")}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{settings.name}-profile", "namespace": settings.namespace},
        "data": held,
    }
