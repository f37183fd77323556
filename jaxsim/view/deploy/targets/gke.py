"""What does Google Kubernetes Engine need?  Node pools, and Dynamo's graph or llm-d's servers."""

from collections.abc import Iterator

import yaml

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.deploy.platforms import node_label, node_of
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shell import line_of, script
from jaxsim.view.deploy.targets import dynamo, llm_d
from jaxsim.view.deploy.yaml_text import yaml_text

LABEL = "cloud.google.com/gke-accelerator"


def files(order: Order, settings: Settings) -> dict[str, str]:
    """Manifests with the labels of node pools, and the commands that make the pools."""
    check_nodes(order, settings)
    made = (
        llm_d.files(order, settings) if settings.stack == "llm-d" else dynamo.files(order, settings)
    )
    made.pop("values.yaml", None)
    placed = {
        name: _placed(text, order) if name.endswith(".yaml") else text
        for name, text in made.items()
    }
    return placed | {"node-pools.sh": node_pools(order, settings)}


def nodes_needed(order: Order) -> dict[str, int]:
    """Nodes of each kind of hardware: small instances share one, large ones take several."""
    needed: dict[str, int] = {}
    for pool in order.pools:
        share = max(1, pool.gpus_per_node // pool.node_gpus) if pool.nodes == 1 else 1
        nodes = pool.nodes * -(-pool.count // share)
        needed[pool.hardware] = needed.get(pool.hardware, 0) + nodes
    return needed


def check_nodes(order: Order, settings: Settings) -> None:
    """Refuse hardware that Google Cloud has not, and more GPUs than a node pool holds."""
    for hardware, nodes in nodes_needed(order).items():
        node_label(hardware, "gke", "Google Kubernetes Engine")
        limit = settings.nodes.get(hardware)
        if limit is not None and nodes > limit:
            per_node = next(p.gpus_per_node for p in order.pools if p.hardware == hardware)
            raise InputError(
                f"The plan needs {nodes} nodes of {hardware} ({nodes * per_node} GPUs); the node "
                f"pool has {limit} ({limit * per_node}). Plan with --gpus {limit * per_node}."
            )


def node_pools(order: Order, settings: Settings) -> str:
    """The commands that make a node pool for each kind of hardware; a rack is a group of nodes."""
    commands = []
    for hardware, nodes in nodes_needed(order).items():
        words = ["gcloud", "container", "node-pools", "create", f"{settings.name}-{hardware}"]
        words += ["--machine-type", node_label(hardware, "machine", "Google Cloud")]
        words += ["--num-nodes", str(nodes)]
        if node_of(hardware).get("rack"):
            words += ["--placement-policy", f"{settings.name}-{hardware}"]
        commands.append(f'{line_of(words)} \\\n    --cluster "$cluster" --location "$location"')
    return script(
        "Makes the node pools of the plan: node-pools.sh CLUSTER LOCATION.",
        ['cluster="${1:?the cluster}"', 'location="${2:?its zone or region}"', *commands],
    )


def _placed(text: str, order: Order) -> str:
    """The manifests with every pod that has GPUs on nodes with its hardware."""
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        for role, pod in _pods(document):
            pool = next((p for p in order.pools if p.role == role), None)
            if pool is not None:
                _choose(pod, pool)
    comment = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    return yaml_text(documents, "\n".join(comment))


def _pods(document: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """Every pod of a document with the role that it has."""
    spec = _table(document, "spec")
    components = spec.get("components")
    for component in components if isinstance(components, list) else ():
        own = str(component["name"])
        yield {"worker": "colocated"}.get(own, own), component["podTemplate"]["spec"]
    name = str(_table(document, "metadata").get("name", ""))
    group = _table(spec, "leaderWorkerTemplate")
    templates = ((spec, "template"), (group, "leaderTemplate"), (group, "workerTemplate"))
    for holder, key in templates:
        if key in holder:
            yield name, _table(_table(holder, key), "spec")


def _table(holder: dict[str, object], key: str) -> dict[str, object]:
    """A table within a table; empty where there is none."""
    table = holder.get(key)
    return table if isinstance(table, dict) else {}


def _choose(pod: dict[str, object], pool: Pool) -> None:
    pod["nodeSelector"] = {LABEL: node_label(pool.hardware, "gke", "Google Kubernetes Engine")}
    pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
