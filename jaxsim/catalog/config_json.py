"""What does a Hugging Face config.json say about a model?

The raw JSON is read, since libraries rewrite keys on the way in, and nothing in it is executed.
An architecture that the records cannot express is refused with the keys that stand in the way.
"""

import contextlib
import datetime
import math
from collections.abc import Iterable
from pathlib import Path

import jax

from jaxsim.catalog._architectures import ARCHITECTURES, Layer, Reader, by_structure
from jaxsim.catalog._config_keys import Config
from jaxsim.catalog._datum import Datum
from jaxsim.catalog._encoders import encoder_of
from jaxsim.catalog._modules import modules_of
from jaxsim.catalog._quantization import precision_of
from jaxsim.catalog.cards import ModelCard
from jaxsim.catalog.documents import read_json, shown
from jaxsim.catalog.errors import InputError, nearest
from jaxsim.catalog.model import LayerGroup, Model
from jaxsim.catalog.precision import Precision

# Where a multimodal config keeps its language model.
_TEXT = ("text_config", "llm_config", "language_config")
# Families whose embedding and head are one matrix unless the config says otherwise.
_TIED = ("gemma", "cohere", "falcon")
# What every model has, or may have, beside its layers.
_ORDINARY = (
    "hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads", "kv_heads", "head_dim",
    "intermediate_size", "activation", "tie_word_embeddings", "context", "mtp", "use_mtp",
)  # fmt: skip

LISTED = 2000  # letters of keys that a message lists at most


def _read_json(path: Path) -> dict[str, object]:
    raw = read_json(path)
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a JSON object.")
    return raw


def _grouped(layers: list[Layer]) -> tuple[LayerGroup, ...]:
    """Layers of one kind together, in the order in which the kinds first appear."""
    alike: dict[tuple[int, int], list[Layer]] = {}
    for layer in layers:
        alike.setdefault((id(layer.attention), id(layer.ffn)), []).append(layer)
    return tuple(LayerGroup(a[0].attention, a[0].ffn, float(len(a))) for a in alike.values())


def _architecture(
    config: Config, outer: dict[str, object], ignored: set[str]
) -> tuple[str, Reader]:
    """The architecture's name and how to read it; without a name, what its structure suggests."""
    stated = outer.get("architectures") or config.raw.get("architectures") or ["unknown"]
    name = str(stated[0] if isinstance(stated, list) and stated else stated)
    if name in ARCHITECTURES:
        return name, ARCHITECTURES[name]
    if "architectures" in ignored:
        return name, by_structure(config)
    close = nearest(name, [known.lower() for known in ARCHITECTURES], 1)
    spelt = {known.lower(): known for known in ARCHITECTURES}
    like = f" The nearest supported is {spelt[close[0]]}." if close else ""
    keys = _unknown(config, by_structure(config))
    unknown = f" Keys that no supported model has: {', '.join(keys)}." if keys else ""
    raise config.error(
        f"architectures is {name!r} (model_type {config.raw.get('model_type')!r}), which is not "
        f"supported.{like}{unknown} `--ignore-keys {','.join(['architectures', *keys])}` reads it "
        "as a decoder of the attention and networks that its other keys describe."
    )


def _unknown(config: Config, reader: Reader) -> list[str]:
    """Keys that a reader leaves unread, found without raising what the reader may raise."""
    tried = Config(config.path, config.raw)
    for key in _ORDINARY:
        tried.get(key)
    with contextlib.suppress(InputError, TypeError, ValueError, AttributeError):
        reader(tried)
    return tried.foreign()


def read_config(path: Path, ignore_keys: Iterable[str] = ()) -> ModelCard:
    """The card of the model that a config.json, or the folder that holds one, describes.

    In a folder, a hf_quant_config.json beside it says how the weights are quantised where the
    config itself does not. Keys of `ignore_keys` are left out, as if the file had none of them.
    """
    path = path / "config.json" if path.is_dir() else path
    outer = _read_json(path)
    ignored = {key.strip() for key in ignore_keys if key.strip()}
    inner = next((outer[key] for key in _TEXT if outer.get(key) is not None), outer)
    if not isinstance(inner, dict):
        raise InputError(f"{path}: text_config must be a JSON object.")
    if absent := sorted(ignored - set(inner) - set(outer)):
        raise InputError(f"--ignore-keys: {path} has no key {', '.join(absent)}.")
    kept = {key: value for key, value in inner.items() if key not in ignored}
    config = Config(path, kept)
    architecture, reader = _architecture(config, outer, ignored)
    for key in ("context", "mtp", "use_mtp", "tie_word_embeddings", "expert_dtype"):
        config.get(key)
    try:
        family = config.text("model_type")
        layers = reader(config)
        model = _model(config, outer, layers, family)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise error if isinstance(error, InputError) else config.error(f"{error}.") from None
    if foreign := config.foreign():
        keys = shown(",".join(foreign), LISTED)
        raise config.error(
            f"{keys.replace(',', ', ')} (of {architecture}) may change the structure in a way "
            f"that no record expresses. `--ignore-keys {keys}` goes on without."
        )
    stated = config.get("context") is not None
    if ignored:
        config.notes.append(f"keys left out: {', '.join(sorted(ignored))}")
    if inner is not outer or {"vision_config", "audio_config"} & set(outer):
        config.notes.append("text part only")
    precision = _precision(path, outer, config, layers, model, family)
    stem = path.parent.name if path.name == "config.json" else path.stem
    mtp = config.whole("mtp", 0.0) if config.get("use_mtp", True) else 0.0
    return ModelCard(
        name=stem or "config",
        model=model,
        precision=precision,
        max_context_tokens=config.positive("context") if stated else math.inf,
        mtp_layers=mtp,
        hf_id=str(outer.get("_name_or_path") or ""),
        fp8_format="fp8_block" if precision.experts == "fp8_block" else "fp8",
        note="; ".join(config.notes),
        encoder=encoder_of(outer, path),
        provenance=_provenance(model, f"{path} ({architecture})", path),
    )


def _model(config: Config, outer: dict[str, object], layers: list[Layer], family: str) -> Model:
    untold = family.startswith(_TIED)
    tied = outer.get("tie_word_embeddings", config.get("tie_word_embeddings", untold))
    return Model(
        hidden=config.positive("hidden_size"),
        vocab=config.positive("vocab_size"),
        tied=float(bool(tied)),
        groups=_grouped(layers),
    )


def _precision(
    path: Path,
    outer: dict[str, object],
    config: Config,
    layers: list[Layer],
    model: Model,
    family: str,
) -> Precision:
    quantization = outer.get("quantization_config") or config.raw.get("quantization_config")
    beside = path.parent / "hf_quant_config.json"
    if not quantization and path.name == "config.json" and beside.exists():
        quantization = _read_json(beside).get("quantization")
    modules = []
    if quantization:
        modules = modules_of(layers, float(model.hidden), float(model.vocab), family)
    expert_dtype = str(config.get("expert_dtype") or "")
    return precision_of(quantization, modules, str(path), expert_dtype)


def _provenance(model: Model, source: str, path: Path) -> dict[str, Datum]:
    """A datum for every number of a record: all come from one file, some by its architecture."""
    date = datetime.date.fromtimestamp(path.stat().st_mtime)
    leaves, _ = jax.tree_util.tree_flatten_with_path(model)
    return {
        (key := jax.tree_util.keystr(where).lstrip(".")): Datum(
            value, "derived" if key.endswith(("bias_params", "matrices")) else "spec", source, date
        )
        for where, value in leaves
    }
