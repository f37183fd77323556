"""Why does no design of a space obey every rule, and what would?"""

from collections.abc import Callable

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.space.designs import Designs

RULES = {
    "fits_memory": "do not fit in memory",
    "heads_divide": "have a TP that does not divide the attention heads",
    "experts_divide": "have an EP that does not divide the experts",
    "ffn_divides": "cut the feed-forward width into unequal parts",
    "widths_divide": "have a TP and an EP that do not divide one another",
    "within_domain": "need a stage wider than the scale-up domain that fills no whole ones",
    "stages_have_layers": "have more stages than layers",
}
GB = 1e9


def shape_of(designs: Designs, index: int) -> str:
    """The widths of a design in words."""
    at = designs.at(index)
    return " ".join(f"{name.upper()}{at[name]:.0f}" for name in ("tp", "ep", "pp"))


def broken_rules(designs: Designs) -> list[str]:
    """What the designs break, in words, the commonest first."""
    counts = {name: np.count_nonzero(~designs.full(name).astype(bool)) for name in RULES}
    order = sorted((name for name in RULES if counts[name]), key=lambda name: -counts[name])
    return [f"{counts[name]:,} of {designs.size:,} {RULES[name]}" for name in order]


def least_over(designs: Designs) -> tuple[float, int] | None:
    """The least missing memory of the designs that break no other rule, and which design it is."""
    others = np.ones(designs.shape, dtype=bool)
    for name in RULES:
        if name != "fits_memory":
            others &= designs.full(name).astype(bool)
    index = np.flatnonzero(others)
    if not len(index):
        return None
    over = designs.full("over_bytes").ravel()[index]
    best = int(np.argmin(over))
    return float(over[best]), int(index[best])


def smallest_valid(designs: Designs) -> int | None:
    """The valid design of fewest GPUs, the fastest of them."""
    index = np.flatnonzero(designs.full("valid"))
    if not len(index):
        return None
    gpus = designs.full("gpus").ravel()[index]
    rate = designs.full("requests_per_s").ravel()[index]
    return int(index[np.lexsort((-rate, gpus))[0]])


def nothing_valid(designs: Designs, widest: Callable[[], Designs]) -> InputError:
    """An error that says what every design breaks, by how much, and the smallest shape that works.

    `widest` evaluates the default space of the model on the hardware, to look for one.
    """
    text = f"No {designs.phase} design obeys every rule: {'; '.join(broken_rules(designs))}."
    near = least_over(designs)
    if near is not None and near[0] > 0.0:
        text += (
            f" The nearest to fitting, {shape_of(designs, near[1])} at batch "
            f"{designs.at(near[1])['batch']:.0f}, lacks {near[0] / GB:.1f} GB a GPU of "
            f"{designs.value('capacity_bytes', near[1]) / GB:.0f} GB."
        )
    default = widest()
    small = smallest_valid(default)
    if small is not None:
        text += (
            f" The smallest shape that would do is {shape_of(default, small)} "
            f"({default.value('gpus', small):.0f} GPUs)."
        )
    else:
        near = least_over(default)
        text += " No shape of the default space does either"
        text += f"; it lacks at least {near[0] / GB:.1f} GB a GPU." if near else "."
        text += " Narrow the weights with --precision, or take other hardware."
    return InputError(text)
