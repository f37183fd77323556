"""What does KServe need?  One LLMInferenceService: decode at its top, prefill within."""

import shlex

from jaxsim.view.deploy.arguments import serve_options, words_of
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.platforms import platforms
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.targets.pods import gpus_of, hub_token, kv_transfer, selector
from jaxsim.view.deploy.yaml_text import yaml_text

# What KServe writes from `parallelism` and `model`.
OWN = {"attention_tp", "attention_dp", "pp", "expert_parallel", "served_name"}


def files(order: Order, settings: Settings) -> dict[str, str]:
    """The service."""
    head = f"kubectl apply -n {settings.namespace} -f service.yaml"
    return {"service.yaml": yaml_text([service(order, settings)], head)}


def service(order: Order, settings: Settings) -> dict[str, object]:
    """The LLMInferenceService."""
    spec: dict[str, object] = {
        "model": {"uri": f"hf://{settings.checkpoint}", "name": settings.served},
        "router": {"scheduler": {}, "route": {}, "gateway": {}},
    }
    spec |= _role(order, order.pools[-1], settings)
    if order.kind == "disaggregated":
        spec["prefill"] = _role(order, order.pool("prefill"), settings)
    return {
        "apiVersion": platforms()["kserve"]["api"],
        "kind": "LLMInferenceService",
        "metadata": {"name": settings.name, "namespace": settings.namespace},
        "spec": spec,
    }


def _role(order: Order, pool: Pool, settings: Settings) -> dict[str, object]:
    parallelism: dict[str, object] = {"tensor": pool.tp}
    if pool.pp > 1:
        parallelism["pipeline"] = pool.pp
    if pool.attention_dp > 1:
        parallelism["data"] = pool.attention_dp
        parallelism["dataLocal"] = max(1, pool.attention_dp // pool.nodes)
    if pool.ep > 1:
        parallelism["expert"] = True
    pod: dict[str, object] = {"containers": [_container(order, pool, settings)]}
    if chosen := selector(order, pool):
        pod["nodeSelector"] = chosen
    described: dict[str, object] = {"replicas": pool.count, "parallelism": parallelism}
    described["template"] = pod
    if pool.nodes > 1:
        described["worker"] = pod
    return described


def _container(order: Order, pool: Pool, settings: Settings) -> dict[str, object]:
    own = {settings.flags[key].name for key in OWN}
    words = words_of([pair for pair in serve_options(order, pool, settings) if pair[0] not in own])
    if pool.role != "colocated":
        words += [settings.flags["kv_transfer"].name, kv_transfer(pool, settings)]
    environment: list[dict[str, object]] = [
        {"name": "VLLM_ADDITIONAL_ARGS", "value": shlex.join(words)}
    ]
    if pool.role != "colocated":
        address = {"fieldRef": {"fieldPath": "status.podIP"}}
        environment.append({"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": address})
    described = {"name": "main", "env": environment, "envFrom": hub_token(settings)}
    if settings.image:
        described["image"] = settings.image  # pyright: ignore[reportArgumentType]
    return {**described, "resources": gpus_of(pool)}
