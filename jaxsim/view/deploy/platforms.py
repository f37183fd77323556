"""What do platforms call versions, images and nodes?  Read from `platforms.toml`."""

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, Required, TypedDict, cast

from jaxsim.catalog.errors import InputError, unknown_name
from jaxsim.catalog.names import DATA


class Node(TypedDict, total=False):
    """The names of a kind of node on the platforms that have it."""

    resource: Required[str]
    product: str
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


def node_label(hardware: str, key: Literal["gke", "machine", "aws"], platform: str) -> str:
    """One name of a kind of node, or an error if the platform has none."""
    label = node_of(hardware).get(key)
    if label is None:
        have = [name for name, node in _nodes().items() if key in node]
        raise InputError(f"{platform} has no nodes with {hardware}; it has {', '.join(have)}.")
    return label


def image_of(engine: str, version: str) -> str:
    """The image that an engine's makers publish for a version."""
    return platforms()["images"][engine].format(version=version)


def dynamo_release() -> DynamoRelease:
    """The release of Dynamo that is written for."""
    name, table = next(iter(platforms()["dynamo"].items()))
    images = table["images"]
    versions = {key: value for key, value in table.items() if isinstance(value, str)}
    return DynamoRelease(name, versions, images if isinstance(images, dict) else {})
