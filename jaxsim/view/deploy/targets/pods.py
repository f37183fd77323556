"""What do the pods of all Kubernetes targets have in common?"""

import json

from jaxsim.view.deploy.arguments import serve_options, words_of
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.platforms import node_of
from jaxsim.view.deploy.settings import Settings

ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}


def kv_transfer(pool: Pool, settings: Settings) -> str:
    """vLLM's connector between pools, as the JSON that `--kv-transfer-config` takes."""
    name = {"nixl": "NixlConnector", "mooncake": "MooncakeConnector"}[settings.connector]
    described: dict[str, object] = {"kv_connector": name, "kv_role": ROLES[pool.role]}
    if settings.connector == "nixl":
        described["kv_load_failure_policy"] = "fail"
    return json.dumps(described, separators=(",", ":"))


def gpu_resource(pool: Pool) -> str:
    """What a container asks for to get one accelerator."""
    return node_of(pool.hardware)["resource"]


def gpus_of(pool: Pool) -> dict[str, object]:
    """The accelerators of one pod."""
    given = {gpu_resource(pool): str(pool.node_gpus)}
    return {"limits": given, "requests": dict(given)}


def selector(order: Order, pool: Pool) -> dict[str, str]:
    """Which nodes a pool may stand on, where pools have unlike hardware."""
    label = node_of(pool.hardware).get("product")
    unlike = len({other.hardware for other in order.pools}) > 1
    return {"nvidia.com/gpu.product": label} if unlike and label else {}


def hub_token(settings: Settings) -> list[dict[str, object]]:
    """The hub's token, from a secret of the cluster."""
    return [{"secretRef": {"name": settings.secret}}]


def vllm_arguments(order: Order, pool: Pool, settings: Settings) -> list[str]:
    """What follows `vllm serve`: the checkpoint, and every option of the pool."""
    words = [settings.checkpoint, *words_of(serve_options(order, pool, settings))]
    if pool.role != "colocated":
        words += [settings.flags["kv_transfer"].name, kv_transfer(pool, settings)]
    return words


def sglang_transfer(pool: Pool, settings: Settings) -> list[str]:
    """SGLang's options of a pool that only prefills or only decodes."""
    if pool.role == "colocated":
        return []
    flag = settings.flags
    words = [flag["role"].name, pool.role, flag["transfer"].name, settings.connector]
    return [*words, flag["bootstrap_port"].name, "8998"]
