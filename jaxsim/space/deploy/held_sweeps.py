"""Which evaluated designs may serve another request?  Those of the same numbers.

Latency targets, budgets and prices are no input of a design's evaluation: a request that differs in
them alone finds its designs here.
"""

import numpy as np

from jaxsim.catalog.scenario import Scenario
from jaxsim.space.axes import Space, Values, axes_of
from jaxsim.space.designs import Designs, evaluate_phase, numbers_key
from jaxsim.space.program.cache import Cache

SWEEPS = 24  # three phases of eight set-ups
MOST_BYTES = 64e6  # of one that is kept: 300,000 designs take 10 to 30 MB


class HeldSweeps:
    """Evaluated phases by everything that they depend on; the least recently used are dropped."""

    def __init__(self, sweeps: int = SWEEPS):
        self._cache = Cache(sweeps)
        self.evaluated = 0

    def __call__(
        self, phase: str, scenario: Scenario, space: Space, isl: Values, osl: Values
    ) -> Designs:
        """What `evaluate_phase` gives, evaluated once for the same numbers."""

        def evaluate() -> Designs:
            self.evaluated += 1
            return evaluate_phase(phase, scenario, space, isl, osl)

        key = (phase, numbers_key(scenario), axes_key(phase, space, isl, osl))
        return self._cache.get(key, evaluate, lambda designs: held_bytes(designs) <= MOST_BYTES)


def axes_key(phase: str, space: Space, isl: Values, osl: Values) -> tuple[object, ...]:
    """The axes of a phase with their values."""
    return tuple(
        (name, tuple(np.asarray(values, float).tolist()))
        for name, _, values in axes_of(space, phase, isl, osl)
    )


def held_bytes(designs: Designs) -> float:
    """What the outputs of designs take in memory."""
    return float(sum(array.nbytes for array, _ in designs.outputs.values()))
