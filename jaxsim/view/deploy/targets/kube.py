"""What runs plain vLLM on Kubernetes?  A Deployment, or a LeaderWorkerSet over several nodes."""

from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.platforms import image_of, platforms
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.targets.pods import gpus_of, hub_token, selector, vllm_arguments

PORT = 8000
BEHIND_SIDECAR = 8200
SIDE_PORT = 5600
LEADER = "$(LWS_LEADER_ADDRESS)"
RANK = "$(LWS_WORKER_INDEX)"


def labels(settings: Settings, pool: Pool) -> dict[str, str]:
    """What selects the pods of a pool, and what llm-d's scheduler looks for."""
    role = {"colocated": "both"}.get(pool.role, pool.role)
    return {
        "app": settings.name,
        "llm-d.ai/inference-serving": "true",
        "llm-d.ai/guide": "pd-disaggregation",
        "llm-d.ai/role": role,
    }


def server_port(pool: Pool) -> int:
    """Decode servers stand behind a proxy of their own, which has the public port."""
    return BEHIND_SIDECAR if pool.role == "decode" else PORT


def container(order: Order, pool: Pool, settings: Settings, more: list[str]) -> dict[str, object]:
    """The server, with options that only its place has in `more`."""
    environment: list[dict[str, object]] = []
    if pool.role != "colocated":
        address = {"fieldRef": {"fieldPath": "status.podIP"}}
        environment = [
            {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": address},
            {"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": str(SIDE_PORT)},
        ]
    health = {"httpGet": {"path": "/health", "port": server_port(pool)}}
    return {
        "name": "modelserver",
        "image": settings.image or image_of("vllm", settings.flags.version),
        "command": ["vllm", "serve"],
        "args": [
            *vllm_arguments(order, pool, settings),
            "--port",
            str(server_port(pool)),
            *more,
        ],
        "env": environment,
        "envFrom": hub_token(settings),
        "ports": [{"name": "http", "containerPort": server_port(pool)}],
        "resources": gpus_of(pool),
        "startupProbe": {**health, "periodSeconds": 30, "failureThreshold": 240},
        "readinessProbe": {**health, "periodSeconds": 5},
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }


PROBES = ("startupProbe", "readinessProbe")


def pod(
    order: Order, pool: Pool, settings: Settings, more: list[str], probed: bool = True
) -> dict[str, object]:
    """The pod of one node of an instance; it is `probed` whether the first node serves."""
    own = container(order, pool, settings, more)
    if not probed:
        own = {key: value for key, value in own.items() if key not in PROBES}
    described: dict[str, object] = {
        "containers": [own],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "80Gi"}}],
    }
    if pool.role == "decode" and probed:
        described["initContainers"] = [_sidecar()]
    if chosen := selector(order, pool):
        described["nodeSelector"] = chosen
    return described


def _sidecar() -> dict[str, object]:
    """llm-d's proxy in a decode pod: has the prompt prefilled elsewhere first."""
    return {
        "name": "routing-proxy",
        "image": platforms()["llmd"]["sidecar"],
        "restartPolicy": "Always",
        "args": [
            f"--port={PORT}",
            f"--vllm-port={BEHIND_SIDECAR}",
            "--kv-connector=nixlv2",
            "--secure-proxy=false",
        ],
        "ports": [{"name": "sidecar", "containerPort": PORT}],
    }


def workload(order: Order, pool: Pool, settings: Settings) -> dict[str, object]:
    """The object that keeps a pool's instances running."""
    own = labels(settings, pool)
    head = {"name": pool.role, "namespace": settings.namespace, "labels": own}
    if pool.nodes == 1:
        template = {"metadata": {"labels": own}, "spec": pod(order, pool, settings, [])}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": head,
            "spec": {
                "replicas": pool.count,
                "selector": {"matchLabels": own},
                "template": template,
            },
        }
    leader = pod(order, pool, settings, node_words(pool, settings, leader=True))
    words = node_words(pool, settings, leader=False)
    worker = pod(order, pool, settings, words, probed=False)
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": head,
        "spec": {
            "replicas": pool.count,
            "leaderWorkerTemplate": {
                "size": pool.nodes,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {"metadata": {"labels": own}, "spec": leader},
                "workerTemplate": {
                    "metadata": {"labels": {"app": settings.name, "worker-of": pool.role}},
                    "spec": worker,
                },
            },
        },
    }


def node_words(pool: Pool, settings: Settings, leader: bool) -> list[str]:
    """Options of a node's place, which Kubernetes fills in; ranks of the node follow from it."""
    flag = settings.flags
    words = [
        *(flag["nodes"].name, str(pool.nodes), flag["node_rank"].name, "0" if leader else RANK),
        *(flag["master_address"].name, LEADER),
    ]
    if pool.attention_dp > 1:
        words += [flag["attention_dp_address"].name, LEADER]
    if not leader:
        words.append(flag["headless"].name)
    return words
