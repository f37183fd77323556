"""What does a model's card look like as a file of the catalogue?"""

import dataclasses
import datetime
import math
from typing import SupportsFloat

from jaxsim._record import Record
from jaxsim.catalog.cards import ModelCard
from jaxsim.catalog.model import DirectMLA
from jaxsim.catalog.precision import Precision

_SHORT = {
    "GQA": "full",
    "VariedGQA": "gated",
    "MLA": "latent",
    "DirectMLA": "latent",
    "GatedMLA": "latent",
    "SparseMLA": "sparse",
    "ReusedSparseMLA": "reused",
    "SharedCache": "shared",
    "BlockSparseGQA": "selected",
    "CompressedMQA": "compressed",
    "GatedDelta": "delta",
    "KimiDelta": "delta",
    "Mamba2": "mamba",
    "Lightning": "lightning",
    "NoAttention": "none",
    "DenseFFN": "dense",
    "MoEFFN": "moe",
    "LatentMoEFFN": "moe",
    "NoFFN": "none",
}
# Numbers that a config implies rather than states.
_DERIVED = {"bias_params": "biases and norms", "matrices": "with a gate 3, else 2"}
# What a checkpoint does not say unless it does.
_ASSUMED = ("kv", "attention_math", "dispatch")


def _number(value: SupportsFloat) -> str:
    number = float(value)
    if math.isinf(number):
        return "inf"
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _record_lines(section: str, record: Record) -> list[str]:
    """A record's numbers, then the records within it as sections of their own.

    Those that may be of several kinds name theirs.
    """
    lines, inner = [], []
    for item in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, item.name)
        if isinstance(value, Record):
            named = item.name == "own" or isinstance(value, DirectMLA)
            inner += [
                "",
                f"[{section}.{item.name}]",
                *([f'kind = "{type(value).__name__}"'] if named else []),
                *_record_lines(f"{section}.{item.name}", value),
            ]
        elif item.name in _DERIVED:
            note = _text(_DERIVED[item.name])
            lines.append(
                f'{item.name} = {{ value = {_number(value)}, kind = "derived", note = {note} }}'
            )
        else:
            lines.append(f"{item.name} = {_number(value)}")
    return lines + inner


def _names(records: list[Record]) -> dict[Record, str]:
    """A name for each different record, by its kind; numbered where a kind has several."""
    names: dict[Record, str] = {}
    for record in records:
        if record not in names:
            short = _SHORT[type(record).__name__]
            window = getattr(record, "window_tokens", math.inf)
            if short in ("full", "gated") and math.isfinite(float(window)):
                short = "sliding"
            taken = set(names.values())
            number = 2
            name = short
            while name in taken:
                name, number = f"{short}{number}", number + 1
            names[record] = name
    return names


def card_text(
    card: ModelCard, source: str, date: datetime.date, read: Precision | None = None
) -> str:
    """The TOML of a model's card; `source` says where its numbers come from.

    `read` are the formats as the checkpoint states them, those of the card by default.
    """
    precision = read or card.precision
    attentions = _names([group.attention for group in card.model.groups])
    ffns = _names([group.ffn for group in card.model.groups])
    lines = [f"hf_id = {_text(card.hf_id)}"] if card.hf_id else []
    if card.note:
        lines.append(f"note = {_text(card.note)}")
    context = card.max_context_tokens if math.isfinite(card.max_context_tokens) else 1e9
    lines += [
        'from = "config"',
        "",
        "[model]",
        *(f"{name} = {_number(getattr(card.model, name))}" for name in ("hidden", "vocab", "tied")),
        f"max_context_tokens = {_number(context)}",
        f"mtp_layers = {_number(card.mtp_layers)}",
        f'fp8_format = {{ value = "{card.fp8_format}", from = "fp8" }}',
    ]
    for section, named in (("attention", attentions), ("ffn", ffns)):
        for record, name in named.items():
            kind = f'kind = "{type(record).__name__}"'
            lines += ["", f"[{section}.{name}]", kind, *_record_lines(f"{section}.{name}", record)]
    for group in card.model.groups:
        lines += [
            "",
            "[[groups]]",
            f'attention = "{attentions[group.attention]}"',
            f'ffn = "{ffns[group.ffn]}"',
            f"layers = {_number(group.layers)}",
        ]
    lines += ["", "[precision]"]
    for name in card.classes:
        value = getattr(precision, name)
        origin = f'{{ value = "{value}", from = "engine" }}' if name in _ASSUMED else f'"{value}"'
        lines.append(f"{name} = {origin}")
    if precision.mean_bytes:
        lines += ["", "[precision.mean_bytes]"]
        lines += [f"{name} = {mean!r}" for name, mean in precision.mean_bytes]
    if card.encoder is not None:
        lines += ["", "[encoder]", *_record_lines("encoder", card.encoder)]
    for name, kind, text in (
        ("config", "spec", source),
        ("engine", "assumed", "Default of serving engines where the checkpoint does not say"),
        ("fp8", "assumed", "How FP8 releases of this model scale their weights"),
    ):
        lines += [
            "",
            f"[sources.{name}]",
            f'kind = "{kind}"',
            f"source = {_text(text)}",
            f"date = {date.isoformat()}",
        ]
    return "\n".join(lines) + "\n"
