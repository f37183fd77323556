"""Which designs of a sweep can the serving software express?"""

from dataclasses import replace

import numpy as np

from jaxsim.catalog.setup import Setup
from jaxsim.catalog.shapes import handed_over, has_windows, why_not
from jaxsim.space.designs import Designs

AXES = ("tp", "ep", "pp")
FLAGS = ("valid", "ifb_valid", "piggybacked_valid")


def expressible(designs: Designs, rules: str, setup: Setup) -> Designs:
    """The same designs, of which those that the rules exclude are not valid."""
    mask = shape_mask(designs, rules, setup)
    outputs = dict(designs.outputs)
    for name in FLAGS:
        if name in outputs:
            array, dims = outputs[name]
            joined = tuple(axis for axis in designs.axes if axis in dims or axis in AXES)
            outputs[name] = (_on(array, dims, joined) & _on(mask, AXES, joined), joined)
    return replace(designs, outputs=outputs)


def shape_mask(designs: Designs, rules: str, setup: Setup) -> np.ndarray:
    """Whether the rules allow each combination of widths [tp, ep, pp]; widths must divide."""
    moe, node = setup.model.is_moe, int(setup.hardware.gpus_per_node)
    axes = [designs.axes[name] for name in AXES]
    windows, phase = has_windows(setup.model), designs.phase
    mask = np.zeros([len(values) for values in axes], dtype=bool)
    for index in np.ndindex(*mask.shape):
        tp, ep, pp = (int(values[i]) for values, i in zip(axes, index, strict=True))
        whole = max(tp, ep) % min(tp, ep) == 0
        told = handed_over(rules, pp, phase, windows)
        mask[index] = whole and told and not why_not(rules, tp, ep, pp, moe, phase, node)
    return mask


def _on(array: np.ndarray, dims: tuple[str, ...], joined: tuple[str, ...]) -> np.ndarray:
    """An array on more dimensions, of length one where it has none."""
    index = tuple(slice(None) if axis in dims else None for axis in joined)
    return np.asarray(array)[index]
