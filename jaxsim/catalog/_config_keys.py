"""Which keys does a config.json have, which were read, and which stand in the way?

A key that no reader has read and that is not known to leave the structure alone is refused: it may
say that the model is another one than it seems.
"""

import math
from collections.abc import Iterable
from pathlib import Path

from jaxsim.catalog._harmless import HARMLESS
from jaxsim.catalog.documents import quoted
from jaxsim.catalog.errors import InputError

ALIASES = {
    "experts": (
        "num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts",
        "num_routed_experts",
    ),
    "topk": (
        "num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_top_k",
        "experts_per_token", "moe_k",
    ),
    "shared": ("n_shared_experts", "moe_num_shared_experts", "num_shared_experts",
               "num_shared_expert"),
    "expert_width": ("moe_intermediate_size", "intermediate_size"),
    "kv_heads": (
        "num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num",
        "num_attention_groups", "kv_n_heads",
    ),
    "mtp": ("num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers"),
    "hidden_size": ("hidden_size", "d_model", "n_embd"),
    "num_hidden_layers": ("num_hidden_layers", "n_layers", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_heads"),
    "head_dim": ("head_dim", "attention_head_dim"),
    "context": ("max_position_embeddings", "max_seq_len", "model_max_length", "max_sequence_length",
                "seq_length"),
    "activation": ("hidden_act", "hidden_activation", "mlp_hidden_act", "activation",
                   "activation_function"),
    "sliding_window": ("sliding_window", "sliding_window_size"),
}  # fmt: skip

MOST_LAYERS = 1_000.0  # no model has 200
MOST = 1e9


class Config:
    """The keys of a config.json, with errors that name the file and a record of what was read."""

    def __init__(self, path: Path, raw: dict[str, object], read: set[str] | None = None):
        self.path, self.raw = path, raw
        self.read: set[str] = set() if read is None else read
        self.notes: list[str] = []

    def error(self, problem: str) -> InputError:
        """An error about this file."""
        return InputError(f"{self.path}: {problem}")

    def get(self, key: str, default: object = None) -> object:
        """The value of a key, or of the first of its aliases that is there and not null."""
        names = ALIASES.get(key, (key,))
        self.read.update(names)
        for name in names:
            if self.raw.get(name) is not None:
                return self.raw[name]
        return default

    def text(self, key: str, default: str = "") -> str:
        """A word."""
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self.error(f"{key} is {quoted(value)}; a word is needed.")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number, 0 or more, as a float."""
        value = self.get(key, default)
        names = " or ".join(ALIASES.get(key, (key,)))
        if value is None:
            raise self.error(f"{names} is missing.")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(f"{key} is {quoted(value)}; a number is needed.")
        if not math.isfinite(value) or value < 0:
            raise self.error(f"{key} is {value}; it must be finite and 0 or more.")
        if value > MOST:
            raise self.error(f"{key} is {value:g}; no model has more than {MOST:g}.")
        return float(value)

    def whole(self, key: str, default: float | None = None) -> float:
        """A whole number, 0 or more."""
        value = self.number(key, default)
        if value != math.floor(value):
            raise self.error(f"{key} is {value:g}; a whole number is needed.")
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        """A whole number above 0."""
        value = self.whole(key, default)
        if value == 0:
            raise self.error(f"{key} is 0; it must be more.")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Whether something is so."""
        value = self.get(key, default)
        if not isinstance(value, (bool, int)):
            raise self.error(f"{key} is {quoted(value)}; true or false is needed.")
        return bool(value)

    def table(self, key: str) -> "Config":
        """The keys of an object within this one; all of them count as read."""
        value = self.get(key, {})
        if not isinstance(value, dict):
            raise self.error(f"{key} is {quoted(value)}; an object is needed.")
        return Config(self.path, value)

    def entries(self, key: str, allowed: Iterable[str] = ()) -> list[object] | None:
        """A list with an entry for each layer (or a few more), None where there is none."""
        value = self.get(key)
        if value is None:
            return None
        count = len(self.layers())
        if not isinstance(value, list) or len(value) < count:
            raise self.error(f"{key} must be a list of {count} entries, one for each layer.")
        named = {str(entry) for entry in value[:count]}
        unknown = sorted(named - set(allowed)) if allowed else []
        if unknown:
            raise self.error(
                f"{key} has {', '.join(unknown)}, which is not supported; supported are "
                f"{', '.join(sorted(set(allowed)))}."
            )
        return value[:count]

    def numbers(self, key: str) -> list[float] | None:
        """A number for each layer, None where there is no list."""
        listed = self.entries(key)
        if listed is None:
            return None
        each = [Config(self.path, {f"{key}[{i}]": entry}) for i, entry in enumerate(listed)]
        return [one.number(f"{key}[{i}]") for i, one in enumerate(each)]

    def indices(self, key: str) -> set[int]:
        """A list of indices of layers, as a set."""
        value = self.get(key, [])
        if not isinstance(value, list) or any(isinstance(i, bool | str) for i in value):
            raise self.error(f"{key} is {quoted(value)}; a list of layers is needed.")
        return {int(i) for i in value}

    def layers(self) -> range:
        """The indices of the layers."""
        count = self.positive("num_hidden_layers")
        if count > MOST_LAYERS:
            raise self.error(f"num_hidden_layers is {count:g}; at most {MOST_LAYERS:g} are read.")
        return range(int(count))

    def foreign(self) -> list[str]:
        """Keys that are set, that no reader has read, and that may change the structure."""
        return sorted(
            key
            for key, value in self.raw.items()
            if key not in self.read and _is_set(value) and not HARMLESS.fullmatch(key)
        )


def _is_set(value: object) -> bool:
    return not (value is None or value is False or value in (0, "") or value == [] or value == {})
