"""What does llm-d need?  A Kustomize folder of model servers, and values of its Helm chart."""

import json
from collections.abc import Mapping
from typing import TypedDict

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.arguments import serve_options, words_of
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.targets.kube import workload
from jaxsim.view.deploy.targets.pods import gpus_of, kv_transfer
from jaxsim.view.deploy.yaml_text import yaml_text

# Options that the chart writes itself, from its table `parallelism`.
OWN = {"attention_tp", "attention_dp", "served_name"}


def files(order: Order, settings: Settings) -> dict[str, str]:
    """The model servers as manifests, and the same as values of `llm-d-modelservice`."""
    made = {
        f"{pool.role}.yaml": yaml_text([workload(order, pool, settings)]) for pool in order.pools
    }
    made["kustomization.yaml"] = yaml_text([kustomization(order, settings)], "kubectl apply -k .")
    if all(in_chart(pool) for pool in order.pools):
        made["values.yaml"] = yaml_text(
            [values(order, settings)],
            "helm install NAME llm-d-modelservice/llm-d-modelservice -f values.yaml",
        )
    return made


def in_chart(pool: Pool) -> bool:
    """Whether the chart can express a pool: of several nodes, each has whole data-parallel ranks.

    It starts vLLM's ranks on every node, and has no words for one rank that spans two.
    """
    return pool.attention_dp % pool.nodes == 0


def kustomization(order: Order, settings: Settings) -> dict[str, object]:
    """The list of resources, under one prefix."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": settings.namespace,
        "namePrefix": f"{settings.name}-",
        "resources": [f"{pool.role}.yaml" for pool in order.pools],
    }


def values(order: Order, settings: Settings) -> dict[str, object]:
    """Values of the chart, checked against what they must say together."""
    described: dict[str, object] = {
        "modelArtifacts": {
            "uri": f"hf://{settings.checkpoint}",
            "name": settings.served,
            "authSecretName": settings.secret,
            "size": f"{_size_gib(order)}Gi",
        },
        "multinode": any(pool.nodes > 1 for pool in order.pools),
        "routing": {
            "servicePort": settings.port,
            "proxy": {"enabled": order.kind == "disaggregated", "connector": "nixlv2"},
        },
        "prefill": {"create": False},
    }
    roles = {
        "prefill" if pool.role == "prefill" else "decode": _role(order, pool, settings)
        for pool in order.pools
    }
    check_values(roles, order)
    return {**described, **roles}


class Role(TypedDict):
    """What the chart says of one pool."""

    create: bool
    replicas: int
    parallelism: dict[str, int]
    containers: list[dict[str, object]]


def _role(order: Order, pool: Pool, settings: Settings) -> Role:
    flag = settings.flags
    own = {flag[key].name for key in OWN}
    words = words_of([pair for pair in serve_options(order, pool, settings) if pair[0] not in own])
    if pool.role != "colocated":
        words += [flag["kv_transfer"].name, kv_transfer(pool, settings)]
    parallelism = {"tensor": pool.tp, "data": pool.attention_dp}
    if pool.attention_dp > 1:
        parallelism["dataLocal"] = max(1, pool.attention_dp // pool.nodes)
    return {
        "create": True,
        "replicas": pool.count,
        "parallelism": parallelism,
        "containers": [
            {
                "name": "vllm",
                "image": settings.image or f"docker.io/vllm/vllm-openai:v{flag.version}",
                "modelCommand": "vllmServe",
                "args": words,
                # The chart would count tensor times local data-parallel ranks, without stages.
                "resources": gpus_of(pool),
            }
        ],
    }


def check_values(roles: Mapping[str, Role], order: Order) -> None:
    """An error where the values contradict themselves or the plan."""
    total = 0
    for pool in order.pools:
        role = roles["prefill" if pool.role == "prefill" else "decode"]
        widths = role["parallelism"]
        gpus = widths["tensor"] * widths["data"] * pool.pp
        workers = widths["data"] // widths.get("dataLocal", widths["data"])
        if gpus != pool.gpus or workers != pool.nodes:
            raise InputError(f"values.yaml: {pool.role}: {gpus} GPUs, the plan has {pool.gpus}.")
        total += gpus * role["replicas"]
    if total != order.gpus:
        raise InputError(f"values.yaml: {total} GPUs in all, the plan has {order.gpus}.")
    json.dumps(roles)


def _size_gib(order: Order) -> int:
    """Room for the checkpoint: the weights of one instance, half as much again."""
    pool = order.pools[-1]
    return max(10, round(1.5 * pool.memory_bytes["weights"] * pool.gpus / 2**30))
