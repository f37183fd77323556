"""What starts the plan on AWS Trainium?  vLLM with the Neuron plugin, on Kubernetes."""

import json

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.arguments import kv_name, step_requests, step_tokens
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.platforms import node_label, node_of, platforms
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.targets.pods import ROLES, gpu_resource, hub_token
from jaxsim.view.deploy.yaml_text import yaml_text

PORT = 8000
SIDE_PORT = {"prefill": 5559, "decode": 5659}


def files(order: Order, settings: Settings) -> dict[str, str]:
    """A Deployment for each pool."""
    for pool in order.pools:
        node_label(pool.hardware, "aws", "vLLM-Neuron")
        if pool.nodes > 1:
            raise InputError(
                f"{pool.named()}: an instance of vLLM-Neuron stays on one node of "
                f"{pool.gpus_per_node} chips; plan with a --tp of at most {pool.gpus_per_node}."
            )
    return {
        f"{pool.role}.yaml": yaml_text([deployment(order, pool, settings)]) for pool in order.pools
    }


def cores(pool: Pool) -> int:
    """Logical cores over which attention is split: TP of the plan counts chips, vLLM cores."""
    return pool.tp * node_of(pool.hardware).get("logical_cores_per_chip", 1)


def arguments(order: Order, pool: Pool, settings: Settings) -> list[str]:
    """What follows `vllm serve`."""
    flag = settings.flags
    neuron: dict[str, list[int] | int] = {
        "num_seqs_buckets": [step_requests(pool)],
        "num_batched_tokens_buckets": [step_tokens(order, pool)],
    }
    if order.model.is_moe and pool.ep > 1:
        neuron["ep_degree"] = pool.ep * node_of(pool.hardware).get("logical_cores_per_chip", 1)
    words = [settings.checkpoint, flag["served_name"].name, settings.served]
    words += [flag["attention_tp"].name, str(cores(pool))]
    words += [flag["context"].name, str(order.context)]
    words += [flag["batch"].name, str(step_requests(pool))]
    words += [flag["tokens"].name, str(max(step_tokens(order, pool), step_requests(pool)))]
    words += [flag["kv_dtype"].name, kv_name(order, settings)]
    words += ["--additional-config", json.dumps({"neuron_config": neuron}, sort_keys=True)]
    if pool.role != "colocated":
        own = platforms()["neuron"]
        transfer = {
            "kv_connector": own["connector"],
            "kv_role": ROLES[pool.role],
            "kv_buffer_device": "cuda",
            "kv_connector_extra_config": {"backends": own["backends"]},
        }
        words += [flag["kv_transfer"].name, json.dumps(transfer)]
    flag.check([word for word in words if word.startswith("--")])
    return [*words, flag["port"].name, str(PORT)]


def deployment(order: Order, pool: Pool, settings: Settings) -> dict[str, object]:
    """The pool as a Deployment."""
    chips = {gpu_resource(pool): str(pool.gpus)}
    environment: list[dict[str, object]] = []
    if pool.role != "colocated":
        address = {"fieldRef": {"fieldPath": "status.podIP"}}
        environment = [
            {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": address},
            {"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": str(SIDE_PORT[pool.role])},
        ]
    container = {
        "name": "vllm",
        "image": settings.image or platforms()["neuron"]["image"],
        "command": ["vllm", "serve"],
        "args": arguments(order, pool, settings),
        "env": environment,
        "envFrom": hub_token(settings),
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": {"limits": chips, "requests": dict(chips)},
    }
    own = {"app": settings.name, "role": pool.role}
    machine = node_label(pool.hardware, "aws", "vLLM-Neuron")
    spec = {
        "nodeSelector": {"node.kubernetes.io/instance-type": machine},
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{settings.name}-{pool.role}", "namespace": settings.namespace},
        "spec": {
            "replicas": pool.count,
            "selector": {"matchLabels": own},
            "template": {"metadata": {"labels": own}, "spec": spec},
        },
    }
