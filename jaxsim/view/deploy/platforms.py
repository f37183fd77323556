"""What do platforms call versions, images and nodes?  Read from `platforms.toml`."""

import tomllib
from functools import cache
from typing import Any

from jaxsim.catalog.errors import InputError, unknown_name
from jaxsim.catalog.names import DATA


@cache
def platforms() -> dict[str, Any]:
    """The whole table."""
    return tomllib.loads((DATA / "deploy" / "platforms.toml").read_text(encoding="utf-8"))


def node_of(hardware: str) -> dict[str, Any]:
    """The names of a kind of node."""
    nodes = platforms()["nodes"]
    if not isinstance(nodes.get(hardware), dict):
        known = [name for name, value in nodes.items() if isinstance(value, dict)]
        raise unknown_name(
            "kind of node", hardware, known, "Its labels are in catalog/data/deploy/platforms.toml."
        )
    return nodes[hardware]


def node_label(hardware: str, key: str, platform: str) -> str:
    """One name of a kind of node, or an error if the platform has none."""
    found = node_of(hardware).get(key)
    if found is None:
        have = [
            name
            for name, value in platforms()["nodes"].items()
            if isinstance(value, dict) and key in value
        ]
        raise InputError(f"{platform} has no nodes with {hardware}; it has {', '.join(have)}.")
    return found


def image_of(engine: str, version: str) -> str:
    """The image that an engine's makers publish for a version."""
    return platforms()["images"][engine].format(version=version)


def dynamo_release() -> tuple[str, dict[str, Any]]:
    """The release of Dynamo that is written for, and the versions of engines in it."""
    return next(iter(platforms()["dynamo"].items()))
