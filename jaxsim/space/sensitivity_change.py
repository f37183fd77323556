"""Which inputs move, and by how much?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxsim.catalog.scenario import Scenario
from jaxsim.space.sensitivity_reverse import path_name


@dataclass(frozen=True)
class Change:
    """Factors on inputs (by path; `prefill:` in front for a prefill pool's own) and on targets."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    ftl: Any = 1.0
    ttl: Any = 1.0

    @property
    def reach(self) -> float:
        """The largest factor or divisor among the changes, with room for rounding errors."""
        factors = [*self.inputs.values(), self.ftl, self.ttl]
        return float(np.exp(max(np.max(np.abs(np.log(f))) for f in factors))) * 1.001

    def of(self, scenario: Scenario, pool: str = "") -> Scenario:
        """The scenario with its inputs multiplied."""
        own = {}
        for path, factor in self.inputs.items():
            where, _, name = path.rpartition(":")
            if where == pool:
                own[name] = factor

        def moved(path, leaf):
            name = path_name(path)
            return np.asarray(leaf, float) * own[name] if name in own else leaf

        return jax.tree_util.tree_map_with_path(moved, scenario) if own else scenario

    def repeated(self, count: int) -> "Change":
        """The same, each entry of every array of factors `count` times."""

        def again(factor):
            return np.repeat(factor, count) if np.ndim(factor) else factor

        inputs = {path: again(factor) for path, factor in self.inputs.items()}
        return Change(inputs, again(self.ftl), again(self.ttl))


UNCHANGED = Change()


def value_at(scenario: Scenario, path: str) -> Any:
    """One number of a scenario, or as many as it holds."""
    flat, _ = jax.tree_util.tree_flatten_with_path(scenario)
    return next(np.asarray(leaf, float) for at, leaf in flat if path_name(at) == path)
