"""What numbers does the catalogue have for a name?

Only the requested file is read. A file is data: nothing in it is executed.
"""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar, cast, get_args

from jaxsim._record import Record
from jaxsim.catalog import names
from jaxsim.catalog._calibration_file import list_calibrations
from jaxsim.catalog._calibration_kinds import BORROWED, BORROWED_SIGMA
from jaxsim.catalog._datum import DataFile, Table
from jaxsim.catalog.bounds import MODEL
from jaxsim.catalog.cards import HardwareCard, ModelCard, with_domain
from jaxsim.catalog.config_json import read_config
from jaxsim.catalog.documents import given_path
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.hardware import Chip, Fabric, Hardware, PeakFlop
from jaxsim.catalog.model import (
    GQA,
    MLA,
    AbstractAttention,
    AbstractFFN,
    BlockSparseGQA,
    CompressedMQA,
    DenseFFN,
    DirectMLA,
    Encoder,
    GatedDelta,
    GatedMLA,
    KimiDelta,
    LatentMoEFFN,
    LayerGroup,
    Lightning,
    Mamba2,
    Model,
    MoEFFN,
    NoAttention,
    NoFFN,
    ReusedSparseMLA,
    SharedCache,
    SparseMLA,
    VariedGQA,
)
from jaxsim.catalog.names import list_hardware, list_models, list_precisions
from jaxsim.catalog.precision import Format, Precision
from jaxsim.catalog.precision_presets import load_precision, override_precision, read_precision

__all__ = [
    "list_hardware",
    "list_models",
    "list_precisions",
    "load_hardware",
    "load_model",
    "load_precision",
    "override_precision",
    "with_domain",
]

# A kind of layer that has no entry here cannot be written in a data file; a test finds it.
_ATTENTION = (
    *(GQA, VariedGQA, BlockSparseGQA, MLA, DirectMLA, GatedMLA, SparseMLA, ReusedSparseMLA),
    *(CompressedMQA, GatedDelta, KimiDelta, Mamba2, Lightning, SharedCache, NoAttention),
)
ATTENTION: dict[str, type[AbstractAttention]] = {kind.__name__: kind for kind in _ATTENTION}
FFN: dict[str, type[AbstractFFN]] = {
    kind.__name__: kind for kind in (DenseFFN, MoEFFN, LatentMoEFFN, NoFFN)
}
# Fields that are records; `latent` is also the name of a number, of experts that work on one.
_NESTED: dict[str, type[Record]] = {
    "moe": MoEFFN,
    "grouped": GQA,
    "chip": Chip,
    "peak": PeakFlop,
    "scaleup": Fabric,
    "scaleout": Fabric,
}
_MAY_BE_ZERO = {
    *("bias_params", "shared_intermediate", "tied", "latency_s", "gate_dim", "own_values"),
    *("own_cache", "index_heads", "index_dim", "full_gate", "rope_dim"),
}
_MAY_BE_INFINITE = {"window_tokens", "ratio", "index_topk"}
_WIDER = (("fp8_flop_per_s", "bf16_flop_per_s"), ("fp4_flop_per_s", "fp8_flop_per_s"))


R = TypeVar("R", bound=Record)


def records_within(kind: type[Record], name: str) -> dict[str, type[Record]]:
    """The classes that a field may have which is a record, and so a table of a file, by name.

    A `kind` within the table says which; without it, a latent is the first.
    """
    if name == "latent" and kind is not LatentMoEFFN:
        kinds: tuple[type[Record], ...] = (MLA,) if kind is GatedMLA else (MLA, DirectMLA)
    elif kind is SharedCache:
        kinds = (MLA, DirectMLA, SparseMLA, ReusedSparseMLA)
    else:
        kinds = (_NESTED[name],) if name in _NESTED else ()
    return {one.__name__: one for one in kinds}


def _record(kind: type[R], table: Table) -> R:
    """A record, every number of it read from the key of its name."""
    values: dict[str, Record | float] = {}
    build: Callable[..., R] = kind
    for item in dataclasses.fields(kind):
        nested = records_within(kind, item.name)
        if nested:
            within = table.table(item.name)
            named = item.name == "own" or ("kind" in within and len(nested) > 1)
            first = next(iter(nested.values()))
            values[item.name] = _record(_kind_of(within, nested) if named else first, within)
        else:
            zero, infinite = item.name in _MAY_BE_ZERO, item.name in _MAY_BE_INFINITE
            values[item.name] = table.number(item.name, zero, infinite)
    return build(**values)


def _kind_of(table: Table, kinds: dict[str, type[R]]) -> type[R]:
    """The class that a table's `kind` names."""
    name = table.label("kind")
    if name not in kinds:
        raise table.error("kind", f"is {name!r}; allowed are {', '.join(kinds)}")
    return kinds[name]


# ---- models --------------------------------------------------------------------------------------


def load_model(name_or_path: str | Path, ignore_keys: Iterable[str] = ()) -> ModelCard:
    """The card of a model of the catalogue, or of a Hugging Face config.json or its folder.

    A name is taken as people write it: with or without publisher, tuning, release date or number
    format. A format in the name (`nvidia/DeepSeek-R1-FP4`) chooses the card's precision. Keys of
    `ignore_keys` are left out of a config.json that would otherwise be refused for them.

    >>> jaxsim.load_model("nvidia/DeepSeek-R1-FP4").name
    'deepseek-r1'
    """
    path = given_path(name_or_path, "model ")
    if path.is_file() or (path.is_dir() and (path / "config.json").exists()):
        if path.suffix == ".toml":
            _no_keys(ignore_keys, name_or_path)
            return dataclasses.replace(read_model_file(path), named_formats=True)
        card = read_config(path, ignore_keys)
        return dataclasses.replace(card, named_formats=True)
    if path.suffix in (".json", ".toml"):
        raise InputError(f"{path}: no such file. Give a config.json, its folder, or a model name.")
    _no_keys(ignore_keys, name_or_path)
    name, preset = names.resolve_model(str(name_or_path))
    card = read_model_file(names.DATA / "models" / f"{name}.toml")
    if preset is not None:
        chosen = load_precision(preset, card)
        card = dataclasses.replace(card, precision=chosen, named_formats=True)
    return card


