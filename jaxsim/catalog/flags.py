"""What does an engine call the numbers of a deployment, and what does each of them count?

One table per engine (`data/deploy/ENGINE.toml`) with the exact versions it was read from, and one
list of all options per version. The same word counts differently: a batch is given per
data-parallel rank of attention to vLLM and TensorRT-LLM, and for the whole server to SGLang.
"""

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import NotRequired, TypedDict, cast

from jaxsim.catalog.errors import InputError, nearest, unknown_name
from jaxsim.catalog.names import DATA

FOLDER = DATA / "deploy"
ENGINES = ("vllm", "sglang", "trtllm")
_FLAG_KEYS = {"name", "over", "means", "memory_of", "also"}
_VERSION_KEYS = {"date", "source", "flags"}
_OVER = {"rank", "instance", "node", "gpu", ""}


@dataclass(frozen=True)
class Flag:
    """One number of a deployment as an engine spells it.

    `over` says what it counts: `rank` for each data-parallel rank of attention, `instance` for the
    whole server, `node`, or `gpu`. `memory_of` says of which memory a fraction is: `all`,
    `all_but_activations` or `left` (after weights). `also` is a switch that must go with it.
    """

    name: str
    over: str = ""
    means: str = ""
    memory_of: str = ""
    also: str = ""


class _Version(TypedDict):
    """What a file says of one version."""

    date: object
    source: str
    flags: NotRequired[dict[str, dict[str, str]]]


class _Names(TypedDict):
    """What a file says of one engine."""

    engine: str
    versions: dict[str, _Version]
    flags: dict[str, dict[str, str]]


@dataclass(frozen=True)
class EngineFlags:
    """The names of an engine at one version; `options` are all that its command line knows."""

    engine: str
    version: str
    source: str
    flags: dict[str, Flag]
    options: frozenset[str]

    def __getitem__(self, key: str) -> Flag:
        return self.flags[key]

    def check(self, names: list[str]) -> None:
        """An error for a name that this version does not have; it would stop at the start."""
        for name in names:
            plain = name.split("=", 1)[0]
            if plain not in self.options and plain.replace("--no-", "--", 1) not in self.options:
                near = nearest(plain, self.options)
                raise InputError(
                    f"{self.engine} {self.version} has no option {plain!r}"
                    + (f"; nearest known: {', '.join(near)}." if near else ".")
                )


def versions_of(engine: str) -> tuple[str, ...]:
    """The versions of an engine whose options were read, newest first."""
    return tuple(_table(engine)["versions"])


@cache
def _table(engine: str) -> _Names:
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES, "Deployable engines are those named.")
    raw = tomllib.loads((FOLDER / f"{engine}.toml").read_text(encoding="utf-8"))
    return cast(_Names, raw)


def _nearest(version: str, known: tuple[str, ...]) -> str:
    """The newest known version that is not newer, or else the oldest."""
    older = [one for one in known if _parts(one) <= _parts(version)]
    return max(older, key=_parts) if older else min(known, key=_parts)


def _parts(version: str) -> list[int]:
    digits = "".join(c if c.isdigit() else " " for c in version).split()
    return [int(part) for part in digits]


def load_flags(engine: str, version: str | None = None) -> EngineFlags:
    """The names of an engine at a version; at its newest known one where none is given."""
    table = _table(engine)
    known = versions_of(engine)
    chosen = version or known[0]
    if chosen not in table["versions"]:
        raise InputError(
            f"{engine} {chosen}: its options were not read, and flags change between versions. "
            f"Known: {', '.join(known)}; nearest: {_nearest(chosen, known)}."
        )
    own = table["versions"][chosen]
    flags = {**table["flags"], **own.get("flags", {})}
    _strict(engine, flags, own)
    listed = json.loads((FOLDER / f"{engine}-{chosen}.json").read_text(encoding="utf-8"))
    return EngineFlags(
        engine=engine,
        version=chosen,
        source=own["source"],
        flags={key: Flag(**value) for key, value in flags.items()},
        options=frozenset(listed["options"]),
    )


def _strict(engine: str, flags: dict[str, dict[str, str]], own: _Version) -> None:
    for key, value in flags.items():
        unknown = set(value) - _FLAG_KEYS
        if unknown or value.get("over", "") not in _OVER:
            raise InputError(f"{engine}.toml: flags.{key}: unknown {', '.join(unknown) or 'over'}")
    if set(own) - _VERSION_KEYS or "source" not in own or "date" not in own:
        raise InputError(f"{engine}.toml: a version has a date and a source, and no other keys.")
