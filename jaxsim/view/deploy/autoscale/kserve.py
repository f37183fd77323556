"""How does KServe scale a service?  By fields of its own, from which it makes a ScaledObject."""

import yaml

from jaxsim.view.deploy.autoscale.keda import BEHAVIOR, triggers
from jaxsim.view.deploy.autoscale.limits import limits_of
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.yaml_text import yaml_text


def scaled_service(
    order: Order, settings: Settings, service: str, factor: float
) -> dict[str, str | bytes]:
    """The service with `scaling` in place of `replicas`, of which KServe takes one."""
    document = yaml.safe_load(service)
    spec = document["spec"]
    for pool in order.pools:
        role = spec["prefill"] if pool.role == "prefill" else spec
        del role["replicas"]
        role["scaling"] = scaling(order, pool, settings, factor)
    head = "Instead of service.yaml: with KEDA in the cluster, KServe moves the replicas."
    return {"service-autoscaled.yaml": yaml_text([document], head)}


def scaling(order: Order, pool: Pool, settings: Settings, factor: float) -> dict[str, object]:
    """The field of one pool: its bounds, and what KEDA watches."""
    limits = limits_of(order, pool, factor)
    return {
        "minReplicas": limits.least,
        "maxReplicas": limits.most,
        "keda": {
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
            "triggers": triggers(limits, settings, pods_of(pool, settings)),
        },
    }


def pods_of(pool: Pool, settings: Settings) -> str:
    """The pattern of the names that KServe gives to the pods of a pool that serve requests.

    Pods of a Deployment end in two parts; those of a LeaderWorkerSet that lead, in a number.
    """
    part = "prefill-" if pool.role == "prefill" else ""
    if pool.nodes > 1:
        return f"{settings.name}-kserve-mn-{part}[0-9]+"
    return f"{settings.name}-kserve-{part}[a-z0-9]+-[a-z0-9]+"
