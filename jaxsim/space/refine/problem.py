"""What is sought in a phase, and what limits it?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from jaxsim.catalog.scenario import Scenario
from jaxsim.space.designs import MODES, Designs, Listed, lister

Evaluator: TypeAlias = Callable[[Mapping[str, np.ndarray]], Listed]


@runtime_checkable
class Outputs(Protocol):
    """Outputs by name: of a grid, or of a list of designs."""

    def __getitem__(self, name: str, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Measured:
    """What designs give: one row a design, or a grid.

    `value` is what an instance serves; `latency` has one array for each target. A design is
    allowed where `ok` holds and each latency is within its target. `fits` and `sustained` are the
    parts of `ok` that a smaller and a larger chunk make true.
    """

    value: np.ndarray
    latency: tuple[np.ndarray, ...]
    ok: np.ndarray
    fits: np.ndarray
    sustained: np.ndarray


@dataclass(frozen=True)
class Problem:
    """One phase under targets: the scenario, and which integers are free.

    `targets_s` are, in the order of `Measured.latency`, FTL of prefill; TTL of decode; TTL and FTL
    co-located. An axis that is not free keeps the values of the grid. `evaluator` stands for that
    of the scenario where a mix of workloads is served.
    """

    phase: str
    scenario: Scenario
    targets_s: tuple[float, ...]
    ttl: str = "mean"
    link_bytes_per_s: float = np.inf
    max_gpus: float = np.inf
    batch_free: bool = True
    chunk_free: bool = True
    evaluator: Evaluator | None = None

    def lister(self) -> Evaluator:
        """What evaluates designs one by one."""
        return self.evaluator or lister(self.phase, self.scenario)

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that are compared; one without a name where there is but one."""
        return MODES if self.phase == "colocated" else ("",)

    def measure(self, outputs: Outputs, mode: str) -> Measured:
        """What is compared of a phase's outputs."""
        if self.phase == "prefill":
            linked = outputs["kv_link_frac"] <= 1.0
            return _alone(outputs, "ftl_s", linked)
        if self.phase == "decode":
            flow = outputs["kv_ingress_bytes_per_s_per_gpu"]
            return _alone(outputs, "ttl_s", flow <= self.link_bytes_per_s)
        token = "ttl_s" if self.ttl == "mean" else "ttl_median_s"
        valid, share = outputs[f"{mode}_valid"], outputs[f"{mode}_prompt_share"]
        return Measured(
            value=outputs[f"{mode}_output_tokens_per_s_per_gpu"] * outputs["gpus"],
            latency=(outputs[f"{mode}_{token}"], outputs[f"{mode}_ftl_s"]),
            ok=valid,
            fits=outputs["valid"],
            sustained=valid | (share < 1.0) if mode == "piggybacked" else np.ones_like(valid),
        )


def _alone(outputs: Outputs, latency: str, linked: np.ndarray) -> Measured:
    ok = outputs["valid"] & linked
    rate = outputs["requests_per_s"]
    return Measured(rate, (outputs[latency],), ok, ok, np.ones_like(ok))


class OnGrid:
    """Outputs of a grid, on mappings × chunks (one where the phase has none) × batches."""

    def __init__(self, designs: Designs):
        self._designs = designs

    def __getitem__(self, name: str, /) -> np.ndarray:
        axes = self._designs.axes
        chunks = len(axes["chunk"]) if "chunk" in axes else 1
        return self._designs.full(name).reshape(-1, chunks, len(axes["batch"]))


def classes(problem: Problem, grid: np.ndarray) -> np.ndarray:
    """Chunks that differ, ascending: the least of every number of passes and of prompts in a pass.

    Between them, a larger chunk takes memory and changes nothing. Those of the grid are among
    them, and none is beyond the grid's ends.
    """
    workload = problem.scenario.workload
    fresh = max(float(workload.isl) * (1.0 - float(workload.hit_frac)), 1.0)
    if not problem.chunk_free:
        return np.asarray(grid, float)
    low, high = float(grid[0]), float(grid[-1])
    parts = np.ceil(fresh / np.arange(1, max(np.ceil(fresh / low), 1) + 1))
    prompts = np.ceil(fresh * np.arange(1, max(np.floor(high / fresh), 1) + 1))
    chunks = np.unique(np.concatenate([grid, parts, prompts]))
    return chunks[(chunks >= low) & (chunks <= high)]
