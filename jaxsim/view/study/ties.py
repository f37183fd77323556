"""Is a design with some property as good as the best, within what the model can tell?

Designs whose throughput and token latency are within `tie` of the best are equals: a difference
below the model's own error, in either, is no preference. A claim that a property is preferred holds
where a design with it is among the equals, and one that it is not, where a design without it is.
A trend is judged on the path that changes least: what the best design has stays as long as an equal
has it, since a change within a tie is no preference in either direction.
"""

from collections.abc import Sequence

import numpy as np

from jaxsim.space.deploy.candidates import decode_candidates
from jaxsim.view.study.claim import criterion
from jaxsim.view.study.curves import Matched, axis_columns
from jaxsim.view.study.settings import Setting
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case


class Equals:
    """The decode designs that are as good as the best at some rungs of a matched frontier."""

    def __init__(
        self, study: Study, case: Case, setting: Setting, matched: Matched, where: np.ndarray
    ):
        _, _, (_, designs) = study.pools(case, setting.mixture)
        link = float(study.sweeper.scenario(case, setting.mixture).hardware.scaleout.bytes_per_s)
        decode = decode_candidates(designs, link)
        self.columns = axis_columns(designs, decode.index)
        ttl_s, per_gpu = decode.pool.latency_s, decode.pool.requests_per_s / decode.pool.gpus
        prefill = matched.decode["prefill_requests_per_s"] / matched.decode["prefill_gpus"]
        interactivity = study.curves(case, setting.mixture).interactivity
        tie = criterion("tie")
        self.equal = []
        for rung in where:
            y = 1.0 / (1.0 / prefill[rung] + 1.0 / per_gpu)
            target = 1.0 / interactivity[rung]
            best = y[ttl_s <= target * (1.0 + 1e-9)].max()
            near = (ttl_s <= target * (1.0 + tie)) & (y >= best * (1.0 - tie))
            self.equal.append(np.flatnonzero(near))

    def values(self, axis: str, place: int) -> np.ndarray:
        """The values of an axis among the equals of a rung."""
        return self.columns[axis][self.equal[place]]

    def path(self, axis: str, own: np.ndarray) -> np.ndarray:
        """The values of an axis along the rungs; `own` are those of the best designs."""
        return least_changing(own, [self.columns[axis][equal] for equal in self.equal])

    def frac(self, axis: str, least: float) -> float:
        """The fraction of rungs at which an equal has at least so much of an axis."""
        return float(np.mean([self.columns[axis][own].max() >= least for own in self.equal]))


def least_changing(best: np.ndarray, equals: Sequence[np.ndarray]) -> np.ndarray:
    """What the best design has, step by step, kept while an equal of a later step has it too."""
    design = np.array(best, dtype=float)
    for k in range(1, len(design)):
        if np.any(equals[k] == design[k - 1]):
            design[k] = design[k - 1]
    return design
