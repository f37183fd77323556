"""Which named things make up an evaluation?

A `Setup` joins cards of the catalogue (model, hardware, engine, precision, calibration) and turns
them, with a workload and a design, into the numbers of a `Scenario`.
"""

from dataclasses import dataclass, replace

import numpy as np

from jaxsim.catalog.bounds import WORKLOAD, check
from jaxsim.catalog.calibration import (
    Calibration,
    borrowed,
    load_calibration,
    of_engine,
    resolve_kernels,
)
from jaxsim.catalog.cards import HardwareCard, ModelCard, emulated_classes, with_images
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine import Options
from jaxsim.catalog.engine_limits import engine_defaults
from jaxsim.catalog.known_engines import EngineCard, generation_of, load_engine
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.catalog.precision import SPOKEN, Precision, element_bytes, spoken_formats
from jaxsim.catalog.precision_presets import WITH_CACHE, load_precision
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.silicon_limit import LIMIT, at_the_limit
from jaxsim.catalog.workload import Workload


@dataclass(frozen=True)
class Setup:
    """Everything named that an evaluation depends on."""

    model: ModelCard
    hardware: HardwareCard
    precision_name: str
    precision: Precision
    engine: EngineCard
    calibration: Calibration
    options: Options

    @property
    def formats(self) -> dict[str, str]:
        """The number format of every class of tensor that the model has."""
        return self.model.formats(self.precision)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of the model and its formats, in sentences."""
        said = [f"Formats: {spoken_formats(self.formats)}."]
        kept = engine_defaults(self.engine.name, self.hardware).get("kv")
        if kept is not None and kept != self.precision.kv:
            said.append(
                f"{self.engine.title} keeps a KV cache in {kept} by default; {self.precision.kv} "
                f"takes an option, or a checkpoint that says so (--kv {kept} plans the default)."
            )
        emulated = emulated_classes(self.precision, self.hardware)
        wider = [SPOKEN[name] for name in emulated if name in SPOKEN and name in self.model.classes]
        if wider:
            said.append(
                f"{self.hardware.name} has no arithmetic for {', '.join(wider)}: it runs wider."
            )
        if self.precision.mean_bytes:
            mixed = ", ".join(SPOKEN[name] for name, _ in self.precision.mean_bytes)
            said.append(f"Layers differ in their formats of: {mixed}; bytes are the mean of all.")
        if self.hardware.note and self.hardware.calibration_sigma:
            said.append(f"{self.hardware.name}: {self.hardware.note}.")
        if self.model.note:
            said.append(f"Model: {self.model.note}.")
        return tuple(said)

    def scenario(self, workload: Workload, design: Deployment | None = None) -> Scenario:
        """The numbers of this set-up for a workload, at a design or at one to be swept over.

        Where prompts have images, the model has its encoder.
        """
        given = {name: getattr(workload, name) for name in WORKLOAD}
        check(given, WORKLOAD, "Workload: ")
        if design is None:
            design = Deployment(tp=1.0, ep=1.0, pp=1.0, batch=1.0, chunk=workload.isl)
        model = self.model.model
        if np.any(workload.images) and not (model.encoders or model.pooled_encoders):
            model = with_images(self.model).model
        return Scenario(
            model=model,
            element=element_bytes(self.precision),
            hardware=self.hardware.hardware,
            kernels=resolve_kernels(
                self.calibration, self.precision, float(self.hardware.hardware.chip.multiprocessors)
            ),
            engine=self.engine.engine,
            options=self.options,
            workload=workload,
            design=design,
        )


def default_precision(model: ModelCard, hardware: HardwareCard) -> str:
    """The formats that the model ships in, where the hardware computes with them.

    Where the user named a checkpoint they stay even if the hardware lacks their arithmetic, as do
    those of 4-bit experts: weights are then widened on the way to it. Otherwise a model of the
    catalogue takes the narrowest preset that the hardware computes with.
    """
    narrow = model.precision.experts in ("mxfp4", "int4")
    if model.named_formats or narrow or not emulated_classes(model.precision, hardware):
        return "checkpoint"
    for arithmetic, preset in (("fp4", "nvfp4"), ("fp8", "fp8")):
        if arithmetic in hardware.arithmetic:
            return "mxfp4" if preset == "nvfp4" and hardware.vendor != "NVIDIA" else preset
    return "bf16"


def default_engine(hardware: HardwareCard) -> str:
    """The engine that was measured on the maker's hardware; the ideal one where none was."""
    generation = generation_of(hardware.name)
    if hardware.vendor == "NVIDIA" and generation in ("hopper", "blackwell"):
        return "trtllm"
    return "sglang" if generation == "cdna" else "ideal"


def _engine_on(name: str, chip: HardwareCard, model: ModelCard) -> EngineCard:
    """The engine on a chip; where the chip borrows its kernels, at least as unsure as the lender's.

    A chip of no known generation has the numbers of all generations, whose errors average more
    runs; its kernels are those of the chip that it names, with what runs there left unexplained.
    """
    card = load_engine(name, chip.name, model)
    if generation_of(chip.name) or not generation_of(chip.calibration):
        return card
    lender = load_engine(name, chip.calibration, model)
    sigmas = {
        measure: max(sigma, lender.sigmas.get(measure, 0.0))
        for measure, sigma in card.sigmas.items()
    }
    return replace(card, log_sigma=max(card.log_sigma, lender.log_sigma), sigmas=sigmas)


def setup_of(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
) -> Setup:
    """The set-up of a model on hardware: names looked up, what is not given by default."""
    card = load_model(model) if isinstance(model, str) else model
    chip = load_hardware(hardware) if isinstance(hardware, str) else hardware
    if isinstance(precision, Precision):
        name, chosen = "custom", precision
    else:
        name = precision or default_precision(card, chip)
        if name.startswith(WITH_CACHE):
            name = default_precision(card, chip) + name
        chosen = load_precision(name, card)
    if isinstance(engine, EngineCard):
        runner = engine
    else:
        runner = _engine_on(engine or default_engine(chip), chip, card)
    calibration = borrowed(
        load_calibration(chip.calibration),
        chip.name,
        float(chip.hardware.chip.multiprocessors),
        chip.calibration_sigma,
    )
    calibration = of_engine(calibration, runner.name)
    return Setup(
        model=card,
        hardware=chip,
        precision_name=name,
        precision=chosen,
        engine=runner,
        calibration=at_the_limit(calibration) if runner.kernels == LIMIT else calibration,
        options=options or Options(),
    )


def limit_of(setup: Setup) -> Setup:
    """The same set-up with kernels and messages at the limit of the chip, and nothing added."""
    return replace(setup, engine=load_engine(LIMIT), calibration=at_the_limit(setup.calibration))
