"""How is the uncertainty of a sweep kept with its numbers, and how does a frontier use it?

The errors that fits left are written beside a sweep, so that frontiers of a store carry intervals
wherever it is read.
"""

import json
from collections.abc import Iterable, Mapping

import numpy as np

from jaxsim._version import __version__, machine
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.space.deploy.select import parts_at
from jaxsim.space.deploy.uncertainty import Spread, interval, sources_of, spread_from
from jaxsim.space.designs import PHASES, Designs

ATTRIBUTE = "log_sigma_sources"

Sources = Mapping[str, Mapping[str, tuple[str, float]]]


def inputs_of(setup: Setup) -> dict[str, str | float]:
    """What made a result, as attributes of a dataset or a store."""
    return {
        "model": setup.model.name,
        "hardware": setup.hardware.name,
        "precision": setup.precision_name,
        "formats": json.dumps(setup.formats),
        "notes": " ".join(setup.notes),
        "engine": setup.engine.name,
        "calibration": setup.calibration.name,
        "scaleout_bytes_per_s": float(setup.hardware.hardware.scaleout.bytes_per_s),
        ATTRIBUTE: json.dumps({phase: sources_of(phase, setup) for phase in PHASES}),
    }


def made_by(setup: Setup) -> dict[str, str]:
    """What evaluated a store: version, numbers of the calibration, kind of machine."""
    return {
        "jaxsim_version": __version__,
        "calibration_sha256": setup.calibration.sha256,
        "machine": machine(),
    }


def sources_in(attrs: Mapping[str, object]) -> Sources:
    """The error sources of every phase that an evaluation wrote down."""
    try:
        phases = json.loads(str(attrs[ATTRIBUTE]))
        return {
            phase: {part: (str(name), float(sigma)) for part, (name, sigma) in own.items()}
            for phase, own in phases.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"the attribute {ATTRIBUTE!r} of the tree is missing or unreadable: it says how sure "
            "its numbers are. Give the tree of jaxsim.evaluate, or of a store of this version."
        ) from None


def _ends(values: Iterable[float], spreads: Iterable[Spread]) -> dict[str, np.ndarray]:
    pairs = [interval(float(v), spread) for v, spread in zip(values, spreads, strict=True)]
    low, high = np.array(pairs).reshape(-1, 2).T
    return {"low": low, "high": high}


def colocated_ends(
    designs: Designs, index: np.ndarray, modes: Iterable[str], y: np.ndarray, sources: Sources
) -> dict[str, np.ndarray]:
    """Both ends of the 80 % interval of co-located throughput `y` at designs of the grid."""
    own = sources["colocated"]
    spreads = [
        spread_from(parts_at(designs, int(i), mode), own)
        for i, mode in zip(index, modes, strict=True)
    ]
    return _ends(y, spreads)


def disaggregated_ends(
    prefill: tuple[Designs, np.ndarray],
    decode: tuple[Designs, np.ndarray],
    ratio: np.ndarray,
    y: np.ndarray,
    sources: Sources,
) -> dict[str, np.ndarray]:
    """Both ends of the 80 % interval of matched throughput `y`; `ratio` is of GPUs.

    1/y = Σ GPUs / rate: each pool's relative error counts as its share of the GPUs.
    """
    spreads = []
    for i, j, prompts_per_token in zip(prefill[1], decode[1], ratio, strict=True):
        share = float(prompts_per_token / (1.0 + prompts_per_token))
        prompt = spread_from(parts_at(prefill[0], int(i)), sources["prefill"])
        token = spread_from(parts_at(decode[0], int(j)), sources["decode"])
        spreads.append(prompt.times(share).plus(token.times(1.0 - share)))
    return _ends(y, spreads)
