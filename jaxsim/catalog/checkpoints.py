"""Which checkpoint of a hub has a model in a number format?"""

import tomllib
from functools import cache

from jaxsim.catalog.cards import ModelCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.names import DATA
from jaxsim.catalog.precision_presets import WITH_CACHE, load_precision

# Formats into which vLLM and SGLang quantise a 16-bit checkpoint while they load it.
ON_LOADING = ("fp8",)


@cache
def _table() -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads((DATA / "deploy" / "checkpoints.toml").read_text(encoding="utf-8"))


def checkpoint_of(card: ModelCard, precision: str, engine: str) -> tuple[str, str]:
    """The hub's name of a model in a format, and what the engine quantises to while loading.

    The second is empty where the checkpoint has the format already.
    """
    precision, _, _ = precision.partition(WITH_CACHE)  # servers are told of the cache
    known = _table().get(precision, {})
    if precision == "checkpoint":
        return _own(card), ""
    if card.name in known:
        return known[card.name]["value"], ""
    wanted, own = load_precision(precision, card), card.precision
    weights = ("attention", "experts") if card.is_moe else ("attention", "ffn")
    if all(_width(getattr(wanted, name)) == _width(getattr(own, name)) for name in weights):
        return _own(card), ""
    if precision in ON_LOADING and own.attention == "bf16" and engine in ("vllm", "sglang"):
        return _own(card), precision
    raise InputError(
        f"No checkpoint of {card.name} in {precision} is known that {engine} can load: its own has "
        f"{own.attention} weights. Name one with --checkpoint, or plan with --precision checkpoint."
    )


def cache_of(card: ModelCard, checkpoint: str) -> str:
    """The format of the cache that a checkpoint's own file asks for: bf16 where it asks for none.

    Empty for a checkpoint that is not known.
    """
    table = _table()
    if checkpoint in table["cache"]:
        return table["cache"][checkpoint]["value"]
    if checkpoint and checkpoint == card.hf_id:
        return card.precision.kv
    formats = (value for name, value in table.items() if name not in ("sources", "cache"))
    known = {entry["value"] for entries in formats for entry in entries.values()}
    return "bf16" if checkpoint in known else ""


def _own(card: ModelCard) -> str:
    if not card.hf_id:
        raise InputError(
            f"Model {card.name} has no name on the Hugging Face hub; give one, or a folder that "
            "the servers see, with --checkpoint."
        )
    return card.hf_id


def _width(format_: str) -> str:
    """Formats of one width and family; scales apart."""
    return "fp8" if format_.startswith("fp8") else format_
