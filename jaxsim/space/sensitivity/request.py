"""What should a sensitivity compute?  Typed values; the command line turns text into them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from jaxsim.catalog.chip_parts import KINDS as BUDGETS
from jaxsim.catalog.errors import InputError, nearest

KINDS = ("disaggregated", "colocated")
# Axes along which one kind of deployment may overtake the other, and their least values.
LEAST_TOKENS = {"isl": 1, "osl": 2}
MOST_SIGMA = 5.0


@dataclass(frozen=True)
class Times:
    """A value relative to what it is now: `Times(1.2)` is 20 % more.

    >>> jaxsim.Times(1.2).factor
    1.2
    """

    factor: float


Value = float | Times


@dataclass(frozen=True)
class SensitivityRequest:
    """What to compute besides elasticities, prices and the time by resource.

    `kind` is disaggregated or colocated, by default the better of the two. The exact effects of the
    `levers` strongest levers are solved for.

    `what_if` are changes to solve for, each a mapping from an input (the end of its path, such as
    `hbm_bytes_per_s`, or a target, `ttl` or `ftl`, in seconds) to a new value or to `Times` what it
    is now. `reach` is a throughput, in tokens/s per GPU or `Times` that of now, for which every
    lever's least change is sought, and the cheapest of several. `ranges` are inputs only known to
    lie between two values.

    `prior_sigma` is the standard deviation of the logarithm of kernel constants that measurements
    leave open, in place of the catalogue's; `prior_sigmas` that of single constants by name.

    `chips` asks for the best chips within budgets: what a chip may take of `cost`, `power` and
    `area`, as factors of what it takes now; {} is what it takes now, and None asks for none.
    `parts` says what parts take of a chip, as fractions by kind of budget, in place of the
    catalogue's. `crossovers` are (axis, low, high) with axis isl or osl, in tokens, between which
    to look for where pools begin to pay. With `domains`, scale-up domains of other sizes are tried.

    Raises InputError for a value that cannot be.

    >>> faster = {"hbm_bytes_per_s": jaxsim.Times(1.2)}
    >>> jaxsim.SensitivityRequest(what_if=[faster], chips={"cost": 1.1}).levers
    6
    """

    kind: str | None = None
    levers: int = 6
    what_if: Sequence[Mapping[str, Value]] = ()
    reach: Value | None = None
    ranges: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)
    prior_sigma: float | None = None
    prior_sigmas: Mapping[str, float] = field(default_factory=dict)
    chips: Mapping[str, float] | None = None
    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    crossovers: Sequence[tuple[str, float, float]] = ()
    domains: bool = True

    def __post_init__(self):
        if self.kind is not None and self.kind not in KINDS:
            raise InputError(f"kind {self.kind!r}: it is {' or '.join(KINDS)}")
        if self.levers < 0:
            raise InputError(f"levers = {self.levers}: a whole number of at least 0 is needed")
        for axis, low, high in self.crossovers:
            check_crossover(axis, low, high)
        for name, shares in self.parts.items():
            for kind, share in shares.items():
                check_budget(kind)
                if not 0.0 <= share <= 1.0:
                    raise InputError(
                        f"part {name!r}: {share:g} is no share of {kind}; give 0 to 1 (100 %)."
                    )
        for kind, factor in (self.chips or {}).items():
            check_budget(kind)
            if not (isfinite(factor) and factor > 0.0):
                raise InputError(f"budget of {kind}: {factor:g} is not positive and finite")
        sigmas = dict(self.prior_sigmas)
        if self.prior_sigma is not None:
            sigmas["all constants"] = self.prior_sigma
        for name, sigma in sigmas.items():
            if not 0.0 < sigma <= MOST_SIGMA:
                raise InputError(
                    f"prior of {name}: {sigma:g} is no deviation; give the standard deviation of "
                    f"the logarithm, more than 0 and at most {MOST_SIGMA:g}, such as 0.4."
                )


def check_budget(kind: str) -> None:
    """Refuse what is no kind of budget."""
    if kind not in BUDGETS:
        near = nearest(kind, BUDGETS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{kind!r} is no kind of budget: {', '.join(BUDGETS)}{hint}")


def check_crossover(axis: str, low: float, high: float) -> None:
    """Refuse a range of lengths that cannot be."""
    if axis not in LEAST_TOKENS:
        raise InputError(f"axis {axis!r}: it is {' or '.join(LEAST_TOKENS)}")
    least = LEAST_TOKENS[axis]
    whole = all(isfinite(end) and end == int(end) for end in (low, high))
    if not (whole and least <= low < high):
        raise InputError(
            f"{axis} from {low:g} to {high:g}: give two whole numbers, the second larger and the "
            f"first at least {least}"
        )
