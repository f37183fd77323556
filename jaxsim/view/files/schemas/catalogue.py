"""Cards of models and hardware, as files and as `jaxsim models` and `jaxsim hardware` print them.

The tables of a file are those of the records that it becomes, so that their fields are listed once.
A file is TOML; the schema is that of its tables.
"""

import dataclasses
import datetime
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jaxsim._record import Record
from jaxsim.catalog.hardware import Hardware
from jaxsim.catalog.load import ATTENTION, FFN, records_within
from jaxsim.catalog.model import Encoder
from jaxsim.catalog.precision_presets import CLASSES
from jaxsim.view.files.schemas.common import File, NotNegative, Positive

Kind = Literal["spec", "measured", "fitted", "assumed", "derived"]
Name = Annotated[str, Meta(min_length=1)]
Form: TypeAlias = Any  # a type that is made at run time, from the fields of a record


class Origin(File):
    """Where values come from: an entry of `[sources]`."""

    kind: Kind
    source: Name
    date: datetime.date


class Sourced(File, rename={"origin": "from"}):
    """A value with its own source: the name of one in `from`, or all that a source has."""

    value: NotNegative | str
    origin: str | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    source: Name | UnsetType = UNSET
    date: datetime.date | UnsetType = UNSET
    note: str | UnsetType = UNSET


def _struct(name: str, required: dict[str, Form], optional: dict[str, Form], **more: Form) -> Form:
    """A table of keys that must be there and of keys that may."""
    fields: list[Form] = [*required.items()]
    fields += [(key, kind | UnsetType, UNSET) for key, kind in optional.items()]
    return msgspec.defstruct(
        name, fields, bases=(File,), kw_only=True, rename={"origin": "from"}, **more
    )


@cache
def _fields(kind: type[Record]) -> dict[str, Form]:
    """The keys of the table that a record is read from: numbers, and tables of records within."""
    record: Form = kind
    names = [item.name for item in dataclasses.fields(record)]
    within = {name: records_within(kind, name) for name in names}
    return {name: _within(name, kinds) for name, kinds in within.items()}


def _within(name: str, kinds: dict[str, type[Record]]) -> Form:
    """A number, a table of one kind, or a table that says which of several it is."""
    if not kinds:
        return NotNegative | Sourced
    if name == "own":
        return _any_of(kinds)
    first, *others = kinds.values()
    if not others:
        return _table(first)
    every = {key: form for kind in kinds.values() for key, form in _fields(kind).items()}
    common = {key for key in every if all(key in _fields(kind) for kind in kinds.values())}
    optional = {key: form for key, form in every.items() if key not in common}
    optional["kind"] = Literal[tuple(kinds)]
    required = {key: every[key] for key in every if key in common}
    return _struct(f"{'Or'.join(kinds)}Table", required, optional)


@cache
def _table(kind: type[Record]) -> Form:
    """A table within another; a chip may leave out the rates of its narrower formats."""
    own = _fields(kind)
    narrow = {name: own[name] for name in own if name in ("fp8_flop_per_s", "fp4_flop_per_s")}
    required = {name: value for name, value in own.items() if name not in narrow}
    return _struct(f"{kind.__name__}Table", required, narrow)


def _any_of(kinds: dict[str, Form]) -> Form:
    """One of several tables, told apart by their `kind`."""
    tables = (
        _struct(name, _fields(kind), {}, tag_field="kind", tag=name) for name, kind in kinds.items()
    )
    return reduce(or_, tables)


NUMBER = NotNegative | Sourced
WORD = str | Sourced
MORE: dict[str, Form] = {"origin": str, "note": str}
HEAD = ("hidden", "vocab", "tied", "max_context_tokens", "mtp_layers")

MODEL_FILE = _struct(
    "ModelFile",
    {
        "model": _struct("ModelTable", dict.fromkeys(HEAD, NUMBER), {"fp8_format": WORD}),
        "attention": dict[str, _any_of(ATTENTION)],
        "ffn": dict[str, _any_of(FFN)],
        "groups": list[_struct("Group", {"attention": str, "ffn": str, "layers": NUMBER}, {})],
        "precision": _struct(
            "PrecisionTable", {}, {**dict.fromkeys(CLASSES, WORD), "mean_bytes": dict[str, NUMBER]}
        ),
        "sources": dict[str, Origin],
    },
    {"encoder": _table(Encoder), "hf_id": str, **MORE},
)
HARDWARE_FILE = _struct(
    "HardwareFile",
    {
        **_fields(Hardware),
        "vendor": str,
        "full_name": str,
        "gpus_per_node": NUMBER,
        "sources": dict[str, Origin],
    },
    {
        "calibration": str,
        "calibration_sigma": NUMBER,
        "alternatives": dict[str, NUMBER],
        **MORE,
    },
)


class Datum(File):
    """A value of a card, with its source."""

    value: float | str
    kind: Kind
    source: Name
    date: str
    note: Name | UnsetType = UNSET


class ModelLine(File):
    """A model: sizes in parameters and bytes, in the checkpoint's formats."""

    name: Name
    hf_id: str
    aliases: list[str]
    attention: Name
    layers: Positive
    parameters: Positive
    active_parameters: Positive
    experts: Positive | None
    topk: Positive | None
    kv_bytes_per_token: NotNegative
    state_bytes: NotNegative
    kinds: list[str]
    engines: list[str]
    max_context_tokens: Positive
    precision: dict[str, str]
    note: str


class Refused(File):
    """A model that jaxsim cannot express, and why."""

    name: Name
    reason: Name


class Models(File):
    """All models."""

    models: list[ModelLine]
    unsupported: list[Refused]


class ModelCard(ModelLine):
    """One model, with every number's source."""

    provenance: dict[str, Datum]


class HardwareLine(File):
    """An accelerator system, in base units; a rate that it has no units for is null."""

    name: Name
    full_name: Name
    vendor: Name
    aliases: list[str]
    domain_gpus: Positive
    gpus_per_node: Positive
    fp4_flop_per_s: Positive | None
    fp8_flop_per_s: Positive | None
    bf16_flop_per_s: Positive | None
    hbm_bytes: Positive
    hbm_bytes_per_s: Positive
    scaleup_bytes_per_s: Positive
    scaleout_bytes_per_s: Positive
    price_usd_per_hour: Positive
    power_w: Positive
    calibration: Name
    note: str


class HardwareList(File):
    """All hardware."""

    hardware: list[HardwareLine]


class HardwareCard(HardwareLine):
    """One accelerator system, with every number's source."""

    provenance: dict[str, Datum]


class Event(File):
    """A Chrome trace event, in µs: M names an instance, X is a span, i a change of the pools."""

    ph: Literal["M", "X", "i"]
    name: Name
    pid: int
    tid: int
    cat: str | UnsetType = UNSET
    ts: NotNegative | UnsetType = UNSET
    dur: NotNegative | UnsetType = UNSET
    s: str | UnsetType = UNSET
    args: dict[str, str | int] | UnsetType = UNSET


class TraceEvents(File, rename="camel"):
    """A simulated run, for Perfetto and chrome://tracing."""

    trace_events: list[Event]
    display_time_unit: Literal["ms"]
