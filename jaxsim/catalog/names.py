"""Which models and accelerators does the catalogue have, and what else are they called?

Reads names only, with the standard library, so that listing them starts neither JAX nor a parse of
the data.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, TypedDict, cast

from jaxsim.catalog.errors import InputError, unknown_name

DATA = Path(__file__).parent / "data"

# What people append to a name: the tuning, a release date, a number format. The format, where
# there is one, is the precision preset that such a checkpoint ships in.
_SUFFIX = re.compile(
    r"[-.](?P<word>instruct|base|hf|it|chat|thinking|original|dynamic|static|pertensor|sxm\d?"
    r"|v0\.\d|\d{4}|(?P<format>(?:nv|mx)?fp4|fp8|bf16|int4|awq)(?:-kv)?(?:-v\d)?)$"
)
# How many parameters are active, which people leave off: qwen3.5-397b is qwen3.5-397b-a17b.
_ACTIVE = re.compile(r"-a\d+(\.\d+)?b$")
_PRESET = {"fp4": "nvfp4", "awq": "int4"}


def list_models() -> list[str]:
    """The names of all models in the catalogue, sorted.

    >>> "deepseek-r1" in jaxsim.list_models()
    True
    """
    return sorted(path.stem for path in (DATA / "models").glob("*.toml"))


def list_hardware() -> list[str]:
    """The names of all hardware in the catalogue, sorted.

    >>> "gb200-nvl72" in jaxsim.list_hardware()
    True
    """
    return sorted(path.stem for path in (DATA / "hardware").glob("*.toml"))


def list_precisions() -> list[str]:
    """The names of all precision presets, sorted; `checkpoint` is the model's own."""
    presets = tomllib.loads((DATA / "precisions.toml").read_text(encoding="utf-8"))["presets"]
    return sorted(["checkpoint", *presets])


class _Names(TypedDict):
    """Aliases of models and of hardware, and the models that are known and refused."""

    models: dict[str, str]
    hardware: dict[str, str]
    unsupported: dict[str, dict[str, str]]


@cache
def _names() -> _Names:
    return cast(_Names, tomllib.loads((DATA / "names.toml").read_text(encoding="utf-8")))


def aliases(kind: Literal["models", "hardware"], name: str) -> tuple[str, ...]:
    """Other names of an entry; `kind` is `models` or `hardware`."""
    return tuple(sorted(alias for alias, own in _names()[kind].items() if own == name))


def _spoken(name: str) -> str:
    """A name without its publisher, in lower case, words joined by hyphens."""
    last = name.strip().rstrip("/").replace("\\", "/").split("/")[-1].lower()
    joined = re.sub(r"[\s_()]+", "-", last).strip("-")
    return re.sub(r"^(meta-)+(?=llama)|^nvidia-|^amd-|^aws-|^google-", "", joined)


def _spellings(name: str) -> list[tuple[str, str | None]]:
    """The name, then with one suffix after another left off, each with the preset those name."""
    spelling = _spoken(name)
    preset: str | None = None
    spellings: list[tuple[str, str | None]] = [(spelling, preset)]
    while match := _SUFFIX.search(spelling):
        spelling = spelling[: match.start()]
        if match["format"] and preset is None:
            preset = _PRESET.get(match["format"], match["format"])
        spellings.append((spelling, preset))
    return spellings


def resolve_model(name: str) -> tuple[str, str | None]:
    """The catalogue's name of a model, and the precision preset that the given name implies."""
    known = set(list_models())
    shorter = [short for own in known if (short := _ACTIVE.sub("", own)) != own]
    longer = {_ACTIVE.sub("", own): own for own in known}
    other = {name: longer[name] for name in shorter if shorter.count(name) == 1}
    other |= _names()["models"]
    for spelling, preset in _spellings(name):
        if spelling in known or spelling in other:
            return other.get(spelling, spelling), preset
        if spelling in _names()["unsupported"]:
            refused = _names()["unsupported"][spelling]
            raise InputError(
                f"Model {name!r} is known but not supported: {refused['reason']} "
                f"(kind: {refused['kind']}). See `jaxsim models` for those that are."
            )
    hint = "See `jaxsim models` for all, or give the path of a Hugging Face config.json."
    raise unknown_name("model", name, [*known, *other], hint)


def resolve_hardware(name: str) -> str:
    """The catalogue's name of an accelerator system."""
    known, other = set(list_hardware()), _names()["hardware"]
    for spelling, _ in _spellings(name):
        if spelling in known or spelling in other:
            return other.get(spelling, spelling)
    hint = "See `jaxsim hardware` for all, or give the path of a TOML file that describes it."
    raise unknown_name("hardware", name, [*known, *other], hint)


def unsupported_models() -> dict[str, str]:
    """Models that are known and refused, with the reason."""
    return {name: entry["reason"] for name, entry in sorted(_names()["unsupported"].items())}
