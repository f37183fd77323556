"""Which deployments does a report hold beside a plan's own?

The record only: `other_targets` finds them.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Choices:
    """Deployments that are best under some targets, or with some width, and their designs.

    `designs` has a table for each phase: a column for each axis, `gpus`, `requests_per_s`,
    `latency_s`, the parts of the time (`attention_s`, …), memory (`weights_bytes`, …), and what a
    GPU sends or receives of caches at full rate (`flow_bytes_per_s`); co-located also `mode`.
    `rows` has a column for each property of a deployment: `kind` (0 disaggregated, 1 co-located),
    the rows of its designs in their tables (`first`, `second`; −1 without a second), counts
    (`first_count`, `second_count`), `gpus`, `ftl_s`, `ttl_s`, `y`, output tokens/s/GPU of
    real-valued counts with the ends `low` and `high` of its 80 % interval, `worth` and `bound`, by
    the objective, of whole and of real-valued counts. Rows from `piggybacked` on co-located designs
    have `mode` 1. `ftl_targets_s` are the FTL targets that were tried. Of the deployments that meet
    a target, a plan takes those worth 1 − `tolerance` of the best bound, of these the fewest GPUs,
    then the most worth within `tie`, then the lowest latency.
    """

    designs: dict[str, dict[str, np.ndarray]]
    rows: dict[str, np.ndarray]
    ftl_targets_s: tuple[float, ...]
    tolerance: float
    tie: float
