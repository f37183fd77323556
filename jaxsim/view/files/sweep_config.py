"""What does a sweep's file ask for?"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import jax

from jaxsim._version import __version__
from jaxsim.catalog.bounds import MOST_WHOLE, WORKLOAD, check
from jaxsim.catalog.cards import with_images
from jaxsim.catalog.documents import quoted, read_yaml
from jaxsim.catalog.engine_limits import check_context
from jaxsim.catalog.errors import InputError, nearest
from jaxsim.catalog.load import load_model
from jaxsim.catalog.setup import Setup, setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space, complete
from jaxsim.space.designs import PHASES

_TOP = {
    "model", "hardware", "precision", "engine", "phases", "workload", "space", "block_workloads",
    "max_context",
}  # fmt: skip
_WORKLOAD = {"isl", "osl", "hit_frac", "draft_tokens", "accept_frac", "imbalance", "images"}
_SPACE = {"tp", "ep", "pp", "batch", "chunk", "prefill_batch"}

EXAMPLE = """\
model: deepseek-r1
hardware: gb200-nvl72
workload:
  isl: [1024, 4096, 16384]
  osl: [256, 1024, 4096]
space:              # optional: axes left out get their default
  pp: [1, 2, 4]
phases: [prefill, decode, colocated]   # optional
"""

_COUNTS = {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}
_FRACS = {"type": "number", "minimum": 0}
SCHEMA: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "The file of jaxsim sweep",
    "type": "object",
    "required": ["model", "hardware", "workload"],
    "additionalProperties": False,
    "properties": {
        **{key: {"type": "string"} for key in ("model", "hardware", "precision", "engine")},
        "phases": {"type": "array", "items": {"enum": list(PHASES)}},
        **{key: {"type": "integer", "minimum": 1} for key in ("block_workloads", "max_context")},
        "workload": {
            "type": "object",
            "required": ["isl", "osl"],
            "additionalProperties": False,
            "properties": {
                **dict.fromkeys(sorted(_WORKLOAD - {"isl", "osl"}), _FRACS),
                "isl": _COUNTS,
                "osl": _COUNTS,
            },
        },
        "space": {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys(sorted(_SPACE), _COUNTS),
        },
    },
}


@dataclass(frozen=True)
class SweepConfig:
    """A design-space tensor over several workloads, and how it is cut into blocks.

    A block is one input length and up to `block_workloads` output lengths.
    """

    setup: Setup
    isl: tuple[float, ...]
    osl: tuple[float, ...]
    workload: Workload
    space: Space
    phases: tuple[str, ...]
    block_workloads: int
    options: dict[str, object]

    @property
    def digest(self) -> str:
        """A fingerprint of what decides every number: a store holds one sweep only.

        Of the options, of the numbers that names and files stand for (a hardware file may be
        edited between two runs), and of the version that evaluates them.
        """
        scenario = self.setup.scenario(self.workload)
        numbers, _ = jax.tree_util.tree_flatten_with_path(scenario)
        resolved = [(jax.tree_util.keystr(path), float(x)) for path, x in numbers]
        text = json.dumps([self.options, resolved, __version__], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def run_options(self, **more: object) -> dict[str, object]:
        """What `jaxsim run` needs to make the same sweep: its file, and the verb's options."""
        given = {key: value for key, value in more.items() if value is not None}
        return {"jaxsim": __version__, "verb": "sweep", "config": self.options, **given}


def read_sweep(path: Path) -> SweepConfig:
    """The sweep that a YAML file describes; data only, nothing in it is executed."""
    raw = read_yaml(path, f"A sweep looks like this:\n{EXAMPLE}")
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a table of keys, like this:\n{EXAMPLE}")
    return _config(path, raw)


def _known(path: Path, where: str, table: object, allowed: set[str]) -> dict[str, object]:
    if not isinstance(table, dict):
        raise InputError(f"{path}: {where or 'the file'} must be a table of keys.")
    for key in table:
        if key not in allowed:
            near = nearest(str(key), allowed)
            meant = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(allowed))}"
            raise InputError(f"{path}: unknown key {where + '.' if where else ''}{key}; {meant}")
    return table


