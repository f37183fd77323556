"""Which models of the catalogue are of a kind, a size, or served by an engine?"""

import re
from functools import cache

from jaxsim.catalog._datum import DataFile
from jaxsim.catalog.cards import ModelCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.model import AbstractAttention
from jaxsim.catalog.names import DATA

KINDS = ("dense", "moe", "latent", "recurrent", "windowed", "selected", "multimodal", "mtp")
ENGINES = ("sglang", "trtllm", "vllm")
_SELECTED = ("SparseMLA", "ReusedSparseMLA", "BlockSparseGQA", "CompressedMQA")
_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>[kmbt]?)", re.IGNORECASE)
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def _kernel_of(attention: AbstractAttention) -> AbstractAttention:
    """The attention whose kernels a layer has, whoever's cache they read."""
    return getattr(attention, "own", attention)


def kinds_of(card: ModelCard) -> tuple[str, ...]:
    """The words of `KINDS` that hold for a model."""
    attentions = [group.attention for group in card.model.groups]
    windows = [float(getattr(attention, "window_tokens", 1e30)) for attention in attentions]
    holds = {
        "dense": not card.is_moe,
        "moe": card.is_moe,
        "latent": card.is_latent,
        "recurrent": card.is_recurrent,
        "windowed": any(window < 1e9 for window in windows),
        "selected": any(
            type(_kernel_of(attention)).__name__ in _SELECTED for attention in attentions
        ),
        "multimodal": card.encoder is not None,
        "mtp": card.mtp_layers > 0,
    }
    return tuple(kind for kind in KINDS if holds[kind])


@cache
def _served() -> dict[str, tuple[str, ...]]:
    file = DataFile(DATA / "served.toml")
    table = file.root.table("engines")
    names = {kind: table.texts(kind) for kind in table.raw}
    file.finish()
    return names


def engines_of(card: ModelCard) -> tuple[str, ...]:
    """The engines with measured kernels for all kinds of layer of a model."""
    known = _served()
    kinds = {type(_kernel_of(group.attention)).__name__ for group in card.model.groups}
    return tuple(name for name in ENGINES if all(name in known.get(k, ENGINES) for k in kinds))


def size_of(text: str, flag: str) -> float:
    """A number of parameters, written as 70B, 8e9 or 1.5T."""
    match = _SIZE.fullmatch(text.strip())
    try:
        return float(match["number"]) * _UNITS[match["unit"].lower()] if match else float(text)
    except ValueError:
        raise InputError(
            f"{flag} {text!r} is no number of parameters; write 70B, 500M or 7e10."
        ) from None
