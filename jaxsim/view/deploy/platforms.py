"""What do platforms call versions, images and nodes?  Read from `platforms.toml`."""

import datetime
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, Required, TypedDict, cast

from jaxsim.catalog.errors import InputError, unknown_name
from jaxsim.catalog.names import DATA
from jaxsim.view.deploy.order import Pool
from jaxsim.view.deploy.settings import Settings

Label = Literal["gke", "machine", "aws", "gres"]
# What a target's cloud calls its nodes, and its name.
CLOUDS: dict[str, tuple[Label, str]] = {
    "gke": ("gke", "Google Kubernetes Engine"),
    "neuron": ("aws", "vLLM-Neuron"),
}


# Whose hardware an engine is deployed on, and targets that start an image of it.
BOTH, OWN = ("NVIDIA", "AMD"), ("NVIDIA",)
MAKERS = {"vllm": BOTH, "sglang": BOTH, "trtllm": OWN, "distserve": OWN}
IMAGES = ("dynamo", "llm-d", "kserve")


class Node(TypedDict, total=False):
    """The names of a kind of node on the platforms that have it."""

    resource: Required[str]
    product: str
    gres: str
    gke: str
    machine: str
    aws: str
    rack: bool
    cores_per_chip: int
    logical_cores_per_chip: int


class Neuron(TypedDict):
    """What vLLM-Neuron calls its parts."""

    connector: str
    backends: list[str]
    vllm: str
    image: str


class Platforms(TypedDict):
    """The whole table."""

    dynamo: dict[str, dict[str, str | dict[str, str]]]
    images: dict[str, str]
    nodes: dict[str, Node | str | datetime.date]
    neuron: Neuron
    llmd: dict[str, str]
    kserve: dict[str, str]
    distserve: dict[str, str]


@dataclass(frozen=True)
class DynamoRelease:
    """A release of Dynamo, with the versions of engines in it and their images."""

    name: str
    versions: Mapping[str, str]
    images: Mapping[str, str]


@cache
def platforms() -> Platforms:
    """The whole table."""
    raw = tomllib.loads((DATA / "deploy" / "platforms.toml").read_text(encoding="utf-8"))
    return cast(Platforms, raw)


@cache
def _nodes() -> dict[str, Node]:
    nodes = platforms()["nodes"]
    return {name: node for name, node in nodes.items() if not isinstance(node, str | datetime.date)}


def node_of(hardware: str) -> Node:
    """The names of a kind of node."""
    nodes = _nodes()
    if hardware not in nodes:
        where = "Its labels are in catalog/data/deploy/platforms.toml."
        raise unknown_name("kind of node", hardware, list(nodes), where)
    return nodes[hardware]


def node_label(hardware: str, key: Label, platform: str) -> str:
    """One name of a kind of node, or an error if the platform has none."""
    label = node_of(hardware).get(key)
    if label is None:
        have = [name for name, node in _nodes().items() if key in node]
        raise InputError(
            f"{platform} has no nodes with {hardware}; it has {', '.join(have)}: plan for one of "
            "them with --hardware."
        )
    return label


def check_hardware(pools: Iterable[Pool], settings: Settings) -> None:
    """An error for hardware that a target has no nodes with, or on which its engine does not run.

    Images that are published for Kubernetes are NVIDIA's; for other makers one must be given.
    """
    target = settings.target
    engine = target if target in MAKERS else settings.engine
    for pool in pools:
        named = f"{pool.hardware} ({pool.vendor})"
        if target in CLOUDS:
            node_label(pool.hardware, *CLOUDS[target])
        elif pool.vendor not in MAKERS[engine]:
            other = "; --target neuron runs there" if "aws" in node_of(pool.hardware) else ""
            raise InputError(
                f"{engine} is deployed on hardware of {' or '.join(MAKERS[engine])}, and the plan "
                f"has {named}{other}."
            )
        elif target in IMAGES and pool.vendor != "NVIDIA" and not settings.image:
            raise InputError(
                f"The images that {target} starts are for NVIDIA, and the plan has {named}; name "
                "one that was built for it with --image."
            )


def image_of(engine: str, version: str) -> str:
    """The image that an engine's makers publish for a version."""
    return platforms()["images"][engine].format(version=version)


def dynamo_release() -> DynamoRelease:
    """The release of Dynamo that is written for."""
    name, table = next(iter(platforms()["dynamo"].items()))
    images = table["images"]
    versions = {key: value for key, value in table.items() if isinstance(value, str)}
    return DynamoRelease(name, versions, images if isinstance(images, dict) else {})
