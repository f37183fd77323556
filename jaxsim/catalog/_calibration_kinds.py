"""Which kernels are calibrated, in which formats, and what is one fit as a file has it?"""

import datetime
import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from jaxsim._record import Record
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.fits import (
    BatchedGemmFit,
    CollectiveFit,
    ContextAttentionFit,
    ConvolutionFit,
    DecodeAttentionFit,
    GemmFit,
    GroupedGemmFit,
    SelectedFit,
    StateFit,
    StreamFit,
)

DATA = Path(__file__).parent / "data" / "calibration"
STATES = Path(__file__).parent / "data" / "states"

# Kernels of recurrent layers, and of attention that selects or compresses (DeepSeek's DSA and V4
# with its hyper-connections, MiniMax's MSA), in files of their own: other engines were measured,
# and not on all chips. A chip without a file has the fits of `BORROWED`, much less sure.
SELECTED = ("dsa", "msa", "compressed")
STATE_KINDS: dict[str, type[Record]] = {
    "delta_step": StateFit,
    "delta_scan": StateFit,
    "kda_step": StateFit,
    "kda_scan": StateFit,
    "convolution": ConvolutionFit,
    **{f"{family}_{phase}": SelectedFit for family in SELECTED for phase in ("decode", "context")},
    "hyper": StreamFit,
}
BORROWED, BORROWED_SIGMA = "h200", 0.3
BORROWED_SOURCE = {
    "kind": "assumed",
    "source": f"No measurements of such layers on this chip: the constants of {BORROWED}",
    "date": datetime.date(2026, 11, 26),
}
OWN_KINDS: dict[str, type[Record]] = {
    "gemm": GemmFit,
    "absorb": BatchedGemmFit,
    "experts": GroupedGemmFit,
    "context": ContextAttentionFit,
    "context_latent": ContextAttentionFit,
    "decode": DecodeAttentionFit,
    "decode_latent": DecodeAttentionFit,
    "stream": StreamFit,
    "all_reduce": CollectiveFit,
    "all_gather": CollectiveFit,
    "reduce_scatter": CollectiveFit,
    "all_to_all": CollectiveFit,
    "send_recv": CollectiveFit,
}
FORMATS: dict[str, tuple[str, ...]] = {
    "gemm": ("nvfp4", "mxfp4", "int4", "fp8", "fp8_block", "bf16"),
    "absorb": ("fp8", "bf16"),
    "experts": ("nvfp4", "mxfp4", "int4", "fp8", "fp8_block", "bf16"),
    "context": ("fp8", "bf16"),
    "context_latent": ("fp8", "bf16"),
    "decode": ("fp8", "bf16"),
    "decode_latent": ("fp8", "bf16"),
}
# Engines whose kernels of a family are not those that most run, where they were measured apart.
VARIANTS: dict[str, tuple[str, ...]] = {
    f"{family}_{phase}": ("sglang", "trtllm", "vllm")
    for family in SELECTED
    for phase in ("decode", "context")
}
KINDS: dict[str, type[Record]] = {**OWN_KINDS, **STATE_KINDS}
SCALELESS = (StreamFit, CollectiveFit, ConvolutionFit)  # without arithmetic
ANY = "any"
ARITHMETIC = ("fp4", "fp8", "bf16")


@dataclass(frozen=True)
class Family:
    """One fit as it stands in a file: constants by name, and how sure they are."""

    constants: dict[str, float]
    sigma: float  # standard deviation of the log of measured over predicted time
    source: str
    rows: int = 0
    free: tuple[str, ...] = ()  # the constants that were fitted; the rest were held
    covariance: tuple[tuple[float, ...], ...] = ()  # of the logs of `free`
    errors: dict[str, float] = field(default_factory=dict)
    arithmetic: str = ""
    note: str = ""


@dataclass(frozen=True)
class Calibration:
    """Every fit for one chip, by family and number format."""

    name: str
    title: str
    multiprocessors: float
    families: dict[str, dict[str, Family]]
    sources: dict[str, dict[str, object]]

    @cached_property
    def sha256(self) -> str:
        """A fingerprint of every constant and its uncertainty."""
        text = json.dumps([self.multiprocessors, self.families], sort_keys=True, default=asdict)
        return hashlib.sha256(text.encode()).hexdigest()

    def family(self, kind: str, number_format: str = ANY) -> Family:
        """One fit."""
        try:
            return self.families[kind][number_format]
        except KeyError:
            known = ", ".join(sorted(self.families.get(kind, {}))) or "none"
            raise InputError(
                f"Calibration {self.name!r} has no fit of {kind} in {number_format!r}; "
                f"it has: {known}. Choose another precision or add the fit."
            ) from None
