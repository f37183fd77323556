"""How near do kernels come to the datasheet, and how sure is that?  Calibrations and their files.

A calibration is a TOML file for one chip: fits by family (`gemm`, `experts`, ...) and number
format. Each fit has its constants, the standard deviation of its residuals, the errors on shapes
that it never saw, the covariance of what was fitted, and where the measurements came from. A file
may instead name another that it is transferred from, with a wider deviation.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from jaxsim._record import Record
from jaxsim.catalog._calibration_file import (
    list_calibrations,
    load_calibration,
    read_calibration,
)
from jaxsim.catalog._calibration_kinds import (
    ANY,
    ARITHMETIC,
    DATA,
    FORMATS,
    KINDS,
    OWN_KINDS,
    SCALELESS,
    STATE_KINDS,
    VARIANTS,
    Calibration,
    Family,
)
from jaxsim.catalog.fits import (
    BatchedGemmFit,
    CollectiveFit,
    ContextAttentionFit,
    DecodeAttentionFit,
    GemmFit,
    GroupedGemmFit,
    Kernels,
    PeakShare,
    StreamFit,
)
from jaxsim.catalog.precision import TIMED_AS, Precision
from jaxsim.catalog.scaleout import scaleout_constants

__all__ = [
    "ANY",
    "DATA",
    "FORMATS",
    "KINDS",
    "OWN_KINDS",
    "SCALELESS",
    "STATE_KINDS",
    "BatchedGemmFit",
    "Calibration",
    "CollectiveFit",
    "ContextAttentionFit",
    "DecodeAttentionFit",
    "Family",
    "GemmFit",
    "GroupedGemmFit",
    "Kernels",
    "PeakShare",
    "StreamFit",
    "borrowed",
    "families_of",
    "fit_of",
    "list_calibrations",
    "load_calibration",
    "of_engine",
    "read_calibration",
    "resolve_kernels",
    "sigma_of",
]


def fit_of(calibration: Calibration, kind: str, number_format: str = ANY) -> Record:
    """The record of one fit, its numbers as they are in the file."""
    family = calibration.family(kind, number_format)
    numbers: dict[str, PeakShare | float] = dict(family.constants)
    build: Callable[..., Record] = KINDS[kind]
    if KINDS[kind] not in SCALELESS:
        peak = family.arithmetic
        numbers["peak"] = PeakShare(*(1.0 if peak == own else 0.0 for own in ARITHMETIC))
        numbers["multiprocessors"] = calibration.multiprocessors
    return build(**numbers)


def borrowed(
    calibration: Calibration, name: str, multiprocessors: float, sigma: float
) -> Calibration:
    """A calibration of another chip for the chip `name`, each fit less sure by `sigma`.

    Fractions of peaks stay, and so does the share of the time that starting tiles takes: few large
    multiprocessors start as much work in a second as many small ones.
    """
    if not sigma:
        return calibration
    ratio = multiprocessors / calibration.multiprocessors
    families = {
        kind: {
            number_format: replace(
                family,
                constants={
                    constant: value * (ratio if constant == "tile_s" else 1.0)
                    for constant, value in family.constants.items()
                },
                sigma=float(np.hypot(family.sigma, sigma)),
                note=f"borrowed for {name}",
            )
            for number_format, family in formats.items()
        }
        for kind, formats in calibration.families.items()
    }
    return replace(calibration, families=families, multiprocessors=multiprocessors)


def of_engine(calibration: Calibration, engine: str) -> Calibration:
    """The same with an engine's own kernels, where they were measured apart from what most run."""
    own = {
        kind: {**formats, ANY: formats[engine]}
        for kind, formats in calibration.families.items()
        if engine in formats and engine in VARIANTS.get(kind, ())
    }
    return replace(calibration, families={**calibration.families, **own}) if own else calibration


def families_of(precision: Precision) -> dict[str, tuple[str, str]]:
    """The family and number format that time each role under a precision, but for messages."""
    wide = "fp8" if precision.attention_math == "fp8" else "bf16"
    cache = "bf16" if precision.kv == "bf16" else "fp8"
    return {
        "attention_gemm": ("gemm", TIMED_AS[precision.attention]),
        "attention_out_gemm": ("gemm", TIMED_AS[precision.attention_out]),
        "ffn_gemm": ("gemm", TIMED_AS[precision.ffn]),
        "head_gemm": ("gemm", TIMED_AS[precision.head]),
        "router_gemm": ("gemm", "bf16"),
        "absorb_gemm": ("absorb", "bf16"),
        "experts": ("experts", TIMED_AS[precision.experts]),
        "context": ("context", wide),
        "context_latent": ("context_latent", wide),
        "decode": ("decode", cache),
        "decode_latent": ("decode_latent", cache),
    }


def sigma_of(calibration: Calibration, role: str, precision: Precision) -> float:
    """The standard deviation of the log error that a role's fit left."""
    return calibration.family(*families_of(precision).get(role, (role, ANY))).sigma


def resolve_kernels(
    calibration: Calibration,
    precision: Precision,
    multiprocessors: float | None = None,
    warm: bool = False,
) -> Kernels:
    """The fits that a precision selects.

    `multiprocessors` are those that share the peak of the chip, where it is not the chip that the
    calibration was made on. A benchmark that repeats one launch finds its operands in the last
    cache; in a model, other layers' weights and caches pass in between, so unless `warm` they come
    from memory.
    """
    if multiprocessors is not None:
        calibration = replace(calibration, multiprocessors=multiprocessors)
    plain = (
        *STATE_KINDS,
        "stream",
        "all_reduce",
        "all_gather",
        "reduce_scatter",
        "all_to_all",
        "send_recv",
    )
    chosen = families_of(precision)
    fits = {role: fit_of(calibration, *key) for role, key in chosen.items()}
    if not warm:
        for role in ("absorb_gemm", "decode", "decode_latent"):
            fits[role] = replace(fits[role], cache_bytes=0.0)
    others = {name: fit_of(calibration, name) for name in plain}
    for name, beyond in scaleout_constants().items():
        if "across_launch_s" not in calibration.family(name).constants:  # as at the limit
            others[name] = replace(others[name], **beyond)
    build = cast(Callable[..., Kernels], Kernels)  # `KINDS` says of which kind each fit is
    return build(**fits, **others)
