"""Which files make a target scale with its load?"""

import yaml

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup, setup_of
from jaxsim.view.deploy.autoscale.keda import adapter_rules, autoscalers, scaled_objects
from jaxsim.view.deploy.autoscale.kserve import scaled_service
from jaxsim.view.deploy.autoscale.limits import busiest_frac
from jaxsim.view.deploy.autoscale.planner import planner_component, profile_map
from jaxsim.view.deploy.autoscale.profile import (
    Profile,
    measured_ratios,
    profile_files,
    profile_of,
)
from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.yaml_text import yaml_text

# Targets whose pools are objects with replicas, and those that Dynamo's planner moves.
OBJECTS = ("llm-d", "neuron")
GRAPHS = ("dynamo", "gke")


def scaling_files(
    order: Order,
    settings: Settings,
    files: dict[str, str],
    factor: float,
    measured: Profile | None = None,
) -> dict[str, str | bytes]:
    """Files beside those of the target, by path; `measured` instead of the model's profile."""
    planned = settings.target in GRAPHS and "graph.yaml" in files
    if measured is not None and not (planned and order.kind == "disaggregated"):
        raise InputError(
            "--profile: only Dynamo's planner scales by a profile, and only pools that are apart: "
            "--target dynamo or gke, --kind disaggregated."
        )
    if planned:
        return _planned(order, settings, files["graph.yaml"], factor, measured)
    if settings.target in OBJECTS or settings.target == "gke":
        targets = _objects(order, settings, files)
        return {
            "keda.yaml": yaml_text(
                scaled_objects(order, settings, targets, factor), "With KEDA in the cluster."
            ),
            "hpa.yaml": yaml_text(
                autoscalers(order, settings, targets, factor),
                "Without KEDA, on metrics of prometheus-adapter.yaml. Use one of the two.",
            ),
            "prometheus-adapter.yaml": yaml_text(
                [adapter_rules(settings)],
                "helm upgrade --install prometheus-adapter "
                "prometheus-community/prometheus-adapter -f prometheus-adapter.yaml",
            ),
        }
    if settings.target == "kserve":
        return scaled_service(order, settings, files["service.yaml"], factor)
    raise InputError(
        f"--autoscale: {settings.target} does not move replicas; "
        f"{', '.join((*GRAPHS, *OBJECTS, 'kserve'))} do."
    )


def scaling_notes(order: Order, settings: Settings) -> list[str]:
    """At which load a replica is added, where thresholds and not the planner's profile say so."""
    graph = settings.target == "dynamo" or (settings.target == "gke" and settings.stack == "dynamo")
    if graph and order.kind == "disaggregated":
        return []
    loads = ", ".join(
        f"{100.0 * busiest_frac(order, pool):.0f} % ({pool.role})" for pool in order.pools
    )
    return [
        f"A replica is added at {loads} of a replica's full rate, where the wait for it would take "
        "what the plan leaves before the first token's target."
    ]


def _objects(order: Order, settings: Settings, files: dict[str, str]) -> dict[str, dict[str, str]]:
    """The object that has the replicas of each pool."""
    objects: dict[str, dict[str, str]] = {}
    prefix = f"{settings.name}-" if "kustomization.yaml" in files else ""
    for pool in order.pools:
        held = next(iter(yaml.safe_load_all(files[f"{pool.role}.yaml"])))
        objects[pool.role] = {
            "apiVersion": held["apiVersion"],
            "kind": held["kind"],
            "name": prefix + held["metadata"]["name"],
        }
    return objects


def _planned(
    order: Order, settings: Settings, graph: str, factor: float, profile: Profile | None
) -> dict[str, str | bytes]:
    """The graph with Dynamo's planner, and its profile where pools are apart."""
    documents = list(yaml.safe_load_all(graph))
    if profile is None and order.kind == "disaggregated":
        profile = made_profile(order)
    component = planner_component(order, settings, factor, profile is not None)
    documents[-1]["spec"]["components"].append(component)
    made: dict[str, str | bytes] = {}
    if profile is not None:
        documents.insert(0, profile_map(settings, profile))
        made |= {f"profile/{name}": held for name, held in profile_files(profile).items()}
    head = "Instead of graph.yaml: with Dynamo's planner, which moves the numbers of replicas."
    return {"graph-autoscaled.yaml": yaml_text(documents, head), **made}


def made_profile(order: Order) -> Profile:
    """The profile of a plan in the catalogue's terms."""
    return profile_of(order, _setups(order))


def _setups(order: Order) -> dict[str, Setup]:
    return {
        pool.role: setup_of(order.model, pool.hardware, order.precision, order.engine)
        for pool in order.pools
    }


def profile_notes(order: Order, profile: Profile) -> list[str]:
    """How a measured profile stands beside the model that planned, in a sentence."""
    ttft, itl = measured_ratios(profile, order, _setups(order))
    return [
        f"In the profile, first tokens take {ttft:.2f} times what the plan's model says of the "
        f"same prompts, and the gaps between tokens {itl:.2f} times (medians)."
    ]
