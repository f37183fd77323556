"""What does the catalogue say about a model or an accelerator, besides the numbers?

Names, origins and what ships with what live on cards, so that the records inside can be stacked.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxsim.catalog._datum import Datum
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.hardware import Hardware
from jaxsim.catalog.model import (
    MLA,
    AbstractRecurrent,
    DenseFFN,
    DirectMLA,
    Encoder,
    LatentMoEFFN,
    Model,
    MoEFFN,
    core_of,
)
from jaxsim.catalog.precision import ACTIVATION_FORMAT, Format, Precision


@dataclass(frozen=True)
class ModelCard:
    """A model: its record, and how its checkpoint ships.

    `fp8_format` is how an FP8 release of the model scales its weights. `precision` is the
    checkpoint's own. `provenance` has a datum for every number, by its key in the data file.
    `encoder` is what sees images, which the model only has where it is served with them.
    `note` says what the record leaves out or approximates. `named_formats` is true where the user
    named a checkpoint, by a path or by a format in its name, and so means its formats.

    >>> jaxsim.load_model("deepseek-r1").is_moe
    True
    """

    name: str
    model: Model
    precision: Precision
    max_context_tokens: float
    mtp_layers: float = 0.0
    hf_id: str = ""
    fp8_format: Format = "fp8"
    aliases: tuple[str, ...] = ()
    note: str = ""
    encoder: Encoder | None = None
    named_formats: bool = False
    provenance: Mapping[str, Datum] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return self.name

    @property
    def is_latent(self) -> bool:
        """Whether any layer keeps a latent cache."""
        return any(
            isinstance(core_of(group.attention), MLA | DirectMLA) for group in self.model.groups
        )

    @property
    def is_moe(self) -> bool:
        """Whether any layer has routed experts."""
        return any(
            isinstance(getattr(group.ffn, "moe", group.ffn), MoEFFN) for group in self.model.groups
        )

    @property
    def is_recurrent(self) -> bool:
        """Whether any layer keeps a state instead of a cache."""
        return any(isinstance(group.attention, AbstractRecurrent) for group in self.model.groups)

    @property
    def architecture(self) -> str:
        """Which code of an engine serves the model: recurrent, latent, experts or dense.

        Layers with a state, a latent cache or experts have kernels, messages and schedules of
        their own; the first of these that the model has names it.
        """
        if self.is_recurrent:
            return "recurrent"
        if self.is_latent:
            return "latent"
        return "experts" if self.is_moe else "dense"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of tensor that the model has."""
        networks = [group.ffn for group in self.model.groups]
        routed = [getattr(ffn, "moe", ffn) for ffn in networks]
        experts = [ffn for ffn in routed if isinstance(ffn, MoEFFN)]
        dense = any(isinstance(ffn, DenseFFN | LatentMoEFFN) for ffn in networks)
        dense = dense or any(float(ffn.shared_intermediate) > 0.0 for ffn in experts)
        absent = {"ffn": not dense, "experts": not experts, "dispatch": not experts}
        return tuple(name for name in Precision().formats if not absent.get(name))

    def formats(self, precision: Precision) -> dict[str, str]:
        """The format of every class of tensor that the model has, under a precision."""
        return {name: precision.formats[name] for name in self.classes}


@dataclass(frozen=True)
class HardwareCard:
    """An accelerator system: its record, and what its makers and sellers call it.

    `arithmetic` lists the operand types it has units for; others run at the rate of the next wider
    one. `calibration` names the file of kernel fits to use; where that is of another chip,
    `calibration_sigma` is how much less sure it is here (of ln seconds). `alternatives` are sourced
    values that the record does not use, such as other prices or capacities that a source disagrees
    on.

    >>> jaxsim.load_hardware("h100").hardware.domain_gpus
    8.0
    """

    name: str
    hardware: Hardware
    vendor: str
    full_name: str
    calibration: str
    gpus_per_node: float
    calibration_sigma: float = 0.0
    arithmetic: tuple[str, ...] = ("bf16",)
    aliases: tuple[str, ...] = ()
    note: str = ""
    alternatives: Mapping[str, Datum] = field(default_factory=dict, repr=False, compare=False)
    provenance: Mapping[str, Datum] = field(default_factory=dict, repr=False, compare=False)


def with_domain(card: HardwareCard, gpus: float) -> HardwareCard:
    """The same hardware with `gpus` accelerators in a scale-up domain, for studies of its size."""
    if not (math.isfinite(gpus) and gpus >= 1):
        raise InputError(f"A scale-up domain of {gpus} GPUs is impossible; give 1 or more.")
    hardware = dataclasses.replace(card.hardware, domain_gpus=float(gpus))
    return dataclasses.replace(card, hardware=hardware)


def with_images(card: ModelCard, pooled: bool = False) -> ModelCard:
    """The model with the encoder that its images need; `pooled` on GPUs of its own."""
    if card.encoder is None:
        raise InputError(
            f"{card.name} has no encoder for images here: leave out --images, or add an [encoder] "
            "to a copy of its file."
        )
    own = {"pooled_encoders" if pooled else "encoders": (card.encoder,)}
    return dataclasses.replace(card, model=dataclasses.replace(card.model, **own))


def emulated_classes(precision: Precision, card: HardwareCard) -> list[str]:
    """The classes of tensor whose arithmetic type the hardware lacks, so that it runs wider."""
    width = {
        **{name: "fp4" for name in ("nvfp4", "mxfp4")},
        **{name: "fp8" for name in ("fp8", "fp8_block", "mxfp8", "int8")},
    }
    needs = {
        name: width.get(ACTIVATION_FORMAT[getattr(precision, name)], "bf16")
        for name in ("attention", "attention_out", "ffn", "experts", "head")
    }
    needs["attention_math"] = precision.attention_math
    return [name for name, type_ in needs.items() if type_ not in card.arithmetic]
