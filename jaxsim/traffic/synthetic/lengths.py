"""How long are requests that are drawn, and how does that drift?"""

import math
from dataclasses import dataclass

import numpy as np

from jaxsim.catalog.errors import InputError

LONGEST_TOKENS = 10_000_000
LAWS = "N, uniform:LOW:HIGH, lognormal:MEAN:SIGMA, exponential:MEAN or geometric:MEAN"


@dataclass(frozen=True)
class Lengths:
    """A law of lengths in tokens: its kind and its two numbers, the second 0 where it has one.

    `lognormal` has its mean and the σ of its logarithm. `drift` is what the mean is multiplied by
    at the end of the time, growing geometrically from 1.
    """

    kind: str
    first: float
    second: float = 0.0
    drift: float = 1.0

    @property
    def mean(self) -> float:
        """Mean length, without drift."""
        return 0.5 * (self.first + self.second) if self.kind == "uniform" else self.first

    def drawn(self, progress: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """One length for each place in the time (0 … 1), whole and at least 1."""
        size = len(progress)
        if self.kind == "fixed":
            values = np.full(size, self.first)
        elif self.kind == "uniform":
            values = generator.uniform(self.first - 0.5, self.second + 0.5, size)
        elif self.kind == "lognormal":
            centre = math.log(self.first) - 0.5 * self.second**2
            values = generator.lognormal(centre, self.second, size)
        elif self.kind == "geometric":
            values = generator.geometric(1.0 / self.first, size).astype(np.float64)
        else:
            values = generator.exponential(self.first, size)
        values = values * self.drift**progress
        return np.clip(np.rint(values), 1, LONGEST_TOKENS)


def parse_lengths(text: str, what: str) -> Lengths:
    """The law that a text such as `lognormal:16384:0.8` describes."""
    kind, *numbers = str(text).strip().lower().split(":")
    try:
        if not numbers:
            kind, numbers = "fixed", [kind]
        values = [float(number) for number in numbers]
    except ValueError:
        raise InputError(f"{what} {text!r}: write {LAWS}.") from None
    wanted = {"fixed": 1, "uniform": 2, "lognormal": 2, "exponential": 1, "geometric": 1}
    if wanted.get(kind) != len(values):
        raise InputError(f"{what} {text!r}: write {LAWS}.")
    low = 0.0 if kind == "lognormal" else 1.0
    if not all(math.isfinite(value) for value in values) or not 1.0 <= values[0] <= LONGEST_TOKENS:
        raise InputError(f"{what} {text!r}: lengths lie between 1 and {LONGEST_TOKENS:,} tokens.")
    if len(values) > 1 and not low <= values[1] <= (10.0 if low == 0.0 else LONGEST_TOKENS):
        raise InputError(f"{what} {text!r}: its second number is impossible; write {LAWS}.")
    if kind == "uniform" and values[1] < values[0]:
        raise InputError(f"{what} {text!r}: write the smaller length first.")
    return Lengths(kind, *values)