def _numbers(
    path: Path, key: str, value: object, least: float, most: float = MOST_WHOLE
) -> tuple[float, ...]:
    values: list[object] = value if isinstance(value, list) else [value]
    numbers: list[float] = []
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int | float) or not one >= least:
            raise InputError(f"{path}: {key}: {quoted(one)} is not a number of at least {least:g}.")
        if not one <= most:
            raise InputError(f"{path}: {key}: {quoted(one)} is more than {most:g}.")
        if one != int(one):
            raise InputError(f"{path}: {key}: {quoted(one)} is not a whole number.")
        numbers.append(float(one))
    if not values:
        raise InputError(f"{path}: {key}: the list is empty; give at least one value.")
    return tuple(sorted(set(numbers)))


def _whole(path: Path, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{path}: {key}: {quoted(value)} is not a whole number of at least 1.")
    return value


def _word(path: Path, raw: dict[str, object], key: str) -> str | None:
    if raw.get(key) is None:
        return None
    return _named(path, key, raw[key])


def _named(path: Path, key: str, value: object) -> str:
    if isinstance(value, list | dict) or not str(value):
        raise InputError(f"{path}: {key}: {quoted(value)} is no name; give one.")
    return str(value)


def _config(path: Path, raw: dict[str, object]) -> SweepConfig:
    _known(path, "", raw, _TOP)
    for needed in ("model", "hardware", "workload"):
        if needed not in raw:
            raise InputError(f"{path}: {needed} is missing. A sweep looks like this:\n{EXAMPLE}")
    workload_table = _known(path, "workload", raw["workload"], _WORKLOAD)
    for needed in ("isl", "osl"):
        if needed not in workload_table:
            raise InputError(f"{path}: workload.{needed} is missing; give a number or a list.")
    isl, osl = (
        _numbers(path, f"workload.{name}", workload_table[name], least, WORKLOAD[name].highest)
        for name, least in (("isl", 1), ("osl", 2))
    )
    rest = {}
    for key in sorted(_WORKLOAD - {"isl", "osl"}):
        if key in workload_table:
            value = workload_table[key]
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise InputError(
                    f"{path}: workload.{key}: {quoted(value)} is not a number of 0 or more."
                )
            rest[key] = float(value)
    check({"isl": isl, "osl": osl, **rest}, WORKLOAD, f"{path}: workload.")
    axes = _known(path, "space", {} if raw.get("space") is None else raw["space"], _SPACE)
    values = {name: _numbers(path, f"space.{name}", value, 1) for name, value in axes.items()}
    space = replace(Space(), **values)
    card = load_model(_named(path, "model", raw["model"]))
    if rest.get("images"):
        if rest["images"] != int(rest["images"]):
            raise InputError(f"{path}: workload.images: {rest['images']:g} is no whole number.")
        card = with_images(card)
        tokens = sum(float(encoder.tokens) for encoder in card.model.encoders)
        isl = tuple(one + rest["images"] * tokens for one in isl)
    workload = Workload(isl[0], osl[0], **rest)
    if "max_context" in raw:
        context = _whole(path, "max_context", raw["max_context"])
        card = replace(card, max_context_tokens=float(context))
    named = _word(path, raw, "precision"), _word(path, raw, "engine")
    setup = setup_of(card, _named(path, "hardware", raw["hardware"]), *named)
    check_context(setup.model, max(isl), max(osl))
    listed = raw.get("phases")
    listed = list(PHASES) if listed is None else listed
    if listed == []:
        raise InputError(f"{path}: phases: the list is empty; give at least one, or leave it out.")
    phases = tuple(map(str, listed if isinstance(listed, list) else [listed]))
    for phase in phases:
        if phase not in PHASES:
            raise InputError(f"{path}: phases: {quoted(phase)} is not one of {', '.join(PHASES)}.")
    if len(set(phases)) < len(phases):
        raise InputError(f"{path}: phases: each once, and not {', '.join(phases)}.")
    block = _whole(path, "block_workloads", raw.get("block_workloads", 8))
    hardware = setup.hardware.hardware
    filled = complete(space, setup.model.model, hardware, max(isl))
    return SweepConfig(setup, isl, osl, workload, filled, phases, block, raw)
