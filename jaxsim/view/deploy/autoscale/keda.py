"""When does Kubernetes add a replica?  KEDA's ScaledObject and a HorizontalPodAutoscaler."""

from jaxsim.view.deploy.autoscale.limits import Limits, limits_of
from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.settings import Settings

PROMETHEUS = "http://prometheus-kube-prometheus-prometheus.monitoring.svc.cluster.local:9090"
# Gauges and counters of each engine: waiting requests, part of the cache in use, requests done.
METRICS = {
    "vllm": ("vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "vllm:request_success_total"),
    "sglang": ("sglang:num_queue_reqs", "sglang:token_usage", "sglang:num_requests_total"),
}
WINDOW = "2m"
# Replicas are taken away when for so long fewer were enough: a server takes minutes to load.
BEHAVIOR = {"scaleDown": {"stabilizationWindowSeconds": 300}}


def queries(limits: Limits, settings: Settings, pods: str) -> list[tuple[str, str, float]]:
    """Name, PromQL and threshold per replica of what a pool is scaled by; `pods` is a pattern."""
    waiting, usage, done = METRICS[settings.engine]
    where = f'{{namespace="{settings.namespace}",pod=~"{pods}"}}'
    metrics = [
        ("waiting", f"sum({waiting}{where})", limits.waiting),
        ("rate", f"sum(rate({done}{where}[{WINDOW}]))", limits.requests_per_s),
    ]
    if limits.role != "prefill":
        # Each data-parallel rank has a fraction of its own: of a replica the largest counts.
        metrics.append(("cache", f"sum(max by (pod) ({usage}{where}))", limits.kv_frac))
    return metrics


def adapted(series: str) -> str:
    """What a metric of Prometheus is called where the autoscaler reads it."""
    return series.replace(":", "_").replace("_total", "_per_second")


def adapter_rules(settings: Settings) -> dict[str, object]:
    """Values of the chart prometheus-adapter: from series of servers to metrics of their pods."""
    waiting, usage, done = METRICS[settings.engine]
    where = "<<.Series>>{<<.LabelMatchers>>}"
    queries = {
        waiting: f"sum({where}) by (<<.GroupBy>>)",
        usage: f"max({where}) by (<<.GroupBy>>)",
        done: f"sum(rate({where}[{WINDOW}])) by (<<.GroupBy>>)",
    }
    labels = {name: {"resource": name} for name in ("namespace", "pod")}
    rules = [
        {
            "seriesQuery": f'{{__name__="{series}",namespace="{settings.namespace}",pod!=""}}',
            "resources": {"overrides": labels},
            "name": {"as": adapted(series)},
            "metricsQuery": query,
        }
        for series, query in queries.items()
    ]
    return {"rules": {"custom": rules}}


def triggers(limits: Limits, settings: Settings, pods: str) -> list[dict[str, object]]:
    """What KEDA watches of a pool, whose pods have names of a pattern."""
    return [
        {
            "type": "prometheus",
            "name": name,
            "metadata": {
                "serverAddress": PROMETHEUS,
                "query": query,
                "threshold": f"{threshold:.6g}",
                "activationThreshold": "0",
            },
        }
        for name, query, threshold in queries(limits, settings, pods)
    ]


def scaled_objects(
    order: Order, settings: Settings, targets: dict[str, dict[str, str]], factor: float
) -> list[dict[str, object]]:
    """A ScaledObject for every pool; `targets` says which object has its replicas."""
    made = []
    for pool in order.pools:
        limits = limits_of(order, pool, factor)
        made.append(
            {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "ScaledObject",
                "metadata": {
                    "name": f"{settings.name}-{pool.role}",
                    "namespace": settings.namespace,
                },
                "spec": {
                    "scaleTargetRef": targets[pool.role],
                    "minReplicaCount": limits.least,
                    "maxReplicaCount": limits.most,
                    "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
                    "triggers": triggers(limits, settings, f"{targets[pool.role]['name']}.*"),
                },
            }
        )
    return made


def autoscalers(
    order: Order, settings: Settings, targets: dict[str, dict[str, str]], factor: float
) -> list[dict[str, object]]:
    """A HorizontalPodAutoscaler for every pool, on metrics of pods from a Prometheus adapter."""
    made = []
    for pool in order.pools:
        limits = limits_of(order, pool, factor)
        waiting, usage, done = METRICS[settings.engine]
        wanted = [(waiting, limits.waiting), (done, limits.requests_per_s)]
        if limits.role != "prefill":
            wanted.append((usage, limits.kv_frac))
        metrics = [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": adapted(name)},
                    "target": {
                        "type": "AverageValue",
                        "averageValue": f"{max(1, round(1e3 * value))}m",
                    },
                },
            }
            for name, value in wanted
        ]
        made.append(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {
                    "name": f"{settings.name}-{pool.role}",
                    "namespace": settings.namespace,
                },
                "spec": {
                    "scaleTargetRef": targets[pool.role],
                    "minReplicas": limits.least,
                    "maxReplicas": limits.most,
                    "metrics": metrics,
                    "behavior": BEHAVIOR,
                },
            }
        )
    return made
