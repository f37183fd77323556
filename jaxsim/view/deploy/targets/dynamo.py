"""What does NVIDIA Dynamo's operator need?  A graph of `nvidia.com/v1beta1`, and engine files."""

from jaxsim.view.deploy.arguments import serve_options, trtllm_config, words_of
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.platforms import dynamo_release, node_of
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.targets.pods import (
    gpu_resource,
    hub_token,
    kv_transfer,
    selector,
    sglang_transfer,
)
from jaxsim.view.deploy.yaml_text import yaml_text

API = "nvidia.com/v1beta1"


def files(order: Order, settings: Settings) -> dict[str, str]:
    """The graph, with configurations of engines and a rack's compute domain before it."""
    documents: list[dict[str, object]] = []
    if settings.engine == "trtllm":
        documents.append(_engine_files(order, settings))
    documents += _domains(order, settings)
    documents.append(graph(order, settings))
    head = f"kubectl apply -n {settings.namespace} -f graph.yaml"
    return {"graph.yaml": yaml_text(documents, head)}


def graph(order: Order, settings: Settings) -> dict[str, object]:
    """The DynamoGraphDeployment."""
    components = [_frontend(order, settings)]
    components += [_worker(order, pool, settings) for pool in order.pools]
    return {
        "apiVersion": API,
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": settings.name, "namespace": settings.namespace},
        "spec": {"backendFramework": settings.engine, "components": components},
    }


def component_name(pool: Pool) -> str:
    """What a pool is called in the graph."""
    return "worker" if pool.role == "colocated" else pool.role


def image(settings: Settings) -> str:
    """The image of workers."""
    return settings.image or dynamo_release().images[settings.engine]


def _frontend(order: Order, settings: Settings) -> dict[str, object]:
    # Prefixes are only found where requests go to the instance that has them.
    route = ["--router-mode", "kv"] if order.hit_frac else []
    container = {
        "name": "main",
        "image": image(settings),
        "command": ["python3", "-m", "dynamo.frontend"],
        "args": ["--http-port", str(settings.port), *route],
        "envFrom": hub_token(settings),
    }
    return {
        "name": "Frontend",
        "type": "frontend",
        "replicas": 1,
        "podTemplate": {"spec": {"containers": [container]}},
    }


def _worker(order: Order, pool: Pool, settings: Settings) -> dict[str, object]:
    command, arguments = _command(order, pool, settings)
    resources: dict[str, object] = {"limits": {gpu_resource(pool): str(pool.node_gpus)}}
    container: dict[str, object] = {
        "name": "main",
        "image": image(settings),
        "command": command,
        "args": arguments,
        "envFrom": hub_token(settings),
        "resources": resources,
    }
    pod: dict[str, object] = {"containers": [container]}
    if chosen := selector(order, pool):
        pod["nodeSelector"] = chosen
    if settings.engine == "trtllm":
        container["volumeMounts"] = [{"name": "engine", "mountPath": "/config"}]
        pod["volumes"] = [{"name": "engine", "configMap": {"name": f"{settings.name}-engine"}}]
    if _in_rack(pool):
        claim = f"{settings.name}-{component_name(pool)}"
        pod["resourceClaims"] = [{"name": "domain", "resourceClaimTemplateName": claim}]
        resources["claims"] = [{"name": "domain"}]
    described: dict[str, object] = {
        "name": component_name(pool),
        "type": {"colocated": "worker"}.get(pool.role, pool.role),
        "replicas": pool.count,
    }
    if pool.nodes > 1:
        described["multinode"] = {"nodeCount": pool.nodes}
    if pool.gpus > 1:
        described["sharedMemorySize"] = "80Gi"
    return {**described, "podTemplate": {"spec": pod}}


def _command(order: Order, pool: Pool, settings: Settings) -> tuple[list[str], list[str]]:
    command = ["python3", "-m", f"dynamo.{settings.engine}"]
    role = [] if pool.role == "colocated" else ["--disaggregation-mode", pool.role]
    if settings.engine == "trtllm":
        words = ["--model", settings.checkpoint, "--served-model-name", settings.served]
        return command, [*words, *role, "--extra-engine-args", f"/config/{pool.role}.yaml"]
    words = [settings.flags["model"].name, settings.checkpoint]
    words += words_of(serve_options(order, pool, settings))
    if settings.engine == "sglang":
        return command, [*words, *sglang_transfer(pool, settings), "--host", "0.0.0.0"]
    if role:
        role += [settings.flags["kv_transfer"].name, kv_transfer(pool, settings)]
    return command, [*words, *role]


def _engine_files(order: Order, settings: Settings) -> dict[str, object]:
    held = {
        f"{pool.role}.yaml": yaml_text([trtllm_config(order, pool, settings)])
        for pool in order.pools
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{settings.name}-engine", "namespace": settings.namespace},
        "data": held,
    }


def _in_rack(pool: Pool) -> bool:
    return pool.nodes > 1 and bool(node_of(pool.hardware).get("rack"))


def _domains(order: Order, settings: Settings) -> list[dict[str, object]]:
    """A compute domain for every pool whose instances span nodes of one rack."""
    return [
        {
            "apiVersion": "resource.nvidia.com/v1beta1",
            "kind": "ComputeDomain",
            "metadata": {
                "name": f"{settings.name}-{component_name(pool)}",
                "namespace": settings.namespace,
            },
            "spec": {
                "numNodes": pool.nodes * pool.count,
                "channel": {
                    "resourceClaimTemplate": {"name": f"{settings.name}-{component_name(pool)}"}
                },
            },
        }
        for pool in order.pools
        if _in_rack(pool)
    ]