def _no_keys(ignore_keys: Iterable[str], given: str | Path) -> None:
    if list(ignore_keys):
        raise InputError(f"--ignore-keys is for a config.json; {str(given)!r} is none.")


def read_model_file(path: Path) -> ModelCard:
    """The card that a model's TOML file describes."""
    file = DataFile(path, MODEL)
    root = file.root
    head = root.table("model")
    attentions = _layers_of(root, "attention", ATTENTION)
    ffns = _layers_of(root, "ffn", FFN)
    groups = []
    for row in root.tables("groups"):
        attention = _named(row, "attention", attentions)
        groups.append(LayerGroup(attention, _named(row, "ffn", ffns), row.number("layers")))
    model = Model(
        hidden=head.number("hidden"),
        vocab=head.number("vocab"),
        tied=head.number("tied", zero=True),
        groups=tuple(groups),
    )
    encoder = _record(Encoder, root.table("encoder")) if "encoder" in root else None
    fp8_format = head.choice("fp8_format", get_args(Format)) if "fp8_format" in head else "fp8"
    card = ModelCard(
        name=path.stem,
        model=model,
        precision=read_precision(root.table("precision"), Precision()),
        max_context_tokens=head.number("max_context_tokens"),
        mtp_layers=head.number("mtp_layers", zero=True),
        hf_id=root.label("hf_id", ""),
        fp8_format=cast(Format, fp8_format),
        aliases=names.aliases("models", path.stem),
        note=root.label("note", ""),
        encoder=encoder,
        provenance=file.provenance,
    )
    file.finish()
    return card


def _layers_of(root: Table, section: str, kinds: dict[str, type[R]]) -> dict[str, R]:
    """The named attention or feed-forward networks of a model."""
    layers: dict[str, R] = {}
    tables = root.table(section)
    for name in tables.raw:
        table = tables.table(name)
        layers[name] = _record(_kind_of(table, kinds), table)
        routed = getattr(layers[name], "moe", layers[name])
        if isinstance(routed, MoEFFN) and routed.topk > routed.experts:
            raise table.error("topk", f"exceeds the {routed.experts:.0f} experts")
    return layers


def _named(row: Table, key: str, layers: dict[str, R]) -> R:
    name = row.label(key)
    if name not in layers:
        raise row.error(key, f"is {name!r}; the file has {', '.join(layers)}")
    return layers[name]


# ---- hardware ------------------------------------------------------------------------------------


def load_hardware(name_or_path: str | Path) -> HardwareCard:
    """The card of hardware of the catalogue, or of a TOML file that describes some.

    >>> jaxsim.load_hardware("gb200-nvl72").hardware.domain_gpus
    72.0
    """
    path = given_path(name_or_path, "hardware ")
    if path.suffix == ".toml" or path.is_file():
        return read_hardware_file(path)
    return read_hardware_file(
        names.DATA / "hardware" / f"{names.resolve_hardware(str(name_or_path))}.toml"
    )


def read_hardware_file(path: Path) -> HardwareCard:
    """The card that a hardware TOML file describes.

    A rate that the file leaves out is that of the next wider type (kind `derived`).
    """
    file = DataFile(path)
    root = file.root
    own = _fill_narrow_rates(root)
    alternatives = {}
    if "alternatives" in root:
        table = root.table("alternatives")
        for key in table.raw:
            table.number(key)
            alternatives[key] = file.provenance[table.key(key)]
    calibration = root.label("calibration", path.stem)
    sigma = 0.0
    if "calibration_sigma" in root:
        sigma = root.number("calibration_sigma", zero=True)
    note = root.label("note", "")
    if "calibration" not in root and calibration not in list_calibrations():
        calibration, sigma = BORROWED, BORROWED_SIGMA
        said = f"kernels are taken to come as near to its peaks as to those of {BORROWED}"
        note = f"{note}; {said}" if note else said
    card = HardwareCard(
        name=path.stem,
        hardware=_record(Hardware, root),
        vendor=root.label("vendor"),
        full_name=root.label("full_name"),
        calibration=calibration,
        calibration_sigma=sigma,
        gpus_per_node=root.number("gpus_per_node"),
        arithmetic=own,
        aliases=names.aliases("hardware", path.stem),
        note=note,
        alternatives=alternatives,
        provenance=file.provenance,
    )
    file.finish()
    return card


def _fill_narrow_rates(root: Table) -> tuple[str, ...]:
    """Give every missing rate that of the next wider type; the types that have their own."""
    chip = root.raw.get("chip")
    peak = chip.get("peak") if isinstance(chip, dict) else None
    if not isinstance(peak, dict):
        return ()
    if "bf16_flop_per_s" not in peak:
        raise root.error("chip.peak.bf16_flop_per_s", "is missing; narrower types fall back on it")
    own = tuple(key.removesuffix("_flop_per_s") for key in peak)
    for narrow, wide in _WIDER:
        if narrow not in peak and wide in peak:
            entry = peak[wide] if isinstance(peak[wide], dict) else {"value": peak[wide]}
            note = f"no units for this type: runs at the rate of {wide}"
            peak[narrow] = {**entry, "kind": "derived", "note": note}
    return own
